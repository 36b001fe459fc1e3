"""Errors: ours and psycopg's at once, with everything psycopg puts into them."""

from __future__ import annotations

import contextlib
import pickle
import threading
from typing import Any

import psycopg
import pytest
from psycopg import errors as pgerrors

import globaldb

CASES = [
    ("SELECT nonsense FROM", pgerrors.SyntaxError, globaldb.ProgrammingError),
    ("SELECT * FROM no_such_table", pgerrors.UndefinedTable, globaldb.ProgrammingError),
    ("SELECT 1/0", pgerrors.DivisionByZero, globaldb.DataError),
    ("SELECT 'x'::int", pgerrors.InvalidTextRepresentation, globaldb.DataError),
    ("SELECT 300000::int2", pgerrors.NumericValueOutOfRange, globaldb.DataError),
    ("SELECT no_such_function()", pgerrors.UndefinedFunction, globaldb.Error),
]


@pytest.mark.parametrize(("query", "theirs", "ours"), CASES)
def test_errors_belong_to_both_trees(
    auto: Any, query: str, theirs: type[Exception], ours: type[Exception]
) -> None:
    with pytest.raises(theirs) as caught:
        auto.execute(query)
    error = caught.value
    assert error.sqlstate == theirs.sqlstate
    assert error.diag.message_primary
    assert error.diag.sqlstate == theirs.sqlstate
    assert str(error).splitlines()[0] == error.diag.message_primary
    if type(auto) is not psycopg.Connection:
        assert isinstance(error, ours)
        assert error.retryable is False
        assert error.route.node
        assert type(error).__name__ == theirs.__name__
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_constraints_are_named(conn: Any, table: str) -> None:
    conn.execute(
        f"CREATE TABLE {table} (n int PRIMARY KEY, m int NOT NULL CHECK (m>0))"
    )
    conn.commit()
    conn.autocommit = True
    conn.execute(f"INSERT INTO {table} VALUES (1, 1)")
    cases = [
        ("(1, 1)", pgerrors.UniqueViolation, f"{table}_pkey"),
        ("(2, NULL)", pgerrors.NotNullViolation, None),
        ("(2, -1)", pgerrors.CheckViolation, f"{table}_m_check"),
    ]
    for values, kind, name in cases:
        with pytest.raises(kind) as caught:
            conn.execute(f"INSERT INTO {table} VALUES {values}")
        assert isinstance(caught.value, psycopg.IntegrityError)
        if type(conn) is not psycopg.Connection:
            assert isinstance(caught.value, globaldb.IntegrityError)
            assert caught.value.route.reason == "write_statement"
        assert caught.value.diag.table_name == table
        assert caught.value.diag.constraint_name in (name, f"{table}_m_not_null")


def test_errors_survive_pickling(auto: Any) -> None:
    with pytest.raises(pgerrors.UndefinedTable) as caught:
        auto.execute("SELECT * FROM no_such_table")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, pgerrors.UndefinedTable)
    assert str(copy) == str(caught.value)
    assert copy.sqlstate == "42P01"
    assert copy.diag.message_primary == caught.value.diag.message_primary
    if type(auto) is not psycopg.Connection:
        assert isinstance(copy, globaldb.ProgrammingError)
        assert copy.route == caught.value.route


def test_errors_of_values_never_reach_the_server(auto: Any) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="cannot adapt"):
        auto.execute("SELECT %s", (object(),))
    with pytest.raises(psycopg.DataError):
        auto.execute("SELECT %s", ("nul \0 byte",))
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_errors_while_loading_rows_are_raised(auto: Any) -> None:
    cursor = auto.execute("SELECT '10000-01-01'::date")
    with pytest.raises(psycopg.DataError, match="date too large") as caught:
        cursor.fetchone()
    if type(auto) is not psycopg.Connection:
        assert isinstance(caught.value, globaldb.DataError)
    for fetch in (cursor.fetchall, cursor.fetchmany):
        with pytest.raises(psycopg.DataError):
            fetch()


def test_serialization_failures_may_be_retried(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as keeper:
        keeper.execute(f"CREATE TABLE {table} AS SELECT 1 AS n")
    with side.connect() as one, contextlib.closing(side.connect()) as other:
        for conn in (one, other):
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            conn.execute(f"SELECT n FROM {table}")
        one.execute(f"UPDATE {table} SET n = 2")
        one.commit()
        with pytest.raises(pgerrors.SerializationFailure) as caught:
            other.execute(f"UPDATE {table} SET n = 3")
        assert isinstance(caught.value, psycopg.OperationalError)
        if side.ours:
            assert caught.value.retryable is True
            assert isinstance(caught.value, globaldb.OperationalError)


def test_deadlocks_end_for_one_of_the_two(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as keeper:
        keeper.execute(f"CREATE TABLE {table} AS SELECT generate_series(1, 2) AS n")
    failed: list[Any] = []
    meet = threading.Barrier(2)

    def cross(conn: Any, first: int) -> None:
        conn.execute(f"UPDATE {table} SET n = n WHERE n = {first}")
        meet.wait(10)
        try:
            conn.execute(f"UPDATE {table} SET n = n WHERE n = {3 - first}")
        except pgerrors.DeadlockDetected as error:
            failed.append(error)
        conn.rollback()

    with side.connect() as one, side.connect() as two:
        threads = [
            threading.Thread(target=cross, args=(conn, first))
            for conn, first in ((one, 1), (two, 2))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(failed) == 1
    if side.ours:
        assert failed[0].retryable is True


def test_a_lost_connection_is_an_operational_error(side: Any) -> None:
    with side.connect(autocommit=True) as killer:
        conn = side.connect()
        pid = conn.execute("SELECT pg_backend_pid()").fetchone()[0]
        killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        conn.close()


def test_after_a_lost_transaction_the_connection_goes_on(side: Any, table: str) -> None:
    if not side.ours:
        return  # psycopg's connection is closed by now
    with side.connect(autocommit=True) as killer, side.connect() as conn:
        conn.execute(f"CREATE TABLE {table} (n int)")
        pid = conn.execute("SELECT pg_backend_pid()").fetchone()[0]
        killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(globaldb.NodeLostError) as caught:
            conn.execute(f"INSERT INTO {table} VALUES (1)")
        assert caught.value.retryable
        with pytest.raises(globaldb.InternalError, match="roll back"):
            conn.execute("SELECT 1")
        conn.rollback()
        assert conn.execute(f"SELECT to_regclass('{table}')").fetchone() == (None,)


def test_query_of_wrong_kind_is_a_type_error(auto: Any) -> None:
    with pytest.raises(TypeError):
        auto.execute(17)
    assert auto.execute("SELECT 1").fetchone() == (1,)
