"""psycopg's automatic prepared statements, on connections that many sessions share."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from promises import until

import globaldb
from globaldb.lab import Lab

HERE = "ap-south-1"


def prepared(conn: Any, marker: str) -> int:
    """How many statements with *marker* are prepared where *conn* works now."""
    query = "SELECT count(*) FROM pg_prepared_statements WHERE position(%s in statement) > 0"
    found: int = conn.execute(query, (marker,), prepare=False).fetchone()[0]
    return found


@pytest.mark.parametrize(
    ("threshold", "executions", "expected"),
    [(5, 5, 0), (5, 6, 1), (0, 1, 1), (None, 10, 0), (2, 3, 1), (5, 12, 1)],
)
def test_statements_are_prepared_at_the_threshold(
    conn: Any, table: str, threshold: int | None, executions: int, expected: int
) -> None:
    conn.prepare_threshold = threshold
    assert conn.prepare_threshold == threshold
    for n in range(executions):
        query = f"SELECT %s::int AS {table}"
        assert conn.execute(query, (n,)).fetchone() == (n,)
    assert prepared(conn, table) == expected


@pytest.mark.parametrize("prepare", [True, False])
def test_a_statement_may_say_for_itself(conn: Any, table: str, prepare: bool) -> None:
    for n in range(8):
        query = f"SELECT %s::int AS {table}"
        found = conn.execute(query, (n,), prepare=prepare).fetchone()
        assert found == (n,)
    assert prepared(conn, table) == int(prepare)


def test_never_preparing_ignores_the_statement(conn: Any, table: str) -> None:
    conn.prepare_threshold = None
    conn.execute(f"SELECT 1 AS {table}", prepare=True)
    assert prepared(conn, table) == 0


def test_different_types_are_different_statements(conn: Any, table: str) -> None:
    for value in (1, 2**40, 1.5, "x"):
        conn.execute(f"SELECT %s AS {table}", (value,), prepare=True)
    assert prepared(conn, table) == 4


@pytest.mark.parametrize("kind", ["read", "write"])
def test_execution_goes_on_past_the_threshold(
    auto: Any, conn: Any, table: str, kind: str
) -> None:
    auto.execute(f"CREATE TABLE {table} (n int)")
    for n in range(12):
        if kind == "read":
            assert auto.execute("SELECT %s::int + 1", (n,)).fetchone() == (n + 1,)
        else:
            query = f"INSERT INTO {table} VALUES (%s) RETURNING n"
            assert auto.execute(query, (n,)).fetchone() == (n,)
    expected = 12 if kind == "write" else 0
    assert auto.execute(f"SELECT count(*) FROM {table}").fetchone() == (expected,)


def test_more_than_a_hundred_statements_take_turns(conn: Any, table: str) -> None:
    for n in range(130):
        conn.execute(f"SELECT {n} AS {table}", prepare=True)
    assert prepared(conn, table) in (100, 101)
    for n in (0, 129):
        query = f"SELECT {n} AS {table}"
        assert conn.execute(query, prepare=True).fetchone() == (n,)
    conn.prepared_max = 3
    assert conn.prepared_max == 3


def test_rollback_forgets_what_was_prepared(conn: Any, table: str) -> None:
    conn.execute(f"CREATE TABLE {table} (n int)")
    conn.execute(f"SELECT n AS {table} FROM {table}", prepare=True)
    conn.rollback()
    conn.execute(f"CREATE TABLE {table} (n text)")
    cursor = conn.execute(f"SELECT n AS {table} FROM {table}", prepare=True)
    assert cursor.description[0].type_code == psycopg.adapters.types["text"].oid


def test_failing_statements_are_not_kept(auto: Any, table: str) -> None:
    for _ in range(8):
        with pytest.raises(psycopg.errors.DivisionByZero):
            auto.execute("SELECT 1 / %s::int", (0,))
        assert auto.execute("SELECT 1 / %s::int", (1,)).fetchone() == (1,)
    for _ in range(3):
        with pytest.raises(psycopg.errors.UndefinedTable):
            auto.execute(f"SELECT * FROM {table}", prepare=True)
    auto.execute(f"CREATE TABLE {table} (n int)")
    assert auto.execute(f"SELECT * FROM {table}", prepare=True).fetchall() == []


def test_a_changed_table_is_read_anew(auto: Any, table: str) -> None:
    auto.execute(f"CREATE TABLE {table} (n int)")
    auto.execute(f"INSERT INTO {table} VALUES (1)")
    for _ in range(8):
        assert auto.execute(f"SELECT * FROM {table}").fetchall() == [(1,)]
    auto.execute(f"ALTER TABLE {table} ADD COLUMN t text DEFAULT 'x'")
    for _ in range(8):
        assert auto.execute(f"SELECT * FROM {table}").fetchall() == [(1, "x")]
    query = f"INSERT INTO {table} VALUES (2) RETURNING *"
    for _ in range(8):
        assert auto.execute(query).fetchall() == [(2, "x")]
    auto.execute(f"ALTER TABLE {table} DROP COLUMN t")
    assert auto.execute(query).fetchall() == [(2,)]


def test_scripts_and_empty_texts_are_never_prepared(auto: Any) -> None:
    for _ in range(8):
        assert auto.execute("SELECT 1; SELECT 2").nextset()
        auto.execute("")


def test_a_choice_of_one_session_is_not_anothers(near_lab: Lab, table: str) -> None:
    with globaldb.Cluster(
        near_lab.url(HERE),
        latency_factor=1,
        latency_window=0.001,
        pool_max_size=1,
        transaction_reads="writer",
    ) as cluster:
        eager, lazy = cluster.connect(), cluster.connect()
        eager.prepare_threshold, lazy.prepare_threshold = 0, None
        for n in range(3):
            for conn in (eager, lazy):
                conn.execute(f"SELECT {n} AS {table}_{conn.prepare_threshold}")
                conn.commit()
        assert prepared(eager, f"{table}_0") == 3
        assert prepared(eager, f"{table}_None") == 0
        eager.close()
        lazy.close()


def test_preparing_by_itself_costs_no_round_trip(near_lab: Lab, table: str) -> None:
    # One connection for each node: nothing is opened in the background meanwhile.
    with globaldb.Cluster(
        near_lab.url(HERE),
        latency_factor=1,
        latency_window=0.001,
        probe_interval=60,
        pool_max_size=1,
    ) as cluster:
        conn = cluster.connect()
        conn.autocommit = True
        # Nor is the catalog read.
        until(lambda: cluster.runtime.catalog.present)
        trips = []
        for n in range(10):
            before = local_trips(near_lab)
            conn.execute(f"SELECT %s::int AS {table}", (n,))
            trips.append(local_trips(near_lab) - before)
        conn.close()
    # The first one may open the connection it needs.
    assert trips[1:] == [1] * 9


def local_trips(lab: Lab) -> int:
    return sum(
        connection.round_trips
        for link in lab.counters()
        if link.client_region == HERE and link.node.startswith(HERE)
        for connection in link.connections
    )
