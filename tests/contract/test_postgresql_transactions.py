"""Transactions: blocks, explicit ends and modes, as psycopg has them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel, Rollback

IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS
INERROR = psycopg.pq.TransactionStatus.INERROR


@pytest.fixture
def numbers(conn: Any, table: str) -> str:
    conn.execute(f"CREATE TABLE {table} (n int PRIMARY KEY)")
    conn.commit()
    return table


def put(conn: Any, table: str, n: int) -> None:
    conn.execute(f"INSERT INTO {table} VALUES (%s)", (n,))


def found(conn: Any, table: str) -> list[int]:
    rows = conn.execute(f"SELECT n FROM {table} ORDER BY n").fetchall()
    return [row[0] for row in rows]


def fail() -> None:
    raise ZeroDivisionError


def test_commit_and_rollback_end_the_transaction(conn: Any, numbers: str) -> None:
    put(conn, numbers, 1)
    conn.commit()
    put(conn, numbers, 2)
    conn.rollback()
    conn.commit()
    conn.rollback()
    assert found(conn, numbers) == [1]


@pytest.mark.parametrize("autocommit", [False, True])
def test_block_commits_or_rolls_back(conn: Any, numbers: str, autocommit: bool) -> None:
    conn.autocommit = autocommit
    with conn.transaction() as block:
        assert block.connection is conn
        put(conn, numbers, 1)
    assert conn.info.transaction_status == IDLE
    with pytest.raises(ZeroDivisionError), conn.transaction():  # noqa: PT012 - the block is what fails
        put(conn, numbers, 2)
        fail()
    assert conn.info.transaction_status == IDLE
    assert found(conn, numbers) == [1]


def test_blocks_nest_as_savepoints(conn: Any, numbers: str) -> None:
    with conn.transaction() as outer:
        put(conn, numbers, 1)
        with pytest.raises(ZeroDivisionError), conn.transaction() as inner:  # noqa: PT012 - the block is what fails
            assert inner.savepoint_name == "_pg3_2"
            put(conn, numbers, 2)
            fail()
        with conn.transaction("named"):
            put(conn, numbers, 3)
        with pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
            put(conn, numbers, 1)
        assert conn.info.transaction_status == INTRANS
        put(conn, numbers, 4)
    assert outer.status == psycopg.Transaction.Status.COMMITTED
    assert inner.status == psycopg.Transaction.Status.ROLLED_BACK_WITH_ERROR
    assert found(conn, numbers) == [1, 3, 4]


def test_block_inside_an_implicit_transaction_is_a_savepoint(
    conn: Any, numbers: str
) -> None:
    put(conn, numbers, 1)
    with conn.transaction():
        put(conn, numbers, 2)
    assert conn.info.transaction_status == INTRANS
    with pytest.raises(ZeroDivisionError), conn.transaction():  # noqa: PT012 - the block is what fails
        put(conn, numbers, 3)
        fail()
    conn.commit()
    assert found(conn, numbers) == [1, 2]


def test_force_rollback_undoes_a_good_block(conn: Any, numbers: str) -> None:
    with conn.transaction(force_rollback=True) as block:
        put(conn, numbers, 1)
    assert block.status == psycopg.Transaction.Status.ROLLED_BACK_EXPLICITLY
    with conn.transaction():
        put(conn, numbers, 2)
        with conn.transaction(force_rollback=True):
            put(conn, numbers, 3)
    assert found(conn, numbers) == [2]


def test_rollback_exception_leaves_its_block(conn: Any, numbers: str) -> None:
    with conn.transaction():
        put(conn, numbers, 1)
        raise Rollback
    with conn.transaction() as outer:
        put(conn, numbers, 2)
        with conn.transaction() as inner:
            put(conn, numbers, 3)
            raise Rollback(inner)
        with conn.transaction():
            put(conn, numbers, 4)
            raise Rollback
    assert found(conn, numbers) == [2]
    with conn.transaction() as outer:
        put(conn, numbers, 5)
        with conn.transaction():
            raise Rollback(outer)
        pytest.fail("the outer block was to be left")
    assert found(conn, numbers) == [2]


def test_blocks_out_of_order_are_refused(conn: Any, numbers: str) -> None:
    one, two = conn.transaction(), conn.transaction()
    one.__enter__()
    put(conn, numbers, 1)
    two.__enter__()
    with pytest.raises(psycopg.transaction.OutOfOrderTransactionNesting):
        one.__exit__(None, None, None)
    with pytest.raises(psycopg.transaction.OutOfOrderTransactionNesting):
        two.__exit__(None, None, None)
    conn.close()


def test_block_is_used_once(conn: Any) -> None:
    with conn.transaction() as block:
        pass
    with pytest.raises(TypeError, match="only once"):
        block.__enter__()


def test_explicit_ends_are_forbidden_in_a_block(conn: Any) -> None:
    with conn.transaction():
        for end in (conn.commit, conn.rollback):
            with pytest.raises(psycopg.ProgrammingError, match="forbidden"):
                end()
        with pytest.raises(psycopg.ProgrammingError, match="autocommit"):
            conn.autocommit = True
        conn.execute("SELECT 1")


def test_block_survives_the_end_of_its_connection(conn: Any) -> None:
    with conn.transaction() as block:
        conn.execute("SELECT 1")
        conn.close()
    assert block.status == psycopg.Transaction.Status.FAILED


def test_failed_transaction_refuses_until_rolled_back(conn: Any, numbers: str) -> None:
    put(conn, numbers, 1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        put(conn, numbers, 1)
    assert conn.info.transaction_status == INERROR
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        conn.execute("SELECT 1")
    conn.commit()  # PostgreSQL rolls back, and says nothing
    assert conn.info.transaction_status == IDLE
    assert found(conn, numbers) == []


def test_sql_may_speak_for_itself(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    for query in ("BEGIN", "START TRANSACTION", "BEGIN WORK"):
        cursor = conn.execute(query)
        assert cursor.statusmessage in ("BEGIN", "START TRANSACTION")
        assert conn.info.transaction_status == INTRANS
        assert conn.execute("ROLLBACK").statusmessage == "ROLLBACK"
        assert conn.info.transaction_status == IDLE
    conn.execute("BEGIN")
    put(conn, numbers, 1)
    assert conn.execute("SAVEPOINT a").statusmessage == "SAVEPOINT"
    put(conn, numbers, 2)
    assert conn.execute("ROLLBACK TO SAVEPOINT a").statusmessage == "ROLLBACK"
    put(conn, numbers, 3)
    assert conn.execute("RELEASE SAVEPOINT a").statusmessage == "RELEASE"
    assert conn.execute("COMMIT").statusmessage == "COMMIT"
    assert conn.info.transaction_status == IDLE
    assert found(conn, numbers) == [1, 3]


def test_sql_and_methods_mix(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    conn.execute("BEGIN")
    put(conn, numbers, 1)
    conn.commit()
    conn.execute("BEGIN")
    put(conn, numbers, 2)
    conn.rollback()
    conn.autocommit = False
    put(conn, numbers, 3)
    conn.execute("COMMIT")
    assert conn.info.transaction_status == IDLE
    put(conn, numbers, 4)
    conn.execute("ROLLBACK")
    assert found(conn, numbers) == [1, 3]


def test_what_the_client_refuses_to_send_leaves_the_savepoint_before_it(
    conn: Any, numbers: str
) -> None:
    put(conn, numbers, 1)
    conn.execute("SAVEPOINT a")
    with pytest.raises(psycopg.DataError):
        conn.execute(f"SELECT n FROM {numbers} WHERE n::text = %s", ("\0",))
    conn.execute("ROLLBACK TO a")
    put(conn, numbers, 2)
    conn.execute("RELEASE a")
    conn.commit()
    assert found(conn, numbers) == [1, 2]


def test_savepoint_in_a_failed_transaction_recovers_it(conn: Any, numbers: str) -> None:
    put(conn, numbers, 1)
    conn.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.UniqueViolation):
        put(conn, numbers, 1)
    conn.execute("ROLLBACK TO a")
    assert conn.info.transaction_status == INTRANS
    put(conn, numbers, 2)
    conn.commit()
    assert found(conn, numbers) == [1, 2]


def test_unknown_savepoints_fail_as_the_server_says(conn: Any) -> None:
    conn.execute("SELECT 1")
    with pytest.raises(psycopg.errors.InvalidSavepointSpecification):
        conn.execute("ROLLBACK TO nonsense")
    conn.rollback()
    conn.autocommit = True
    with pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        conn.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        conn.execute("RELEASE a")


def test_chained_transactions_keep_their_modes(conn: Any) -> None:
    conn.autocommit = True
    conn.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    conn.execute("SELECT 1")
    conn.execute("COMMIT AND CHAIN")
    assert conn.info.transaction_status == INTRANS
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    conn.execute("ROLLBACK AND CHAIN")
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    conn.rollback()
    assert conn.info.transaction_status == IDLE


@pytest.mark.parametrize("level", list(IsolationLevel))
def test_isolation_level_is_used(conn: Any, level: IsolationLevel) -> None:
    assert conn.isolation_level is None
    conn.isolation_level = level
    assert conn.isolation_level is level
    expected = level.name.replace("_", " ").lower()
    assert conn.execute("SHOW transaction_isolation").fetchone() == (expected,)
    conn.rollback()
    conn.set_isolation_level(None)
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


def test_modes_apply_to_blocks_in_autocommit(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    conn.isolation_level = IsolationLevel.SERIALIZABLE
    conn.read_only = True
    conn.deferrable = True
    with conn.transaction():
        assert conn.execute("SHOW transaction_isolation").fetchone() == (
            "serializable",
        )
        assert conn.execute("SHOW transaction_read_only").fetchone() == ("on",)
        assert conn.execute("SHOW transaction_deferrable").fetchone() == ("on",)
    put(conn, numbers, 1)  # outside of a block they say nothing
    assert found(conn, numbers) == [1]


def test_read_only_transactions_refuse_writes(conn: Any, numbers: str) -> None:
    conn.read_only = True
    assert found(conn, numbers) == []
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        put(conn, numbers, 1)
    conn.rollback()
    conn.read_only = None
    put(conn, numbers, 1)
    conn.rollback()


@pytest.mark.parametrize("name", ["autocommit", "isolation_level", "read_only"])
def test_modes_cannot_change_inside_a_transaction(conn: Any, name: str) -> None:
    value = IsolationLevel.SERIALIZABLE if name == "isolation_level" else True
    conn.execute("SELECT 1")
    with pytest.raises(psycopg.ProgrammingError, match=f"{name}.*INTRANS"):
        setattr(conn, name, value)
    with pytest.raises(psycopg.Error):
        conn.execute("SELECT nonsense")
    with pytest.raises(psycopg.ProgrammingError, match=f"{name}.*INERROR"):
        setattr(conn, name, value)
    conn.rollback()
    setattr(conn, name, value)
    assert getattr(conn, name) == value


def test_modes_take_only_sensible_values(conn: Any) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        conn.isolation_level = 17
    conn.read_only = 1
    assert conn.read_only is True
    conn.deferrable = 0
    assert conn.deferrable is False


def test_set_transaction_changes_this_one_only(conn: Any) -> None:
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)
    assert conn.execute("SHOW transaction_read_only").fetchone() == ("on",)
    conn.rollback()
    conn.execute("SELECT 1")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        conn.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    conn.rollback()
    assert conn.execute("SHOW transaction_isolation").fetchone() == ("read committed",)


def test_statements_that_refuse_transactions_run_outside(
    conn: Any, numbers: str
) -> None:
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        conn.execute(f"VACUUM {numbers}")
    conn.rollback()
    conn.autocommit = True
    assert conn.execute(f"VACUUM {numbers}").statusmessage == "VACUUM"


def test_procedures_may_commit_by_themselves(conn: Any, numbers: str) -> None:
    conn.autocommit = True
    conn.execute(
        f"CREATE PROCEDURE {numbers}_p() LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO {numbers} VALUES (1); COMMIT; "
        f"INSERT INTO {numbers} VALUES (2); ROLLBACK; END $$"
    )
    conn.execute(f"CALL {numbers}_p()")
    assert found(conn, numbers) == [1]
