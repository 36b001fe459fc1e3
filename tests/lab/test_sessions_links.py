"""What a session left on a connection misleads nobody who has it next."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    WRITER,
    admin,
    cluster,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.04},
    settings={"max_prepared_transactions": "0"},
)
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "r_t", "id int primary key, v text")
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    """One physical connection to each node: every session meets what the last left."""
    with cluster(lab, pool_max_size=1) as found:
        yield found


@pytest.fixture
def a(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        at_writer(conn, "1")
        yield conn


@pytest.fixture
def b(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        yield conn


def at_writer(conn: Connection, expression: str) -> Any:
    with conn.using(route="writer"):
        return one(conn.execute(f"SELECT {expression}"))[0]


def rows(lab: Lab) -> dict[int, str | None]:
    with admin(lab) as writer:
        return dict(writer.execute("SELECT id, v FROM r_t").fetchall())


class SoftError(Exception):
    """What an application's own signal handler raises."""


@contextmanager
def signalled(after: float, error: type[BaseException]) -> Iterator[None]:
    """Raise *error* in the main thread after some seconds, but only in the block."""
    armed = True

    def heard(_signal: int, _frame: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise error

    def press() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, heard)
    timer = threading.Timer(after, press)
    timer.start()
    try:
        yield
    finally:
        armed = False
        timer.join()
        signal.signal(signal.SIGUSR1, before)


INSERT = "INSERT INTO public.r_t VALUES (%s, %s)"


def test_a_parameter_is_stored_as_written_whoever_had_the_connection(
    lab: Lab, a: Connection, b: Connection
) -> None:
    a.execute("SET client_encoding TO 'LATIN1'")
    for key in range(0, 6, 2):
        a.execute(INSERT, (key, "é"))
        b.execute(INSERT, (key + 1, "é"))
    assert rows(lab) == dict.fromkeys(range(6), "é")


# How long after its start a statement is interrupted: on its way, at the server, and
# while the answer travels.
MOMENTS = [0.01, 0.03, 0.045, 0.06, 0.075]


@pytest.mark.parametrize("after", MOMENTS)
def test_control_c_in_a_statement_leaves_its_settings_to_nobody(
    a: Connection, b: Connection, after: float
) -> None:
    default = at_writer(b, "current_setting('search_path')")
    a.execute("SET search_path TO pg_catalog")
    with suppress(KeyboardInterrupt), signalled(after, KeyboardInterrupt):
        a.execute("INSERT INTO public.r_t SELECT 1 FROM pg_sleep(0.03)")
    assert at_writer(b, "current_setting('search_path')") == default
    assert at_writer(a, "current_setting('search_path')") == "pg_catalog"


@pytest.mark.parametrize("after", MOMENTS[:3])
def test_control_c_in_a_commit_leaves_its_settings_to_nobody(
    lab: Lab, a: Connection, b: Connection, after: float
) -> None:
    default = at_writer(b, "current_setting('search_path')")
    a.execute("BEGIN")
    a.execute("SET search_path TO pg_catalog")
    a.execute(INSERT, (1, "x"))
    interrupted = True
    with suppress(KeyboardInterrupt), signalled(after, KeyboardInterrupt):
        a.commit()
        interrupted = False
    assert at_writer(b, "current_setting('search_path')") == default
    assert interrupted or rows(lab) == {1: "x"}
    # It may have been committed: the session asks where that is known.
    assert one(a.execute("SELECT count(*) FROM public.r_t")) == (len(rows(lab)),)


@pytest.mark.parametrize(
    "sql",
    ["SELECT pg_sleep(0.3)", "INSERT INTO r_t SELECT 1 FROM pg_sleep(0.3) RETURNING 1"],
    ids=["read", "write"],
)
@pytest.mark.parametrize("ahead", [[], ["BEGIN"], ["BEGIN", "SELECT 1"]], ids=len)
def test_an_error_of_a_signal_handler_reaches_the_application(
    lab: Lab, found: globaldb.Cluster, a: Connection, ahead: list[str], sql: str
) -> None:
    for end in (a.rollback, a.commit):
        for before in ahead:
            a.execute(before)
        with pytest.raises(SoftError), within(0.25), signalled(0.1, SoftError):
            a.execute(sql, prepare=True)
        if ahead:
            with pytest.raises(globaldb.InternalError, match="roll back"):
                a.execute("INSERT INTO r_t VALUES (2)")
            with suppress(globaldb.NodeLostError):
                end()
        assert 2 not in rows(lab)
        assert one(a.execute("SELECT 3")) == (3,)
        until(lambda: not any(busy(found).values()))


