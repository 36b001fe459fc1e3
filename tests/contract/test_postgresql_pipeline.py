"""Pipelines: psycopg queues, and what it queues behaves as beside globaldb."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS


def test_results_come_in_order(auto: Any) -> None:
    with auto.pipeline() as pipeline:
        cursors = [auto.execute("SELECT %s::int", (n,)) for n in range(10)]
        assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(10)]
        pipeline.sync()
        assert auto.execute("SELECT 'after'").fetchone() == ("after",)
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_results_can_be_read_after_the_block(auto: Any) -> None:
    with auto.pipeline():
        cursor = auto.execute("SELECT generate_series(1, 3)")
    assert cursor.fetchall() == [(1,), (2,), (3,)]
    assert cursor.connection is auto


def test_writes_of_a_pipeline_are_read_back(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.execute(f"CREATE TABLE {table} (n int)")
    with conn.pipeline():
        for n in range(5):
            conn.execute(f"INSERT INTO {table} VALUES (%s)", (n,))
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (5,)


def test_outside_autocommit_a_pipeline_is_a_transaction(conn: Any, table: str) -> None:
    with conn.pipeline():
        conn.execute(f"CREATE TABLE {table} (n int)")
        conn.execute(f"INSERT INTO {table} VALUES (1)")
        conn.commit()
        conn.execute(f"INSERT INTO {table} VALUES (2)")
        conn.rollback()
        conn.execute(f"INSERT INTO {table} VALUES (3)")
    assert conn.info.transaction_status == INTRANS
    assert conn.execute(f"SELECT n FROM {table} ORDER BY n").fetchall() == [(1,), (3,)]
    conn.rollback()
    assert conn.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]


def fail() -> None:
    raise ZeroDivisionError


def test_blocks_work_inside_a_pipeline(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.execute(f"CREATE TABLE {table} (n int)")
    with conn.pipeline():
        with conn.transaction():
            conn.execute(f"INSERT INTO {table} VALUES (1)")
            with pytest.raises(ZeroDivisionError), conn.transaction():  # noqa: PT012 - the block is what fails
                conn.execute(f"INSERT INTO {table} VALUES (2)")
                fail()
            with pytest.raises(psycopg.ProgrammingError):
                conn.commit()
        with conn.transaction(force_rollback=True):
            conn.execute(f"INSERT INTO {table} VALUES (3)")
    assert conn.info.transaction_status == IDLE
    assert conn.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]


def test_a_pipeline_inside_a_block_belongs_to_it(conn: Any, table: str) -> None:
    conn.execute(f"CREATE TABLE {table} (n int)")
    conn.commit()
    with conn.transaction(force_rollback=True):
        conn.execute(f"INSERT INTO {table} VALUES (1)")
        with conn.pipeline():
            conn.execute(f"INSERT INTO {table} VALUES (2)")
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_an_error_aborts_what_follows(auto: Any, side: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), auto.pipeline():
        auto.execute("SELECT 1 FROM no_such_table")
    with side.connect(autocommit=True) as gate, auto.pipeline() as pipeline:
        # The error comes behind what follows: a read that is late meets it earlier.
        gate.execute("SELECT pg_advisory_lock(7)")
        auto.execute("SELECT pg_advisory_xact_lock_shared(7)")
        auto.execute("SELECT 1 FROM no_such_table")
        later = auto.execute("SELECT 2")
        gate.execute("SELECT pg_advisory_unlock(7)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            pipeline.sync()
        with pytest.raises(psycopg.ProgrammingError):
            later.fetchone()
        assert auto.execute("SELECT 3").fetchone() == (3,)
    assert auto.execute("SELECT 4").fetchone() == (4,)


def test_an_error_in_a_transaction_needs_a_rollback(conn: Any) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), conn.pipeline():
        conn.execute("SELECT 1 FROM no_such_table")
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        conn.execute("SELECT 1")
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_pipelines_nest(auto: Any) -> None:
    with auto.pipeline() as outer, auto.pipeline() as inner:
        assert inner is outer
        assert auto.execute("SELECT 1").fetchone() == (1,)
    assert auto.info.pipeline_status == psycopg.pq.PipelineStatus.OFF
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_executemany_rides_a_pipeline(conn: Any, table: str) -> None:
    conn.execute(f"CREATE TABLE {table} (n int)")
    with conn.pipeline():
        cursor = conn.cursor()
        cursor.executemany(f"INSERT INTO {table} VALUES (%s)", [(1,), (2,)])
        conn.execute(f"INSERT INTO {table} VALUES (3)")
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (3,)


def test_copy_stream_and_named_cursors_are_refused(conn: Any) -> None:
    with conn.pipeline():
        with pytest.raises(psycopg.NotSupportedError):
            with conn.cursor().copy("COPY (SELECT 1) TO STDOUT"):
                pass
        with pytest.raises(psycopg.ProgrammingError):
            next(conn.cursor().stream("SELECT 1"))
        with pytest.raises(psycopg.NotSupportedError), conn.cursor("walk") as cursor:
            cursor.execute("SELECT 1")
    conn.rollback()


def test_settings_of_a_pipeline_last(side: Any) -> None:
    with side.connect(autocommit=True) as conn:
        with conn.pipeline():
            conn.execute("SET application_name TO 'piped'")
        for _ in range(3):
            row = conn.execute("SELECT current_setting('application_name')").fetchone()
            assert row == ("piped",)
    with side.connect(autocommit=True) as conn:
        row = conn.execute("SELECT current_setting('application_name')").fetchone()
        assert row != ("piped",)


def test_modes_hold_inside_a_pipeline(conn: Any, table: str) -> None:
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with conn.pipeline():
        cursor = conn.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("repeatable read",)
        with pytest.raises(psycopg.ProgrammingError):
            conn.autocommit = True
    conn.rollback()
    conn.autocommit = True
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
