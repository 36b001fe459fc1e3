"""Forwarding as Aurora MySQL does it: its variable, its refusals, and its reader."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pymysql
import pytest
from mysql_family import connected, rows, run, table, value
from promises import FAR, HOME, until

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

VARIABLE: Final = b"aurora_replica_read_consistency"
READ_ONLY: Final = (
    "The MySQL server is running with the --read-only option so it cannot execute this "
    "statement"
)
#: A user's variable in the place of the one that only Aurora has, in as many bytes.
STANDS_FOR: Final = {
    b"@@" + VARIABLE: b"@" + VARIABLE[1:] + b"  ",
    b"SET " + VARIABLE: b"SET @" + VARIABLE[1:],
}


@pytest.fixture
def shop(mysql_lab: Lab) -> Lab:
    """A lab of MySQL or MariaDB with an empty table."""
    table(mysql_lab, "f_t")
    return mysql_lab


def refused(conn: Any, sql: str, args: Any = None) -> Any:
    """The number of the error, and the error itself, in PyMySQL's own class."""
    with pytest.raises(pymysql.err.MySQLError) as caught:
        run(conn, sql, args)
    return caught.value.args[0], caught.value


# The variable.


def test_a_write_while_forwarding_is_off_fails_with_the_servers_own_words(shop):
    with connected(shop) as conn:
        run(conn, "SET aurora_replica_read_consistency = ''")
        number, error = refused(conn, "INSERT INTO f_t VALUES (1)")
        assert (number, error.args[1][: len(READ_ONLY)]) == (1290, READ_ONLY)
        assert isinstance(error, pymysql.err.OperationalError)
        assert isinstance(error, globaldb.ReadOnlyError)
        assert rows(conn, "SELECT * FROM f_t") == []
        run(conn, "SET @@session.aurora_replica_read_consistency = 'SESSION'")
        run(conn, "INSERT INTO f_t VALUES (1)")
        assert rows(conn, "SELECT * FROM f_t") == [(1,)]


def test_the_writers_region_needs_no_forwarding(shop):
    with connected(shop, HOME, consistency=None) as conn:
        run(conn, "INSERT INTO f_t VALUES (1)")


def test_the_mode_is_shown_as_the_servers_variables_are(shop):
    with connected(shop) as conn:
        run(conn, "SET aurora_replica_read_consistency = %s", ("eventual",))
        assert value(conn, "SELECT @@aurora_replica_read_consistency") == "eventual"
        shown = rows(conn, "SHOW VARIABLES LIKE 'aurora_replica_read_consistency'")
        assert shown == [("aurora_replica_read_consistency", "eventual")]
        run(conn, "SET aurora_replica_read_consistency = DEFAULT")
        with conn.cursor() as cursor:
            cursor.execute("SELECT @@aurora_replica_read_consistency AS mode")
            assert (cursor.description[0][0], cursor.fetchone()) == (
                "mode",
                ("session",),
            )


def test_what_is_no_mode_is_refused_with_1231(shop):
    with connected(shop) as conn:
        number, error = refused(conn, "SET aurora_replica_read_consistency = 'x'")
        assert number == 1231
        assert isinstance(error, pymysql.err.OperationalError)
        assert "can't be set to the value of 'x'" in error.args[1]


def test_inside_a_transaction_forwarding_goes_neither_on_nor_off(shop):
    with connected(shop) as conn:
        conn.begin()
        run(conn, "SELECT 1")
        number, _ = refused(conn, "SET aurora_replica_read_consistency = ''")
        assert number == 1568
        run(conn, "SET aurora_replica_read_consistency = 'global'")
        conn.rollback()
        run(conn, "SET aurora_replica_read_consistency = ''")
        conn.begin()
        number, _ = refused(conn, "SET aurora_replica_read_consistency = 'session'")
        assert number == 1568
        conn.rollback()


# Strict.


def test_strict_refuses_with_1235(shop):
    with connected(shop, forwarding="strict") as conn:
        for sql, operation in (
            ("CREATE TABLE f_other (n int)", "DDL"),
            ("XA START 'f'", "XA"),
            ("LOAD DATA LOCAL INFILE 'f' INTO TABLE f_t", "LOAD"),
            ("UNINSTALL PLUGIN f", "UNINSTALL PLUGIN"),
            ("CALL f()", "CALL"),
        ):
            number, error = refused(conn, sql)
            assert number == 1235
            assert error.args[1].startswith(
                "This version of MySQL doesn't yet support "
                f"'{operation} with write forwarding'"
            )
            assert isinstance(error, pymysql.err.NotSupportedError)
            assert isinstance(error, globaldb.NotForwardedError)


def test_strict_forwards_what_aurora_forwards(shop):
    with connected(shop, forwarding="strict") as conn:
        conn.begin()
        run(conn, "INSERT INTO f_t VALUES (1)")
        number, _ = refused(conn, "SAVEPOINT f")
        assert number == 1235
        conn.commit()
        assert rows(conn, "SELECT * FROM f_t FOR UPDATE") == [(1,)]
        assert conn.last_route.role is Role.WRITER


def test_strict_keeps_temporary_tables_apart_from_others(shop):
    with connected(shop, forwarding="strict") as conn:
        run(conn, "CREATE TEMPORARY TABLE f_scratch (n int)")
        run(conn, "INSERT INTO f_scratch VALUES (1)")
        number, error = refused(conn, "INSERT INTO f_t SELECT * FROM f_scratch")
        assert (number, "temporary table" in error.args[1]) == (1235, True)


