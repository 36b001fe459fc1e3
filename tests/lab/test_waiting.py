"""A read behind its own write waits for the reader where that costs least."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from promises import FAR, HOME, caught_up, cluster, one, table, until

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: Seconds of a round trip to the writer.
WIDE = 0.2
SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): WIDE})
Connection = Any


@pytest.fixture(scope="module")
def far(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(far: Lab) -> Lab:
    far.restore()
    table(far, "w_t")
    return far


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, FAR) as found:
        with found.connect() as conn:
            conn.execute("INSERT INTO w_t VALUES (0)")
            caught_up(lab)
            conn.execute("SELECT n FROM w_t").fetchall()
        pool = reader(found).pool
        pool.warm(3)
        until(lambda: pool.stats.idle >= 3)
        yield found


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        yield conn


def reader(found: globaldb.Cluster) -> Any:
    return next(node for node in found.runtime.nodes.values() if node.region == FAR)


def write_and_read(conn: Connection) -> float:
    """Read one's own write; return how many seconds the read took."""
    [before] = one(conn.execute("UPDATE w_t SET n = n + 1 RETURNING n"))
    began = monotonic()
    assert one(conn.execute("SELECT n FROM w_t")) == (before,)
    return monotonic() - began


def is_local(conn: Connection) -> bool:
    return conn.last_route.role is Role.READER


def learnt(found: globaldb.Cluster) -> float:
    return float(reader(found).catch_up.typical or 0.0)


def test_a_short_lag_is_waited_for(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    lab.lag(FAR, WIDE / 2 + 0.08)
    until(lambda: write_and_read(conn) < WIDE and is_local(conn))
    for _ in range(8):
        write_and_read(conn)
    assert 0.03 < learnt(found) < 0.15
    assert write_and_read(conn) < WIDE
    route = conn.last_route
    assert (route.role, route.reason) == (Role.READER, "nearest_reader")
    assert 0.02 < route.waited < 0.15
    assert 0.02 < route.estimate < 0.15
    [(name, seconds)] = route.alternatives
    assert name == found.topology.writer.name
    assert seconds == pytest.approx(WIDE, rel=0.5)


def test_a_long_lag_is_not_waited_for(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    lab.lag(FAR, WIDE / 2 + 2 * WIDE)
    for _ in range(4):
        write_and_read(conn)
    until(lambda: learnt(found) > WIDE)
    for _ in range(3):
        write_and_read(conn)
        route = conn.last_route
        assert (route.role, route.reason) == (Role.WRITER, "reader_behind")
        # Nothing is spent on finding out again.
        assert route.waited < 0.25 * WIDE
    [(name, seconds)] = route.alternatives
    assert name == reader(found).name
    assert seconds > WIDE
    assert route.estimate > WIDE


def test_a_transaction_waits_longer_because_at_the_writer_it_has_to_end_too(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    """What a framework reads behind its own COMMIT: two trips there, or a wait."""
    lab.lag(FAR, WIDE / 2 + 1.4 * WIDE)
    for _ in range(4):
        write_and_read(conn)
    until(lambda: learnt(found) > WIDE)
    write_and_read(conn)
    assert not is_local(conn)
    conn.autocommit = False
    local = 0
    for _ in range(5):
        conn.execute("UPDATE w_t SET n = n + 1")
        conn.commit()
        conn.execute("SELECT n FROM w_t").fetchall()
        local += is_local(conn)
        conn.rollback()
    assert local >= 4
    conn.autocommit = True
    write_and_read(conn)
    assert not is_local(conn)


def test_the_reader_is_used_again_soon_after_its_lag_has_ended(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    lab.lag(FAR, WIDE / 2 + 2 * WIDE)
    for _ in range(4):
        write_and_read(conn)
    until(lambda: learnt(found) > WIDE)
    write_and_read(conn)
    assert not is_local(conn)
    lab.lag(FAR, 0)
    caught_up(lab)
    slow = 0
    while True:
        took = write_and_read(conn)
        if is_local(conn):
            break
        slow += 1
        # What finds out that it has ended adds nothing to a read.
        assert took < 1.6 * WIDE
    assert slow <= 8


def test_a_wait_ends_with_the_statements_deadline(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    for _ in range(20):
        reader(found).catch_up.reached(0.0, 0.5 * WIDE, monotonic())
    lab.lag(FAR, 30)
    conn.execute("UPDATE w_t SET n = n + 1")
    with conn.using(timeout=0.05):
        began = monotonic()
        with pytest.raises(globaldb.DeadlineExceededError, match="deadline passed"):
            conn.execute("SELECT n FROM w_t")
        assert monotonic() - began < WIDE


def test_with_two_readers_the_one_that_has_the_write_is_read(fresh_lab: Any) -> None:
    spec = LabSpec(regions={HOME: 0, FAR: 2}, rtt={(HOME, FAR): WIDE})
    lab = fresh_lab(spec)
    table(lab, "w_t")
    with cluster(lab, FAR) as found, found.connect() as conn:
        conn.execute("INSERT INTO w_t VALUES (0)")
        caught_up(lab)
        behind, ahead = (n for n in found.runtime.nodes.values() if n.region == FAR)
        # What makes a reader late here is that nobody looks at it.
        for number in range(1, 9):
            conn.execute("UPDATE w_t SET n = %s", (number,))
            caught_up(lab)
            for node, seconds in ((behind, 5.0), (ahead, 0.001)):
                for _ in range(20):
                    node.catch_up.reached(0.9 * seconds, seconds, monotonic())
            assert one(conn.execute("SELECT n FROM w_t")) == (number,)
            assert conn.last_route.node == ahead.name
