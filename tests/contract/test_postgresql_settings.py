"""Session settings: wherever the session goes they hold, and no other sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import globaldb
from globaldb.lab import Lab

HERE = "ap-south-1"


@pytest.fixture
def narrow(near_lab: Lab) -> Iterator[globaldb.Cluster]:
    """One connection for each node: whatever a session leaves, the next one finds."""
    with globaldb.Cluster(
        near_lab.url(HERE), latency_factor=1, latency_window=0.001, pool_max_size=1
    ) as cluster:
        yield cluster


@pytest.fixture(params=["psycopg", "globaldb"])
def pair(
    request: pytest.FixtureRequest, near_lab: Lab, narrow: globaldb.Cluster
) -> Iterator[tuple[Any, Any]]:
    """Two sessions in autocommit; ours share their physical connections."""
    writer = near_lab.nodes[0]
    dsn = near_lab.dsn(writer.region, writer.name)
    make = narrow.connect
    if request.param == "psycopg":
        make = lambda: psycopg.connect(dsn)  # noqa: E731 - one of two
    with contextlib.closing(make()) as one, contextlib.closing(make()) as other:
        one.autocommit = other.autocommit = True
        yield one, other


def places(conn: Any) -> list[Any]:
    """Ways to run a statement: where reads go, and on the writer."""
    if type(conn) is psycopg.Connection:
        return [contextlib.nullcontext()]
    return [contextlib.nullcontext(), conn.using(route="writer")]


def seen(conn: Any, name: str) -> set[str]:
    """What *name* is, on every node that the session may read from."""
    values = set()
    for place in places(conn):
        with place:
            query = "SELECT current_setting(%s, true)"
            # A custom setting that was reset is empty rather than unknown: the server
            # remembers the name for as long as the connection lives.
            values.add(conn.execute(query, (name,)).fetchone()[0] or "")
            if "." not in name:
                values.add(conn.execute(f"SHOW {name}").fetchone()[0])
    return values


def of_a_write(conn: Any, name: str, table: str) -> str:
    """What *name* is for a write."""
    query = f"INSERT INTO {table} SELECT current_setting(%s) RETURNING *"
    value: str = conn.execute(query, (name,)).fetchone()[0]
    return value


SETS = [
    ("SET application_name TO 'mine'", "application_name", "mine"),
    ("SET SESSION application_name = 'mine'", "application_name", "mine"),
    ("SET TIME ZONE 'Europe/Rome'", "TimeZone", "Europe/Rome"),
    ("SET timezone = 'Asia/Tokyo'", "TimeZone", "Asia/Tokyo"),
    ("SET search_path TO pg_catalog, public", "search_path", "pg_catalog, public"),
    ("SET SCHEMA 'pg_catalog'", "search_path", "pg_catalog"),
    ("SELECT set_config('work_mem', '5MB', false)", "work_mem", "5MB"),
    ("SELECT set_config('a.b', 'it''s \\ x', false)", "a.b", "it's \\ x"),
    ("SET a.b = 'own'", "a.b", "own"),
    ("SET DateStyle TO 'German'", "DateStyle", "German, DMY"),
]


@pytest.mark.parametrize(("query", "name", "value"), SETS)
def test_a_setting_holds_everywhere_and_only_here(
    pair: tuple[Any, Any], table: str, query: str, name: str, value: str
) -> None:
    one, other = pair
    one.execute(f"CREATE TABLE {table} (v text)")
    before = seen(other, name)
    one.execute(query)
    assert seen(one, name) == {value}
    assert of_a_write(one, name, f"public.{table}") == value
    assert seen(other, name) == before
    assert seen(one, name) == {value}
    one.execute(f"RESET {name}")
    assert seen(one, name) - {"", None} == before - {"", None}


def test_reset_all_and_defaults_undo_settings(pair: tuple[Any, Any]) -> None:
    one, other = pair
    before = {name: seen(one, name) for name in ("application_name", "work_mem")}
    for undo in ("RESET ALL", "DISCARD ALL"):
        one.execute("SET application_name TO 'mine'")
        one.execute("SET work_mem TO '5MB'")
        assert seen(one, "work_mem") == {"5MB"}
        one.execute(undo)
        assert {name: seen(one, name) for name in before} == before
    one.execute("SET work_mem TO '5MB'")
    one.execute("SET work_mem TO DEFAULT")
    assert seen(one, "work_mem") == before["work_mem"]
    assert seen(other, "work_mem") == before["work_mem"]


def test_set_config_takes_parameters(pair: tuple[Any, Any]) -> None:
    one, other = pair
    before = seen(other, "application_name")
    query = "SELECT set_config(%s, %s, false)"
    assert one.execute(query, ("application_name", "given")).fetchone() == ("given",)
    assert seen(one, "application_name") == {"given"}
    one.execute("SET application_name TO 'later'")
    assert seen(one, "application_name") == {"later"}
    one.close()
    assert seen(other, "application_name") == before


def test_rollback_undoes_a_setting(pair: tuple[Any, Any]) -> None:
    one, other = pair
    one.execute("SET application_name TO 'before'")
    for end, expected in (("ROLLBACK", "before"), ("COMMIT", "inside")):
        one.execute("BEGIN")
        one.execute("SET application_name TO 'inside'")
        assert one.execute("SHOW application_name").fetchone() == ("inside",)
        one.execute(end)
        assert seen(one, "application_name") == {expected}
    assert "inside" not in seen(other, "application_name")


def test_rollback_to_a_savepoint_undoes_a_setting(pair: tuple[Any, Any]) -> None:
    one, _ = pair
    one.execute("SET application_name TO 'before'")
    with one.transaction():
        one.execute("SET application_name TO 'kept'")
        with one.transaction(force_rollback=True):
            one.execute("SET application_name TO 'undone'")
        assert one.execute("SHOW application_name").fetchone() == ("kept",)
        one.execute("SAVEPOINT a")
        one.execute("SET work_mem TO '5MB'")
        one.execute("ROLLBACK TO a")
        one.execute("SET application_name TO 'last'")
        one.execute("RELEASE a")
    assert seen(one, "application_name") == {"last"}
    assert "5MB" not in seen(one, "work_mem")


def test_an_error_undoes_the_settings_of_its_transaction(
    pair: tuple[Any, Any],
) -> None:
    one, _ = pair
    before = seen(one, "application_name")
    with pytest.raises(psycopg.errors.DivisionByZero), one.transaction():  # noqa: PT012 - the block is what fails
        one.execute("SET application_name TO 'undone'")
        one.execute("SELECT 1/0")
    assert seen(one, "application_name") == before
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        one.execute("SET work_mem TO 'nonsense'")
    with pytest.raises(psycopg.errors.UndefinedObject):
        one.execute("SET no_such_setting TO 1")
    assert one.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "query",
    ["SET LOCAL work_mem TO '5MB'", "SELECT set_config('work_mem', '5MB', true)"],
)
def test_local_settings_end_with_their_transaction(
    pair: tuple[Any, Any], query: str
) -> None:
    one, other = pair
    before = seen(one, "work_mem")
    with one.transaction():
        one.execute(query)
        assert one.execute("SHOW work_mem").fetchone() == ("5MB",)
    assert seen(one, "work_mem") == before == seen(other, "work_mem")


def test_role_is_kept_and_not_leaked(pair: tuple[Any, Any], table: str) -> None:
    one, other = pair
    one.execute("SET ROLE TO NONE")
    assert one.execute("SELECT current_user").fetchone() == ("app",)
    one.execute("SET SESSION AUTHORIZATION DEFAULT")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one.execute("SET ROLE postgres")
    assert one.execute("SELECT current_user").fetchone() == ("app",)
    assert other.execute("SELECT current_user").fetchone() == ("app",)


def test_characteristics_are_defaults_of_later_transactions(
    pair: tuple[Any, Any], table: str
) -> None:
    one, other = pair
    one.execute(f"CREATE TABLE {table} (n int)")
    one.execute(
        "SET SESSION CHARACTERISTICS AS TRANSACTION "
        "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    )
    assert seen(one, "default_transaction_isolation") == {"repeatable read"}
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        one.execute(f"INSERT INTO {table} VALUES (1)")
    with one.transaction():
        query = "SHOW transaction_isolation"
        assert one.execute(query).fetchone() == ("repeatable read",)
        assert one.execute("SHOW transaction_read_only").fetchone() == ("on",)
    for _ in range(2):
        with other.transaction():
            other.execute(f"INSERT INTO {table} VALUES (1)")
        other.execute(f"DELETE FROM {table}")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            one.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), one.transaction():
            one.execute(f"INSERT INTO {table} VALUES (1)")
    other.execute(f"INSERT INTO {table} VALUES (1)")
    one.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    one.execute(f"INSERT INTO {table} VALUES (2)")
    assert one.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)


def test_serializable_as_a_default_keeps_reads_working(pair: tuple[Any, Any]) -> None:
    one, other = pair
    one.execute("SET default_transaction_isolation TO 'serializable'")
    for _ in range(3):
        assert one.execute("SELECT 1").fetchone() == (1,)
    with one.transaction():
        query = "SHOW transaction_isolation"
        assert one.execute(query).fetchone() == ("serializable",)
    assert other.execute("SELECT 1").fetchone() == (1,)


def test_prepare_in_sql_goes_with_the_session(
    pair: tuple[Any, Any], table: str
) -> None:
    one, other = pair
    one.execute(f"CREATE TABLE {table} (n int)")
    one.execute("PREPARE plan (int) AS SELECT $1 + 1")
    one.execute(f"PREPARE put (int) AS INSERT INTO {table} VALUES ($1) RETURNING n")
    for n in range(3):
        for place in places(one):
            with place:
                assert one.execute(f"EXECUTE plan({n})").fetchone() == (n + 1,)
        assert one.execute(f"EXECUTE put({n})").fetchone() == (n,)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            other.execute(f"EXECUTE plan({n})")
    assert one.execute(f"SELECT count(*) FROM {table}").fetchone() == (3,)
    other.execute("PREPARE plan (int) AS SELECT $1 + 100")
    assert other.execute("EXECUTE plan(1)").fetchone() == (101,)
    assert one.execute("EXECUTE plan(1)").fetchone() == (2,)
    one.execute("DEALLOCATE plan")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        one.execute("EXECUTE plan(1)")
    one.execute("DEALLOCATE ALL")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        one.execute("EXECUTE put(1)")


def test_prepare_survives_a_rollback(pair: tuple[Any, Any]) -> None:
    one, _ = pair
    one.execute("BEGIN")
    one.execute("PREPARE plan AS SELECT 7")
    one.execute("ROLLBACK")
    assert one.execute("EXECUTE plan").fetchone() == (7,)


def test_search_path_decides_which_table_is_meant(
    pair: tuple[Any, Any], table: str
) -> None:
    one, other = pair
    one.execute(f"CREATE SCHEMA {table}_s")
    one.execute(f"CREATE TABLE public.{table} AS SELECT 'public' AS place")
    one.execute(f"CREATE TABLE {table}_s.{table} AS SELECT 'other' AS place")
    query = f"SELECT place FROM {table}"
    one.execute(f"SET search_path TO {table}_s")
    for _ in range(7):
        assert one.execute(query).fetchone() == ("other",)
        with contextlib.suppress(psycopg.errors.UndefinedTable):  # not replayed yet
            assert other.execute(query).fetchone() == ("public",)
    one.execute("RESET search_path")
    assert one.execute(query).fetchone() == ("public",)


def test_scripts_may_set_and_it_lasts(pair: tuple[Any, Any]) -> None:
    one, other = pair
    before = seen(other, "application_name")
    one.execute("SET application_name TO 'script'; SELECT 1")
    assert seen(one, "application_name") == {"script"}
    one.close()
    assert seen(other, "application_name") == before
