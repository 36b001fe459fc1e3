"""The parts of PyMySQL that are not public and that we use: still there, still so.

An upgrade of PyMySQL is to fail here first, by name, and not in an application.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from pymysql import connections, cursors, err, protocol
from pymysql.connections import Connection, MySQLResult

from globaldb.drivers.pymysql.physical import Physical
from globaldb.drivers.pymysql.result import Result

PACKAGE = Path(__file__).parents[2] / "globaldb"
FILES = sorted((PACKAGE / "drivers/pymysql").glob("*.py"))

SIGNATURES = [
    (Connection._execute_command, "(self, command, sql)"),
    (Connection._force_close, "(self)"),
    (Connection._process_auth, "(self, plugin_name, auth_packet, handler=None)"),
    (Connection._read_ok_packet, "(self)"),
    (
        Connection._read_packet,
        "(self, packet_type=<class 'pymysql.protocol.MysqlPacket'>)",
    ),
    (Connection._read_query_result, "(self, unbuffered=False)"),
    (Connection._request_authentication, "(self)"),
    (Connection._write_bytes, "(self, data)"),
    (Connection.connect, "(self, sock=None)"),
    (Connection.next_result, "(self, unbuffered=False)"),
    (Connection.query, "(self, sql, unbuffered=False)"),
    (Connection.set_character_set, "(self, charset, collation=None)"),
    (MySQLResult.__init__, "(self, connection)"),
    (MySQLResult.init_unbuffered_query, "(self)"),
    (MySQLResult.read, "(self)"),
    (MySQLResult._check_packet_is_eof, "(self, packet)"),
    (MySQLResult._finish_unbuffered_query, "(self)"),
    (MySQLResult._read_ok_packet, "(self, packet)"),
    (MySQLResult._read_rowdata_packet_unbuffered, "(self)"),
    (MySQLResult._read_rowdata_packet, "(self)"),
    (MySQLResult._get_descriptions, "(self)"),
    (Connection._read_bytes, "(self, num_bytes)"),
]

#: What an object has once it was made, and where it gets it.
ATTRIBUTES = {
    "_auth_plugin_map": Connection.__init__,
    "_closed": Connection.connect,
    "_current_timeout": Connection.connect,
    "_next_seq_id": Connection._execute_command,
    "_read_timeout": Connection.__init__,
    "_result": Connection.__init__,
    "_rfile": Connection.connect,
    "_secure": Connection.connect,
    "_sock": Connection.connect,
    "_write_timeout": Connection.__init__,
    "server_capabilities": Connection._get_server_information,
    "server_status": Connection._get_server_information,
    "server_thread_id": Connection._get_server_information,
    "server_version": Connection._get_server_information,
}

#: Steps of PyMySQL that our own take the place of, or go between.
STEPS = [
    (Connection.connect, "self._rfile = sock.makefile"),
    (Connection.connect, "sock.settimeout(self._read_timeout)"),
    (Connection.connect, "self.set_character_set(self.charset, self.collation)"),
    (Connection.connect, "if self.sql_mode is not None"),
    (Connection.connect, "if self.init_command is not None"),
    (Connection.connect, "if self.autocommit_mode is not None"),
    (Connection.connect, "except BaseException as e:"),
    (Connection._request_authentication, "client_flags = self.client_flag"),
    (Connection._request_authentication, "self._process_auth("),
    (Connection._request_authentication, "self._secure = True"),
    (Connection._read_bytes, "self._rfile.read(num_bytes)"),
    (Connection._read_bytes, "except BaseException:"),
    (Connection._read_packet, "if self._current_timeout != self._read_timeout"),
    (Connection._write_bytes, "if self._current_timeout != self._write_timeout"),
    (Connection._write_bytes, "self._sock.sendall(data)"),
    (Connection._read_query_result, "result = MySQLResult(self)"),
    (Connection.query, "self._execute_command(COMMAND.COM_QUERY, sql)"),
    (Connection.ping, "self._read_ok_packet()"),
    (MySQLResult.read, "self._read_ok_packet(first_packet)"),
    (MySQLResult.init_unbuffered_query, "self.connection = None"),
    (MySQLResult._read_rowdata_packet, "self._check_packet_is_eof(packet)"),
    (err.raise_mysql_exception, 'struct.unpack("<h", data[1:3])'),
]


@pytest.mark.parametrize(
    ("function", "signature"),
    SIGNATURES,
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_private_function_has_its_signature(function, signature):
    assert str(inspect.signature(function)) == signature


@pytest.mark.parametrize(("name", "function"), ATTRIBUTES.items(), ids=list(ATTRIBUTES))
def test_a_private_attribute_is_set_where_it_was(name, function):
    assert f"self.{name} = " in inspect.getsource(function)


@pytest.mark.parametrize(
    ("function", "step"),
    STEPS,
    # The same in every process: a function's own text has its address.
    ids=lambda each: getattr(each, "__qualname__", str(each)),
)
def test_a_step_of_pymysqls_is_where_it_was(function, step):
    assert step in inspect.getsource(function)


def test_a_packet_keeps_its_bytes():
    assert protocol.MysqlPacket.__slots__ == ("_data", "_position")


def test_a_result_has_what_ours_fills_in():
    blank = vars(MySQLResult(None))
    assert set(blank) >= {
        "affected_rows",
        "connection",
        "has_next",
        "insert_id",
        "message",
        "rows",
        "server_status",
        "unbuffered_active",
        "warning_count",
    }


def test_nothing_of_ours_hides_a_name_of_pymysqls_by_accident():
    meant = {
        "_check_packet_is_eof",
        "_execute_command",
        "_get_descriptions",
        "_process_auth",
        "_read_ok_packet",
        "_read_query_result",
        "_read_rowdata_packet",
        "_request_authentication",
        "_write_bytes",
        "close",
        "set_character_set",
        "connection",
    }
    for ours, theirs in ((Physical, Connection), (Result, MySQLResult)):
        hidden = {
            name
            for name in set(vars(ours)) & set(dir(theirs))
            if not (name.startswith("__") and name.endswith("__"))
        }
        assert hidden <= meant


def test_a_capability_that_pymysql_cannot_read_is_not_asked_for():
    # A packet in the place of the one that ends rows would look like a row.
    assert not connections.CLIENT.CAPABILITIES & connections.CLIENT.DEPRECATE_EOF


def test_every_private_name_in_use_is_pinned_here():
    here = Path(__file__).read_text()
    theirs = set(re.findall(r"\b(_[a-z]\w*)", inspect.getsource(connections)))
    used = {
        name
        for path in FILES
        for name in re.findall(r"\.(_[a-z]\w*)", path.read_text())
        if name in theirs
    }
    pinned = {name for name in used if re.search(rf"\b{name}\b", here)}
    assert used - pinned == set()


def test_the_cursors_of_pymysql_take_their_result_from_the_connection():
    assert "conn._result" in inspect.getsource(cursors.Cursor._do_get_result)
