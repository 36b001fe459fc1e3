"""Who forwards writes: the driver, within Aurora's limits if asked, or the reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, admin, cluster, one, table

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

Connection = Any
VARIABLE = "apg_write_forward.consistency_mode"


@pytest.fixture
def carts(lab: Lab) -> Lab:
    """A lab of PostgreSQL with an empty table."""
    table(lab, "f_t", "n int primary key")
    return lab


@contextmanager
def session(lab: Lab, region: str = FAR, **options: Any) -> Iterator[Connection]:
    with cluster(lab, region, **options) as found, found.connect() as conn:
        yield conn


# Strict, in PostgreSQL.


def test_strict_refuses_what_aurora_refuses_and_sends_nothing(carts: Lab) -> None:
    with session(carts, forwarding="strict") as conn:
        for sql in (
            "CREATE TABLE f_other (n int)",
            "TRUNCATE f_t",
            "SELECT nextval('f_s')",
            "LOCK TABLE f_t",
            "LISTEN f_c",
            "INSERT INTO f_t VALUES (1); DROP TABLE f_t",
        ):
            with pytest.raises(globaldb.NotForwardedError) as caught:
                conn.execute(sql)
            assert isinstance(caught.value, psycopg.errors.FeatureNotSupported)
            assert caught.value.sqlstate == "0A000"
        assert one(conn.execute("SELECT count(*) FROM f_t")) == (0,)


def test_strict_forwards_what_aurora_forwards(carts: Lab) -> None:
    with session(carts, forwarding="strict") as conn:
        conn.execute("INSERT INTO f_t VALUES (1)")
        assert conn.last_route.reason == "write_statement"
        with conn.transaction():
            conn.execute("UPDATE f_t SET n = 2")
        assert one(conn.execute("SELECT n FROM f_t")) == (2,)


def test_strict_refuses_savepoints_cursors_copy_and_two_phases(carts: Lab) -> None:
    with session(carts, forwarding="strict", autocommit=False) as conn:
        refused = pytest.raises(globaldb.NotForwardedError)
        conn.execute("INSERT INTO f_t VALUES (1)")
        with refused, conn.transaction():
            pass
        with refused, conn.cursor(name="c") as cursor:
            cursor.execute("SELECT 1")
        with refused, conn.cursor() as cursor, cursor.copy("COPY f_t FROM STDIN"):
            pass
        # Nothing was sent: the transaction goes on.
        conn.commit()
        assert one(conn.execute("SELECT n FROM f_t")) == (1,)
        conn.rollback()
        with refused:
            conn.tpc_begin("x")


def test_strict_refuses_serializable_and_takes_repeatable_read(carts: Lab) -> None:
    with session(carts, forwarding="strict") as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            conn.execute("INSERT INTO f_t VALUES (1)")
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        refused = pytest.raises(globaldb.NotForwardedError, match="SERIALIZABLE")
        with refused, conn.transaction():
            conn.execute("SELECT 1")


def test_strict_leaves_read_only_transactions_to_the_reader(carts: Lab) -> None:
    with session(carts, forwarding="strict", autocommit=False) as conn:
        conn.read_only = True
        with conn.transaction(), conn.transaction():
            conn.execute("SELECT 1")
            assert conn.last_route.role is Role.READER
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("CREATE TABLE f_other (n int)")


def test_strict_means_nothing_where_the_writer_is(carts: Lab) -> None:
    with session(carts, HOME, forwarding="strict") as conn:
        conn.execute("CREATE TABLE f_other (n int)")
        conn.execute("DROP TABLE f_other")
    with session(carts, forwarding="strict") as conn, conn.using(route="writer"):
        conn.execute("CREATE TABLE f_other (n int)")
        conn.execute("DROP TABLE f_other")


def test_strict_knows_where_the_writer_is_before_it_lets_anything_through(
    carts: Lab,
) -> None:
    for _ in range(3):
        url = carts.url(FAR)
        with globaldb.Cluster(url, forwarding="strict", autocommit=True) as cold:
            conn = cold.connect()
            with pytest.raises(globaldb.NotForwardedError):
                conn.execute("CREATE TABLE f_other (n int)")
            conn.close()


# Native, in PostgreSQL, whose servers take the variable and forward nothing.


@pytest.fixture
def forwarding(carts: Lab) -> Iterator[Lab]:
    """A lab whose servers know the variable, as Aurora's do."""
    with admin(carts) as writer:
        writer.execute(f"ALTER ROLE app SET {VARIABLE} = 'eventual'")
    table(carts, "f_t", "n int primary key")
    yield carts
    with admin(carts) as writer:
        writer.execute(f"ALTER ROLE app RESET {VARIABLE}")
    table(carts, "f_t", "n int primary key")


