"""A write has succeeded once its completion arrived, and its position covers it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    READER,
    admin,
    caught_up,
    cluster,
    counts,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.core.position import Lsn
from globaldb.drivers.psycopg import position
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.02},
    # What was not flushed for a commit is not flushed in the time of a test.
    settings={"wal_writer_delay": "10s"},
)
PAGE = 8192
EMIT = "SELECT pg_logical_emit_message(true, 'x', repeat('x', %s))"


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        with admin(lab) as writer:
            writer.execute(
                "CREATE PROCEDURE put(k int) LANGUAGE plpgsql AS "
                "'BEGIN INSERT INTO t VALUES (k); END'"
            )
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    return near


Connection = Any
Write = Callable[[Connection, int], object]


def autocommit(conn: Connection, key: int) -> None:
    assert conn.execute("INSERT INTO t VALUES (%s)", (key,)).rowcount == 1


def block(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("INSERT INTO t VALUES (%s)", (key,))


def spelled_out(conn: Connection, key: int) -> None:
    conn.execute("BEGIN")
    conn.execute("INSERT INTO t VALUES (%s)", (key,))
    assert conn.execute("COMMIT").statusmessage == "COMMIT"


def procedure(conn: Connection, key: int) -> None:
    conn.execute("CALL put(%s)", (key,))


def copied(conn: Connection, key: int) -> None:
    with conn.transaction(), conn.cursor().copy("COPY t FROM STDIN") as copy:
        copy.write_row((key,))


WRITES = [autocommit, block, spelled_out, procedure, copied]


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


def warm(found: globaldb.Cluster) -> Connection:
    """A connection whose reads are local, of a cluster that knows its writer."""
    conn = found.connect()
    # A commit, which has the server flush whatever it was to flush later.
    conn.execute(EMIT, (1,))

    def is_local() -> bool:
        conn.execute("SELECT count(*) FROM t")
        return reason(conn) == "nearest_reader"

    until(is_local)
    return conn


def local_again(lab: Lab, conn: Connection) -> None:
    """The readers follow again, so the session's reads are local, and see its write."""
    lab.lag(FAR, 0)
    with admin(lab) as writer:
        flush(writer)

    def is_local() -> bool:
        assert one(conn.execute("SELECT count(*) FROM t")) == (1,)
        return reason(conn) == "nearest_reader"

    until(is_local)


def flush(writer: psycopg.Connection[Any]) -> None:
    """Make the server flush what it has written, as any commit does."""
    writer.execute("DROP TABLE IF EXISTS flush")
    writer.execute("CREATE TABLE flush ()")


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_position_is_refused_is_reported_as_done(
    lab: Lab, write: Write
) -> None:
    function = "FUNCTION pg_current_wal_flush_lsn()"
    with cluster(lab) as found, admin(lab) as writer, warm(found) as conn:
        lab.lag(FAR, 30)
        writer.execute(f"REVOKE EXECUTE ON {function} FROM PUBLIC")
        try:
            write(conn, 1)
            # Its reads see the write: at the writer, until a position is known.
            for _ in range(3):
                assert one(conn.execute("SELECT count(*) FROM t")) == (1,)
                assert reason(conn) == "position_unknown"
        finally:
            writer.execute(f"GRANT EXECUTE ON {function} TO PUBLIC")
        assert one(conn.execute("SELECT count(*) FROM t")) == (1,)
        assert reason(conn) == "position_unknown"
        local_again(lab, conn)


