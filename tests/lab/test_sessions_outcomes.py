"""What a session says of its own work is true of the connection the work was on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    admin,
    cluster,
    counts,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.core.position import Lsn
from globaldb.core.topology import Role, Sample
from globaldb.lab import Lab, LabSpec
from globaldb.postgresql import ClientCursor

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.02})
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "r_t", "n int primary key, v text")
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab) as found:
        yield found


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        with conn.using(route="writer"):
            conn.execute("SELECT 1")
        yield conn


def node(found: globaldb.Cluster, role: Role) -> str:
    return next(n.name for n in found.topology.nodes.values() if n.role is role)


def promote(found: globaldb.Cluster) -> None:
    """Have the reader answer, as far as this process knows, as a newer writer."""
    system = found.runtime.system
    sample = Sample(Role.WRITER, Lsn(1 << 40, 2), monotonic(), 0.01, system)
    writer, reader = node(found, Role.WRITER), node(found, Role.READER)
    found.runtime.observe(reader, sample)
    assert found.topology.nodes[writer].role is Role.UNKNOWN


@pytest.fixture
def slow_commit(lab: Lab) -> None:
    """Have every COMMIT of rows in ``r_t`` take a while."""
    with admin(lab) as writer:
        writer.execute(
            "CREATE OR REPLACE FUNCTION r_slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'"
        )
        writer.execute(
            "CREATE CONSTRAINT TRIGGER r_slow AFTER INSERT ON r_t DEFERRABLE "
            "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION r_slow()"
        )


def test_a_commit_under_way_is_in_doubt_when_another_writer_is_believed(
    lab: Lab, found: globaldb.Cluster, conn: Connection, slow_commit: None
) -> None:
    told: list[globaldb.Error] = []

    def commit() -> None:
        with conn.using(timeout=4), pytest.raises(globaldb.Error) as error:
            conn.commit()
        told.append(error.value)

    conn.execute("BEGIN")
    conn.execute("INSERT INTO r_t VALUES (1)")
    committing = threading.Thread(target=commit)
    committing.start()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with admin(lab) as writer:
        until(lambda: one(writer.execute(busy)) == (1,))
    promote(found)
    committing.join()
    assert isinstance(told[0], globaldb.OutcomeUnknownError), told
    assert conn.session.books.position_unknown
    # The server had heard it all: what was in doubt has happened.
    until(lambda: counts(lab, "r_t") == {1: 1})


def test_a_commit_is_not_sent_to_a_writer_that_is_no_longer_believed(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    conn.execute("BEGIN")
    conn.execute("INSERT INTO r_t VALUES (1)")
    promote(found)
    with pytest.raises(globaldb.NodeLostError, match="Nothing was applied"):
        conn.commit()
    assert counts(lab, "r_t") == {}


@pytest.fixture
def sequence(lab: Lab) -> None:
    with admin(lab) as writer:
        writer.execute("DROP SEQUENCE IF EXISTS r_s")
        writer.execute("CREATE SEQUENCE r_s")
        writer.execute("ALTER SEQUENCE r_s OWNER TO app")


def test_currval_never_answers_from_an_older_connection_of_the_session(
    found: globaldb.Cluster, conn: Connection, sequence: None
) -> None:
    pool = found.runtime.nodes[node(found, Role.WRITER)].pool
    assert one(conn.execute("SELECT nextval('r_s')")) == (1,)
    # Somebody else, as the monitor does, has it for a moment.
    lease = pool.checkout()
    assert one(conn.execute("SELECT nextval('r_s')")) == (2,)
    pool.checkin(lease)
    with pytest.raises(globaldb.ProgrammingError, match="connection"):
        conn.execute("SELECT currval('r_s')")
    # From now on it keeps its connection.
    assert one(conn.execute("SELECT nextval('r_s')")) == (3,)
    assert one(conn.execute("SELECT currval('r_s')")) == (3,)


SLOW_ROWS = "SELECT pg_sleep(0.5) FROM generate_series(1, 20)"


def test_a_deadline_ends_a_fetch(conn: Connection) -> None:
    with conn.transaction(force_rollback=True), conn.cursor("c") as cursor:
        cursor.execute(SLOW_ROWS)
        with conn.using(timeout=0.2), within(2.0):
            with pytest.raises(globaldb.DeadlineExceededError):
                cursor.fetchall()
    assert one(conn.execute("SELECT 1")) == (1,)


def test_a_fetch_can_be_cancelled(conn: Connection) -> None:
    with conn.transaction(force_rollback=True), conn.cursor("c") as cursor:
        cursor.execute(SLOW_ROWS)
        timer = threading.Timer(0.2, conn.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled), within(2.0):
            cursor.fetchmany(10)
        timer.join()
    assert one(conn.execute("SELECT 1")) == (1,)


@pytest.mark.parametrize("text", ["SELECT %s", "SELECT %s::text"])
def test_a_client_cursor_outlives_the_connection_it_used(
    found: globaldb.Cluster, text: str
) -> None:
    with found.connect(cursor_factory=ClientCursor) as conn, conn.cursor() as cursor:
        for value in ("it's", "é", "\\n"):
            assert cursor.execute(text, (value,)).fetchall() == [(value,)]
            for each in found.runtime.nodes.values():
                each.pool.drain()
                until(lambda pool=each.pool: pool.stats.idle == 0)
