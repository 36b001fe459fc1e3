"""What PyMySQL is given: its options, and TLS that proves who answers."""

from __future__ import annotations

import inspect
import ssl
from functools import partial

import pytest
from pymysql.connections import Connection

from globaldb.config import configure, mysql
from globaldb.config.options import BY_NAME, REFUSED
from globaldb.config.secret import Login
from globaldb.drivers.pymysql.driver import PymysqlDriver
from globaldb.drivers.pymysql.parameters import parameters
from globaldb.errors import ConfigurationError

#: What belongs to the application's connection and is given to it as objects.
OF_THE_FACE = {"conv", "cursorclass"}


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


def given(config, node=0):
    address = config.nodes[node]
    login = Login(config.user, config.password_for(address))
    return dict(parameters(config, address, login, {}))


def test_every_keyword_of_pymysql_is_decided():
    keywords = set(inspect.signature(Connection.__init__).parameters) - {"self"}
    assert keywords - OF_THE_FACE - set(BY_NAME) == set(REFUSED) & keywords


def test_options_are_read_from_a_url_as_what_they_are(read):
    config = read(
        "mariadb://u:p@127.0.0.1/d?charset=latin1&client_flag=2&local_infile=on"
        "&read_timeout=250ms&max_allowed_packet=1000&sql_mode=ANSI&init_command=SET @a=1"
    )
    assert given(config) == {
        "host": "127.0.0.1",
        "port": 3306,
        "user": "u",
        "password": b"p",
        "database": "d",
        "charset": "latin1",
        "client_flag": 2,
        "local_infile": True,
        "read_timeout": 0.25,
        "max_allowed_packet": 1000,
        "sql_mode": "ANSI",
        "init_command": "SET @a=1",
        "ssl_disabled": True,
    }


def test_pymysqls_other_names_are_known(read):
    config = read(
        engine="mysql", unix_socket="/run/my.sock", db="d", passwd="p", program_name="a"
    )
    found = given(config)
    assert found["unix_socket"] == "/run/my.sock"
    assert (found["database"], found["password"], found["program_name"]) == (
        "d",
        b"p",
        "a",
    )


def test_a_password_beyond_latin_1_is_sent_as_utf_8(read):
    assert given(read("mysql://h", password="é"))["password"] == b"\xe9"
    assert given(read("mysql://h", password="ж"))["password"] == "ж".encode()


def test_what_the_connection_itself_reads_is_not_passed_on(read):
    found = given(read("mysql://h", use_unicode=False, binary_prefix=True))
    assert not {"use_unicode", "binary_prefix"} & found.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"charst": "x"}, "did you mean 'charset'"),
        ({"compress": 1}, "compress among the keywords is refused: PyMySQL does not"),
        ({"ssl_mode": "preferred"}, "it must be one of disabled, required, verify_ca"),
        ({"read_timeout": 0}, "read_timeout is 0 s"),
        ({"auth_plugin_map": "x"}, "must be a Python object"),
        ({"ssl": {"cert_file": "x"}}, "ssl .keyword. holds cert_file; it may hold ca,"),
        ({"sslmode": "require"}, "an option of PostgreSQL"),
        ({"client_flag": -1}, "at least 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error(read, options, message):
    with pytest.raises(ConfigurationError, match=message):
        read("mysql://h", **options)


def test_postgresql_knows_no_option_of_mysql(read):
    with pytest.raises(ConfigurationError, match="an option of MySQL; the engine is p"):
        read("postgresql://h", charset="utf8")


@pytest.mark.parametrize(
    ("options", "far", "near"),
    [
        ({}, "verify_identity", "disabled"),
        ({"ssl_ca": "/ca"}, "verify_identity", "required"),
        ({"ssl_disabled": True}, "disabled", "disabled"),
        ({"ssl_verify_cert": True}, "verify_identity", "verify_ca"),
        ({"ssl_verify_cert": False}, "required", "required"),
        ({"ssl_verify_identity": True}, "verify_identity", "verify_identity"),
        ({"ssl_verify_identity": False}, "verify_ca", "required"),
        ({"ssl_mode": "VERIFY-CA", "ssl_disabled": True}, "verify_ca", "verify_ca"),
        ({"ssl": {"ca": "/ca"}}, "verify_identity", "required"),
        ({"ssl": {"check_hostname": True}}, "verify_identity", "verify_identity"),
        ({"ssl": {"verify_mode": "none"}}, "required", "required"),
    ],
)
def test_tls_proves_the_name_unless_less_is_said_outright(read, options, far, near):
    config = read("mysql://", node=["db.example", "localhost"], **options)
    modes = [config.tls_for(node)["ssl_mode"] for node in config.nodes]
    assert modes == [far, near]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"charset": "utf9"}, r"charset is 'utf9' .keyword., which PyMySQL does not"),
        ({"ssl_ca": "/none"}, "TLS cannot use ssl_ca=/none: .*No such file"),
        ({"ssl_mode": "required", "ssl_cipher": "x"}, "TLS cannot use ssl_cipher=x"),
    ],
)
def test_what_pymysql_cannot_use_is_an_error_before_anything_opens(
    read, options, message
):
    with pytest.raises(ConfigurationError, match=message):
        PymysqlDriver(read("mysql://db.example", **options))


def test_tls_that_proves_nothing_is_remarked(read):
    config = read("mysql://db.example", ssl_mode="required")
    assert config.notes == (
        "node db.example:3306 need not prove who it is (ssl_mode=required)",
    )


@pytest.mark.parametrize(
    ("mode", "verified", "named"),
    [
        ("required", ssl.CERT_NONE, False),
        ("verify_ca", ssl.CERT_REQUIRED, False),
        ("verify_identity", ssl.CERT_REQUIRED, True),
    ],
)
def test_each_mode_verifies_what_it_says(read, mode, verified, named):
    context = given(read("mysql://db.example", ssl_mode=mode))["ssl"]
    assert (context.verify_mode, context.check_hostname) == (verified, named)


def test_a_context_is_made_once_for_all_connections(read):
    config, contexts = read("mysql://db.example"), {}
    nobody = Login(None, None)
    one, other = (
        parameters(config, config.nodes[0], nobody, contexts) for _ in range(2)
    )
    assert one["ssl"] is other["ssl"]


def test_a_context_of_the_applications_is_used_as_it_is(read):
    context = ssl.create_default_context()
    config = read("mysql://db.example", ssl=context)
    assert given(config)["ssl"] is context
    assert config.notes == ()


def test_the_password_of_a_key_is_not_shown(read):
    config = read("mysql://h", ssl_key="/k", ssl_key_password="geheim")
    assert "geheim" not in repr(config)
    assert config.tls_for(config.nodes[0])["ssl_key_password"] == "geheim"


def test_equal_objects_make_equal_configurations(read):
    one, other = (
        read("mysql://h", auth_plugin_map={"a": str, "b": int}) for _ in range(2)
    )
    assert one == other
    assert hash(one) == hash(other)
    assert given(one)["auth_plugin_map"] == {"a": str, "b": int}


def test_the_modes_are_those_of_mysqls_programs_but_preferred():
    assert mysql.MODES == ("disabled", "required", "verify_ca", "verify_identity")
