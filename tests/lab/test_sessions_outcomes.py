"""What a session says of its own work is true of the connection the work was on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any, Literal

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    WRITER,
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


@pytest.mark.parametrize("when", ["reply", "request"])
def test_a_lost_commit_is_in_doubt_whatever_its_node_is_believed_to_be_now(
    lab: Lab,
    found: globaldb.Cluster,
    conn: Connection,
    when: Literal["reply", "request"],
) -> None:
    conn.execute("BEGIN")
    conn.execute("INSERT INTO r_t VALUES (1)")
    promote(found)
    lab.cut(FAR, WRITER, when, containing="COMMIT")
    with conn.using(timeout=0.5), pytest.raises(globaldb.OutcomeUnknownError) as told:
        conn.commit()
    assert "no writer answered in time" in str(told.value)
    assert counts(lab, "r_t") == ({1: 1} if when == "reply" else {})


def test_a_commit_is_accounted_for_whatever_its_node_is_believed_to_be_now(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    before = conn.session.books.floor
    conn.execute("BEGIN")
    conn.execute("INSERT INTO r_t VALUES (1)")
    promote(found)
    conn.commit()
    books = conn.session.books
    assert books.position_unknown or books.floor != before
    assert books.read_node is None
    assert counts(lab, "r_t") == {1: 1}


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
