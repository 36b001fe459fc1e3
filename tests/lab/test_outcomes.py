"""A COMMIT that was not answered: what the database can tell, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from commits import (
    ASKED,
    INSERT,
    SPEC,
    WAITING,
    Commit,
    Connection,
    has,
    held_by_a_lock,
    held_by_a_standby,
    other,
    prepare,
    refresh,
    set_standby,
    status,
)
from promises import FAR, admin, caught_up, cluster, counts, one, until

import globaldb
from globaldb.core.outcome import End, Inquiry, Trace
from globaldb.core.topology import Role
from globaldb.core.trip import Reply, Trip
from globaldb.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pair(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    prepare(started)
    return started


@pytest.fixture
def lab(pair: Lab) -> Lab:
    refresh(pair)
    return pair


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab, connect_timeout=30) as found, found.connect() as conn:
        yield conn


def test_a_commit_that_was_not_answered_is_seen_by_its_session_at_a_reader(
    lab: Lab,
) -> None:
    # Beside the reader, wherever an earlier test has left the writer.
    reader = next(each for each in lab.nodes if each.name == other(lab))
    with cluster(lab, reader.region, connect_timeout=30) as found:
        with found.connect() as conn:
            commit = held_by_a_standby(lab, conn)
            with admin(lab, lab.writer().name) as writer:
                set_standby(writer, "")
            assert commit.wait() is None
            caught_up(lab)
            with conn.using(route="reader"):
                assert one(conn.execute("SELECT n FROM o")) == (1,)
            assert conn.last_route.role is Role.READER
            assert not conn.session.books.position_unknown


def test_a_commit_under_way_is_asked_for_again_until_it_has_ended(
    lab: Lab, conn: Connection
) -> None:
    with held_by_a_lock(lab, conn) as commit, admin(lab, lab.writer().name) as writer:
        [now] = one(writer.execute("SELECT clock_timestamp()"))
        until(has(writer, ASKED, now))
        assert status(writer, commit.trace.xid) == "in progress"
        assert commit.failure is None
    assert commit.wait() is None
    assert counts(lab, "o") == {1: 1}


def test_a_commit_that_never_ends_is_ended(lab: Lab) -> None:
    with cluster(lab, connect_timeout=1.5) as found, found.connect() as conn:
        with held_by_a_lock(lab, conn) as commit:
            told = commit.wait()
        assert isinstance(told, globaldb.NodeLostError)
        assert "rolled back" in str(told)
    assert counts(lab, "o") == {}


def test_a_transaction_whose_commit_does_not_arrive_is_ended(
    lab: Lab, conn: Connection
) -> None:
    asking = conn.session.cluster.driver
    commit = Commit(conn)
    with cluster(lab) as found, found.connect() as another:
        another.execute("BEGIN")
        another.execute("CREATE TEMP TABLE mine ()")
        link = another.session.lease.connection

        def told(trace: Trace, end: End) -> str | None:
            reply = Reply()
            asking.travel(link, None, Trip(inquiry=Inquiry(trace, end)), reply)
            return None if reply.told is None else reply.told.status

        # Whoever has its number in another run of the server is left alone.
        for run in ({"started": "1.5"}, {"recovered": 1 << 20}):
            stranger = replace(commit.trace, run=replace(commit.trace.run, **run))
            told(stranger, End.BUSY)
        assert told(commit.trace, End.WAITING) == "in progress"
        until(lambda: told(commit.trace, End.NO) == "aborted")
        another.rollback()
    commit.send()
    assert isinstance(commit.wait(), globaldb.NodeLostError)


def test_a_commit_that_waits_for_a_standby_is_left_alone(lab: Lab) -> None:
    with cluster(lab, connect_timeout=1.5) as found, found.connect() as conn:
        commit = held_by_a_standby(lab, conn)
        told = commit.wait()
        assert isinstance(told, globaldb.OutcomeUnknownError)
        assert "still under way" in str(told)
    with admin(lab, lab.writer().name) as writer:
        assert has(writer, WAITING.format("SyncRep"))()
        set_standby(writer, "")
    until(lambda: counts(lab, "o") == {1: 1})


def test_what_has_gone_with_the_connection_is_told_after_the_commit(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 2 AS n")
    lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")
    with conn.transaction():
        conn.execute(INSERT, (1,))
    assert counts(lab, "o") == {1: 1}
    with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
        conn.execute("INSERT INTO o SELECT n FROM mine")
    with pytest.raises(globaldb.ProgrammingError):
        conn.execute("SELECT n FROM mine")
    assert counts(lab, "o") == {1: 1}


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
def test_a_transaction_that_only_read_has_nothing_to_lose(
    lab: Lab, conn: Connection, isolation: str
) -> None:
    def read() -> None:
        with conn.using(route="writer"), conn.transaction():
            conn.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            conn.execute("SELECT n FROM o")
            lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")

    serializable = pytest.raises(globaldb.NodeLostError, match="rolled back")
    with serializable if isolation == "SERIALIZABLE" else nullcontext():
        read()


def test_a_failed_transaction_was_rolled_back_whatever_the_network_does(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN")
    conn.execute(INSERT, (1,))
    with pytest.raises(globaldb.ProgrammingError):
        conn.execute("SELECT nonsense")
    lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")
    assert conn.execute("COMMIT").statusmessage == "ROLLBACK"
    assert counts(lab, "o") == {}


def test_what_is_not_followed_in_the_log_is_not_told_after_it_was_lost(
    conn: Connection,
) -> None:
    """A temporary table's rows use the id, and leave no trace of it in the log."""
    transaction = conn.session.transaction
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT 1 FROM o FOR UPDATE")
        assert transaction.trace is None
        conn.execute("CREATE TEMP TABLE mine (n int)")
        first = transaction.trace
        with conn.cursor() as cursor, cursor.copy("COPY mine FROM STDIN") as rows:
            rows.write_row((1,))
        assert transaction.trace == first.blurred()
        conn.execute("LOCK TABLE mine")
        assert transaction.trace == first.blurred()
        conn.execute(INSERT, (1,))
        assert transaction.trace.xid == first.xid
        assert transaction.trace.written > first.written
        told = transaction.trace
        conn.execute("SELECT n FROM o")
        assert transaction.trace is told
    assert transaction.trace is None


