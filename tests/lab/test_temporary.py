"""A session's temporary tables: who reads them goes to them, the others stay local."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, admin, caught_up, cluster, one, table, until

from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.005})
Connection = Any


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        table(lab, "t")
        with admin(lab) as writer:
            writer.execute("INSERT INTO t VALUES (1)")
            writer.execute(
                "CREATE FUNCTION count_mine() RETURNS bigint STABLE LANGUAGE plpgsql AS "
                "'BEGIN RETURN (SELECT count(*) FROM mine); END'"
            )
        caught_up(lab)
        yield lab


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab, probe_interval=0.2) as found, found.connect() as conn:
        yield conn


def role_of(conn: Connection, sql: str) -> str:
    conn.execute(sql)
    return str(conn.last_route.role.value)


def reads_locally(conn: Connection, sql: str = "SELECT n FROM t") -> bool:
    return role_of(conn, sql) == "reader"


def held(conn: Connection) -> bool:
    return conn.session.lease is not None


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TEMP TABLE mine (n int)",
        "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS mine AS SELECT 1 AS n",
        "CREATE TABLE pg_temp.mine (n int)",
        "SELECT 1 AS n INTO TEMP TABLE mine",
        "CREATE TEMP VIEW mine AS SELECT 1 AS n",
        'CREATE TEMP TABLE "mine" (n int)',
    ],
)
def test_a_temporary_table_is_read_where_it_lives(conn: Connection, make: str) -> None:
    conn.execute(make)
    # Only when the reader has caught up does the name decide.
    until(lambda: reads_locally(conn))
    assert role_of(conn, "SELECT n FROM mine") == "writer"
    assert role_of(conn, "SELECT * FROM t JOIN MINE USING (n)") == "writer"
    assert role_of(conn, 'SELECT n FROM pg_temp."mine"') == "writer"


def test_other_reads_stay_local_meanwhile(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    until(lambda: reads_locally(conn))
    assert one(conn.execute("SELECT n FROM t")) == (1,)
    assert conn.explain_route("SELECT n FROM t").role.value == "reader"
    assert conn.explain_route("SELECT n FROM mine").role.value == "writer"
    conn.execute("INSERT INTO mine SELECT n FROM t")
    assert one(conn.execute("SELECT n FROM mine")) == (1,)


def test_a_function_may_read_a_temporary_table(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1")
    until(lambda: reads_locally(conn))
    assert one(conn.execute("SELECT count_mine()")) == (1,)


def test_a_view_over_a_temporary_table_is_one_too(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    conn.execute("CREATE VIEW above AS SELECT n FROM mine")
    assert one(conn.execute("SELECT n FROM above")) == (1,)
    assert role_of(conn, "SELECT n FROM t") == "writer"


def test_a_temporary_table_by_another_name_is_still_there(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    conn.execute("ALTER TABLE mine RENAME TO yours")
    assert one(conn.execute("SELECT n FROM yours")) == (1,)


def test_the_connection_is_given_back_with_the_last_table(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    conn.execute("CREATE TEMP TABLE more (n int)")
    conn.execute("DROP TABLE mine")
    assert held(conn)
    conn.execute("DROP TABLE IF EXISTS absent, more")
    assert not held(conn)


def test_discard_temp_gives_it_back_too(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    conn.execute("DISCARD TEMP")
    assert not held(conn)
    with pytest.raises(psycopg.errors.UndefinedTable):
        conn.execute("SELECT n FROM mine")


def test_a_table_until_commit_holds_nothing_longer(conn: Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("CREATE TEMP TABLE mine (n int) ON COMMIT DROP")
    conn.execute("INSERT INTO mine VALUES (1)")
    conn.commit()
    assert not held(conn)


def test_a_table_that_was_rolled_back_holds_nothing(conn: Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("CREATE TEMP TABLE mine (n int)")
    conn.rollback()
    assert not held(conn)


def test_a_table_whose_drop_was_rolled_back_is_still_there(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    conn.execute("BEGIN")
    conn.execute("DROP TABLE mine")
    conn.rollback()
    assert one(conn.execute("SELECT n FROM mine")) == (1,)


def test_a_lock_beside_a_temporary_table_keeps_everything(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    conn.execute("SELECT pg_advisory_lock(1)")
    assert role_of(conn, "SELECT n FROM t") == "writer"
    conn.execute("DROP TABLE mine")
    assert held(conn)


def test_own_writes_are_seen_beside_a_temporary_table(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    until(lambda: reads_locally(conn))
    lab.lag(FAR, 20)
    try:
        conn.execute("INSERT INTO t VALUES (2)")
        assert conn.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (2,)]
        assert conn.last_route.role.value == "writer"
    finally:
        conn.execute("DELETE FROM t WHERE n = 2")
        lab.lag(FAR, 0)
