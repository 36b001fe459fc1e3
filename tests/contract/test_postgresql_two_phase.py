"""Two-phase commit, as psycopg offers it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import globaldb
from globaldb.lab import LabSpec

IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS


@pytest.fixture
def connect(side: Any) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(side.connect()))


@pytest.fixture
def two(connect: Any, table: str) -> Any:
    conn = connect()
    conn.execute(f"CREATE TABLE {table} (n int)")
    conn.commit()
    return conn


def count(conn: Any, table: str) -> int:
    found: int = conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    conn.rollback()
    return found


def test_prepared_work_is_committed_later(two: Any, connect: Any, table: str) -> None:
    xid = two.xid(1, "gtrid", "bqual")
    assert tuple(xid) == (1, "gtrid", "bqual")
    two.tpc_begin(xid)
    assert two.info.transaction_status == INTRANS
    two.execute(f"INSERT INTO {table} VALUES (1)")
    two.tpc_prepare()
    assert two.info.transaction_status == IDLE
    other = connect()
    assert count(other, table) == 0
    assert [str(found) for found in other.tpc_recover()] == [str(xid)]
    assert other.info.transaction_status == IDLE
    two.tpc_commit()
    assert count(two, table) == 1
    assert two.tpc_recover() == []


def test_anybody_may_finish_what_was_prepared(
    two: Any, connect: Any, table: str
) -> None:
    for finish in ("tpc_commit", "tpc_rollback"):
        two.tpc_begin(f"{table}-{finish}")
        two.execute(f"INSERT INTO {table} VALUES (1)")
        two.tpc_prepare()
        getattr(connect(), finish)(f"{table}-{finish}")
        with pytest.raises(psycopg.errors.UndefinedObject):
            two.tpc_commit()
        two.close()
        two = connect()
    assert count(two, table) == 1


def test_one_phase_is_possible(two: Any, table: str) -> None:
    two.tpc_begin(f"{table}-1")
    two.execute(f"INSERT INTO {table} VALUES (1)")
    two.tpc_commit()
    two.tpc_begin(f"{table}-2")
    two.execute(f"INSERT INTO {table} VALUES (2)")
    two.tpc_rollback()
    assert count(two, table) == 1


def test_empty_transactions_can_be_prepared(two: Any, connect: Any, table: str) -> None:
    two.tpc_begin(table)
    two.tpc_prepare()
    assert [str(xid) for xid in connect().tpc_recover()] == [table]
    two.tpc_rollback()
    assert two.tpc_recover() == []


def test_what_is_prepared_is_rolled_back(two: Any, table: str) -> None:
    two.tpc_begin(table)
    two.execute(f"INSERT INTO {table} VALUES (1)")
    two.tpc_prepare()
    two.tpc_rollback()
    assert count(two, table) == 0


def test_wrong_order_is_refused(two: Any, table: str) -> None:
    wrong = pytest.raises(psycopg.ProgrammingError)
    with wrong:
        two.tpc_prepare()
    with wrong:
        two.tpc_commit()
    two.execute("SELECT 1")
    with wrong:
        two.tpc_begin(table)
    two.rollback()
    two.autocommit = True
    with wrong:
        two.tpc_begin(table)
    two.autocommit = False
    two.tpc_begin(table)
    for call in (two.commit, two.rollback, lambda: two.tpc_commit("other")):
        with wrong:
            call()
    with wrong:
        two.autocommit = True
    two.tpc_prepare()
    for call in (two.tpc_prepare, two.cancel, two.cancel_safe, two.commit):
        with wrong:
            call()
    two.tpc_rollback()
    two.execute("SELECT 1")


def test_where_it_is_switched_off_the_error_says_so(fresh_lab: Any) -> None:
    spec = LabSpec(
        regions={"us-west-2": 0}, settings={"max_prepared_transactions": "0"}
    )
    lab = fresh_lab(spec)
    with globaldb.Cluster(lab.url("us-west-2")) as cluster:
        for conn in (
            psycopg.connect(lab.dsn("us-west-2", lab.nodes[0].name)),
            cluster.connect(),
        ):
            with contextlib.closing(conn):
                conn.tpc_begin("never")
                conn.execute("SELECT 1")
                with pytest.raises(psycopg.NotSupportedError, match="max_prepared"):
                    conn.tpc_prepare()
