"""Global reads see all that was committed before, and share what that costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any, NamedTuple

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    BrokenPromiseError,
    admin,
    caught_up,
    cluster,
    one,
    table,
    until,
)

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.freshness import Freshness

pytestmark = pytest.mark.lab

#: Seconds of a round trip to the writer.
WIDE = 0.2
SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): WIDE})
READ = "SELECT n FROM g_t"
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
Connection = Any


@pytest.fixture(scope="module")
def far(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(far: Lab) -> Lab:
    far.restore()
    table(far, "g_t")
    with admin(far) as writer:
        writer.execute("INSERT INTO g_t VALUES (0)")
    caught_up(far)
    far.reset_counters()
    return far


class Commits:
    """A counter that grows at the writer, as fast as commits come."""

    def __init__(self) -> None:
        self.done = 0
        self._stop = threading.Event()

    def run(self, lab: Lab) -> None:
        with admin(lab) as writer:
            while not self._stop.is_set():
                writer.execute("UPDATE g_t SET n = %s", (self.done + 1,))
                self.done += 1

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def committing(lab: Lab) -> Iterator[Commits]:
    commits = Commits()
    thread = threading.Thread(target=commits.run, args=(lab,))
    thread.start()
    try:
        until(lambda: commits.done > 0)
        yield commits
    finally:
        commits.stop()
        thread.join()


def trips_to_writer(lab: Lab) -> int:
    return sum(
        link.round_trips + link.connects
        for link in lab.counters()
        if link.client_region == FAR and link.node == WRITER
    )


class Crowd(NamedTuple):
    """What many reads cost together."""

    trips: int
    seconds: float
    local: int


def read_at_once(
    lab: Lab,
    found: globaldb.Cluster,
    readers: int,
    read: Callable[[Connection], int],
) -> Crowd:
    """Let *readers* sessions read at the same time; each must see all before it."""
    with ExitStack() as stack:
        warm(found)
        sessions = [stack.enter_context(found.connect()) for _ in range(readers)]
        for each in sessions:
            each.consistency = "global"
        commits = stack.enter_context(committing(lab))
        pool = stack.enter_context(ThreadPoolExecutor(readers))
        ready = threading.Barrier(readers + 1)

        def look(conn: Connection) -> bool:
            ready.wait()
            before = commits.done
            seen = read(conn)
            if seen < before:
                raise BrokenPromiseError(f"saw {seen}, {before} was committed before")
            return conn.last_route.role is Role.READER

        looks = [pool.submit(look, conn) for conn in sessions]
        trips = trips_to_writer(lab)
        ready.wait()
        began = monotonic()
        local = sum(each.result(60) for each in looks)
        return Crowd(trips_to_writer(lab) - trips, monotonic() - began, local)


def warm(found: globaldb.Cluster) -> None:
    """Have idle connections at the writer, which nothing needs to wait for."""
    pool = next(n.pool for n in found.runtime.nodes.values() if n.region == HOME)
    pool.warm(3)
    until(lambda: pool.stats.idle >= 3)


def plainly(conn: Connection) -> int:
    return int(one(conn.execute(READ))[0])


def in_a_transaction(conn: Connection) -> int:
    with conn.transaction():
        conn.execute(SNAPSHOT)
        return plainly(conn)


@pytest.mark.parametrize("read", [plainly, in_a_transaction])
def test_hundreds_of_global_reads_share_a_position_a_round_trip(
    lab: Lab, read: Callable[[Connection], int]
) -> None:
    with cluster(lab, FAR, pool_wait=30) as found:
        crowd = read_at_once(lab, found, 500, read)
    alone = 1 if read is plainly else 0
    assert crowd.local >= 500 - 1 - alone
    # Positions, and the read that found nobody else.
    assert crowd.trips <= crowd.seconds / WIDE + 2 + alone


def reuse_what_was_asked_before(self: Freshness, _began: float, _by: Any) -> Any:
    with self._changed:
        question = self._asking
        if question is None:
            return JOIN(self, _began, _by)
        while not question.over:
            self._wait(None)
        return question


JOIN = Freshness._join


def test_a_position_asked_for_before_the_read_began_is_found_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Freshness, "_join", reuse_what_was_asked_before)
    with cluster(lab, FAR, pool_wait=30) as found, pytest.raises(BrokenPromiseError):
        read_in_turn(lab, found)


def read_in_turn(lab: Lab, found: globaldb.Cluster) -> None:
    """Let a read begin while another one is asking, behind a commit."""
    warm(found)
    with found.connect() as first, found.connect() as second, found.connect() as third:
        for each in (first, second, third):
            each.consistency = "global"
        with ThreadPoolExecutor(3) as pool, admin(lab) as writer:
            alone = pool.submit(plainly, first)
            until(lambda: found.runtime.freshness._alone_until > monotonic())
            asking = pool.submit(plainly, second)
            until(lambda: not found.runtime.freshness._free)
            threading.Event().wait(0.6 * WIDE)
            writer.execute("UPDATE g_t SET n = n + 1")
            [before] = one(writer.execute(READ))
            seen = plainly(third)
            alone.result(10)
            asking.result(10)
    if seen < before:
        raise BrokenPromiseError(f"saw {seen}, {before} was committed before")


def test_a_read_that_comes_while_another_asks_sees_what_was_committed_meanwhile(
    lab: Lab,
) -> None:
    with cluster(lab, FAR, pool_wait=30) as found:
        for _ in range(3):
            read_in_turn(lab, found)


def test_one_global_read_alone_asks_the_writer_itself(lab: Lab) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        warm(found)
        conn.consistency = "global"
        for _ in range(3):
            before = trips_to_writer(lab)
            plainly(conn)
            assert trips_to_writer(lab) - before == 1
            assert conn.last_route.reason == "global_read"


def test_a_transaction_of_one_snapshot_costs_one_position_however_long_it_is(
    lab: Lab,
) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        warm(found)
        conn.consistency = "global"
        before = trips_to_writer(lab)
        with conn.transaction():
            conn.execute(SNAPSHOT)
            for _ in range(5):
                plainly(conn)
                assert conn.last_route.role is Role.READER
        assert trips_to_writer(lab) - before == 1


@pytest.mark.parametrize("mode", ["READ ONLY", "READ WRITE"])
def test_without_one_snapshot_every_read_of_a_transaction_is_as_of_now(
    lab: Lab, mode: str
) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        conn.consistency = "global"
        with conn.transaction(), admin(lab) as writer:
            conn.execute(f"SET TRANSACTION {mode}")
            for number in range(1, 4):
                writer.execute("UPDATE g_t SET n = %s", (number,))
                assert plainly(conn) == number
                assert conn.last_route.role is Role.WRITER


def test_a_bounded_transaction_that_may_write_can(lab: Lab) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        conn.consistency = "eventual"
        with conn.using(max_staleness=0.001), conn.transaction():
            assert plainly(conn) == 0
            conn.execute("UPDATE g_t SET n = 1")
        with admin(lab) as writer:
            assert one(writer.execute(READ)) == (1,)


def test_a_global_read_after_own_writes_shares_and_sees_them(lab: Lab) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        conn.consistency = "global"
        for number in range(1, 6):
            conn.execute("SET synchronous_commit = off")
            conn.execute("UPDATE g_t SET n = %s", (number,))
            with conn.transaction():
                conn.execute(SNAPSHOT)
                assert plainly(conn) == number


def test_no_global_read_is_stranded_when_the_link_to_the_writer_breaks(
    lab: Lab,
) -> None:
    with cluster(lab, FAR, pool_wait=30, connect_timeout=2) as found:
        with ExitStack() as stack:
            sessions = [stack.enter_context(found.connect()) for _ in range(20)]
            for each in sessions:
                each.consistency = "global"
            pool = stack.enter_context(ThreadPoolExecutor(20))
            lab.cut(FAR, WRITER)
            looks = [pool.submit(plainly, conn) for conn in sessions]
            assert [look.result(30) for look in looks] == [0] * 20


def test_readers_that_lag_leave_global_reads_to_the_writer(lab: Lab) -> None:
    with cluster(lab, FAR, pool_wait=30) as found:
        with found.connect() as conn:
            for _ in range(3):
                conn.execute("UPDATE g_t SET n = n + 1")
                plainly(conn)
        lab.lag(FAR, 8)
        with admin(lab) as writer:
            writer.execute("UPDATE g_t SET n = 100")
        crowd = read_at_once(lab, found, 20, plainly)
    assert crowd.seconds < 5
    assert crowd.local == 0


# Reads that may be old, but not too old.


def held(lab: Lab) -> int:
    with admin(lab, READER) as reader:
        return int(one(reader.execute(READ))[0])


def test_an_eventual_read_is_never_older_than_its_bound(lab: Lab) -> None:
    bound = 0.5
    with cluster(lab, FAR, probe_interval=0.2) as found, found.connect() as conn:
        conn.consistency = "eventual"
        with committing(lab) as commits, conn.using(max_staleness=bound):
            for lag in (0.0, 0.3, 1.5):
                lab.lag(FAR, lag)
                history: list[tuple[float, int]] = []
                end = monotonic() + 2.5
                while monotonic() < end:
                    history.append((monotonic(), commits.done))
                    oldest = monotonic() - bound
                    seen = plainly(conn)
                    known = [n for at, n in history if at <= oldest]
                    assert seen >= max(known, default=0), (lag, conn.last_route)


def test_without_lag_a_bounded_read_is_served_by_the_reader(lab: Lab) -> None:
    with cluster(lab, FAR) as found, found.connect() as conn:
        warm(found)
        conn.consistency = "eventual"
        with conn.using(max_staleness=30):
            routes = []
            before = trips_to_writer(lab)
            for _ in range(20):
                plainly(conn)
                routes.append(conn.last_route.role)
        # A process that has just started knows no position: the first may ask.
        assert trips_to_writer(lab) - before <= 1
        assert routes[1:] == [Role.READER] * 19


def test_bounded_reads_ask_the_writer_once_in_as_long_as_they_may_be_old(
    lab: Lab,
) -> None:
    bound = 1.0
    with cluster(lab, FAR) as found, found.connect() as conn:
        warm(found)
        conn.consistency = "eventual"
        with conn.using(max_staleness=bound):
            before, began = trips_to_writer(lab), monotonic()
            while monotonic() < began + 3.0:
                plainly(conn)
            trips = trips_to_writer(lab) - before
        assert trips <= (monotonic() - began) / bound + 2


def test_many_bounded_reads_at_once_ask_together(lab: Lab) -> None:
    with cluster(lab, FAR, pool_wait=30) as found, ExitStack() as stack:
        warm(found)
        sessions = [stack.enter_context(found.connect()) for _ in range(100)]
        for each in sessions:
            each.consistency = "eventual"
            stack.enter_context(each.using(max_staleness=0.1))
        pool = stack.enter_context(ThreadPoolExecutor(100))
        before, began = trips_to_writer(lab), monotonic()
        for look in [pool.submit(plainly, conn) for conn in sessions]:
            look.result(30)
        trips = trips_to_writer(lab) - before
        assert trips <= (monotonic() - began) / WIDE + 3
