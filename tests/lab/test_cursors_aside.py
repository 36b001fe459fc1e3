"""A holdable cursor that nobody names in SQL lives at a reader, and leaves the session free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, admin, caught_up, cluster, table, until

import globaldb
from benchmarks.meter import Meter, Trips
from globaldb.django.postgresql.chunked import ChunkedCursor
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

Connection = Any
ALL = "SELECT id FROM aside ORDER BY id"


@pytest.fixture(scope="module")
def started(module_lab: Any) -> Lab:
    found: Lab = module_lab(LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.04}))
    return found


@pytest.fixture
def lab(started: Lab) -> Lab:
    started.restore()
    table(started, "aside", "id int primary key")
    with admin(started) as writer:
        writer.execute("INSERT INTO aside SELECT generate_series(1, 500)")
    caught_up(started)
    return started


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab) as opened:
        with opened.connect() as conn:
            until(lambda: (conn.execute(ALL), conn.last_route.region == FAR)[1])
            conn.execute("SELECT 1 FROM aside FOR UPDATE")
        yield opened


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as opened:
        yield opened


def aside(conn: Connection, name: str = "walk") -> Any:
    cursor = conn.cursor(name, withhold=True)
    cursor.aside = True
    cursor.itersize = 100
    return cursor


def lent(conn: Connection) -> int:
    """How many physical connections are lent now."""
    pools = conn.execute("SHOW GLOBALDB POOLS")
    busy = [each.name for each in pools.description].index("busy")
    return sum(row[busy] for row in pools.fetchall())


def test_it_is_walked_without_a_wide_area_trip(lab: Lab, conn: Connection) -> None:
    def walk() -> None:
        with aside(conn) as cursor:
            seen = [row[0] for row in cursor.execute(ALL)]
            assert cursor.route.region == FAR
        assert seen == list(range(1, 501))

    # A pool may be opening a connection to the writer meanwhile, but not each time.
    until(lambda: Meter(lab, FAR).count(walk).wide == 0)


def test_the_session_goes_on_without_it(lab: Lab, conn: Connection) -> None:
    with aside(conn) as cursor:
        cursor.execute(ALL)
        assert cursor.fetchone() == (1,)
        conn.execute("DELETE FROM aside WHERE id > 1")
        assert conn.last_route.region == HOME
        caught_up(lab)
        assert conn.execute("SELECT count(*) FROM aside").fetchone() == (1,)
        assert conn.last_route.region == FAR
        assert len(cursor.fetchall()) == 499
    assert lent(conn) == 0


def test_it_sees_what_the_session_has_written(lab: Lab, conn: Connection) -> None:
    lab.lag(FAR, 1)
    conn.execute("INSERT INTO aside VALUES (501)")
    with aside(conn) as cursor:
        assert len(cursor.execute(ALL).fetchall()) == 501


def test_settings_hold_for_it(conn: Connection) -> None:
    conn.execute("SET application_name = 'walker'")
    with aside(conn) as cursor:
        found = cursor.execute(
            "SELECT current_setting('application_name'), id FROM aside"
        )
        assert found.fetchone()[0] == "walker"


def test_what_the_session_keeps_to_itself_is_there_for_it(conn: Connection) -> None:
    conn.execute("CREATE TEMPORARY TABLE mine AS SELECT 7 AS id")
    with aside(conn) as cursor:
        assert cursor.execute("SELECT id FROM mine").fetchall() == [(7,)]


@pytest.mark.parametrize("ending", ["again", "failed", "closed", "forgotten"])
def test_its_connection_is_given_back_however_it_ends(lab: Lab, ending: str) -> None:
    # What was forgotten is found by who probes the nodes.
    with cluster(lab, probe_interval=0.5) as found:
        conn = found.connect()
        cursor = aside(conn)
        cursor.execute(ALL)
        if ending == "again":
            assert len(cursor.execute(ALL).fetchall()) == 500
            cursor.close()
        elif ending == "failed":
            with pytest.raises(psycopg.errors.UndefinedColumn):
                cursor.execute("SELECT nothing FROM aside")
            cursor.close()
        elif ending == "closed":
            conn.close()
            with pytest.raises(psycopg.Error):
                cursor.fetchone()
            cursor.close()
        else:
            held = [cursor]
            del cursor
            with pytest.warns(ResourceWarning, match="deleted while still open"):
                held.clear()
        conn.close()
        with found.connect() as other:
            until(lambda: lent(other) == 0)


@pytest.mark.parametrize("fetched", [0, 1])
def test_nothing_of_it_is_left_when_its_session_ended_first(
    found: globaldb.Cluster, fetched: int
) -> None:
    for _ in range(2):
        # On the connection that the first one has left, there would be its like.
        conn = found.connect()
        cursor = aside(conn)
        cursor.execute(ALL).fetchmany(fetched)
        conn.close()
        # As when a generator is collected that nobody has exhausted.
        cursor.close()
    with found.connect() as other:
        until(lambda: lent(other) == 0)


def few(conn: Connection) -> ChunkedCursor:
    """Read a few rows as a form does in a transaction."""
    chunked = ChunkedCursor(conn, conn.cursor("few"), conn.cursor)
    with chunked:
        assert len(list(chunked.execute("SELECT id FROM aside WHERE id < 10"))) == 9
    return chunked


def test_whether_there_are_few_rows_is_asked_on_connections_that_are_used_again(
    found: globaldb.Cluster, conn: Connection
) -> None:
    conn.autocommit = False
    conn.execute(ALL)
    pool = conn.session.node.pool
    few(conn)
    before = pool.stats
    for _ in range(3):
        few(conn)
    after = pool.stats
    assert conn.last_route.region == FAR
    assert after.borrowed > before.borrowed
    assert (after.created, after.closed) == (before.created, before.closed)


def test_who_holds_the_last_connection_waits_for_no_other(lab: Lab) -> None:
    with cluster(lab, pool_max_size=1, pool_wait=1) as found, found.connect() as conn:
        until(lambda: (conn.execute(ALL), conn.last_route.region == FAR)[1])
        conn.autocommit = False
        conn.execute(ALL)
        assert conn.session.node.pool.stats.busy == 1
        few(conn)
        # Who cannot ask how many rows there are reads them where it does not matter.
        assert conn.last_route.region == HOME
        conn.rollback()


@pytest.mark.parametrize(("limit", "home"), [(1, HOME), (2, FAR)])
def test_a_session_goes_on_beside_it_however_few_connections_there_may_be(
    lab: Lab, limit: int, home: str
) -> None:
    with cluster(lab, pool_max_size=limit, pool_wait=1) as found:
        with found.connect() as conn:
            until(lambda: (conn.execute(ALL), conn.last_route.region == FAR)[1])
            with aside(conn) as cursor:
                cursor.execute(ALL)
                assert cursor.route.region == home
                assert conn.execute("SELECT count(*) FROM aside").fetchone() == (500,)
                assert len(cursor.fetchall()) == 500


def test_one_that_is_not_set_aside_is_on_the_session_s_connection(
    lab: Lab, conn: Connection
) -> None:
    with conn.cursor("known", withhold=True) as cursor:
        cursor.execute(ALL)
        assert conn.execute("FETCH 2 FROM known").fetchall() == [(1,), (2,)]
        assert conn.last_route.region == HOME


def test_opening_and_closing_it_is_local(lab: Lab, conn: Connection) -> None:
    def walk() -> None:
        with aside(conn) as cursor:
            cursor.execute(ALL)

    meter = Meter(lab, FAR)
    costs = [meter.count(walk) for _ in range(5)]
    # A pool that opens a connection meanwhile makes trips of its own.
    assert min(costs) == Trips(0, 3)