def test_strict_writes_in_repeatable_read_alone(shop):
    with connected(shop, forwarding="strict") as conn:
        run(conn, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        number, error = refused(conn, "INSERT INTO f_t VALUES (1)")
        assert (number, "READ COMMITTED" in error.args[1]) == (1235, True)
        run(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        run(conn, "INSERT INTO f_t VALUES (1)")


# Native.


def test_native_says_at_once_that_a_server_cannot_forward(shop):
    with connected(shop, forwarding="native") as conn:
        for sql in ("SELECT 1", "INSERT INTO f_t VALUES (1)"):
            _, error = refused(conn, sql)
            assert isinstance(error, globaldb.NotSupportedError)
            assert VARIABLE.decode() in error.args[1]


@contextmanager
def forwarder(lab: Lab) -> Iterator[tuple[str, list[bytes]]]:
    """A lab whose nearest reader seems to have Aurora's variable.

    Comes as its URL, and what that reader is told with the variable in it.
    """
    told: list[bytes] = []
    url = lab.url(FAR)
    [found] = re.findall(rf"node={FAR}@([\d.]+):(\d+)", url)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        target = (found[0], int(found[1]))
        open_ones: list[socket.socket] = []
        relay = threading.Thread(
            target=_relay, args=(listener, target, open_ones, told)
        )
        relay.start()
        yield url.replace(":".join(found), f"127.0.0.1:{port}"), told
        listener.shutdown(socket.SHUT_RDWR)
        relay.join(10)
        for each in open_ones:
            each.close()


def _relay(
    listener: socket.socket, target: Any, open_ones: list[Any], told: list[bytes]
) -> None:
    pumps = []
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            break
        far = socket.create_connection(target)
        open_ones += (near, far)
        for source, sink in ((near, far), (far, near)):
            pumps.append(threading.Thread(target=_pump, args=(source, sink, told)))
            pumps[-1].start()
    for each in open_ones:
        _end(each)
    for pump in pumps:
        pump.join(10)


def _end(side: socket.socket) -> None:
    """Let whoever waits on *side* stop waiting."""
    try:
        side.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _pump(source: socket.socket, sink: socket.socket, told: list[bytes]) -> None:
    try:
        while chunk := source.recv(1 << 16):
            if VARIABLE in chunk:
                told.append(chunk)
            for name, other in STANDS_FOR.items():
                chunk = chunk.replace(name, other)
            sink.sendall(chunk)
    except OSError:
        pass
    _end(sink)


@contextmanager
def natively(lab: Lab) -> Iterator[tuple[Any, list[bytes]]]:
    """A session whose nearest reader seems to forward, and what that was told."""
    with (
        forwarder(lab) as (url, told),
        globaldb.Cluster(
            url, forwarding="native", autocommit=True, probe_interval=60
        ) as found,
    ):
        found.connect().close()
        until(lambda: all(node.reachable for node in found.topology.nodes.values()))
        until(lambda: found.runtime.catalog.present)
        conn = found.connect()
        yield conn, told
        conn.close()


def test_native_sets_the_mode_on_the_reader_in_front_of_the_statement(shop):
    with connected(shop, HOME) as conn:
        run(conn, "INSERT INTO f_t VALUES (1)")
    with natively(shop) as (conn, told):
        assert rows(conn, "SELECT n FROM f_t") == [(1,)]
        assert conn.last_route.reason == "native_forwarding"
        assert conn.last_route.region == FAR
        conn.consistency = "global"
        assert rows(conn, "SELECT n + 1 FROM f_t") == [(2,)]
        question, *statements = told
        assert b"SELECT @@" in question
        for sent, mode, read in zip(
            statements,
            (b"session", b"global"),
            (b"SELECT n FROM f_t", b"SELECT n + 1 FROM f_t"),
            strict=True,
        ):
            assert sent.index(b"SET " + VARIABLE + b" = '" + mode) < sent.index(read)


def test_native_leaves_a_write_to_the_reader(shop):
    with natively(shop) as (conn, _):
        _, error = refused(conn, "INSERT INTO f_t VALUES (1)")
        assert isinstance(error, globaldb.ReadOnlyError)
        assert error.route.region == FAR
        run(conn, "ALTER TABLE f_t COMMENT 'x'")
        assert conn.last_route.role is Role.WRITER


def test_native_stays_where_it_forwarded_until_a_read_was_answered_there(shop):
    with natively(shop) as (conn, _):
        # A reader takes this one, as if it had been forwarded.
        run(conn, "SELECT n FROM f_t LOCK IN SHARE MODE")
        assert (conn.last_route.role, conn.last_route.reason) == (
            Role.READER,
            "native_forwarding",
        )
        session = conn.session
        kept = session.lease
        assert kept is not None
        assert session.books.position_unknown
        assert rows(conn, "SELECT n FROM f_t") == []
        assert conn.last_route.reason == "pinned"
        assert session.lease is None
        assert not session.books.position_unknown


def test_native_asks_the_writer_when_the_connection_it_forwarded_on_is_gone(shop):
    with natively(shop) as (conn, _):
        run(conn, "SELECT n FROM f_t LOCK IN SHARE MODE")
        conn.session.lease.connection.close()
        assert rows(conn, "SELECT n FROM f_t") == []
        assert (conn.last_route.role, conn.last_route.reason) == (
            Role.WRITER,
            "position_unknown",
        )
        assert rows(conn, "SELECT n FROM f_t") == []
        assert conn.last_route.reason == "native_forwarding"
