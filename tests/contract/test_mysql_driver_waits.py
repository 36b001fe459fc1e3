"""How long a connection to MySQL or MariaDB waits, and who can end that."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from mysql_family import admin, each_engine
from mysql_trips import HOME, link, trips, went
from promises import WRITER, until
from pymysql import err

from globaldb.config import configure
from globaldb.core.trip import LinkStatus
from globaldb.drivers.pymysql.driver import PymysqlDriver
from globaldb.drivers.pymysql.physical import Physical
from globaldb.errors import DeadlineExceededError
from globaldb.lab import Lab
from globaldb.runtime.entrance import Entrance

pytestmark = [pytest.mark.lab, each_engine]

#: Busy without a SLEEP, which MySQL does not let fail.
BUSY = (
    "SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b,"
    " information_schema.columns c"
)


@pytest.fixture(scope="module")
def lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    found = shared_labs(engine)
    found.restore()
    return found


@pytest.fixture
def writer(lab: Lab) -> Iterator[Physical]:
    with link(lab) as physical:
        yield physical


@contextmanager
def meanwhile(act: Callable[[], Any]) -> Iterator[None]:
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)


def running(lab: Lab, physical: Physical) -> bool:
    with admin(lab) as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist"
            " WHERE id = %s AND command = 'Query'",
            (physical.thread_id(),),
        )
        [[found]] = cursor.fetchall()
    return bool(found)


# Deadlines.


@pytest.mark.parametrize("sql", [BUSY, "SELECT SLEEP(30)"])
def test_an_overdue_statement_is_ended_and_its_connection_lives(lab, writer, sql):
    began = monotonic()
    with writer.until(began + 0.2):
        done = went(writer, sql, before=("START TRANSACTION",))
    assert isinstance(done.reply.error, DeadlineExceededError)
    assert (done.rows, done.reply.done) == ([], False)
    assert monotonic() - began < 3
    assert writer.link_status is LinkStatus.OPEN
    assert went(writer, "SELECT 1").rows == [((1,),)]


def test_what_ends_by_itself_has_succeeded_if_late(writer):
    writer.identity = "another server"  # so that nothing ends it
    with writer.until(monotonic() + 0.1):
        done = went(writer, "DO SLEEP(0.3)")
    assert (done.reply.done, done.reply.error, done.rows) == (True, None, [0])
    assert writer.spoiled


def test_a_node_that_hangs_is_left_at_the_deadline_when_nobody_works_on_it(lab, writer):
    lab.freeze(HOME, WRITER)
    try:
        began = monotonic()
        with writer.until(began + 0.3, expendable=True):
            with pytest.raises(err.OperationalError, match="does not answer any more"):
                went(writer, b"SELECT 1")
        assert monotonic() - began < 2
    finally:
        lab.restore()
    assert writer.link_status is LinkStatus.LOST


def test_the_applications_own_patience_ends_a_connection_as_in_pymysql(lab):
    with link(lab, read_timeout=0.3) as physical:
        with pytest.raises(err.OperationalError, match=r"2013.*timed out"):
            went(physical, "SELECT SLEEP(30)")
        assert physical.closed


# Others.


def test_another_thread_can_cancel_what_runs(lab, writer):
    def cancel() -> None:
        until(lambda: running(lab, writer))
        writer.cancel()

    with meanwhile(cancel):
        assert went(writer, BUSY).number == 1317
    assert went(writer, "SELECT 1").rows == [((1,),)]


def test_a_cancel_that_reaches_another_server_ends_nothing(lab, writer):
    writer.identity = "another server"
    with pytest.raises(err.MySQLError, match="1094"):
        writer.cancel()
    assert went(writer, "SELECT 1").rows == [((1,),)]


def test_another_thread_can_have_it_given_up(lab, writer):
    def give_up() -> None:
        until(lambda: running(lab, writer))
        writer.give_up()

    with meanwhile(give_up):
        with pytest.raises(err.OperationalError, match="2013"):
            went(writer, "SELECT SLEEP(30)")
    assert writer.link_status is LinkStatus.LOST


def test_a_server_that_has_hung_up_is_noticed_without_a_trip(lab, writer):
    assert not writer.hung_up()
    before = trips(lab, writer)
    with admin(lab) as cursor:
        cursor.execute(f"KILL {writer.thread_id()}")
    until(writer.hung_up)
    assert trips(lab, writer) == before


def test_an_idle_limit_of_the_servers_is_noticed(lab, writer):
    went(writer, "SET SESSION wait_timeout = 1")
    until(writer.hung_up)
    try:
        error = went(writer, "SELECT 1").reply.error
    except err.OperationalError as lost:
        error = lost
    assert error.args[0] in (2006, 2013, 4031, 1927)
    assert writer.link_status is LinkStatus.LOST


# Opening and cleaning.


def test_opening_costs_as_little_as_it_can(lab):
    with link(lab, ssl_disabled=True) as physical:
        opened = trips(lab, physical)
    # A greeting, who we are, the settings; and what the node can do, asked thrice on
    # MySQL and twice on MariaDB, with the sample behind it.
    assert opened <= 2 + 1 + 4 + 1


def test_cleaning_leaves_nothing_of_the_last_borrower(lab, writer):
    driver = PymysqlDriver()
    table = "CREATE TEMPORARY TABLE left_over (n int)"
    went(writer, table, before=("SET @a = 1, sql_mode = ''", "SET NAMES latin1"))
    went(writer, "SELECT 1", before=("START TRANSACTION",))
    writer.settings = (("@a", "SET @a = 1"),)
    writer.last_session = 7
    before = trips(lab, writer)
    driver.clean(writer)
    assert trips(lab, writer) == before + 2
    assert (writer.settings, writer.last_session) == ((), 0)
    assert writer.link_status is LinkStatus.IDLE
    assert writer.character_set == "utf8mb4"
    assert went(writer, "SELECT 1 FROM left_over").number == 1146
    [[(variable, mode, names)]] = went(
        writer, "SELECT @a, @@sql_mode, @@character_set_client"
    ).rows
    assert variable is None
    assert mode
    assert names == "utf8mb4"
    position = went(writer, None, capture=True).reply.position
    assert position.log


def test_what_a_connection_begins_with_is_what_was_asked_for(lab):
    asked = {"sql_mode": "ANSI", "init_command": "SET @first = 'yes'"}
    with link(lab, charset="latin1", collation="latin1_bin", **asked) as physical:
        for _ in range(2):
            [[found]] = went(
                physical,
                "SELECT @@sql_mode LIKE '%ANSI%', @first, @@collation_connection,"
                " @@autocommit",
            ).rows
            assert found == (1, "yes", "latin1_bin", 1)
            physical.reset()


def test_a_closed_connection_can_be_closed_again(writer):
    writer.close()
    writer.close()
    assert writer.hung_up()


def test_a_socket_that_is_none_leaves_none_open(engine, tmp_path):
    with pytest.raises(err.OperationalError, match="2003"):
        Physical.reach({"unix_socket": str(tmp_path / "none")}, monotonic() + 5)
    gc.collect()  # a socket left open is an error of this test


def test_a_refused_password_leaves_no_socket_open(lab):
    parameters = {**lab.options(HOME, WRITER), "password": "wrong"}
    with pytest.raises(err.OperationalError, match="1045"):
        Physical.reach(parameters, monotonic() + 5)
    gc.collect()


def test_a_refused_connection_leaves_no_socket_open(lab):
    parameters = {**lab.options(HOME, WRITER), "port": 1}
    with pytest.raises(err.OperationalError, match=r"2003.*refused"):
        Physical.reach(parameters, monotonic() + 5)


def test_the_driver_opens_samples_and_reads_the_catalog(lab):
    driver = PymysqlDriver()
    config = configure(lab.url(HOME), environ={})
    assert config.nodes[0].stays_here
    link = Entrance(config, driver).open(config.nodes[0], monotonic() + 5)
    try:
        link.settings = (("sql_select_limit", "SET sql_select_limit = 0"),)
        went(link, "SET SESSION sql_select_limit = 0")
        sample = driver.sample(link, monotonic() + 5)
        assert sample.role.value == "writer"
        assert sample.source
        assert sample.history
        assert sample.clock > 1.7e9
        assert not driver.catalog(link, monotonic() + 5).relations
    finally:
        driver.close(link)


# Servers that are none.


def greeting(plugin: bytes = b"mysql_native_password", *, tls: bool = False) -> bytes:
    flags = 0x00AA_F7FF & ~0x0800 | (0x0800 if tls else 0)
    body = b"\x0a8.0.99\0" + struct.pack("<I", 1) + b"12345678\0"
    body += struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21)
    body += bytes(10) + b"123456789012\0" + plugin + b"\0"
    return packet(body, 0)


def packet(body: bytes, number: int) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


@contextmanager
def server(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serve one connection with *talk*; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as sock:
                sock.settimeout(10)
                talk(sock)

        with meanwhile(serve):
            yield listening.getsockname()[1]


def reach(port: int, seconds: float = 5.0, **options: Any) -> Physical:
    given = {"host": "127.0.0.1", "port": port, "user": "u", "password": "geheim"}
    return Physical.reach({**given, **options}, monotonic() + seconds)


def test_a_server_that_says_nothing_is_left_in_time(engine):
    over = threading.Event()
    with server(lambda _: over.wait(10)) as port:
        began = monotonic()
        with pytest.raises(err.OperationalError, match=r"2013|2003"):
            reach(port, 0.3)
        assert monotonic() - began < 2
        over.set()


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog"])
def test_a_password_is_never_sent_in_the_clear(engine, plugin):
    heard = []

    def talk(sock: socket.socket) -> None:
        sock.sendall(greeting())
        heard.append(sock.recv(4096))
        sock.sendall(packet(b"\xfe" + plugin + b"\0", 2))
        heard.append(sock.recv(4096))

    with server(talk) as port:
        with pytest.raises(err.OperationalError, match="never sent without TLS"):
            reach(port, ssl_disabled=True)
    assert b"geheim" not in b"".join(heard)


def test_a_server_without_tls_gets_nothing_where_tls_is_asked_for(engine):
    heard = []

    def talk(sock: socket.socket) -> None:
        sock.sendall(greeting())
        heard.append(sock.recv(4096))

    with server(talk) as port:
        with pytest.raises(err.OperationalError, match="SSL is required"):
            reach(port, ssl=ssl.create_default_context())
    assert heard == [b""]


def test_a_certificate_that_nobody_vouches_for_is_refused(lab):
    tls = {"ssl": ssl.create_default_context(), "ssl_disabled": False}
    parameters = {**lab.options(HOME, WRITER), **tls}
    with pytest.raises(err.OperationalError) as caught:
        Physical.reach(parameters, monotonic() + 5)
    assert "SSL" in str(caught.value)
