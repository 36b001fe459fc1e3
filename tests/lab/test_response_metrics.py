"""Reads go where answers come from fast: judged by evaluations, and shown."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from promises import FAR, HOME, READER, WRITER, admin, cluster, one, table, until

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

THIRD, OTHER, REMOTE = "ap-southeast-2", "ap-southeast-2-1", "us-west-2-2"
#: Two readers that are near each other, and a third one far away.
SPEC = LabSpec(
    regions={HOME: 1, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.06, (HOME, THIRD): 0.06, (FAR, THIRD): 0.002},
)
#: Slower than this no answer is unless a test makes it so.
SLOW = 0.1
OFTEN: dict[str, Any] = {
    "probe_interval": 0.25,
    "latency_window": 0.03,
    # What is told by silence must not be told by this.
    "connect_timeout": 20,
}
Connection = Any


@pytest.fixture(scope="module")
def zone(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    table(started, "t")
    return started


@pytest.fixture
def lab(zone: Lab) -> Lab:
    zone.restore()
    return zone


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, **OFTEN) as found:
        until(lambda: shares(found) == {FAR, THIRD})
        yield found


def shares(found: globaldb.Cluster) -> set[str | None]:
    """The regions whose readers share the reads now."""
    return {state.region for state in found.runtime.near()}


def readings(found: globaldb.Cluster, region: str) -> tuple[float, ...]:
    """What the last evaluations of the reader in *region* were based on."""
    [state] = [s for s in found.topology.nodes.values() if s.region == region]
    return state.response.readings


def read(conn: Connection) -> str:
    """Read, and say in which region."""
    conn.execute("SELECT count(*) FROM t")
    return str(conn.last_route.region)


def sessions(found: globaldb.Cluster, count: int, stack: ExitStack) -> list[Connection]:
    return [stack.enter_context(found.connect()) for _ in range(count)]


def shown(conn: Connection) -> dict[str, tuple[str, str | None]]:
    cursor = conn.execute("SHOW GLOBALDB NODES")
    names = [column.name for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["region"]: (row["shares_reads"], row["why_not"]) for row in rows}


def test_two_near_readers_share_evenly_and_a_far_one_gets_nothing(
    found: globaldb.Cluster,
) -> None:
    found.runtime.random.seed(6)
    with ExitStack() as stack:
        served = Counter(read(conn) for conn in sessions(found, 40, stack))
    assert served.keys() == {FAR, THIRD}
    assert min(served.values()) >= 12


def test_a_slow_link_moves_the_reads_in_two_evaluations_and_back_in_two(
    lab: Lab, found: globaldb.Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="globaldb")
    with ExitStack() as stack:
        conns = sessions(found, 20, stack)
        assert {read(conn) for conn in conns} == {FAR, THIRD}
        lab.latency(FAR, THIRD, 2 * SLOW)
        until(lambda: shares(found) == {FAR})
        assert sum(each > SLOW for each in readings(found, THIRD)) == 2
        assert {read(conn) for conn in conns} == {FAR}
        assert shown(conns[0])[THIRD][0] == "no"
        assert "ms, the fastest" in str(shown(conns[0])[THIRD][1])
        lab.latency(FAR, THIRD, 0.002)
        until(lambda: shares(found) == {FAR, THIRD})
        newest = readings(found, THIRD)
        assert [each > SLOW for each in newest[:3]] == [False, False, True]
        # Sessions that are open already use what has come back.
        assert {read(conn) for conn in conns} == {FAR, THIRD}
        assert shown(conns[0])[THIRD] == ("yes", None)
    told = [record.message for record in caplog.records if "shares_" in record.message]
    assert len(told) == 2


class Reading(threading.Thread):
    """Reads all the time; remembers where, and how long the longest took."""

    def __init__(self, conn: Connection) -> None:
        super().__init__()
        self.conn = conn
        self.served: list[str] = []
        self.errors: list[Exception] = []
        self.longest = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            try:
                self.served.append(read(self.conn))
            except globaldb.Error as error:
                self.errors.append(error)
            self.longest = max(self.longest, time.monotonic() - began)
            self.over.wait(0.002)


def test_what_waits_for_a_silent_reader_is_given_up_and_read_elsewhere(
    lab: Lab, found: globaldb.Cluster
) -> None:
    with ExitStack() as stack:
        threads = [Reading(conn) for conn in sessions(found, 8, stack)]
        for thread in threads:
            thread.start()
        until(lambda: all(thread.served for thread in threads))
        stuck = [t for t in threads if t.served[-1] == THIRD]
        lab.freeze(FAR, OTHER)
        until(lambda: shares(found) == {FAR})
        silent = [each for each in readings(found, THIRD) if each > SLOW]
        until(lambda: all(thread.served[-1] == FAR for thread in threads))
        for thread in threads:
            thread.over.set()
            thread.join()
    assert stuck
    assert not any(thread.errors for thread in threads)
    assert max(thread.longest for thread in threads) < 6
    assert len(silent) <= 2
    lab.thaw(FAR, OTHER)
    until(lambda: shares(found) == {FAR, THIRD})


def end_connections(lab: Lab, node: str) -> int:
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE usename = 'app'"
    )
    with admin(lab, node) as connection:
        return int(connection.execute(query).rowcount)


def test_a_node_is_not_lost_with_the_connection_that_was_killed(
    lab: Lab, found: globaldb.Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="globaldb")
    for node, region in ((READER, FAR), (OTHER, THIRD)):
        assert end_connections(lab, node) >= 1
        await_probe(found, region)
    lost = [r.message for r in caplog.records if "problem=None" not in r.message]
    assert not [text for text in lost if text.startswith("node_changed")]
    assert shares(found) == {FAR, THIRD}


def await_probe(found: globaldb.Cluster, region: str) -> None:
    """Wait until the reader in *region* has answered once more."""
    before = sampled_at(found, region)
    until(lambda: sampled_at(found, region) > before)


def sampled_at(found: globaldb.Cluster, region: str) -> float:
    [state] = [s for s in found.topology.nodes.values() if s.region == region]
    return state.sampled_at or 0.0


def trips(lab: Lab, node: str, region: str = FAR) -> int:
    """Round trips between *region* and *node* since the last reset."""
    [link] = [
        each
        for each in lab.counters()
        if each.node == node and each.client_region == region
    ]
    return link.round_trips


def test_the_remote_writer_is_asked_once_a_second_at_most(lab: Lab) -> None:
    """By whatever runs in the background while an application only reads."""
    with cluster(lab, probe_interval=1.0) as found, ExitStack() as stack:
        conns = sessions(found, 5, stack)
        for conn in conns:
            read(conn)
        with conns[0].using(route="writer"):
            read(conns[0])
        time.sleep(1.2)  # spare connections to the writer are opened behind a probe
        lab.reset_counters()
        began = time.monotonic()
        while time.monotonic() - began < 6.0:
            for conn in conns:
                read(conn)
            time.sleep(0.02)
        took = time.monotonic() - began
        assert 1 <= trips(lab, WRITER) <= took
        assert one(conns[0].execute("SELECT 1")) == (1,)
