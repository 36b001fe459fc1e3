"""What lives on one connection keeps it, and leaves it clean for the next session."""

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
    """Two connections for each node: one to keep, one for the others."""
    with globaldb.Cluster(
        near_lab.url(HERE), latency_factor=1, latency_window=0.001, pool_max_size=2
    ) as cluster:
        yield cluster


@pytest.fixture(params=["psycopg", "globaldb"])
def opening(
    request: pytest.FixtureRequest, near_lab: Lab, narrow: globaldb.Cluster
) -> Iterator[Any]:
    writer = near_lab.nodes[0]
    dsn = near_lab.dsn(writer.region, writer.name)

    with contextlib.ExitStack() as stack:

        def make() -> Any:
            conn = psycopg.connect(dsn)
            if request.param == "globaldb":
                conn.close()
                conn = narrow.connect()
            conn.autocommit = True
            return stack.enter_context(contextlib.closing(conn))

        yield make


def test_temporary_tables_stay_within_reach(opening: Any, table: str) -> None:
    one, other = opening(), opening()
    one.execute(f"CREATE TEMP TABLE {table} (n int)")
    one.execute(f"INSERT INTO {table} VALUES (1)")
    for _ in range(3):
        assert one.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute(f"SELECT n FROM {table}")
    one.execute("DISCARD TEMP")
    with pytest.raises(psycopg.errors.UndefinedTable):
        one.execute(f"SELECT n FROM {table}")


def test_temporary_tables_end_with_their_session(opening: Any, table: str) -> None:
    one = opening()
    one.execute(f"CREATE TEMPORARY TABLE {table} (n int)")
    one.close()
    for _ in range(3):
        other = opening()
        other.execute(f"CREATE TEMP TABLE {table} (n int)")
        other.close()


def test_temporary_tables_survive_transactions(opening: Any, table: str) -> None:
    one = opening()
    with one.transaction():
        one.execute(f"CREATE TEMP TABLE {table} (n int)")
    one.autocommit = False
    one.execute(f"INSERT INTO {table} VALUES (1)")
    one.commit()
    one.execute(f"INSERT INTO {table} VALUES (2)")
    one.rollback()
    assert one.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]
    one.rollback()


def test_tables_made_by_select_into_temp_are_kept(opening: Any, table: str) -> None:
    one = opening()
    one.execute(f"SELECT 1 AS n INTO TEMP {table}")
    assert one.execute(f"SELECT n FROM {table}").fetchall() == [(1,)]


@pytest.mark.parametrize("shape", ["%s", "%s::int, 7"])
def test_advisory_locks_exclude_another_session(
    opening: Any, table: str, shape: str
) -> None:
    one, other = opening(), opening()
    key = int(table.rpartition("_")[2])
    held = one.execute(f"SELECT pg_try_advisory_lock({shape})", (key,)).fetchone()
    assert held == (True,)
    for _ in range(3):
        one.execute("SELECT 1")
        query = f"SELECT pg_try_advisory_lock({shape})"
        assert other.execute(query, (key,)).fetchone() == (False,)
    unlock = f"SELECT pg_advisory_unlock({shape})"
    assert one.execute(unlock, (key,)).fetchone() == (True,)
    query = f"SELECT pg_try_advisory_lock({shape})"
    assert other.execute(query, (key,)).fetchone() == (True,)


def test_advisory_locks_end_with_their_session(opening: Any, table: str) -> None:
    key = int(table.rpartition("_")[2])
    for _ in range(3):
        one = opening()
        # Closing does not wait for the server, so the next one may have to.
        one.execute("SET lock_timeout TO '10s'")
        one.execute("SELECT pg_advisory_lock(%s)", (key,))
        one.close()


def test_locks_of_a_transaction_end_with_it(opening: Any, table: str) -> None:
    one, other = opening(), opening()
    key = int(table.rpartition("_")[2])
    query = "SELECT pg_try_advisory_xact_lock(%s)"
    with one.transaction():
        assert one.execute(query, (key,)).fetchone() == (True,)
        assert other.execute(query, (key,)).fetchone() == (False,)
    assert other.execute(query, (key,)).fetchone() == (True,)


def test_currval_is_the_sessions_own(opening: Any, table: str) -> None:
    one, other = opening(), opening()
    one.execute(f"CREATE SEQUENCE {table}")
    with one.transaction():
        one.execute(f"SELECT nextval('{table}')")
        assert one.execute(f"SELECT currval('{table}')").fetchone() == (1,)
        assert one.execute("SELECT lastval()").fetchone() == (1,)
    with pytest.raises((psycopg.ProgrammingError, psycopg.OperationalError)):
        other.execute(f"SELECT currval('{table}')")


def test_currval_outside_a_transaction_is_right_or_refused(
    narrow: globaldb.Cluster, table: str
) -> None:
    one, other = narrow.connect(), narrow.connect()
    with contextlib.closing(one), contextlib.closing(other):
        one.autocommit = other.autocommit = True
        one.execute(f"CREATE SEQUENCE {table}")
        one.execute(f"SELECT nextval('{table}')")
        assert one.execute(f"SELECT currval('{table}')").fetchone() == (1,)
        one.execute(f"SELECT nextval('{table}')")
        other.execute(f"SELECT nextval('{table}')")
        # From the first currval() on the session keeps what it has written on.
        assert one.execute(f"SELECT currval('{table}')").fetchone() == (2,)


def test_pinned_sessions_say_so(narrow: globaldb.Cluster, table: str) -> None:
    with contextlib.closing(narrow.connect()) as one:
        one.autocommit = True
        one.execute(f"CREATE TEMP TABLE {table} (n int)")
        one.execute("SELECT 1")
        assert one.last_route.reason == "pinned"
        assert one.last_route.role.value == "writer"
        one.execute("DISCARD ALL")
        one.execute("SELECT 1")
        assert one.last_route.role.value in ("reader", "writer")
        assert one.last_route.reason != "pinned"


def test_a_pinned_connection_comes_back_clean(
    narrow: globaldb.Cluster, table: str
) -> None:
    with contextlib.closing(narrow.connect()) as one:
        one.autocommit = True
        one.execute(f"CREATE TEMP TABLE {table} (n int)")
        one.execute("SET application_name TO 'pinned'")
        one.execute(f"LISTEN {table}")
        one.execute("SELECT pg_advisory_lock(77)")
        one.execute("DECLARE held CURSOR WITH HOLD FOR SELECT 1")
    with contextlib.closing(narrow.connect()) as other:
        other.autocommit = True
        for _ in range(3):
            with other.transaction():
                found = other.execute(
                    "SELECT current_setting('application_name'), "
                    "(SELECT count(*) FROM pg_listening_channels()), "
                    "(SELECT count(*) FROM pg_cursors WHERE name LIKE 'held%'), "
                    "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                    " AND objid = 77 AND pid = pg_backend_pid()), "
                    f"to_regclass('pg_temp.{table}')"
                ).fetchone()
            assert found[0] != "pinned"
            assert found[1:] == (0, 0, 0, None)


def test_fileno_is_a_descriptor_of_the_connection(opening: Any) -> None:
    one = opening()
    assert one.fileno() > 0
    assert one.pgconn.socket == one.fileno()
    assert one.execute("SELECT 1").fetchone() == (1,)
