"""The fence WAIT FOR LSN, on servers that have it: `make postgresql19` runs these."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from promises import FAR, HOME, READER, admin, one, table, until, within

import globaldb
from globaldb.core.fence import Means, Question
from globaldb.core.position import Lsn, Position
from globaldb.core.routing import Fence
from globaldb.core.trip import Reply, Trip
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

Connection = Any

ROUND_TRIP = 0.2


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(
        LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): ROUND_TRIP})
    ) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    return near


@contextmanager
def session(lab: Lab) -> Iterator[Connection]:
    """A session whose cluster knows its nodes, and keeps quiet."""
    url = lab.url(FAR)
    with globaldb.Cluster(url, autocommit=True, probe_interval=60) as found:
        with found.connect() as conn:
            nodes = found.topology.nodes
            until(lambda: all(node.reachable for node in found.topology.nodes.values()))
            assert len(nodes) == 2
            yield conn


def count(conn: Connection) -> int:
    return int(one(conn.execute("SELECT count(*) FROM t"))[0])


def test_the_fence_in_use_is_the_servers_own(lab: Lab) -> None:
    with session(lab) as conn:
        rows = conn.execute("SHOW GLOBALDB NODES").fetchall()
        assert {row[1]: row[5] for row in rows} == {HOME: "none", FAR: "wait_for_lsn"}


def test_a_session_sees_its_writes_at_its_reader(lab: Lab) -> None:
    with session(lab) as conn:
        places = set()
        for written in range(1, 21):
            conn.execute("INSERT INTO t VALUES (1)")
            assert count(conn) == written
            places.add(conn.last_route.role.value)
            assert conn.last_route.fence is Fence.EXACT
        assert "reader" in places


def test_a_reader_that_does_not_replay_is_left_after_a_bounded_wait(lab: Lab) -> None:
    with session(lab) as conn, admin(lab, READER) as reader:
        reader.execute("SELECT pg_wal_replay_pause()")
        try:
            conn.execute("INSERT INTO t VALUES (1)")
            for _ in range(3):
                with within(2 * ROUND_TRIP + 1.0):
                    assert count(conn) == 1
                assert conn.last_route.role.value == "writer"
        finally:
            reader.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def link(conn: Connection) -> Iterator[Any]:
    """A physical connection to the reader."""
    node = next(n for n in conn.session.cluster.nodes.values() if n.region == FAR)
    lease = node.pool.checkout(time.monotonic() + 5)
    try:
        yield lease.connection
    finally:
        node.pool.checkin(lease, globaldb.core.lending.Outcome.REUSE)


def ask(conn: Connection, physical: Any, lsn: int, patience: float) -> Reply:
    question = Question(Means.WAIT_FOR_LSN, Position(Lsn(lsn, 1)), patience)
    reply = Reply()
    conn.session.cluster.driver.travel(
        physical, b"SELECT 1", Trip(guard=question), reply
    )
    assert reply.error is None
    assert reply.guard_problem is None
    assert reply.done
    return reply


def test_the_server_waits_for_what_it_is_told_and_the_read_comes_behind(
    lab: Lab,
) -> None:
    with session(lab) as conn, link(conn) as physical:
        assert ask(conn, physical, 1, 0.0).reached
        began = time.monotonic()
        assert ask(conn, physical, 1 << 50, 0.3).reached is False
        assert 0.25 < time.monotonic() - began < 1.0


def test_a_position_reached_while_the_server_waits_ends_the_wait(lab: Lab) -> None:
    with session(lab) as conn, link(conn) as physical, admin(lab, READER) as reader:
        reader.execute("SELECT pg_wal_replay_pause()")
        until(
            lambda: (
                one(reader.execute("SELECT pg_get_wal_replay_pause_state()"))
                == ("paused",)
            )
        )
        conn.execute("INSERT INTO t VALUES (1)")
        required = conn.session.books.floor.log
        assert ask(conn, physical, required.value, 0.2).reached is False
        reader.execute("SELECT pg_wal_replay_resume()")
        with within(4.0):
            assert ask(conn, physical, required.value, 5.0).reached
