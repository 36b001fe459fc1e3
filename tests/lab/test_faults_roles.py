"""The writer moves, and no write is lost, doubled, or refused for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest
from promises import (
    FAR,
    HOME,
    Outcome,
    cluster,
    counts,
    exactly_once,
    monotonic_reads,
    one,
    outcome_of,
    table,
    until,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.01})
Connection = Any


@pytest.fixture(scope="module")
def moving() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(moving: Lab) -> Lab:
    moving.restore()
    table(moving, "t")
    return moving


def elsewhere(lab: Lab) -> str:
    return FAR if lab.writer().region == HOME else HOME


class Writing:
    """Writes one row after the other until told to stop, in a thread of its own."""

    def __init__(self, conn: Connection, first: int) -> None:
        self.conn = conn
        self.reported: dict[int, Outcome] = {}
        self.seen: list[int] = []
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        key = self._first
        while not self._stop.is_set():
            self.reported[key] = outcome_of(lambda k=key: put(self.conn, k))  # type: ignore[misc]
            try:
                query = f"SELECT count(*) FROM t WHERE n / 10000 = {key // 10000}"
                self.seen.append(int(one(self.conn.execute(query))[0]))
            except globaldb.Error:
                pass
            key += 1

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: len(self.reported) > 5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def put(conn: Connection, key: int) -> None:
    conn.execute("INSERT INTO t VALUES (%s)", (key,))


def test_a_switchover_loses_no_write_and_doubles_none(lab: Lab) -> None:
    options = {"probe_interval": 0.2}
    with (
        cluster(lab, FAR, **options) as far,
        cluster(lab, HOME, **options) as home,
        far.connect() as a,
        home.connect() as b,
    ):
        with Writing(a, 10000) as one_side, Writing(b, 20000) as other_side:
            lab.switchover(elsewhere(lab))
            moved = time.monotonic()
            # After the move every write succeeds again, on the old connections.
            until(lambda: all(is_well(side) for side in (one_side, other_side)), 15)
        assert time.monotonic() - moved < 15
        for side in (one_side, other_side):
            rows = counts(lab, "t")
            mine = {
                k: rows[k] for k in rows if k // 10000 == min(side.reported) // 10000
            }
            exactly_once(side.reported, mine)
            monotonic_reads(side.seen)
        for conn in (a, b):
            writers = {put_and_name(conn, key) for key in range(5)}
            assert writers == {lab.writer().region}


def is_well(side: Writing) -> bool:
    latest = list(side.reported.values())[-10:]
    return latest == [Outcome.APPLIED] * 10


def put_and_name(conn: Connection, key: int) -> str:
    put(conn, key)
    return str(conn.last_route.region)


def test_writes_in_old_connections_to_what_became_a_standby_are_repeated(
    lab: Lab,
) -> None:
    """Nobody probes: it is the standby's own refusal that tells."""
    with cluster(lab, FAR, probe_interval=60) as found, found.connect() as conn:
        for key in range(3):
            put(conn, key)
        lab.switchover(elsewhere(lab))
        for key in range(3, 6):
            put(conn, key)
        with conn.transaction():
            put(conn, 6)
        conn.execute("BEGIN")
        put(conn, 7)
        conn.execute("COMMIT")
        assert one(conn.execute("SELECT count(*) FROM t")) == (8,)
    assert counts(lab, "t") == dict.fromkeys(range(8), 1)


def test_a_reader_that_was_promoted_goes_on_serving_its_session(lab: Lab) -> None:
    with (
        cluster(lab, elsewhere(lab), probe_interval=0.2) as found,
        found.connect() as conn,
    ):
        put(conn, 1)
        seen = [int(one(conn.execute("SELECT count(*) FROM t"))[0])]
        lab.switchover(elsewhere(lab))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            seen.append(int(one(conn.execute("SELECT count(*) FROM t"))[0]))
        put(conn, 2)
        seen.append(int(one(conn.execute("SELECT count(*) FROM t"))[0]))
        assert seen[-1] == 2
        monotonic_reads(seen)


def test_an_old_token_is_honoured_by_the_new_writer(lab: Lab) -> None:
    region = elsewhere(lab)
    with cluster(lab, region) as found, found.connect() as conn:
        put(conn, 1)
        token = conn.token
    lab.switchover(region)
    with cluster(lab, region) as found, found.connect() as conn:
        conn.observe(token)
        assert one(conn.execute("SELECT count(*) FROM t")) == (1,)


def test_an_unplanned_failover_is_over_when_the_new_writer_is_there(lab: Lab) -> None:
    region = elsewhere(lab)
    with cluster(lab, region, probe_interval=0.2) as found, found.connect() as conn:
        with Writing(conn, 10000) as side:
            lab.failover(region)
            until(lambda: is_well(side), 15)
        rows = counts(lab, "t")
        late = list(side.reported)[-10:]
        # What the new writer had not received is lost, but nothing is there twice.
        assert all(rows[key] == 1 for key in late)
        assert set(rows.values()) == {1}
        refused = {k for k, found in side.reported.items() if found is Outcome.REFUSED}
        assert not refused & rows.keys()
