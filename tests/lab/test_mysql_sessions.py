"""What sessions are promised on MySQL and MariaDB: across nodes, processes, promotions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mysql_family import (
    admin,
    caught_up,
    connected,
    each_engine,
    near,
    rows,
    run,
    seen_everywhere,
    table,
    value,
)
from promises import FAR, HOME, cluster, monotonic_reads, reads_own_writes, until
from valkey_server import ValkeyServer

import globaldb
from globaldb.core.fence import Means
from globaldb.lab import Lab, LabSpec

pytestmark = [pytest.mark.lab, each_engine]

Connection = Any
COUNT = "SELECT COUNT(*) FROM ms"
OFTEN = {"probe_interval": 0.1}


@pytest.fixture(scope="module")
def started(engine: str, module_lab: Any) -> Lab:
    regions = {HOME: 0, FAR: 2}
    found: Lab = module_lab(
        LabSpec(regions=regions, rtt={(HOME, FAR): 0.03}, engine=engine)
    )
    return found


@pytest.fixture
def lab(started: Lab) -> Lab:
    """A lab at rest whose writer is in HOME, for the first time or again."""
    started.restore()
    if started.writer().region != HOME:
        started.switchover(HOME)
    table(started, "ms")
    return started


def put(conn: Connection, key: int) -> None:
    run(conn, "INSERT INTO ms VALUES (%s)", (key,))


def keys(conn: Connection) -> list[int]:
    return [key for (key,) in rows(conn, "SELECT n FROM ms")]


def role(conn: Connection) -> str:
    return str(conn.last_route.role.value)


def test_a_session_reads_what_it_wrote_whatever_the_lag(lab):
    for lag in (0.0, 0.3):
        lab.lag(FAR, lag)
        with connected(lab) as conn:
            first = int(lag * 1000)
            reads_own_writes(
                lambda key, conn=conn: put(conn, key),
                lambda conn=conn: keys(conn),
                range(first, first + 12),
            )


def test_a_schema_is_used_as_soon_as_it_was_made(lab):
    lab.lag(FAR, 0.3)
    with connected(lab) as conn:
        run(conn, "CREATE SCHEMA globaldb_new")
        run(conn, "USE globaldb_new")
        run(conn, "CREATE TABLE here (n int)")
        assert rows(conn, "SELECT n FROM globaldb_new.here") == []
        assert value(conn, "SELECT database()") == "globaldb_new"
        conn.select_db("app")
        run(conn, "DROP SCHEMA globaldb_new")


def test_a_fence_that_lets_everything_through_is_noticed(lab):
    """The check before this one, shown to fail: no fence, and no window either."""
    lab.lag(FAR, 0.5)
    with cluster(lab, safe_lag_window=0.0) as found:
        seen_everywhere(found)
        _able_to(found, frozenset())
        conn = found.connect()
        with pytest.raises(AssertionError, match="not seen after the write"):
            reads_own_writes(lambda key: put(conn, key), lambda: keys(conn), range(30))


def _able_to(found: globaldb.Cluster, means: frozenset[Means]) -> None:
    """Have every reader be asked by *means* alone."""
    for node in found.runtime.nodes.values():
        if node.facts.now.standby:
            node.facts.abilities = replace(node.facts.now, means=means)


def test_a_read_is_asked_and_fenced_in_one_local_trip(lab):
    with connected(lab) as conn:
        put(conn, 1)
        caught_up(lab)
        lab.reset_counters()
        assert value(conn, COUNT) == 1
        assert role(conn) == "reader"
        used = [link for link in lab.counters() if link.round_trips]
        assert [(link.client_region, link.round_trips) for link in used] == [(FAR, 1)]
        assert not used[0].wide_area


def test_reads_of_a_session_never_go_backwards(lab):
    seen: list[int] = []
    with cluster(lab, **OFTEN) as found:
        seen_everywhere(found)
        stop = threading.Event()

        def write() -> None:
            with found.connect() as writing:
                key = 0
                while not stop.is_set():
                    put(writing, key)
                    key += 1

        conn = found.connect()
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for index in range(60):
                if index % 10 == 5:
                    # Whoever served it before does not any more.
                    lab.kill("ap-south-1-1" if index == 15 else "ap-south-1-2")
                    lab.start_node("ap-south-1-1" if index == 15 else "ap-south-1-2")
                seen.append(int(value(conn, COUNT)))
        finally:
            stop.set()
            thread.join(30)
    monotonic_reads(seen)
    assert seen[-1] > seen[0]


def test_another_process_reads_what_its_token_tells(lab):
    lab.lag(FAR, 0.3)
    with connected(lab, HOME) as here, connected(lab) as there:
        for key in range(5):
            put(here, key)
            there.observe(here.token)
            assert key in keys(there)
        with pytest.raises(globaldb.TokenError, match="another kind"):
            there.observe(_of_postgresql())


def _of_postgresql() -> str:
    from globaldb.core.position import Lsn, Position
    from globaldb.core.token import Seen, Token

    return Token.of(Seen("", 1, Position(Lsn(5, 1)), 2_000_000_000), None)


def test_a_token_of_many_commits_stays_short(lab):
    with connected(lab, HOME) as one, connected(lab, HOME) as other:
        for key in range(40):
            put(one if key % 2 else other, key)
        assert len(one.token) <= 200
        with connected(lab) as there:
            there.observe(one.token)
            there.observe(other.token)
            assert len(keys(there)) == 40


def test_a_global_read_sees_what_anybody_committed(lab):
    lab.lag(FAR, 0.2)
    with connected(lab, consistency="global") as conn:
        for key in range(6):
            with admin(lab) as other:
                other.execute("INSERT INTO ms VALUES (%s)", (key,))
            assert value(conn, COUNT) == key + 1


def test_concurrent_global_reads_share_one_question(lab):
    # Global reads at a reader: one of them asks where the writer is, for all.
    with cluster(lab, consistency="global", pool_max_size=20) as found:
        seen_everywhere(found)
        conns = [found.connect() for _ in range(12)]
        put(conns[0], 1)
        lab.reset_counters()
        barrier, seen = threading.Barrier(len(conns)), []

        def read(conn: Connection) -> None:
            barrier.wait()
            seen.append((value(conn, COUNT), role(conn)))

        threads = [threading.Thread(target=read, args=(conn,)) for conn in conns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert {count for count, _ in seen} == {1}
        assert [where for _, where in seen].count("reader") >= 6


def test_an_eventual_read_waits_for_nobody_but_a_bound_is_kept(lab):
    lab.lag(FAR, 0.5)
    with connected(lab, consistency="eventual") as conn:
        put(conn, 1)
        assert value(conn, COUNT) == 0
        assert role(conn) == "reader"
        with conn.using(max_staleness=0.0):
            assert value(conn, COUNT) == 1


@pytest.mark.parametrize("means", [Means.GTID, Means.LAG, Means.WINDOW])
def test_a_lesser_fence_keeps_the_promise_too(lab, means):
    """As where less can be asked: the reader's abilities are cut down to one."""
    lab.lag(FAR, 0.2)
    with cluster(lab, safe_lag_window=0.6) as found:
        seen_everywhere(found)
        _able_to(found, frozenset((means,)) - {Means.WINDOW})
        conn = found.connect()
        served = set()
        for key in range(8):
            put(conn, key)
            assert key in keys(conn)
            served.add(conn.last_route.fence.value)
        until(lambda: len(keys(conn)) == 8 and role(conn) == "reader", 10)
        assert conn.last_route.fence.value == (
            "exact" if means is Means.GTID else "bounded"
        )


