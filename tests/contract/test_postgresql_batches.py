"""Many rows at once: executemany, scripts, stream and COPY."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import psycopg
import pytest


@pytest.fixture
def numbers(conn: Any, table: str) -> str:
    conn.execute(f"CREATE TABLE {table} (n int PRIMARY KEY, t text)")
    conn.commit()
    return table


@pytest.mark.parametrize("autocommit", [False, True])
def test_executemany_runs_each(conn: Any, numbers: str, autocommit: bool) -> None:
    conn.autocommit = autocommit
    cursor = conn.cursor()
    cursor.executemany(
        f"INSERT INTO {numbers} VALUES (%s, %s)", [(n, str(n)) for n in range(20)]
    )
    assert cursor.rowcount == 20
    if not autocommit:
        conn.commit()
    count = conn.execute(f"SELECT count(*), max(t) FROM {numbers}").fetchone()
    assert count == (20, "9")


def test_executemany_returns_one_result_for_each(conn: Any, numbers: str) -> None:
    cursor = conn.cursor()
    cursor.executemany(
        f"INSERT INTO {numbers} VALUES (%s, %s) RETURNING n, t",
        [(1, "a"), (2, "b")],
        returning=True,
    )
    assert cursor.rowcount == 1
    assert cursor.fetchone() == (1, "a")
    assert cursor.nextset()
    assert cursor.fetchone() == (2, "b")
    assert cursor.nextset() is None
    assert [one.fetchone() for one in cursor.set_result(0).results()] == [
        (1, "a"),
        (2, "b"),
    ]


def test_executemany_of_nothing_does_nothing(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    cursor = conn.cursor()
    cursor.executemany(f"INSERT INTO {numbers} VALUES (%s, %s)", [])
    assert cursor.rowcount == 0
    assert conn.execute(f"SELECT count(*) FROM {numbers}").fetchone() == (0,)


@pytest.mark.parametrize("autocommit", [False, True])
def test_executemany_fails_as_a_whole(
    conn: Any, numbers: str, autocommit: bool
) -> None:
    conn.autocommit = autocommit
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.cursor().executemany(
            f"INSERT INTO {numbers} VALUES (%s, %s)", [(1, "a"), (2, "b"), (1, "c")]
        )
    conn.rollback()
    assert conn.execute(f"SELECT count(*) FROM {numbers}").fetchone() == (0,)


def test_executemany_reads_where_reads_go(auto: Any) -> None:
    cursor = auto.cursor()
    cursor.executemany("SELECT %s::int", [(1,), (2,)], returning=True)
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert cursor.fetchall() == [(2,)]


def test_scripts_give_a_result_for_each_statement(auto: Any) -> None:
    cursor = auto.execute("SELECT 1; SELECT 'two', 2; SELECT 3")
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset() is True
    assert cursor.fetchall() == [("two", 2)]
    assert cursor.nextset() is True
    assert cursor.fetchall() == [(3,)]
    assert cursor.nextset() is None
    assert cursor.set_result(-2).fetchone() == ("two", 2)
    with pytest.raises(IndexError):
        cursor.set_result(7)


def test_scripts_write_and_are_read_back(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.execute(
        f"CREATE TABLE {table} (n int); INSERT INTO {table} VALUES (1);"
        f"INSERT INTO {table} VALUES (2)"
    )
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)


def test_scripts_take_no_parameters(auto: Any) -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        auto.execute("SELECT %s; SELECT 2", (1,))
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_scripts_fail_as_a_whole(conn: Any, table: str) -> None:
    conn.autocommit = True
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute(f"CREATE TABLE {table} (n int); SELECT 1/0")
    assert conn.execute(f"SELECT to_regclass('{table}')").fetchone() == (None,)


def test_scripts_may_hold_a_transaction(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.execute(f"BEGIN; CREATE TABLE {table} (n int); COMMIT; BEGIN")
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    conn.execute(f"INSERT INTO {table} VALUES (1)")
    conn.rollback()
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_empty_queries_are_no_errors(auto: Any) -> None:
    for query in ("", ";", "-- nothing"):
        cursor = auto.execute(query)
        assert cursor.description is None
        with pytest.raises(psycopg.ProgrammingError):
            cursor.fetchone()


@pytest.mark.parametrize("size", [1, 7])
def test_stream_yields_row_by_row(auto: Any, size: int) -> None:
    cursor = auto.cursor()
    rows = cursor.stream("SELECT generate_series(1, %s)", (20,), size=size)
    assert next(rows) == (1,)
    assert list(rows) == [(n,) for n in range(2, 21)]
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_stream_may_be_left_early(auto: Any) -> None:
    rows = auto.cursor().stream("SELECT generate_series(1, 100000)")
    assert next(rows) == (1,)
    rows.close()
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_stream_raises_what_the_server_says(auto: Any) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(auto.cursor().stream("SELECT 1 / (3 - n) FROM generate_series(1, 5) n"))
    with pytest.raises(psycopg.ProgrammingError):
        list(auto.cursor().stream("SET search_path TO public"))
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_stream_works_inside_a_transaction(conn: Any, numbers: str) -> None:
    conn.execute(f"INSERT INTO {numbers} VALUES (1, 'a')")
    assert list(conn.cursor().stream(f"SELECT n FROM {numbers}")) == [(1,)]
    conn.rollback()
    assert list(conn.cursor().stream(f"SELECT n FROM {numbers}")) == []


@pytest.mark.parametrize("autocommit", [False, True])
def test_copy_in_as_text(conn: Any, numbers: str, autocommit: bool) -> None:
    conn.autocommit = autocommit
    cursor = conn.cursor()
    with cursor.copy(f"COPY {numbers} FROM STDIN") as copy:
        copy.write(b"1\ta\n")
        copy.write("2\tb\n")
        copy.write_row((3, None))
    assert cursor.rowcount == 3
    assert cursor.statusmessage == "COPY 3"
    conn.commit()
    rows = conn.execute(f"SELECT * FROM {numbers} ORDER BY n").fetchall()
    assert rows == [(1, "a"), (2, "b"), (3, None)]


def test_copy_in_as_binary(conn: Any, numbers: str) -> None:
    with conn.cursor().copy(f"COPY {numbers} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text"])
        for n in range(50):
            copy.write_row((n, "x" * n))
    conn.commit()
    total = conn.execute(f"SELECT count(*), sum(length(t)) FROM {numbers}").fetchone()
    assert total == (50, 1225)


def copy_and_fail(block: Any) -> None:
    with block as copy:
        copy.write(b"2\ta\n")
        raise ZeroDivisionError


def test_copy_in_fails_as_a_whole(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    with pytest.raises(psycopg.errors.UniqueViolation):
        with conn.cursor().copy(f"COPY {numbers} FROM STDIN") as copy:
            copy.write(b"1\ta\n1\tb\n")
    with pytest.raises(ZeroDivisionError):
        copy_and_fail(conn.cursor().copy(f"COPY {numbers} FROM STDIN"))
    assert conn.execute(f"SELECT count(*) FROM {numbers}").fetchone() == (0,)


def test_copy_out_gives_rows_and_bytes(auto: Any) -> None:
    query = "COPY (SELECT n, 'x' FROM generate_series(1, 3) n) TO STDOUT"
    with auto.cursor().copy(query) as copy:
        assert b"".join(copy) == b"1\tx\n2\tx\n3\tx\n"
    with auto.cursor().copy(query) as copy:
        copy.set_types(["int4", "text"])
        assert list(copy.rows()) == [(1, "x"), (2, "x"), (3, "x")]
    with auto.cursor().copy(query) as copy:
        assert copy.read_row() == ("1", "x")
        assert [bytes(data) for data in copy] == [b"2\tx\n", b"3\tx\n"]
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_copy_takes_parameters_and_writers(auto: Any) -> None:
    query = "COPY (SELECT %s::int AS n) TO STDOUT"
    with auto.cursor().copy(query, (7,)) as copy:
        assert list(copy.rows()) == [("7",)]
    with pytest.raises(psycopg.ProgrammingError):
        with auto.cursor().copy("SELECT 1"):
            pass
    with pytest.raises(psycopg.errors.DivisionByZero):
        with auto.cursor().copy("COPY (SELECT 1/0) TO STDOUT") as copy:
            copy.read()
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_copy_writes_where_the_writer_leads(conn: Any, numbers: str) -> None:
    out = BytesIO()
    writer = psycopg.copy.FileWriter(out)
    with conn.cursor().copy(f"COPY {numbers} FROM STDIN", writer=writer) as copy:
        copy.write_row((1, "a"))
    assert out.getvalue() == b"1\ta\n"


def test_copy_needs_its_method(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    for query in (f"COPY {numbers} TO STDOUT", f"COPY {numbers} FROM STDIN"):
        with pytest.raises(psycopg.ProgrammingError, match="COPY cannot be used"):
            conn.execute(query)
        if type(conn) is psycopg.Connection:
            return  # it waits for the rest of the COPY, and can do nothing else
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_copy_hidden_in_a_script_leaves_a_usable_connection(
    routed: Any, near_lab: Any, table: str
) -> None:
    routed.execute(f"CREATE TABLE {table} (n int)")
    with pytest.raises(psycopg.ProgrammingError, match="COPY cannot be used"):
        routed.execute(f"SELECT 1; COPY {table} TO STDOUT")
    assert routed.execute("SELECT 1").fetchone() == (1,)


def test_a_stream_leaves_nothing_for_the_next_statement(
    conn: Any, numbers: str
) -> None:
    conn.autocommit = True
    cursor = conn.cursor()
    for leave in (
        lambda: conn.execute(f"INSERT INTO {numbers} VALUES (1) RETURNING n"),
        lambda: cursor.execute(f"SELECT n FROM {numbers} WHERE pg_sleep(0) IS NULL"),
    ):
        assert list(cursor.stream("SELECT generate_series(1, 3)")) == [(1,), (2,), (3,)]
        leave()