def test_native_says_at_once_that_a_server_cannot_forward(carts: Lab) -> None:
    with session(carts, forwarding="native") as conn:
        for sql in ("SELECT 1", "INSERT INTO f_t VALUES (1)"):
            with pytest.raises(globaldb.NotSupportedError, match=VARIABLE):
                conn.execute(sql)


def test_native_reads_at_the_reader_with_the_mode_set_there(forwarding: Lab) -> None:
    with session(forwarding, forwarding="native") as conn:
        for mode in ("session", "global", "eventual"):
            conn.consistency = mode
            shown = f"SELECT current_setting('{VARIABLE}'), 1"
            assert one(conn.execute(shown)) == (mode, 1)
            assert conn.last_route.node.startswith(FAR)
            assert conn.last_route.reason == "native_forwarding"


def test_native_sends_no_mode_to_the_writer(forwarding: Lab) -> None:
    with session(forwarding, forwarding="native") as conn:
        conn.execute("SELECT 1")
        shown = f"CREATE TEMP TABLE f_mode AS SELECT current_setting('{VARIABLE}') AS m"
        conn.execute(shown)
        assert conn.last_route.role is Role.WRITER
        assert one(conn.execute("SELECT m FROM f_mode")) == ("eventual",)


def test_native_leaves_a_write_to_the_nearest_reader(forwarding: Lab) -> None:
    with session(forwarding, forwarding="native") as conn:
        for sql in ("INSERT INTO f_t VALUES (1)", "SELECT * FROM f_t FOR UPDATE"):
            with pytest.raises(globaldb.ReadOnlyError, match="not enabled") as caught:
                conn.execute(sql)
            assert caught.value.route.reason == "native_forwarding"
            assert caught.value.route.node.startswith(FAR)
            assert conn.explain_route(sql).reason == "native_forwarding"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), conn.transaction():
            conn.execute("INSERT INTO f_t VALUES (1)")
        assert one(conn.execute("SELECT count(*) FROM f_t")) == (0,)


def test_native_takes_to_the_writer_what_no_reader_forwards(forwarding: Lab) -> None:
    with session(forwarding, forwarding="native") as conn:
        conn.execute("CREATE TABLE f_other (n int)")
        assert conn.last_route.role is Role.WRITER
        with conn.cursor() as cursor, cursor.copy("COPY f_t FROM STDIN") as copy:
            copy.write_row((1,))
        # What was written at the writer is waited for at the reader.
        assert one(conn.execute("SELECT n FROM f_t")) == (1,)
        with conn.transaction(), conn.transaction():
            conn.execute("INSERT INTO f_t VALUES (2)")
            assert conn.last_route.role is Role.WRITER
        conn.execute("DROP TABLE f_other")
        with conn.using(route="writer"):
            conn.execute("INSERT INTO f_t VALUES (3)")
        assert one(conn.execute("SELECT count(*) FROM f_t")) == (3,)


def test_native_refuses_what_a_transaction_at_its_reader_cannot_hold(
    forwarding: Lab,
) -> None:
    with session(forwarding, forwarding="native", autocommit=False) as conn:
        conn.execute("SELECT 1")
        assert conn.last_route.reason == "native_forwarding"
        refused = pytest.raises(globaldb.NotForwardedError)
        with refused:
            conn.execute("CREATE TABLE f_other (n int)")
        with refused, conn.transaction():
            pass
        with refused:
            conn.execute("SELECT pg_advisory_xact_lock(1)")
        assert one(conn.execute("SELECT 2")) == (2,)
        conn.commit()
