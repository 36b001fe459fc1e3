"""A session reads nothing older than it saw, whatever becomes of the readers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    admin,
    caught_up,
    cluster,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.core.position import Position
from globaldb.core.token import Token
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.flow.token import opened

pytestmark = pytest.mark.lab

THIRD, OTHER = "ap-southeast-2", "ap-southeast-2-1"
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.04, (HOME, THIRD): 0.04, (FAR, THIRD): 0.02},
)
#: Seconds: more than any wait for a reader.
BEHIND = 8
Connection = Any
ROWS = "SELECT count(*) FROM r_t"


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "r_t", "id int primary key, v text")
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    """A session that has seen nothing yet, of a cluster that is warm."""
    with cluster(lab) as found:
        with found.connect() as other:
            assert read(other, route="writer") == 0
            for region in (FAR, THIRD):
                assert read(other, region) == 0
        with found.connect() as conn:
            yield conn


def read(conn: Connection, region: str | None = None, **options: Any) -> int:
    """Count the rows as the session sees them from *region*."""
    if region is not None:
        options["region"] = region
    with conn.using(**options):
        [found] = one(conn.execute(ROWS))
    return int(found)


def at(conn: Connection, node: str) -> bool:
    """Whether the last statement ran in the region of *node*."""
    return str(conn.last_route.node).startswith(node.rpartition("-")[0])


def held(lab: Lab, node: str) -> int:
    """How many rows *node* itself has."""
    with admin(lab, node) as connection:
        return int(one(connection.execute(ROWS))[0])


def remember(lab: Lab, node: str) -> None:
    """Have *node* start again from what there is now, not from long ago."""
    for name in (WRITER, node):
        with admin(lab, name) as connection:
            connection.execute("CHECKPOINT")
        caught_up(lab)


def test_a_reader_that_restarted_shows_no_less_than_before(lab: Lab) -> None:
    remember(lab, READER)
    with cluster(lab, probe_interval=0.3) as found, found.connect() as a:
        a.execute("INSERT INTO r_t VALUES (1)")
        caught_up(lab)
        assert read(a, FAR) == 1
        assert at(a, READER)
        lab.lag(FAR, 30)
        lab.kill(READER)
        lab.start_node(READER)
        # It has forgotten that it had replayed the row.
        assert held(lab, READER) == 0
        assert read(a, FAR) == 1
        reader = next(n for n in found.topology.nodes if FAR in n)
        until(lambda: found.topology.nodes[reader].reachable)
        for _ in range(5):
            assert read(a, FAR) == 1


def stream_at_the_writer(conn: Connection) -> int:
    with conn.using(route="writer"), conn.cursor() as cursor:
        return next(int(n) for (n,) in cursor.stream(ROWS))


def stream_at_a_reader(conn: Connection) -> int:
    with conn.using(region=THIRD), conn.cursor() as cursor:
        found = next(int(n) for (n,) in cursor.stream(ROWS))
    assert at(conn, OTHER)
    return found


def named_cursor_at_the_writer(conn: Connection) -> int:
    with conn.transaction(), conn.cursor("c") as cursor:
        cursor.execute(ROWS)
        return int(one(cursor)[0])


def copied_at_a_reader(conn: Connection) -> int:
    with conn.using(region=THIRD), conn.cursor() as cursor:
        with cursor.copy(f"COPY ({ROWS}) TO STDOUT") as copy:
            found = int(b"".join(copy))
    assert at(conn, OTHER)
    return found


def read_only_transaction(conn: Connection) -> int:
    with conn.using(region=THIRD), conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        return int(one(conn.execute(ROWS))[0])


SEEN: list[Callable[[Connection], int]] = [
    stream_at_the_writer,
    stream_at_a_reader,
    named_cursor_at_the_writer,
    copied_at_a_reader,
    read_only_transaction,
]


@pytest.mark.parametrize("see", SEEN, ids=lambda f: f.__name__)
def test_what_was_seen_in_a_special_way_is_seen_elsewhere_too(
    lab: Lab, conn: Connection, see: Callable[[Connection], int]
) -> None:
    lab.lag(FAR, BEHIND)
    with admin(lab) as writer:
        writer.execute("INSERT INTO r_t VALUES (1)")
    until(lambda: held(lab, OTHER) == 1)
    assert held(lab, READER) == 0
    assert see(conn) == 1
    assert read(conn, FAR) == 1


def pipelined(conn: Connection) -> None:
    with conn.pipeline():
        conn.execute("INSERT INTO r_t VALUES (1)")
        conn.execute("SELECT 1")


def pipelined_with_commit(conn: Connection) -> None:
    with conn.pipeline():
        conn.execute("BEGIN")
        conn.execute("INSERT INTO r_t VALUES (1)")
        conn.execute("COMMIT")


def pipelined_and_committed(conn: Connection) -> None:
    conn.set_autocommit(False)
    with conn.pipeline():
        conn.execute("INSERT INTO r_t VALUES (1)")
        conn.commit()
    conn.set_autocommit(True)


def pipelined_block(conn: Connection) -> None:
    with conn.pipeline(), conn.transaction():
        conn.execute("INSERT INTO r_t VALUES (1)")


def streamed(conn: Connection) -> None:
    with conn.cursor() as cursor:
        list(cursor.stream("INSERT INTO r_t VALUES (1) RETURNING id"))


WRITES = [
    pipelined,
    pipelined_with_commit,
    pipelined_and_committed,
    pipelined_block,
    streamed,
]


@pytest.mark.parametrize("write", WRITES, ids=lambda f: f.__name__)
def test_what_was_written_in_a_special_way_is_seen_at_once(
    lab: Lab, conn: Connection, write: Callable[[Connection], None]
) -> None:
    lab.lag(FAR, BEHIND)
    write(conn)
    assert held(lab, WRITER) == 1
    for region in (FAR, THIRD, FAR):
        assert read(conn, region) == 1


def test_an_eventual_read_elsewhere_does_not_excuse_the_next_one(
    lab: Lab, conn: Connection
) -> None:
    lab.lag(FAR, BEHIND)
    with admin(lab) as writer:
        writer.execute("INSERT INTO r_t VALUES (1)")
    until(lambda: held(lab, OTHER) == 1)
    assert read(conn, THIRD) == 1
    assert at(conn, OTHER)
    assert read(conn, FAR, consistency="eventual") == 0
    assert read(conn, FAR) == 1


@pytest.mark.parametrize("size", [1, 10])
def test_a_read_at_a_node_that_hangs_is_given_up_and_served_elsewhere(
    lab: Lab, size: int
) -> None:
    options = {"probe_interval": 0.3, "connect_timeout": 1, "pool_max_size": size}
    with cluster(lab, **options) as found, found.connect() as conn:
        until(lambda: read(conn) == 0 and at(conn, READER))
        striker = threading.Timer(0.2, lab.freeze, (FAR, READER))
        striker.start()
        with within(15.0):
            conn.execute("SELECT pg_sleep(0.4)")
        striker.join()
        assert not at(conn, READER)
        with within(2.0):
            assert read(conn) == 0


def test_cleaning_connections_that_hang_holds_nobody_up_for_good(lab: Lab) -> None:
    with cluster(lab, pool_wait=20) as found, found.connect() as fresh:
        # More than the cluster has threads to clean them.
        pinned = [found.connect() for _ in range(8)]
        for conn in pinned:
            conn.execute("CREATE TEMP TABLE mine ()")
        lab.freeze(FAR, WRITER)
        for conn in pinned:
            conn.close()
        # The next read needs a new connection.
        for node in found.runtime.nodes.values():
            node.pool.drain()
        with within(14.0):
            assert read(fresh) == 0
        assert at(fresh, READER)
        lab.thaw(FAR, WRITER)


# Which writer.


def later(conn: Connection, secret: str | None) -> str:
    """The session's token, as it would be behind one more promotion."""
    [seen] = opened(conn.session.cluster, conn.token, ignore=False)
    assert seen.position is not None
    assert seen.position.log is not None
    newer = replace(seen.position.log, timeline=seen.epoch + 1)
    return Token.of(
        replace(seen, epoch=newer.timeline, position=Position(newer)), secret
    )


def test_a_signed_token_of_a_later_timeline_deposes_the_writer(lab: Lab) -> None:
    with cluster(lab, token_secret="s", failover_wait=1) as found:
        with found.connect() as conn:
            conn.execute("INSERT INTO r_t VALUES (1)")
            conn.observe(later(conn, "s"))
            with pytest.raises(globaldb.NoNodeAvailableError), within(5.0):
                conn.execute("INSERT INTO r_t VALUES (2)")
    assert held(lab, WRITER) == 1


def test_an_unsigned_token_only_sends_reads_to_the_writer(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        conn.execute("INSERT INTO r_t VALUES (1)")
        conn.observe(later(conn, None))
        conn.execute("INSERT INTO r_t VALUES (2)")
        assert read(conn, FAR) == 2
        assert at(conn, WRITER)
    assert held(lab, WRITER) == 2