def insert_many(conn: Connection) -> None:
    conn.cursor().executemany(INSERT, [(1,), (2,)])


def insert_many_and_look(conn: Connection) -> None:
    cursor = conn.cursor()
    rows = [(1,), (2,)]
    cursor.executemany(INSERT + " RETURNING n", rows, returning=True)
    assert [each.fetchone() for each in cursor.results()] == rows


def insert_one_then_many(conn: Connection) -> None:
    conn.execute(INSERT, (1,))
    conn.cursor().executemany(INSERT, [(2,)])


def copy(conn: Connection) -> None:
    with conn.cursor() as cursor, cursor.copy("COPY o FROM STDIN") as rows:
        rows.write_row((1,))
        rows.write_row((2,))


@pytest.mark.parametrize("when", ["reply", "request"])
@pytest.mark.parametrize(
    ("write", "followed"),
    [
        (insert_many, True),
        (insert_many_and_look, True),
        (insert_one_then_many, True),
        (copy, False),
    ],
)
def test_what_the_driver_says_by_itself_is_asked_for_too(
    lab: Lab,
    conn: Connection,
    write: Callable[[Connection], None],
    when: str,
    *,
    followed: bool,
) -> None:
    lost = pytest.raises(globaldb.NodeLostError)
    with lost if when == "request" else nullcontext(), conn.transaction():
        write(conn)
        trace = conn.session.transaction.trace
        assert trace is not None
        assert (trace.written is not None) == followed
        lab.cut(FAR, lab.writer().name, when, containing="COMMIT")
    assert counts(lab, "o") == ({} if when == "request" else {1: 1, 2: 1})


@pytest.mark.parametrize("when", ["reply", "request"])
def test_a_write_outside_a_transaction_can_be_resolved_for_another_trip(
    lab: Lab, when: str
) -> None:
    with cluster(lab, resolve_autocommit=True) as found, found.connect() as conn:
        lab.cut(FAR, lab.writer().name, when, containing="INSERT INTO o")
        conn.execute(INSERT, (0,))
        lab.cut(FAR, lab.writer().name, when, containing="COMMIT")
        try:
            [row] = conn.execute(INSERT + " RETURNING n", (1,)).fetchall()
            assert (row, when) == ((1,), "reply")
        except globaldb.NodeLostError:
            assert when == "request"
        with pytest.raises(globaldb.DataError):
            conn.execute("INSERT INTO o VALUES (1 / 0)")
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        # What may be in no transaction is sent as ever.
        conn.execute("VACUUM o")
    expected = {0: 1, 1: 1} if when == "reply" else {0: 1}
    assert counts(lab, "o") == expected


def test_a_transaction_that_may_be_prepared_was_not_certainly_lost(
    lab: Lab, conn: Connection
) -> None:
    conn.set_autocommit(False)
    conn.tpc_begin("one")
    conn.execute(INSERT, (1,))
    lab.cut(FAR, lab.writer().name, "reply", containing="PREPARE TRANSACTION")
    with pytest.raises(globaldb.OutcomeUnknownError):
        conn.tpc_prepare()
    with admin(lab, lab.writer().name) as writer:
        prepared = "SELECT gid FROM pg_prepared_xacts"
        assert one(writer.execute(prepared)) == ("one",)
        conn.close()
        with globaldb.connect(lab.url(FAR), autocommit=True) as another:
            another.tpc_rollback("one")
        assert writer.execute(prepared).fetchall() == []
