"""The writer of a MariaDB cluster moves, is lost, and comes back believing in itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import mysql_family as family
import pytest
from going import SOON, Going, await_progress, only_precise, reported
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    Outcome,
    cluster,
    exactly_once,
    outcome_of,
    until,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

THIRD, OTHER = "ap-southeast-2", "ap-southeast-2-1"
SPEC = LabSpec(
    engine="mariadb",
    regions={HOME: 0, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.02, (HOME, THIRD): 0.02, (FAR, THIRD): 0.03},
)
WRITERS, SPACE = 4, 100_000
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
    family.table(moving, "t", "n int")
    return moving


def run(conn: Connection, sql: str, *parameters: Any) -> tuple[Any, ...]:
    with conn.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return tuple(cursor.fetchall())


def put(conn: Connection, key: int) -> None:
    run(conn, "INSERT INTO t VALUES (%s)", key)


def counts(lab: Lab, node: str) -> dict[int, int]:
    with family.admin(lab, node) as cursor:
        cursor.execute("SELECT n, count(*) FROM t GROUP BY n")
        return dict(cursor.fetchall())


def get_nothing_more(lab: Lab, reader: str, than: str) -> None:
    """Have *reader* receive nothing that *than* lacks.

    Who has more than the next writer is taken away for a while, to lose it.
    """
    with family.admin(lab, reader) as cursor:
        cursor.execute("STOP SLAVE IO_THREAD")
    has = counts(lab, lab.writer().name)
    until(lambda: has.keys() <= counts(lab, than).keys())


class Reading(Going):
    """A session that reads the nearest again and again."""

    def __init__(self, conn: Connection) -> None:
        super().__init__(self._read)
        self._conn = conn
        self._regions: list[str | None] = []

    def _read(self, _key: int) -> None:
        with self._conn.using(consistency="eventual"):
            run(self._conn, "SELECT count(*) FROM t")
        self._regions.append(self._conn.last_route.region)

    def went_on_nearby(self) -> bool:
        """Whether nothing was raised, and nearly every read was local.

        One that a starved machine answers late has gone elsewhere.
        """
        near = self._regions.count(FAR)
        return self.errors == [] and near > 0.9 * len(self._regions)


def everybody(found: globaldb.Cluster, stack: ExitStack) -> tuple[Reading, list[Going]]:
    """One session that reads, and several that write."""
    conns = [stack.enter_context(found.connect()) for _ in range(WRITERS + 1)]
    writers = [
        Going(lambda key, conn=conn: put(conn, key), number * SPACE)  # type: ignore[misc]
        for number, conn in enumerate(conns[1:])
    ]
    reading = Reading(conns[0])
    for going in (reading, *writers):
        stack.enter_context(going)
    return reading, writers


def test_a_switchover_loses_nothing_and_is_told_to_nobody_else(lab: Lab) -> None:
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        with found.connect() as conn:
            run(conn, "SET SESSION sort_buffer_size = 777216")
            reading, writers = everybody(found, stack)
            lab.switchover(THIRD)
            await_progress(writers)
            for going in (reading, *writers):
                going.__exit__()
            assert reading.went_on_nearby(), reading.errors
            only_precise(writers, globaldb.OutcomeUnknownError)
            exactly_once(reported(writers), counts(lab, OTHER))
            put(conn, -1)
            assert conn.last_route.region == THIRD
            for route in ("writer", "reader"):
                with conn.using(route=route):
                    size = "SELECT @@session.sort_buffer_size"
                    assert run(conn, size) == ((777216,),)


def test_in_a_failover_reads_go_on_and_writes_wait(lab: Lab) -> None:
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        reading, writers = everybody(found, stack)
        get_nothing_more(lab, READER, OTHER)
        lab.failover(THIRD)
        await_progress(writers)
        for going in (reading, *writers):
            going.__exit__()
        assert reading.went_on_nearby(), reading.errors
        only_precise(writers, globaldb.OutcomeUnknownError, globaldb.CausalityLostError)
        assert set(counts(lab, OTHER).values()) == {1}


@pytest.fixture
def split() -> Iterator[Lab]:
    """A lab that gets another writer by hand: nobody else can use it afterwards."""
    with Lab.start(SPEC) as lab:
        family.table(lab, "t", "n int")
        yield lab


def test_an_old_writer_that_comes_back_is_never_written_to_again(split: Lab) -> None:
    lab = split
    options = {"probe_interval": 0.5, "connect_timeout": 2}
    with cluster(lab, **options) as found, ExitStack() as stack:
        conn, pinned, begun = (stack.enter_context(found.connect()) for _ in range(3))
        run(pinned, "CREATE TEMPORARY TABLE mine (n int)")
        run(begun, "BEGIN")
        put(begun, 200)
        for key in range(3):
            put(conn, key)
        family.caught_up(lab)
        for region in (FAR, THIRD):
            lab.partition(HOME, region)
        with family.admin(lab, OTHER) as new:
            for step in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
                new.execute(step)
        with family.admin(lab, WRITER) as old:
            old.execute("INSERT INTO t VALUES (1000)")
        # Until the silence is noticed, a write is sent to where nobody answers.
        told: list[Outcome] = []
        first = threading.Thread(
            target=lambda: told.append(outcome_of(lambda: put(conn, 3)))
        )
        first.start()
        first.join(SOON)
        assert told in ([Outcome.UNKNOWN], [Outcome.APPLIED])
        put(conn, 4)
        assert conn.last_route.region == THIRD
        lab.heal()
        home = next(s.name for s in found.topology.nodes.values() if s.region == HOME)
        until(lambda: found.topology.nodes[home].problem == "writer of an old timeline")
        for key in range(5, 20):
            put(conn, key)
        # Nor over connections from before.
        with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
            put(pinned, 201)
        with pytest.raises(globaldb.NodeLostError):
            begun.commit()
        for each in (pinned, begun):
            put(each, 4)
        # Nor by a process that starts now, and hears of the old writer first.
        lab.latency(FAR, THIRD, 0.2)
        for key in range(20, 23):
            late = globaldb.Cluster(lab.url(FAR), autocommit=True)
            with late, late.connect() as newcomer:
                put(newcomer, key)
        assert counts(lab, WRITER).keys() - {3} == {0, 1, 2, 1000}
        assert counts(lab, OTHER).keys() >= set(range(4, 23))


def test_what_lived_at_a_demoted_writer_is_told_once(split: Lab) -> None:
    """It keeps its connections: nothing but its refusal tells."""
    lab = split
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        locked, begun, plain = (stack.enter_context(found.connect()) for _ in range(3))
        run(locked, "SELECT get_lock('mine', 0)")
        run(begun, "BEGIN")
        put(begun, 1)
        put(plain, 2)
        family.caught_up(lab)
        with family.admin(lab, WRITER) as old, family.admin(lab, OTHER) as new:
            old.execute("SET GLOBAL read_only = 1")
            for step in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
                new.execute(step)
        put(plain, 3)
        with pytest.raises(globaldb.NodeLostError, match="locks"):
            put(locked, 4)
        put(locked, 5)
        with pytest.raises(globaldb.NoNodeAvailableError, match="Nothing was applied"):
            begun.commit()
        put(begun, 6)
        assert counts(lab, OTHER) == dict.fromkeys((2, 3, 5, 6), 1)
