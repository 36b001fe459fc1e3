"""A deadline is kept over a link that is dead, and what is told of the outcome is true."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from promises import HOME, WRITER, cluster, within

import globaldb
from globaldb.lab import Lab
from tests.contract.front_door import FrontDoor

pytestmark = pytest.mark.lab

Connection = Any
#: Seconds that the application gives a statement, and when it must be back. A cancel
#: is waited for between the two, and a COMMIT is asked for.
TIMEOUT, BACK = 0.2, 4.0


def do(conn: Connection, sql: str) -> list[Any]:
    with conn.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def conn(engine_lab: Lab) -> Iterator[Connection]:
    """A session whose writes have one connection, and the monitor's questions another."""
    with cluster(engine_lab, HOME, pool_max_size=2) as found:
        conn = found.connect()
        do(conn, "DROP TABLE IF EXISTS late")
        do(conn, "CREATE TABLE late (n int)")
        yield conn
        conn.close()


def begin(conn: Connection) -> None:
    do(conn, "BEGIN")
    write(conn)


def write(conn: Connection) -> None:
    do(conn, "INSERT INTO late VALUES (1)")


def read(conn: Connection) -> None:
    with conn.using(route="writer"):
        do(conn, "SELECT count(*) FROM late")


def read_the_latest(conn: Connection) -> None:
    with conn.using(consistency="global"):
        do(conn, "SELECT count(*) FROM late")


def commit(conn: Connection) -> None:
    conn.commit()


@contextmanager
def frozen(lab: Lab) -> Iterator[None]:
    lab.freeze(HOME, WRITER)
    try:
        yield
    finally:
        lab.thaw(HOME, WRITER)


ACTS: list[tuple[Callable[[Connection], None], Any, type[Exception]]] = [
    (write, write, globaldb.OutcomeUnknownError),
    (read, read, globaldb.DeadlineExceededError),
    (read, read_the_latest, globaldb.DeadlineExceededError),
    (begin, write, globaldb.NodeLostError),
    (begin, commit, globaldb.OutcomeUnknownError),
]


def test_a_dead_link_takes_little_longer_than_the_deadline(
    engine_lab: Lab, conn: Connection
) -> None:
    for before, act, error in ACTS:
        # On another connection each time: there is room for it.
        before(conn)
        with frozen(engine_lab), conn.using(timeout=TIMEOUT), within(BACK):
            with pytest.raises(error):
                act(conn)
        conn.rollback()


def test_a_rollback_over_a_dead_link_takes_no_longer_than_the_deadline(
    engine_lab: Lab, conn: Connection
) -> None:
    begin(conn)
    with frozen(engine_lab), conn.using(timeout=TIMEOUT), within(BACK):
        conn.rollback()
    write(conn)
    with conn.using(route="writer"):
        assert [tuple(row) for row in do(conn, "SELECT n FROM late")] == [(1,)]


@pytest.fixture
def door(engine_lab: Lab) -> Iterator[FrontDoor]:
    """A way to the writer, of which a test says where it leads whoever comes next."""
    options = engine_lab.options(HOME, WRITER)
    target = (options["host"], int(options["port"]))
    with FrontDoor(socket.create_server(("127.0.0.1", 0)), target) as door:
        yield door


def test_a_cancel_that_is_late_meets_no_later_statement(
    engine_lab: Lab, door: FrontDoor
) -> None:
    url, options = engine_lab.url(HOME), engine_lab.options(HOME, WRITER)
    host, port = door.listener.getsockname()
    scheme, user, password = url.split(":")[0], options["user"], options["password"]
    url = f"{scheme}://{user}:{password}@{host}:{port}/app?region={HOME}"
    waits = "SELECT pg_sleep(0.3)" if scheme == "postgresql" else "DO SLEEP(0.3)"
    with (
        globaldb.Cluster(url, probe_interval=60, autocommit=False) as found,
        socket.create_server(("127.0.0.1", 0)) as nowhere,
    ):
        conn = found.connect()
        do(conn, "SELECT 1")
        door.target = nowhere.getsockname()
        with conn.using(timeout=0.1):
            do(conn, waits)  # It ended by itself, if late, before it was cancelled.
        with pytest.raises(globaldb.NodeLostError):
            conn.commit()
        door.target = (options["host"], int(options["port"]))
        do(conn, "SELECT 1")
        conn.close()
