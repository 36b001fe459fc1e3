"""The checks of the promises can fail: each sees a violation that is planted for it.

Planted is the loss of one precaution. With it the check passes, without it the same
check raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    WRITER,
    BrokenPromiseError,
    Outcome,
    admin,
    caught_up,
    cluster,
    counts,
    exactly_once,
    monotonic_reads,
    one,
    outcome_of,
    reads_own_writes,
    table,
)

import globaldb
from globaldb.core.faults import FaultVerdict
from globaldb.core.postgresql.classify import classify
from globaldb.core.session import SessionState
from globaldb.core.statement import Statement, Verdict
from globaldb.core.transaction import Transaction
from globaldb.drivers.psycopg import position
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.flow import read, send, write
from globaldb.runtime.flow.wait import Wait

pytestmark = pytest.mark.lab

SPEC = LabSpec(
    regions={HOME: 1, FAR: 1},
    rtt={(HOME, FAR): 0.02},
    settings={"wal_writer_delay": "10s"},
)
Connection = Any
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab) as found, found.connect() as conn:
        with conn.using(route="writer"):
            conn.execute("SELECT count(*) FROM t")
        for _ in range(2):
            conn.execute("SELECT count(*) FROM t")
        yield conn


def put(conn: Connection, key: int) -> None:
    conn.execute("INSERT INTO t VALUES (%s)", (key,))


def lazily(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit = off")
        put(conn, key)


def keys(conn: Connection) -> list[int]:
    return [n for (n,) in conn.execute("SELECT n FROM t").fetchall()]


def an_older_position(patch: Patch) -> None:
    older = position.WRITER.replace(
        b"pg_catalog.pg_current_wal_flush_lsn(),"
        b" pg_catalog.pg_current_wal_insert_lsn(),",
        b"'0/1'::pg_lsn, '0/1'::pg_lsn,",
    )
    assert older != position.WRITER
    patch.setattr(position, "WRITER", older)


def a_fence_that_is_always_satisfied(patch: Patch) -> None:
    patch.setattr(read, "reached", lambda *_: True)
    # It has been seen to lag, so that nobody would look.
    patch.setattr(Wait, "worth_a_look", property(lambda _: True))


def positions_forgotten(patch: Patch) -> None:
    patch.setattr(SessionState, "captured", lambda *_, **__: None)


def a_lost_position_ignored(patch: Patch) -> None:
    patch.setattr(position, "WRITER", b"SELECT 1/0")
    patch.setattr(SessionState, "lost_position", lambda *_: None)


def a_commit_taken_for_flushed(patch: Patch) -> None:
    tell = position._lsn
    patch.setattr(position, "_lsn", lambda row, **_: tell(row, durable=True))


@pytest.mark.parametrize(
    ("plant", "writing", "lag"),
    [
        (an_older_position, put, 1.0),
        (a_fence_that_is_always_satisfied, put, 1.0),
        (positions_forgotten, put, 1.0),
        (a_lost_position_ignored, put, 1.0),
        (a_commit_taken_for_flushed, lazily, 0.0),
    ],
)
def test_a_session_that_misses_its_own_write_is_seen(
    lab: Lab, conn: Connection, plant: Plant, writing: Any, lag: float
) -> None:
    def check(first: int) -> None:
        each = range(first, first + 3)
        reads_own_writes(lambda key: writing(conn, key), lambda: keys(conn), each)

    for region in (HOME, FAR):
        lab.lag(region, lag)
    check(0)
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        # Earlier writes must not be what the check stumbles over.
        with admin(lab) as writer:
            writer.execute("DROP TABLE IF EXISTS flush")
            writer.execute("CREATE TABLE flush ()")
        for region in (HOME, FAR):
            lab.lag(region, 0)
        caught_up(lab)
        for region in (HOME, FAR):
            lab.lag(region, lag)
        with pytest.raises(BrokenPromiseError):
            check(10)


def nodes_not_remembered(patch: Patch) -> None:
    patch.setattr(SessionState, "read", lambda _self, _node, _ended_at: None)


def nodes_left_without_a_position(patch: Patch) -> None:
    patch.setattr(SessionState, "left", lambda _self, _position, _asked_at: True)


@pytest.mark.parametrize("plant", [nodes_not_remembered, nodes_left_without_a_position])
def test_a_session_that_reads_backwards_is_seen(
    lab: Lab, conn: Connection, plant: Plant
) -> None:
    lab.lag(FAR, 30)

    def check() -> None:
        """Read from a fresh reader, then from one that lags behind."""
        seen = []
        for _ in range(2):
            with admin(lab, WRITER) as writer:
                writer.execute("INSERT INTO t VALUES (1)")
            caught_up_at_home(lab)
            for region in (HOME, FAR):
                with conn.using(region=region):
                    seen.append(int(one(conn.execute("SELECT count(*) FROM t"))[0]))
        monotonic_reads(seen)
        assert seen[-1] > 0

    check()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        conn.session.books.floor = None
        with pytest.raises(BrokenPromiseError):
            check()


def caught_up_at_home(lab: Lab) -> None:
    with admin(lab, WRITER) as writer, admin(lab, "us-west-2-2") as reader:
        [text] = one(writer.execute("SELECT pg_current_wal_flush_lsn()"))
        query = f"SELECT pg_last_wal_replay_lsn() >= '{text}'"
        while one(reader.execute(query)) != (True,):
            pass


def a_lost_write_repeated(patch: Patch) -> None:
    patch.setattr(write, "raise_unknown", lambda *_arguments: None)
    patch.setattr(write, "_AGAIN", (*write._AGAIN, FaultVerdict.UNKNOWN))


def test_a_write_that_is_done_twice_is_seen(lab: Lab, conn: Connection) -> None:
    def check(key: int) -> None:
        lab.cut(FAR, WRITER, "reply", containing="INSERT INTO t")
        reported = {key: outcome_of(lambda: put(conn, key))}
        found = {n: rows for n, rows in counts(lab, "t").items() if n == key}
        exactly_once(reported, found)

    check(1)
    with pytest.MonkeyPatch.context() as patch:
        a_lost_write_repeated(patch)
        with pytest.raises(BrokenPromiseError):
            check(2)
    assert counts(lab, "t") == {1: 1, 2: 2}


def savepoints_that_outlive_their_transaction(patch: Patch) -> None:
    lost = Transaction.lost

    def half_lost(book: Transaction) -> None:
        pending, savepoints = list(book._pending), list(book._savepoints)
        lost(book)
        book._pending, book._savepoints = pending, savepoints

    patch.setattr(Transaction, "lost", half_lost)


def test_a_half_applied_transaction_is_seen(lab: Lab, conn: Connection) -> None:
    def work(key: int) -> None:
        with conn.transaction():
            put(conn, key)
            with pytest.raises(globaldb.Error), conn.transaction():
                conn.execute("INSERT INTO t SELECT 99")
            put(conn, key + 1)

    def check(key: int) -> None:
        lab.cut(FAR, WRITER, "request", containing="SELECT 99")
        outcome = outcome_of(lambda: work(key))
        found = {n: rows for n, rows in counts(lab, "t").items() if n >= key}
        exactly_once({key: outcome, key + 1: outcome}, found)

    check(1)
    with pytest.MonkeyPatch.context() as patch:
        savepoints_that_outlive_their_transaction(patch)
        with pytest.raises(BrokenPromiseError):
            check(11)


def test_a_setting_that_is_not_replayed_is_seen(conn: Connection) -> None:
    def check(value: str) -> None:
        conn.execute(f"SET my.x = '{value}'")
        for route in ("auto", "writer"):
            with conn.using(route=route):
                found = one(conn.execute("SELECT current_setting('my.x', true)"))
            if found != (value,):
                raise BrokenPromiseError(f"{found} by {route} after SET to {value}")

    check("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "replay", lambda *_: ())
        with pytest.raises(BrokenPromiseError):
            check("two")


def test_a_write_taken_for_a_read_is_refused_and_done_once(
    lab: Lab, conn: Connection
) -> None:
    """Not every loss is a violation: here the reader itself is the second guard."""

    def everything_reads(query: str) -> Statement:
        return Statement(Verdict.READ, "planted", classify(query).command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conn, "_lookup", everything_reads)
        reported = {key: outcome_of(lambda k=key: put(conn, k)) for key in range(3)}  # type: ignore[misc]
        assert conn.last_route.reason == "refused_by_reader"
        assert conn.last_route.tried
    assert set(reported.values()) == {Outcome.APPLIED}
    exactly_once(reported, counts(lab, "t"))
    assert sorted(keys(conn)) == [0, 1, 2]
