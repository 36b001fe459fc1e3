"""What a random application was told otherwise than by one server: it no more is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pymysql
import pytest
from lab_client import run
from promises import FAR, cluster, one, table

import globaldb
from globaldb.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    table(lab, "r_seen", "id serial, n int")
    with cluster(lab) as found:
        yield found


def test_many_rows_follow_a_setting_that_goes_ahead_of_them(
    found: globaldb.Cluster,
) -> None:
    with found.connect() as conn:
        conn.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        with conn.cursor() as cursor:
            cursor.executemany("INSERT INTO r_seen (n) VALUES (%s)", [(1,), (2,)])
            with cursor.copy("COPY r_seen (n) FROM STDIN") as copy:
                copy.write_row((3,))
        read = "SELECT array_agg(n ORDER BY n) FROM r_seen"
        assert one(conn.execute(read)) == ([1, 2, 3],)


@pytest.mark.parametrize("first", ["SELECT n FROM r_seen FOR UPDATE", "LISTEN r_seen"])
def test_lastval_tells_nothing_of_another_session_later_in_a_transaction(
    lab: Lab, first: str
) -> None:
    table(lab, "r_seen", "id serial, n int")
    draw = "INSERT INTO r_seen (n) VALUES (1) RETURNING id"
    # With a pool of one connection the other one certainly gets the same.
    with cluster(lab, pool_max_size=1) as found:
        with found.connect() as conn, found.connect() as other:
            conn.execute(draw)
            other.execute(draw)
            with conn.transaction():
                conn.execute(first)
                with pytest.raises(psycopg.ProgrammingError, match="another session"):
                    conn.execute("SELECT lastval()")
                [drawn] = one(conn.execute(draw))
                assert one(conn.execute("SELECT lastval()")) == (drawn,)


def test_tables_stay_locked_outside_autocommit(mysql_lab: Lab) -> None:
    with (
        globaldb.Cluster(mysql_lab.url(FAR)) as found,
        contextlib.closing(found.connect()) as conn,
        contextlib.closing(found.connect()) as other,
    ):
        run(conn, "DROP TABLE IF EXISTS r_locked, r_not_locked")
        run(conn, "CREATE TABLE r_locked (n int)")
        run(conn, "CREATE TABLE r_not_locked (n int)")
        run(conn, "LOCK TABLES r_locked WRITE")
        run(conn, "INSERT INTO r_locked VALUES (1)")
        with pytest.raises(pymysql.OperationalError, match="not locked"):
            run(conn, "SELECT n FROM r_not_locked")
        conn.commit()
        run(conn, "INSERT INTO r_locked VALUES (2)")
        conn.rollback()
        run(conn, "INSERT INTO r_locked VALUES (3)")
        run(other, "SET lock_wait_timeout = 1")
        with pytest.raises(pymysql.OperationalError, match="timeout"):
            run(other, "INSERT INTO r_locked VALUES (4)")
        conn.commit()
        conn.autocommit(True)
        run(conn, "INSERT INTO r_locked VALUES (5)")
        conn.rollback()
        run(conn, "UNLOCK TABLES")
        other.rollback()
        assert run(other, "SELECT n FROM r_locked ORDER BY n") == [(1,), (3,), (5,)]


def test_begin_unlocks_tables(mysql_lab: Lab) -> None:
    with (
        globaldb.Cluster(mysql_lab.url(FAR)) as found,
        contextlib.closing(found.connect()) as conn,
    ):
        run(conn, "DROP TABLE IF EXISTS r_locked, r_not_locked")
        run(conn, "CREATE TABLE r_locked (n int)")
        run(conn, "CREATE TABLE r_not_locked (n int)")
        run(conn, "LOCK TABLES r_locked WRITE")
        run(conn, "INSERT INTO r_locked VALUES (1)")
        conn.begin()
        run(conn, "INSERT INTO r_not_locked VALUES (2)")
        conn.rollback()
        run(conn, "INSERT INTO r_not_locked VALUES (3)")
        conn.rollback()
        assert run(conn, "SELECT n FROM r_locked") == [(1,)]
        assert run(conn, "SELECT n FROM r_not_locked") == []
