"""Statements at the edges of what a session knows: each ends where one would end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
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
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.005})
Connection = Any
OBJECTS = """
CREATE OR REPLACE FUNCTION liar(k int) RETURNS int LANGUAGE plpgsql AS
  $$BEGIN EXECUTE format('INSERT INTO t VALUES (%s)', k); RETURN k; END$$;
CREATE OR REPLACE FUNCTION count_mine() RETURNS bigint STABLE LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT count(*) FROM mine); END';
CREATE OR REPLACE FUNCTION "CountMine"() RETURNS bigint STABLE LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT count(*) FROM mine); END';
CREATE OR REPLACE VIEW over_mine AS SELECT count_mine() AS k;
GRANT SELECT ON over_mine TO app;
DROP FUNCTION IF EXISTS changing();
DROP TABLE IF EXISTS stored;
CREATE UNLOGGED TABLE stored AS SELECT 3 AS n;
GRANT SELECT ON stored TO app;
"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    with admin(near) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        writer.execute(OBJECTS)
    caught_up(near)
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, probe_interval=0.2, read_functions="liar", hints=True) as found:
        yield found


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        yield conn


def role_of(conn: Connection, sql: str) -> str:
    conn.execute(sql)
    return str(conn.last_route.role.value)


def reads_locally(conn: Connection) -> None:
    until(lambda: role_of(conn, "SELECT n FROM t") == "reader")


def held(conn: Connection) -> bool:
    return conn.session.lease is not None


def locks(lab: Lab, node: str) -> int:
    with admin(lab, node) as server:
        [found] = one(server.execute(LOCKS))
    return int(found)


# Temporary tables.


@pytest.mark.parametrize(
    "undone",
    [
        ("BEGIN", "SAVEPOINT a", "DROP TABLE mine", "ROLLBACK TO a", "COMMIT"),
        ("BEGIN", "DISCARD TEMP", "ROLLBACK"),
    ],
)
def test_a_table_whose_end_was_undone_is_still_there(
    conn: Connection, undone: tuple[str, ...]
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    for statement in undone:
        conn.execute(statement)
    reads_locally(conn)
    assert one(conn.execute("SELECT n FROM mine")) == (1,)


def test_the_search_path_says_which_of_two_tables_is_dropped(conn: Connection) -> None:
    conn.execute("CREATE TABLE twice AS SELECT 2 AS n")
    conn.execute("CREATE TEMP TABLE twice AS SELECT 1 AS n")
    conn.execute("SET search_path = public, pg_temp")
    conn.execute("DROP TABLE twice")
    reads_locally(conn)
    assert one(conn.execute("SELECT n FROM twice")) == (1,)


@pytest.mark.parametrize(
    "path",
    [
        "SET search_path = pg_temp, public",
        "SET LOCAL search_path = pg_temp, public",
        "SET SCHEMA 'pg_temp'",
        "SELECT set_config('search_path', 'pg_temp,public', false)",
    ],
)
def test_a_search_path_may_make_every_table_temporary(
    found: globaldb.Cluster, conn: Connection, path: str
) -> None:
    conn.execute("BEGIN")
    conn.execute(path)
    conn.execute("CREATE TABLE hidden AS SELECT 1 AS n")
    conn.commit()
    with found.connect() as other, other.using(route="writer"):
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("SELECT n FROM hidden")
    assert one(conn.execute("SELECT n FROM pg_temp.hidden")) == (1,)


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT last_value FROM mine_n_seq", 1),
        ("SELECT count(*) FROM pg_class WHERE relname = %(name)s", 1),
        ("SELECT %(name)s::regclass::text", "mine"),
        (
            (
                "SELECT count(*) FROM information_schema.tables "
                "WHERE table_name = %(name)s"
            ),
            1,
        ),
        ('SELECT count(n) FROM U&"\\006dine"', 1),
        ('SELECT "CountMine"()', 1),
        ("SELECT count_mine /* it does */ ()", 1),
        ("SELECT k FROM over_mine", 1),
    ],
)
def test_a_temporary_table_may_be_read_in_a_roundabout_way(
    conn: Connection, sql: str, answer: object
) -> None:
    conn.execute("CREATE TEMP TABLE mine (n serial)")
    conn.execute("INSERT INTO mine DEFAULT VALUES")
    reads_locally(conn)
    assert one(conn.execute(sql, {"name": "mine"})) == (answer,)


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (f"CREATE TEMP TABLE {'m' * 70} AS SELECT 5 AS n", f"TABLE {'m' * 63}"),
        (
            (
                "WITH made AS (INSERT INTO t VALUES (5) RETURNING n) "
                "SELECT n INTO TEMP mine FROM made"
            ),
            "TABLE mine",
        ),
        ('SELECT 5 AS "into" INTO TEMP mine', "TABLE mine"),
    ],
)
def test_the_name_of_a_temporary_table_may_be_hard_to_see(
    lab: Lab, conn: Connection, make: str, read: str
) -> None:
    conn.execute(make)
    caught_up(lab)
    conn.execute("SELECT n FROM t")
    assert one(conn.execute(read)) == (5,)