def strike(lab: Lab, function: str) -> None:
    """End what asks for the position, once it is that alone which is under way."""
    with admin(lab) as writer:
        query = (
            f"SELECT {function}(pid) FROM pg_stat_activity "
            "WHERE state = 'active' AND query LIKE '%%pg_sleep(31)%%' AND pid <> pg_backend_pid()"
        )
        until(lambda: writer.execute(query).rowcount == 1)


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_of_which_only_the_position_is_lost_is_reported_as_done(
    lab: Lab, write: Write, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(lab) as found, warm(found) as conn:
        lab.lag(FAR, 30)
        striker = threading.Thread(target=strike, args=(lab, function))
        with monkeypatch.context() as patch, within(10):
            patch.setattr(position, "WRITER", b"SELECT pg_sleep(31)")
            striker.start()
            write(conn, 1)
        striker.join()
        assert one(conn.execute("SELECT count(*) FROM t")) == (1,)
        assert reason(conn) == "position_unknown"
        local_again(lab, conn)
    assert counts(lab, "t") == {1: 1}


def test_a_token_taken_after_a_lost_position_covers_the_write(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(lab) as found, warm(found) as conn, warm(found) as other:
        lab.lag(FAR, 30)
        with monkeypatch.context() as patch:
            patch.setattr(position, "WRITER", b"SELECT 1/0")
            autocommit(conn, 1)
        other.observe(conn.token)
        for each in (conn, other):
            assert one(each.execute("SELECT count(*) FROM t")) == (1,)
            assert reason(each) == "reader_behind"


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_write_that_failed_on_a_row_has_shown_that_row(lab: Lab, when: str) -> None:
    """Insert, or else read what is there: the read must find it."""
    with admin(lab) as writer:
        writer.execute(f"ALTER TABLE t ADD UNIQUE (n) {when}")
        caught_up(lab)
        with cluster(lab) as found, warm(found) as conn, warm(found) as other:
            lab.lag(FAR, 30)
            writer.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(globaldb.IntegrityError):
                autocommit(conn, 1)
            with pytest.raises(globaldb.IntegrityError):
                block(other, 1)
            for each in (conn, other):
                assert one(each.execute("SELECT count(*) FROM t")) == (1,)


def switch_off(how: str) -> Write:
    def write(conn: Connection, key: int) -> None:
        with conn.transaction():
            conn.execute(how)
            conn.execute("INSERT INTO t VALUES (%s)", (key,))

    return write


def switch_off_last(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("INSERT INTO t VALUES (%s)", (key,))
        with conn.transaction():
            conn.execute("SET LOCAL synchronous_commit = off")


def by_function(conn: Connection, key: int) -> None:
    conn.execute("SELECT lazily(%s)", (key,))


def by_function_in_a_block(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("SELECT lazily(%s)", (key,))


def for_the_session(conn: Connection, key: int) -> None:
    conn.execute("SET synchronous_commit = off")
    autocommit(conn, key)


LAZY_WRITES = {
    "set local": switch_off("SET LOCAL synchronous_commit = off"),
    "set_config": switch_off("SELECT set_config('synchronous_commit', 'off', true)"),
    "set local in a savepoint": switch_off_last,
    "a function": by_function,
    "a function in a transaction": by_function_in_a_block,
    "the session": for_the_session,
    "the role": autocommit,
    "a transaction of the role": block,
    "a procedure of the role": procedure,
}


@pytest.mark.parametrize("how", LAZY_WRITES)
def test_the_position_of_a_commit_that_was_not_flushed_covers_it(
    lab: Lab, how: str
) -> None:
    role = "app" if "role" in how else "nobody"
    with admin(lab) as writer, admin(lab, READER) as reader:
        writer.execute(
            "CREATE OR REPLACE FUNCTION lazily(k int) RETURNS void LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM set_config('synchronous_commit', 'off', true); "
            "INSERT INTO t VALUES (k); END$$"
        )
        if role == "app":
            writer.execute("ALTER ROLE app SET synchronous_commit = off")
        try:
            with cluster(lab) as found, found.connect() as conn:
                for key in range(5):
                    LAZY_WRITES[how](conn, key)
                    required = conn.session.books.floor.log
                    [flushed] = one(writer.execute("SELECT pg_current_wal_flush_lsn()"))
                    early = visible_with(reader, Lsn.parse(flushed, 1))
                    # It is seen at once by its session, wherever that has to read.
                    with within(1.0):
                        assert one(conn.execute("SELECT count(*) FROM t")) == (key + 1,)
                    flush(writer)
                    assert visible_with(reader, required) == key + 1
                    if early == key:
                        # The flush position was reached, and the row was not there.
                        return
            pytest.fail("the server flushed everything by itself")
        finally:
            writer.execute("ALTER ROLE app RESET synchronous_commit")


def visible_with(reader: psycopg.Connection[Any], required: Lsn) -> int:
    """The rows a reader shows once it has replayed *required*, read right behind it."""

    def reached() -> bool:
        [text] = one(reader.execute("SELECT pg_last_wal_replay_lsn()"))
        return Lsn.parse(text, required.timeline).covers(required)

    until(reached)
    return int(one(reader.execute("SELECT count(*) FROM t"))[0])


def read_there(conn: Connection) -> int:
    with conn.using(consistency="global"):
        return int(one(conn.execute("SELECT count(*) FROM t"))[0])


def read_in_a_block(conn: Connection) -> int:
    with conn.transaction():
        return int(one(conn.execute("SELECT count(*) FROM t"))[0])


def write_nothing(conn: Connection) -> int:
    return int(conn.execute("UPDATE t SET n = n WHERE n < 0 OR n >= 0").rowcount)


def write_nothing_in_vain(conn: Connection) -> int:
    found = conn.execute(
        "WITH gone AS (DELETE FROM t WHERE n < 0) SELECT count(*) FROM t"
    )
    return int(one(found)[0])


@pytest.mark.parametrize(
    "look", [read_there, read_in_a_block, write_nothing, write_nothing_in_vain]
)
def test_what_was_seen_at_the_writer_is_seen_again_although_it_was_not_flushed(
    lab: Lab, look: Callable[[Connection], int]
) -> None:
    with (
        cluster(lab, transaction_reads="writer") as found,
        warm(found) as conn,
        admin(lab) as other,
    ):
        other.execute("SET synchronous_commit = off")
        for _ in range(3):
            other.execute("INSERT INTO t VALUES (1)")
        seen = look(conn)
        assert seen == 3
        with within(1.0):
            assert one(conn.execute("SELECT count(*) FROM t")) == (seen,)


def insert_position(writer: psycopg.Connection[Any]) -> int:
    [text] = one(writer.execute("SELECT pg_current_wal_insert_lsn()"))
    return Lsn.parse(text, 1).value


def steer(writer: psycopg.Connection[Any], overhead: int) -> int | None:
    """Bytes to write so that the next commit ends a page; None where it cannot."""
    remaining = PAGE - insert_position(writer) % PAGE
    payload = remaining - overhead
    if payload < 64:
        # Too near to the end of the page: go to the middle of the next one.
        writer.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 4000))")
        return None
    return payload


@contextmanager
def flushing(writer: psycopg.Connection[Any]) -> Iterator[None]:
    """Have the server flush what no commit waits for, and write nothing for it."""
    writer.execute("ALTER SYSTEM SET wal_writer_delay = '5ms'")
    writer.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        writer.execute("ALTER SYSTEM RESET wal_writer_delay")
        writer.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("durability", ["on", "off"])
def test_a_commit_at_the_end_of_a_page_does_not_stall_its_reads(
    lab: Lab, durability: str
) -> None:
    hits, overhead = 0, 120
    with (
        cluster(lab) as found,
        admin(lab) as writer,
        admin(lab, READER) as reader,
        flushing(writer),
        warm(found) as conn,
    ):
        conn.execute(f"SET synchronous_commit = {durability}")
        for _ in range(100):
            payload = steer(writer, overhead)
            if payload is None:
                continue
            before = insert_position(writer)
            with within(0.5):
                conn.execute(EMIT, (payload,))
                conn.execute("SELECT 1 FROM t")
            after = insert_position(writer)
            if after % PAGE != 24:
                # Learn what a record costs beside its text, headers of pages left out.
                headers = (after // PAGE - before // PAGE) * 24
                overhead = after - before - payload - headers
                continue
            required = conn.session.books.floor.log
            assert required.value == after - 24
            visible_with(reader, required)
            # The server is idle: past the header there is nothing to wait for.
            time.sleep(0.05)
            [text] = one(reader.execute("SELECT pg_last_wal_replay_lsn()"))
            if insert_position(writer) != after:
                # It was not: it writes something down for itself now and then.
                continue
            assert Lsn.parse(text, 1).value == after - 24
            hits += 1
            if hits == 5:
                return
    pytest.fail(f"only {hits} commits ended a page; overhead {overhead}")