def test_processes_that_serve_one_user_share_what_it_wrote(lab, tmp_path):
    lab.lag(FAR, 0.3)
    with ValkeyServer(tmp_path) as store:
        store.been_up_for(1.0)
        options = {"session_store": store.url, "session_ttl": 1.0}
        with connected(lab, HOME, **options) as one, connected(lab, **options) as two:
            for key in range(4):
                writing, reading = (one, two) if key % 2 else (two, one)
                with globaldb.session_key("ada"):
                    put(writing, key)
                with globaldb.session_key("ada"):
                    assert key in keys(reading)


# Promotions.


def followed(found: globaldb.Cluster, region: str) -> None:
    """Wait until *found* knows the writer to be in *region*, and every node answers."""

    def there() -> bool:
        topology = found.topology
        writer = topology.writer
        return (
            writer is not None
            and writer.region == region
            and all(node.reachable for node in topology.nodes.values())
        )

    until(there, 30)


def test_a_switchover_loses_nothing_and_reads_stay_local(lab):
    with cluster(lab, **OFTEN) as found:
        seen_everywhere(found)
        conn = found.connect()
        put(conn, 1)
        lab.switchover(FAR)
        followed(found, FAR)
        assert keys(conn) == [1]
        put(conn, 2)
        assert sorted(keys(conn)) == [1, 2]
        assert conn.last_route.reason != "position_of_older_timeline"