def test_what_was_prepared_over_a_temporary_table_is_in_nobodys_way(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 5 AS n")
    reads_locally(conn)
    conn.execute("PREPARE q AS SELECT n FROM mine")
    caught_up(lab)
    assert one(conn.execute("SELECT n FROM t")) == (1,)
    assert one(conn.execute("EXECUTE q")) == (5,)
    conn.execute("DROP TABLE mine")
    caught_up(lab)
    for _ in range(20):
        assert one(conn.execute("SELECT n FROM t")) == (1,)


def test_what_was_prepared_reads_a_temporary_table_made_since(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("PREPARE q AS SELECT n FROM t")
    conn.execute("CREATE TEMP TABLE t AS SELECT 42 AS n")
    caught_up(lab)
    conn.execute("SELECT 1")
    assert one(conn.execute("EXECUTE q")) == (42,)


RENAME = "ALTER TABLE mine RENAME TO yours"


def in_pipeline(conn: Connection, sql: str) -> None:
    with conn.pipeline():
        conn.execute(sql)


def in_executemany(conn: Connection, sql: str) -> None:
    conn.cursor().executemany(sql, [()])


def in_script(conn: Connection, sql: str) -> None:
    conn.execute(f"SELECT 1; {sql}")


@pytest.mark.parametrize("run", [in_pipeline, in_executemany, in_script])
def test_a_temporary_table_may_be_renamed_in_passing(
    lab: Lab, conn: Connection, run: Callable[[Connection, str], None]
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    reads_locally(conn)
    run(conn, RENAME)
    assert conn.token
    caught_up(lab)
    assert one(conn.execute("SELECT n FROM t")) == (1,)
    assert one(conn.execute("SELECT n FROM yours")) == (1,)


def test_a_session_that_keeps_its_connection_needs_no_second_one(lab: Lab) -> None:
    options = {"pool_max_size": 1, "pool_wait": 0.5, "probe_interval": 0.2}
    with cluster(lab, **options) as found, found.connect() as conn:
        conn.execute("CREATE TEMP TABLE mine (n int)")
        reads_locally(conn)
        # Its reader refuses this, whose name the catalog has only just learnt.
        found.runtime.knowledge.update(type(found.runtime.knowledge.catalog)())
        assert one(conn.execute("SELECT n FROM stored")) == (3,)
        assert conn.last_route.tried
        with conn.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write_row((3,))
        assert conn.token


def test_temporary_tables_that_come_and_go_do_not_stir_the_catalog(
    found: globaldb.Cluster, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine (n int)")
    conn.execute("SELECT n FROM t")
    kept = found.runtime.knowledge.cache.get("SELECT n FROM t")
    for _ in range(20):
        conn.execute("DROP TABLE mine")
        conn.execute("CREATE TEMP TABLE mine (n int)")
    assert found.runtime.knowledge.cache.get("SELECT n FROM t") is kept is not None


# What was learnt.


def test_a_refused_prepared_statement_is_learnt_too(conn: Connection) -> None:
    conn.execute("PREPARE q AS SELECT liar(9)")
    conn.execute("EXECUTE q")
    assert conn.last_route.tried
    conn.execute("EXECUTE q")
    assert conn.last_route.tried == ()
    assert conn.last_route.statement == "learned"


def test_a_refused_stream_is_learnt_although_it_is_not_repeated(
    found: globaldb.Cluster, conn: Connection
) -> None:
    found.runtime.knowledge.update(type(found.runtime.knowledge.catalog)())
    reads_locally(conn)
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        list(conn.cursor().stream("SELECT n FROM stored"))
    assert list(conn.cursor().stream("SELECT n FROM stored")) == [(3,)]


def test_values_stand_nowhere_in_what_is_learnt(conn: Connection) -> None:
    conn.execute("SELECT liar(471147)")
    rows = conn.execute("SHOW GLOBALDB LEARNED").fetchall()
    assert rows
    assert "471147" not in str(rows)


# Read-only transactions that move.


@pytest.mark.parametrize("scope", ["", "LOCAL "])
def test_a_transaction_that_moves_keeps_its_own_wishes_and_no_longer(
    conn: Connection, scope: str
) -> None:
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT 1")
    conn.execute(f"SET {scope}apg_write_forward.consistency_mode = 'eventual'")
    conn.execute("SELECT pg_advisory_xact_lock(7)")
    assert conn.consistency.value == "eventual"
    conn.execute("ROLLBACK")
    assert conn.consistency.value == "session"


def test_a_hint_on_commit_makes_no_local_setting_stay(conn: Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("SET LOCAL apg_write_forward.consistency_mode = 'eventual'")
    conn.execute("/* globaldb: consistency=global */ COMMIT")
    assert conn.consistency.value == "session"


@pytest.mark.parametrize("before", [(), ("SELECT 1",)])
def test_without_forwarding_no_transaction_moves(
    lab: Lab, conn: Connection, before: tuple[str, ...]
) -> None:
    conn.consistency = None
    conn.execute("BEGIN READ ONLY")
    for statement in before:
        conn.execute(statement)
    with pytest.raises(globaldb.ReadOnlyError):
        conn.execute("SELECT pg_advisory_xact_lock(7)")
    assert (locks(lab, WRITER), locks(lab, READER)) == (0, 0)
    conn.rollback()


def test_a_copy_before_a_transaction_does_not_keep_it_from_moving(
    conn: Connection,
) -> None:
    with conn.cursor().copy("COPY t TO STDOUT") as copy:
        assert list(copy)
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT 1")
    conn.execute("SELECT pg_advisory_xact_lock(7)")
    assert conn.last_route.role.value == "writer"
    conn.rollback()


# What an error leaves.


@pytest.mark.parametrize("begin", [(), ("BEGIN",)])
def test_a_lock_stays_with_its_session_although_its_statement_failed(
    lab: Lab, conn: Connection, begin: tuple[str, ...]
) -> None:
    for statement in begin:
        conn.execute(statement)
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT pg_advisory_lock(7), 1 / (SELECT 0)")
    conn.rollback()
    assert locks(lab, WRITER) == 1
    assert held(conn)
    assert one(conn.execute("SELECT pg_advisory_unlock(7)")) == (True,)


def test_a_script_that_failed_may_have_left_a_temporary_table(
    found: globaldb.Cluster, conn: Connection
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n; COMMIT; SELECT 1/0")
    with found.connect() as other, other.using(route="writer"):
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("SELECT n FROM mine")
    assert one(conn.execute("SELECT n FROM mine")) == (1,)


def test_an_error_on_a_reader_pins_nothing_there(conn: Connection) -> None:
    conn.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / (SELECT 0)")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        conn.execute("SELECT pg_advisory_lock(7)")
    conn.rollback()
    assert not held(conn)
    conn.execute("INSERT INTO t VALUES (2)")
