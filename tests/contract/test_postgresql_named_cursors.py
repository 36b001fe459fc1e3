"""Named cursors: they live on the server, and so on one connection."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


@pytest.fixture
def series(conn: Any, table: str) -> str:
    conn.execute(f"CREATE TABLE {table} AS SELECT n FROM generate_series(1, 250) n")
    conn.commit()
    return f"SELECT n FROM {table} ORDER BY n"


def test_named_cursor_fetches_in_every_way(conn: Any, series: str) -> None:
    with conn.cursor("walk") as cursor:
        cursor.execute(series)
        assert cursor.name == "walk"
        assert cursor.description[0].name == "n"
        assert cursor.rownumber == 0
        assert cursor.fetchone() == (1,)
        assert cursor.fetchmany(2) == [(2,), (3,)]
        assert cursor.rownumber == 3
        assert cursor.fetchall()[-1] == (250,)
        assert cursor.fetchone() is None
    with pytest.raises(psycopg.InterfaceError, match="closed"):
        cursor.fetchone()


@pytest.mark.parametrize("itersize", [7, 100, 1000])
def test_named_cursor_iterates_page_by_page(
    conn: Any, series: str, itersize: int
) -> None:
    with conn.cursor("walk") as cursor:
        cursor.itersize = itersize
        cursor.execute(series)
        assert [row[0] for row in cursor] == list(range(1, 251))


def test_named_cursor_takes_parameters_and_formats(conn: Any) -> None:
    for binary in (False, True):
        with conn.cursor("walk", binary=binary) as cursor:
            cursor.execute("SELECT %s::int + generate_series(1, 2)", (10,))
            assert cursor.fetchall() == [(11,), (12,)]


def test_named_cursor_may_be_used_again(conn: Any) -> None:
    with conn.cursor("walk") as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SELECT generate_series(2, 3)")
        assert cursor.fetchall() == [(2,), (3,)]


def test_scrollable_cursor_moves_both_ways(conn: Any, series: str) -> None:
    with conn.cursor("walk", scrollable=True) as cursor:
        assert cursor.scrollable is True
        cursor.execute(series)
        cursor.scroll(100)
        assert cursor.fetchone() == (101,)
        cursor.scroll(-2)
        assert cursor.fetchone() == (100,)
        cursor.scroll(10, mode="absolute")
        assert cursor.fetchone() == (11,)
        with pytest.raises(ValueError, match="bad mode"):
            cursor.scroll(1, mode="sideways")
    with conn.cursor("forward", scrollable=False) as cursor:
        cursor.execute(series)
        cursor.fetchmany(3)
        with pytest.raises(psycopg.OperationalError):
            cursor.scroll(-1)
    conn.rollback()


def test_holdable_cursor_outlives_its_transaction(conn: Any, series: str) -> None:
    with conn.cursor("walk", withhold=True) as cursor:
        assert cursor.withhold
        cursor.execute(series)
        assert cursor.fetchone() == (1,)
        conn.commit()
        assert cursor.fetchone() == (2,)
        conn.execute("SELECT 1")
        conn.commit()
        assert cursor.fetchmany(2) == [(3,), (4,)]
    conn.commit()
    conn.execute("SELECT 1")


def test_holdable_cursor_works_in_autocommit(auto: Any) -> None:
    with auto.cursor("walk", withhold=True) as cursor:
        cursor.execute("SELECT generate_series(1, 5)")
        assert auto.execute("SELECT 'between'").fetchone() == ("between",)
        assert cursor.fetchall() == [(n,) for n in range(1, 6)]
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_plain_named_cursor_ends_with_its_transaction(conn: Any, series: str) -> None:
    cursor = conn.cursor("walk")
    cursor.execute(series)
    conn.commit()
    with pytest.raises(psycopg.errors.InvalidCursorName):
        cursor.fetchone()
    conn.rollback()
    cursor.close()


def test_named_cursor_needs_a_transaction(auto: Any) -> None:
    cursor = auto.cursor("walk")
    with pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        cursor.execute("SELECT 1")
    cursor.close()
    with auto.transaction(), auto.cursor("walk") as cursor:
        cursor.execute("SELECT generate_series(1, 3)")
        assert cursor.fetchall() == [(1,), (2,), (3,)]


def test_two_named_cursors_walk_together(conn: Any, series: str) -> None:
    with conn.cursor("one") as one, conn.cursor("two") as two:
        one.execute(series)
        two.execute(series + " DESC")
        assert [one.fetchone(), two.fetchone()] == [(1,), (250,)]
        assert conn.execute("SELECT 'plain'").fetchone() == ("plain",)
        assert [one.fetchone(), two.fetchone()] == [(2,), (249,)]


def test_cursor_made_in_sql_can_be_taken_over(conn: Any) -> None:
    conn.execute("DECLARE other CURSOR FOR SELECT generate_series(1, 3) AS n")
    with conn.cursor("other") as cursor:
        assert cursor.fetchone() == (1,)
        assert cursor.fetchall() == [(2,), (3,)]
        assert cursor.description[0].name == "n"


def test_errors_while_fetching_are_raised(conn: Any) -> None:
    with conn.cursor("walk") as cursor:
        cursor.execute("SELECT 1 / (3 - n) FROM generate_series(1, 5) n")
        with pytest.raises(psycopg.errors.DivisionByZero):
            cursor.fetchall()
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_executemany_is_refused(conn: Any) -> None:
    with conn.cursor("walk") as cursor:
        with pytest.raises(psycopg.NotSupportedError):
            cursor.executemany("SELECT %s", [(1,)])
        with pytest.raises(TypeError):
            cursor.execute("SELECT 1", nonsense=True)


def test_forgotten_named_cursor_warns(conn: Any) -> None:
    held = [conn.cursor("walk")]
    with pytest.warns(ResourceWarning, match="deleted while still open"):
        held.clear()


def test_users_named_cursor_classes_stay_on_top(conn: Any) -> None:
    class Doubling(psycopg.ServerCursor[Any]):
        def fetchone(self) -> Any:
            return super().fetchone() * 2

    conn.server_cursor_factory = Doubling
    with conn.cursor("walk") as cursor:
        assert isinstance(cursor, Doubling)
        assert cursor.execute("SELECT 1").fetchone() == (1, 1)
    conn.server_cursor_factory = psycopg.RawServerCursor
    with conn.cursor("raw") as cursor:
        assert cursor.execute("SELECT $1::int", (5,)).fetchone() == (5,)


def test_read_only_transaction_walks_on_the_reader(routed: Any) -> None:
    routed.read_only = True
    with routed.transaction(), routed.cursor("walk") as cursor:
        cursor.execute("SELECT generate_series(1, 3)")
        assert cursor.route.role.value == "reader"
        assert cursor.fetchall() == [(1,), (2,), (3,)]