def test_what_a_failover_has_lost_is_told_once(lab):
    with cluster(lab, HOME, **OFTEN) as found:
        seen_everywhere(found)
        conn = found.connect()
        put(conn, 1)
        caught_up(lab)
        lab.partition(HOME, FAR)
        put(conn, 2)
        lab.failover(FAR)
        lab.heal()
        followed(found, FAR)
        with pytest.raises(globaldb.CausalityLostError):
            keys(conn)
        assert keys(conn) == [1]
        put(conn, 3)
        assert sorted(keys(conn)) == [1, 3]


def test_a_reader_that_may_be_written_to_is_no_writer(lab):
    """Somebody has switched read_only off: it replicates, so it is none."""
    reader = "ap-south-1-1"
    with admin(lab, reader) as cursor:
        cursor.execute("SET GLOBAL read_only = 0")
    try:
        with cluster(lab, **OFTEN) as found:
            seen_everywhere(found)
            conn = found.connect()
            put(conn, 1)
            assert conn.last_route.region == HOME
            writer = found.topology.writer
            assert writer is not None
            assert writer.region == HOME
    finally:
        with admin(lab, reader) as cursor:
            cursor.execute("SET GLOBAL read_only = 1")


def test_an_old_writer_that_comes_back_is_not_believed(engine, fresh_lab):
    """It was cut off, another one was promoted by hand, and it still takes writes."""
    lab = fresh_lab(near(engine))
    table(lab, "ms")
    with cluster(lab, FAR, **OFTEN) as found:
        seen_everywhere(found)
        conn = found.connect()
        lab.partition(HOME, FAR)
        with admin(lab, "us-west-2-1") as old, admin(lab, "ap-south-1-1") as new:
            word = "SLAVE" if engine == "mariadb" else "REPLICA"
            for sql in (f"STOP {word}", f"RESET {word} ALL"):
                new.execute(sql)
            for name in ("super_read_only", "read_only")[engine == "mariadb" :]:
                new.execute(f"SET GLOBAL {name} = 0")
            until(lambda: _writer(found) == FAR)
            put(conn, 1)
            old.execute("INSERT INTO ms VALUES (2)")
            lab.heal()
            until(lambda: _states(found)[HOME].problem == "writer of an old timeline")
            put(conn, 3)
            assert conn.last_route.region == FAR
            assert _writer(found) == FAR
            assert sorted(keys(conn)) == [1, 3]


@pytest.mark.parametrize("name", ["foreign_key_checks", "unique_checks"])
def test_a_session_finds_on_what_the_one_before_it_had_off(lab: Lab, name: str) -> None:
    with cluster(lab, HOME, pool_max_size=1) as found:
        with found.connect() as first:
            run(first, f"SET {name} = 0")
            assert value(first, f"SELECT @@{name}") == 0
        with found.connect() as second:
            assert value(second, f"SELECT @@{name}") == 1


def _states(found: globaldb.Cluster) -> dict[str | None, Any]:
    return {node.region: node for node in found.topology.nodes.values()}


def _writer(found: globaldb.Cluster) -> str | None:
    writer = found.topology.writer
    return None if writer is None else writer.region


@pytest.fixture(autouse=True)
def healed(started: Lab) -> Iterator[None]:
    yield
    started.restore()
