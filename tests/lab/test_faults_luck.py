"""Bad input and bad luck: a clear error or a working detour, and nothing hangs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    cluster,
    counts,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

NOWHERE = "eu-west-1"
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1, NOWHERE: 0},
    rtt={(HOME, FAR): 0.02, (HOME, NOWHERE): 0.03, (FAR, NOWHERE): 0.04},
)
Connection = Any


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    return near


def put(conn: Connection, key: int) -> None:
    conn.execute("INSERT INTO t VALUES (%s)", (key,))


def rows(conn: Connection) -> int:
    return int(one(conn.execute("SELECT count(*) FROM t"))[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("&consistencey=session", "consistency"),
        ("&probe_interval=soon", "probe_interval"),
        ("&node=us-west-2@db:nonsense", "port"),
        ("&pool_max_size=0", "pool"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_opened(
    change: str, message: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        node = f"{HOME}@127.0.0.1:{server.getsockname()[1]}"
        url = f"postgresql://app@/app?sslmode=disable&node={node}"
        with pytest.raises(globaldb.ConfigurationError, match=message):
            globaldb.connect(url + change)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_wrong_password_is_named_for_every_node_at_once(lab: Lab) -> None:
    with within(3.0), pytest.raises(globaldb.NoNodeAvailableError) as caught:
        globaldb.Cluster(lab.url(FAR), password="wrong").connect()
    text = str(caught.value)
    assert "password authentication failed" in text
    assert all(f"{region}@127." in text for region in (HOME, FAR))
    assert "wrong" not in text.replace("wrongly", "")


def test_where_nobody_listens_every_node_is_named_with_its_reason(lab: Lab) -> None:
    for node in lab.nodes:
        lab.refuse(FAR, node.name)
    with within(3.0), pytest.raises(globaldb.NoNodeAvailableError) as caught:
        globaldb.Cluster(lab.url(FAR), connect_timeout=2).connect()
    text = str(caught.value)
    assert "refused" in text
    assert all(f"{region}@127." in text for region in (HOME, FAR))
    assert caught.value.retryable


def test_nodes_that_do_not_answer_are_given_up_at_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        url = f"postgresql://app:x@/app?node=us-west-2@127.0.0.1:{port}"
        found = globaldb.Cluster(url, connect_timeout=1)
        with within(2.5), pytest.raises(globaldb.NoNodeAvailableError) as caught:
            found.connect()
        found.close()
    assert f"us-west-2@127.0.0.1:{port}" in str(caught.value)


def test_a_region_without_readers_is_served_from_the_nearest_node(lab: Lab) -> None:
    with cluster(lab, NOWHERE) as found, found.connect() as conn:
        put(conn, 1)
        assert rows(conn) == 1
        assert conn.last_route.region in (HOME, FAR)
        with conn.using(consistency="eventual"):
            rows(conn)
        with conn.using(region=NOWHERE):
            assert rows(conn) == 1


def test_a_reader_that_stops_replaying_costs_a_bounded_wait(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        put(conn, 0)
        lab.lag(FAR, 3000)
        for key in range(1, 6):
            put(conn, key)
            with within(0.5):
                assert rows(conn) == key + 1
            assert conn.last_route.reason == "reader_behind"
        with conn.using(consistency="eventual"), within(0.1):
            assert rows(conn) <= 1
            assert conn.last_route.region == FAR


def test_a_pool_that_runs_dry_says_so_in_time(lab: Lab) -> None:
    options: dict[str, Any] = {"pool_max_size": 2, "pool_wait": 0.3}
    with cluster(lab, transaction_reads="writer", **options) as found:
        held = [found.connect() for _ in range(2)]
        for conn in held:
            conn.execute("BEGIN")
            conn.execute("SELECT 1")
        with found.connect() as third:
            with within(1.0), pytest.raises(globaldb.PoolTimeoutError) as caught:
                put(third, 1)
            text = str(caught.value)
            assert HOME in text
            assert "2" in text
            assert "0.3" in text
            assert caught.value.retryable
            # Reads have a pool of their own.
            assert rows(third) == 0
            held[0].rollback()
            put(third, 1)
        for conn in held:
            conn.close()
    assert counts(lab, "t") == {1: 1}


def test_who_waits_for_a_connection_gets_the_first_that_comes_back(lab: Lab) -> None:
    with (
        cluster(lab, pool_max_size=1, pool_wait=5) as found,
        found.connect() as holder,
        found.connect() as waiter,
    ):
        holder.execute("BEGIN")
        holder.execute("SELECT 1")
        release = threading.Timer(0.2, holder.rollback)
        release.start()
        with within(1.0):
            put(waiter, 1)
        release.join()


def test_a_dead_reader_is_stepped_over_and_taken_back(lab: Lab) -> None:
    with cluster(lab, probe_interval=0.1) as found, found.connect() as conn:
        put(conn, 1)
        lab.kill(READER)
        for _ in range(5):
            with within(1.0):
                assert rows(conn) == 1
        assert conn.last_route.region == HOME
        lab.start_node(READER)
        until(lambda: rows(conn) == 1 and conn.last_route.region == FAR)


def test_a_dead_writer_leaves_the_reads_and_fails_the_writes_in_time(lab: Lab) -> None:
    options = {"probe_interval": 0.1, "connect_timeout": 1, "failover_wait": 1}
    with cluster(lab, **options) as found, found.connect() as conn:
        put(conn, 1)
        until(lambda: rows(conn) == 1 and conn.last_route.region == FAR)
        lab.kill(WRITER)
        until(lambda: found.topology.writer is None)
        with within(0.5):
            assert rows(conn) == 1
        with within(2.5), pytest.raises(globaldb.NoNodeAvailableError) as caught:
            put(conn, 2)
        text = str(caught.value)
        assert "nothing was sent" in text
        assert "refused" in text
        lab.start_node(WRITER)
        until(lambda: found.topology.writer is not None)
        put(conn, 3)
    assert counts(lab, "t") == {1: 1, 3: 1}


def test_a_partition_leaves_local_reads_and_ends_without_a_trace(lab: Lab) -> None:
    options = {"probe_interval": 0.1, "connect_timeout": 1, "failover_wait": 1}
    with cluster(lab, **options) as found, found.connect() as conn:
        put(conn, 1)
        until(lambda: rows(conn) == 1 and conn.last_route.region == FAR)
        lab.partition(HOME, FAR)
        for _ in range(3):
            with within(0.5):
                assert rows(conn) == 1
        # A write that is under way when the link breaks ends at its deadline.
        with within(8.0), conn.using(timeout=0.3):
            with pytest.raises(globaldb.OperationalError):
                put(conn, 2)
        until(lambda: found.topology.writer is None)
        with within(2.5), pytest.raises(globaldb.NoNodeAvailableError):
            put(conn, 3)
        with conn.using(consistency="eventual"), within(0.5):
            assert rows(conn) == 1
        lab.heal()
        until(lambda: found.topology.writer is not None, 20)
        put(conn, 4)
        seen = rows(conn)
    found_rows = counts(lab, "t")
    assert found_rows.keys() - {2} == {1, 4}
    assert set(found_rows.values()) == {1}
    assert seen == len(found_rows)


def test_a_write_without_a_deadline_ends_when_its_node_is_found_dead(lab: Lab) -> None:
    """Nothing hangs: the monitor learns that nobody answers, and says so."""
    options: dict[str, Any] = {"probe_interval": 0.1, "connect_timeout": 1}
    with cluster(lab, **options) as found, found.connect() as conn:
        put(conn, 1)
        lab.freeze(FAR, WRITER)
        began = time.monotonic()
        with within(15.0), pytest.raises(globaldb.OutcomeUnknownError):
            put(conn, 2)
        assert time.monotonic() - began > 0.5
        lab.thaw(FAR, WRITER)
        until(lambda: found.topology.writer is not None, 20)
        put(conn, 3)
    assert counts(lab, "t").keys() - {2} == {1, 3}