def test_a_pinned_session_is_told_what_an_interruption_has_cost(a: Connection) -> None:
    a.execute("CREATE TEMP TABLE mine ()")
    with pytest.raises(SoftError), signalled(0.1, SoftError):
        a.execute("SELECT pg_sleep(0.3)")
    with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
        a.execute("INSERT INTO r_t VALUES (1)")
    a.execute("INSERT INTO r_t VALUES (2)")
    assert a.execute("SELECT id FROM r_t").fetchall() == [(2,)]


@pytest.mark.parametrize("after", MOMENTS[:4])
def test_control_c_while_settings_go_ahead_leaves_them_to_nobody(
    a: Connection, b: Connection, after: float
) -> None:
    default = at_writer(b, "current_setting('search_path')")
    a.execute("SET search_path TO pg_catalog")
    # This one travels alone, in front of what it would encode.
    a.execute("SET client_encoding TO 'LATIN1'")
    with suppress(KeyboardInterrupt), signalled(after, KeyboardInterrupt):
        a.execute(INSERT, (1, "x"))
    assert at_writer(b, "current_setting('search_path')") == default
    assert at_writer(b, "current_setting('client_encoding')") == "UTF8"
    assert at_writer(a, "current_setting('client_encoding')") == "LATIN1"


HIDDEN = [
    "BEGIN",
    "SAVEPOINT a",
    "INSERT INTO r_t VALUES (101)",
    "SAVEPOINT a",
    "INSERT INTO r_t VALUES (102)",
    "RELEASE a",
    "ROLLBACK TO a",
    "INSERT INTO r_t VALUES (103)",
    "COMMIT",
]


def released_at_once(conn: Connection) -> None:
    for sql in HIDDEN:
        conn.execute(sql)


def failed_between(conn: Connection) -> None:
    conn.execute("BEGIN; SAVEPOINT a; SAVEPOINT a")
    conn.execute("INSERT INTO r_t VALUES (1)")
    conn.execute("RELEASE a")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1/0 FROM r_t")
    conn.execute("ROLLBACK TO a")
    conn.execute("COMMIT")


def nested_blocks(conn: Connection) -> None:
    with conn.transaction():
        with suppress(SoftError), conn.transaction("s"):
            conn.execute("INSERT INTO r_t VALUES (1)")
            with conn.transaction("s"):
                conn.execute("INSERT INTO r_t VALUES (2)")
            raise SoftError
        with conn.transaction("s"):
            conn.execute("INSERT INTO r_t VALUES (3)")


@pytest.mark.parametrize(
    "work", [released_at_once, failed_between, nested_blocks], ids=lambda f: f.__name__
)
def test_savepoints_of_one_name_end_as_they_do_without_us(
    lab: Lab, a: Connection, work: Any
) -> None:
    with psycopg.connect(lab.dsn(FAR, WRITER), autocommit=True) as plain:
        work(plain)
        expected = rows(lab)
        plain.execute("TRUNCATE r_t")
    work(a)
    assert rows(lab) == expected
    assert expected.keys() <= {3, 103}


def pin_and_close(found: globaldb.Cluster) -> None:
    with found.connect() as conn:
        conn.execute("CREATE TEMP TABLE mine ()")
        assert conn.session.pinned


@pytest.mark.parametrize("forget", ["cleaning", "DEALLOCATE ALL", "DISCARD ALL"])
def test_what_the_server_dropped_is_prepared_again(lab: Lab, forget: str) -> None:
    with cluster(lab, pool_max_size=1, prepare_threshold=2) as found:
        with found.connect() as a, found.connect() as b:
            for start in range(0, 15, 5):
                if forget == "cleaning":
                    pin_and_close(found)
                else:
                    # It travels behind a setting, and then alone.
                    a.execute(f"SET my.x = '{start}'")
                    for _ in range(2):
                        with a.using(route="writer"):
                            a.execute(forget)
                for key in range(start, start + 5):
                    b.execute(INSERT, (key, "x"))
    assert rows(lab).keys() == set(range(15))


