"""The writer is lost or moves: reads go on, safe work waits, unsafe work is told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from going import SOON, Going, await_progress, only_precise, reported
from promises import (
    FAR,
    HOME,
    WRITER,
    Outcome,
    admin,
    cluster,
    counts,
    exactly_once,
    one,
    outcome_of,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

THIRD, OTHER = "ap-southeast-2", "ap-southeast-2-1"
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.02, (HOME, THIRD): 0.02, (FAR, THIRD): 0.03},
)
Connection = Any


@pytest.fixture(scope="module")
def moving(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(moving: Lab) -> Lab:
    moving.restore()
    if moving.writer().name != WRITER:
        moving.switchover(HOME)
    table(moving, "t")
    return moving


def put(conn: Connection) -> Callable[[int], None]:
    return lambda key: conn.execute("INSERT INTO t VALUES (%s)", (key,))


def look(conn: Connection, region: str) -> Callable[[int], None]:
    def read(_key: int) -> None:
        with conn.using(consistency="eventual"):
            conn.execute("SELECT count(*) FROM t")
        assert conn.last_route.region == region

    return read


WRITERS = 6
#: Each writer counts its rows from another number on.
SPACE = 100_000


def everybody_writes(found: globaldb.Cluster, stack: ExitStack) -> list[Going]:
    return [
        stack.enter_context(Going(put(stack.enter_context(found.connect())), n * SPACE))
        for n in range(WRITERS)
    ]


def test_a_switchover_is_noticed_by_nobody_but_who_was_in_the_middle_of_a_write(
    lab: Lab,
) -> None:
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        reading = Going(look(stack.enter_context(found.connect()), FAR))
        stack.enter_context(reading)
        writers = everybody_writes(found, stack)
        lab.switchover(THIRD)
        await_progress(writers)
        for going in (reading, *writers):
            going.__exit__()
        assert reading.errors == []
        only_precise(writers, globaldb.OutcomeUnknownError)
        # Nothing that was acknowledged is lost, and nothing is there twice.
        exactly_once(reported(writers), counts(lab, "t"))


def test_in_a_failover_reads_go_on_and_writes_wait(lab: Lab) -> None:
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        reading = Going(look(stack.enter_context(found.connect()), FAR))
        stack.enter_context(reading)
        writers = everybody_writes(found, stack)
        lab.failover(FAR)
        await_progress(writers)
        for going in (reading, *writers):
            going.__exit__()
        assert reading.errors == []
        only_precise(writers, globaldb.OutcomeUnknownError, globaldb.CausalityLostError)
        # What the new writer had not received is gone, but nothing is there twice.
        assert set(counts(lab, "t").values()) == {1}


def test_a_session_is_after_a_switchover_what_it_was_before(lab: Lab) -> None:
    with cluster(lab, probe_interval=1.0) as found, found.connect() as conn:
        conn.execute("SET work_mem TO '7MB'")
        conn.execute("PREPARE put (int) AS INSERT INTO t VALUES ($1)")
        for key in range(3):
            conn.execute("INSERT INTO t VALUES (%s)", (key,), prepare=True)
        token = conn.token
        lab.switchover(THIRD)
        for key in range(3, 6):
            conn.execute("INSERT INTO t VALUES (%s)", (key,), prepare=True)
        conn.execute("EXECUTE put (6)")
        assert conn.last_route.region == THIRD
        assert conn.token != token
        for route in ("writer", "reader"):
            with conn.using(route=route):
                assert one(conn.execute("SHOW work_mem")) == ("7MB",)
                assert one(conn.execute("SELECT count(*) FROM t")) == (7,)
        with found.connect() as later:
            later.observe(token)
            assert one(later.execute("SELECT count(*) >= 3 FROM t")) == (True,)


@pytest.fixture
def split() -> Iterator[Lab]:
    """A lab whose two sides each get a writer: nobody else can use it afterwards."""
    with Lab.start(SPEC) as lab:
        table(lab, "t")
        yield lab


def rows_at(lab: Lab, node: str) -> set[int]:
    with admin(lab, node) as connection:
        return {key for (key,) in connection.execute("SELECT n FROM t").fetchall()}


def test_an_old_writer_that_comes_back_is_never_written_to_again(split: Lab) -> None:
    lab = split
    options = {"probe_interval": 0.5, "connect_timeout": 2}
    with cluster(lab, **options) as found, ExitStack() as stack:
        slow, fast, pinned, loading, begun = (
            stack.enter_context(found.connect()) for _ in range(5)
        )
        for conn in (pinned, loading):
            conn.execute("CREATE TEMPORARY TABLE mine (n int)")
        begun.execute("BEGIN")
        put(begun)(200)
        for key in range(3):
            put(fast)(key)
        told: list[Outcome] = []
        query = "INSERT INTO t SELECT 100 FROM pg_sleep(0.5)"
        under_way = threading.Thread(
            target=lambda: told.append(outcome_of(lambda: slow.execute(query)))
        )
        under_way.start()
        with admin(lab) as writer:
            activity = "SELECT 1 FROM pg_stat_activity WHERE query = %s"
            until(lambda: writer.execute(activity, (query,)).rowcount == 1)
        for region in (FAR, THIRD):
            lab.partition(HOME, region)
        with admin(lab, OTHER) as new:
            new.execute("SELECT pg_promote()")
        # It has not heard of its own end: whoever reaches it is served.
        with admin(lab) as old:
            old.execute("INSERT INTO t VALUES (1000)")
        with within(SOON):
            # Until the silence is noticed, a write is sent to where nobody answers.
            first = outcome_of(lambda: put(fast)(3))
            put(fast)(4)
        assert first is not Outcome.REFUSED
        assert fast.last_route.region == THIRD
        # Nobody waits for an answer from before.
        under_way.join(SOON)
        assert told == [Outcome.UNKNOWN]
        lab.heal()
        home = next(s.name for s in found.topology.nodes.values() if s.region == HOME)
        until(lambda: found.topology.nodes[home].problem == "writer of an old timeline")
        for key in range(5, 20):
            put(slow if key % 2 else fast)(key)
        # Nor over connections from before.
        with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
            put(pinned)(201)
        with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
            with loading.cursor().copy("COPY t FROM STDIN") as copy:
                copy.write_row((202,))
        with pytest.raises(globaldb.NodeLostError):
            begun.execute("COMMIT")
        for conn in (pinned, loading, begun):
            put(conn)(4)
        # Nor by a process that starts now, and hears of the old writer first.
        lab.latency(FAR, THIRD, 0.2)
        for key in range(20, 23):
            late = globaldb.Cluster(lab.url(FAR), autocommit=True)
            with late, late.connect() as conn:
                put(conn)(key)
        assert rows_at(lab, WRITER) - {3, 100} == {0, 1, 2, 1000}
        assert rows_at(lab, OTHER) >= set(range(4, 23))


WAITING = 20


def test_who_waits_for_a_writer_makes_no_storm_and_wakes_when_there_is_one(
    lab: Lab,
) -> None:
    with (
        cluster(lab, probe_interval=1.0, pool_max_size=5) as found,
        ExitStack() as stack,
    ):
        conns = [stack.enter_context(found.connect()) for _ in range(WAITING)]
        put(conns[0])(0)
        lab.kill(WRITER)
        await_news(found)
        lab.reset_counters()
        began = time.monotonic()
        told: dict[int, Outcome] = {}

        def write(key: int) -> None:
            told[key] = outcome_of(lambda: put(conns[key])(key))

        threads = [
            threading.Thread(target=write, args=(key,)) for key in range(1, WAITING)
        ]
        for thread in threads:
            thread.start()
        until(lambda: time.monotonic() - began >= 1.0)
        first = questions(lab)
        until(lambda: time.monotonic() - began >= 4.0)
        later = questions(lab) - first
        # Each question of a second, and what opens a spare connection.
        assert first <= 10 + 2 * OPENING
        assert later <= 5
        assert told == {}
        lab.start_node(WRITER)
        for thread in threads:
            thread.join(SOON)
        assert told == dict.fromkeys(range(1, WAITING), Outcome.APPLIED)
        assert counts(lab, "t") == dict.fromkeys(range(WAITING), 1)


def await_news(found: globaldb.Cluster) -> None:
    """Wait until it has come here that the writer's connections are closed.

    What is written before is sent, and nobody can tell what has become of it.
    """
    assert found.topology.writer is not None
    pool = found.runtime.nodes[found.topology.writer.name].pool
    until(lambda: pool.prune(lambda link: link.hung_up()) or not pool.stats.idle)


#: Round trips that it takes to open a connection, at most.
OPENING = 5


def questions(lab: Lab) -> int:
    """Round trips from FAR to the reader in the third region, a candidate."""
    [link] = [
        each
        for each in lab.counters()
        if each.node == OTHER and each.client_region == FAR
    ]
    return link.round_trips


def test_who_finds_every_connection_hanging_waits_for_the_writer_too(lab: Lab) -> None:
    """And not for ``pool_wait`` only, which is for pools that are too small."""
    options = {"pool_max_size": 1, "pool_wait": 1.0, "connect_timeout": 20}
    with cluster(lab, probe_interval=0.25, **options) as found, ExitStack() as stack:
        conns = [stack.enter_context(found.connect()) for _ in range(3)]
        put(conns[0])(0)
        lab.freeze(FAR, WRITER)
        began = time.monotonic()
        told: dict[int, Outcome] = {}

        def write(key: int) -> None:
            told[key] = outcome_of(lambda: put(conns[key])(key))

        threads = [threading.Thread(target=write, args=(key,)) for key in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: time.monotonic() - began >= 2.5)
        lab.thaw(FAR, WRITER)
        for thread in threads:
            thread.join(SOON)
        assert told == dict.fromkeys(range(3), Outcome.APPLIED)


def test_waiting_for_a_writer_has_an_end_and_the_statements_own_comes_first(
    lab: Lab,
) -> None:
    with cluster(lab, failover_wait=0) as found, cluster(lab) as patient:
        with found.connect() as conn, patient.connect() as hurried:
            put(conn)(0)
            put(hurried)(1)
            lab.kill(WRITER)
            await_news(found)
            await_news(patient)
            with within(4.0), pytest.raises(globaldb.NoNodeAvailableError) as caught:
                put(conn)(2)
            assert "nothing was sent" in str(caught.value)
            with within(4.0), pytest.raises(globaldb.OperationalError):
                with hurried.using(timeout=0.5):
                    put(hurried)(3)
            with hurried.using(consistency="eventual"):
                hurried.execute("SELECT count(*) FROM t")
        lab.start_node(WRITER)
    assert set(counts(lab, "t")) <= {0, 1}