def test_a_definition_renews_what_other_connections_have_prepared(lab: Lab) -> None:
    def read(conn: Connection) -> tuple[int, Any]:
        query = "SELECT * FROM r_t WHERE id = %s FOR UPDATE SKIP LOCKED"
        row = conn.execute(query, (1,)).fetchone()
        return conn.info.backend_pid, row

    with (
        cluster(lab, pool_max_size=2, prepare_threshold=1) as found,
        found.connect() as a,
        found.connect() as b,
    ):
        a.execute(INSERT, (1, "x"))
        for _ in range(3):
            with a.transaction(), b.transaction():
                planned = {read(each)[0] for each in (a, b)}
        a.execute("ALTER TABLE r_t ADD COLUMN w text DEFAULT 'new'")

        with a.transaction(), b.transaction():
            first, second = read(a), read(b)

    assert {first[0], second[0]} == planned
    assert (first[1], second[1]) == ((1, "x", "new"), None)


def test_a_probe_is_not_misled_by_a_sessions_settings(lab: Lab) -> None:
    with cluster(lab, pool_max_size=1, probe_interval=0.3) as found:
        with found.connect() as conn:
            conn.execute("SET client_encoding TO 'SQL_ASCII'")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                conn.execute("SELECT 1")
                assert at_writer(conn, "1") == 1
                problems = [n.problem for n in found.topology.nodes.values()]
                assert problems == [None, None]


@pytest.mark.parametrize("code", ["08001", "08006", "57P01", "57P03"])
def test_a_statement_that_fails_with_a_connections_code_is_an_ordinary_error(
    lab: Lab, a: Connection, code: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE='{code}'; END $$"
    backend = at_writer(a, "pg_backend_pid()")
    for begin in ("SELECT 1", "BEGIN"):
        a.execute(begin)
        with pytest.raises(psycopg.OperationalError) as caught:
            a.execute(raising)
        assert caught.value.sqlstate == code
        assert not isinstance(
            caught.value, globaldb.OutcomeUnknownError | globaldb.NodeLostError
        )
        a.rollback()
        assert at_writer(a, "pg_backend_pid()") == backend
    a.execute(INSERT, (1, "x"))
    assert rows(lab) == {1: "x"}


def busy(found: globaldb.Cluster) -> dict[str, int]:
    return {name: n.pool.stats.busy for name, n in found.runtime.nodes.items()}


def test_a_refused_currval_keeps_no_connection(
    lab: Lab, found: globaldb.Cluster, a: Connection, b: Connection
) -> None:
    with admin(lab) as writer:
        writer.execute("DROP SEQUENCE IF EXISTS r_s")
        writer.execute("CREATE SEQUENCE r_s")
        writer.execute("ALTER SEQUENCE r_s OWNER TO app")
    assert one(a.execute("SELECT nextval('r_s')")) == (1,)
    b.execute(INSERT, (1, "x"))
    a.execute("BEGIN")
    with pytest.raises(globaldb.ProgrammingError, match="another session"):
        a.execute("SELECT currval('r_s')")
    a.rollback()
    until(lambda: not any(busy(found).values()))
    b.execute(INSERT, (2, "x"))


def test_a_vacuum_behind_a_lost_setting_was_never_sent(lab: Lab, a: Connection) -> None:
    for key in range(3):
        a.execute("RESET work_mem")
        at_writer(a, "1")
        a.execute("SET work_mem = '9MB'")
        lab.cut(FAR, WRITER, ("request", "reply")[key % 2], containing="work_mem")
        # Repeated, or safe to be repeated; anything but in doubt.
        with suppress(globaldb.NodeLostError):
            a.execute("VACUUM r_t")
        assert at_writer(a, "current_setting('work_mem')") == "9MB"


@pytest.mark.parametrize(
    "sql", ["PREPARE TRANSACTION 'g'", "SELECT 1; PREPARE TRANSACTION 'g'"]
)
def test_a_failed_script_that_ended_its_transaction_rolled_its_settings_back(
    found: globaldb.Cluster, a: Connection, b: Connection, sql: str
) -> None:
    setting = "coalesce(current_setting('my.x', true), '')"
    a.execute("BEGIN")
    a.execute("SET my.x = 'lost'")
    a.execute(INSERT, (1, "x"))
    with pytest.raises(globaldb.Error):
        a.execute(sql)
    # The server has ended it: what follows is a statement of its own.
    assert at_writer(a, setting) == ""
    assert one(a.execute(f"SELECT {setting}")) == ("",)
    assert at_writer(b, setting) == ""
    assert not any(busy(found).values())
