"""A write whose connection broke is applied once, or the error says what is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    admin,
    caught_up,
    cluster,
    counts,
    one,
    reads_own_writes,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

RTT = 0.005
SPEC = LabSpec(regions={HOME: 1, FAR: 1}, rtt={(HOME, FAR): RTT})
Connection = Any


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        with admin(lab) as writer:
            writer.execute(
                "CREATE PROCEDURE put(k int) LANGUAGE plpgsql AS "
                "'BEGIN INSERT INTO t VALUES (k); END'"
            )
            writer.execute("CREATE SEQUENCE acts; GRANT ALL ON acts TO app")
            writer.execute(
                "CREATE FUNCTION act() RETURNS bigint LANGUAGE plpgsql AS "
                "'BEGIN RETURN nextval(''acts''); END'"
            )
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    # A session that does not know what it wrote would read the past here.
    near.lag(FAR, 20)
    near.lag(HOME, 20)
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab, latency_window=0.001) as found, found.connect() as conn:
        with conn.using(route="writer"):
            conn.execute("SELECT count(*) FROM t")
        for _ in range(3):
            conn.execute("SELECT count(*) FROM t")
        yield conn


INSERT = "INSERT INTO t VALUES (%s)"


def autocommit(conn: Connection, key: int) -> None:
    conn.execute(INSERT, (key,))


def block(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute(INSERT, (key,))


def spelled_out(conn: Connection, key: int) -> None:
    conn.execute("BEGIN")
    conn.execute(INSERT, (key,))
    conn.execute("COMMIT")


def implicit(conn: Connection, key: int) -> None:
    conn.set_autocommit(False)
    try:
        conn.execute(INSERT, (key,))
        conn.commit()
    finally:
        conn.rollback()
        conn.set_autocommit(True)


def script(conn: Connection, key: int) -> None:
    conn.execute(f"INSERT INTO t VALUES ({key}); SELECT 1")


def script_that_commits(conn: Connection, key: int) -> None:
    conn.set_autocommit(False)
    try:
        conn.execute(f"INSERT INTO t VALUES ({key}); COMMIT")
    finally:
        conn.rollback()
        conn.set_autocommit(True)


def procedure(conn: Connection, key: int) -> None:
    conn.execute("CALL put(%s)", (key,))


def many(conn: Connection, key: int) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(INSERT, [(key,)])


def copy(conn: Connection, key: int) -> None:
    with conn.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as rows:
        rows.write_row((key,))


def pipeline(conn: Connection, key: int) -> None:
    with conn.pipeline():
        conn.execute(INSERT, (key,))


def pinned(conn: Connection, key: int) -> None:
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS mine ()")
    conn.execute(INSERT, (key,))


#: Each with a part of the request that makes it durable. The database is asked what
#: became of a COMMIT; of these nobody can ask.
FINAL_REQUESTS: list[tuple[Callable[[Connection, int], None], str]] = [
    (autocommit, "INSERT INTO t"),
    (script, "INSERT INTO t"),
    (script_that_commits, "COMMIT"),
    (procedure, "CALL put"),
    (many, "INSERT INTO t"),
    (pipeline, "INSERT INTO t"),
    (pinned, "INSERT INTO t"),
]
COMMITS = [block, spelled_out, implicit]
WAYS = [*FINAL_REQUESTS, *((write, "COMMIT") for write in COMMITS)]


@pytest.mark.parametrize("when", ["reply", "request"])
@pytest.mark.parametrize(("write", "request_text"), FINAL_REQUESTS)
def test_a_write_whose_fate_is_lost_says_so_and_is_never_repeated(
    lab: Lab,
    conn: Connection,
    write: Callable[[Connection, int], None],
    request_text: str,
    when: Literal["reply", "request"],
) -> None:
    lab.cut(FAR, WRITER, when, containing=request_text)
    with pytest.raises(globaldb.OutcomeUnknownError), within(3.0):
        write(conn, 1)
    found = counts(lab, "t")
    assert found == ({1: 1} if when == "reply" else {})
    # The session sees what became of it, although every reader is behind.
    conn.rollback()
    assert conn.execute("SELECT n FROM t").fetchall() == [(n,) for n in found]
    write(conn, 2)
    assert counts(lab, "t") == {**found, 2: 1}


@pytest.mark.parametrize("write", COMMITS)
def test_a_commit_whose_answer_is_lost_has_succeeded(
    lab: Lab, conn: Connection, write: Callable[[Connection, int], None]
) -> None:
    lab.cut(FAR, WRITER, "reply", containing="COMMIT")
    write(conn, 1)
    # The session sees it, although every reader is behind.
    assert conn.execute("SELECT n FROM t").fetchall() == [(1,)]
    write(conn, 2)
    assert counts(lab, "t") == {1: 1, 2: 1}


@pytest.mark.parametrize("write", COMMITS)
def test_a_commit_that_is_lost_on_its_way_has_failed(
    lab: Lab, conn: Connection, write: Callable[[Connection, int], None]
) -> None:
    lab.cut(FAR, WRITER, "request", containing="COMMIT")
    with pytest.raises(globaldb.NodeLostError, match="rolled back"):
        write(conn, 1)
    assert conn.execute("SELECT n FROM t").fetchall() == []
    write(conn, 2)
    assert counts(lab, "t") == {2: 1}


@pytest.mark.parametrize(("write", "_text"), WAYS)
def test_a_write_is_seen_by_its_session_however_it_was_made(
    conn: Connection, write: Callable[[Connection, int], None], _text: str
) -> None:
    reads_own_writes(
        lambda key: write(conn, key),
        lambda: [n for (n,) in conn.execute("SELECT n FROM t").fetchall()],
        range(3),
    )


@pytest.mark.parametrize("when", ["reply", "request"])
def test_the_first_statement_of_a_transaction_is_repeated_without_a_trace(
    lab: Lab, conn: Connection, when: Literal["reply", "request"]
) -> None:
    for key, write in enumerate([block, spelled_out, implicit]):
        lab.cut(FAR, WRITER, when, containing="INSERT INTO t")
        write(conn, key)
    assert counts(lab, "t") == {0: 1, 1: 1, 2: 1}


def test_a_function_that_may_act_where_no_rollback_reaches_is_not_run_again(
    lab: Lab, conn: Connection
) -> None:
    """What a sequence has counted stays, as would what was written elsewhere."""
    with admin(lab) as writer:
        writer.execute("ALTER SEQUENCE acts RESTART")
    conn.execute("BEGIN")
    lab.cut(FAR, WRITER, "reply", containing="SELECT act()")
    with pytest.raises(globaldb.NodeLostError):
        conn.execute("SELECT act()")
    conn.rollback()
    with admin(lab) as writer:
        assert one(writer.execute("SELECT last_value FROM acts")) == (1,)
    # One that is known to leave nothing behind is.
    conn.execute("BEGIN")
    lab.cut(FAR, WRITER, "reply", containing="SELECT nextval")
    assert one(conn.execute("SELECT nextval('acts')")) == (3,)
    conn.rollback()


@pytest.mark.parametrize("when", ["reply", "request"])
@pytest.mark.parametrize("text", ["CALL put(1)", "INSERT INTO t VALUES (1); SELECT 1"])
def test_what_a_transaction_lost_is_not_continued_outside_of_it(
    lab: Lab, conn: Connection, text: str, when: Literal["reply", "request"]
) -> None:
    conn.set_autocommit(False)
    lab.cut(FAR, WRITER, when, containing=text[:8])
    with pytest.raises(globaldb.OperationalError):
        conn.execute(text)
    with pytest.raises(globaldb.InternalError):
        conn.execute(INSERT, (2,))
    conn.rollback()
    assert counts(lab, "t") == {}
    conn.execute(INSERT, (3,))
    conn.commit()
    assert counts(lab, "t") == {3: 1}


@pytest.mark.parametrize("when", ["reply", "request"])
def test_a_lost_transaction_is_not_brought_back_by_a_savepoint(
    lab: Lab, conn: Connection, when: Literal["reply", "request"]
) -> None:
    def work() -> None:
        with conn.transaction():
            conn.execute(INSERT, (1,))
            with pytest.raises(globaldb.NodeLostError), conn.transaction():
                conn.execute("INSERT INTO t SELECT 2")
            conn.execute(INSERT, (3,))

    lab.cut(FAR, WRITER, when, containing="SELECT 2")
    with pytest.raises(globaldb.Error):
        work()
    assert counts(lab, "t") == {}
    autocommit(conn, 4)
    assert counts(lab, "t") == {4: 1}


def end_connections(lab: Lab, node: str, extra: str = "true") -> int:
    """End, on the server, every connection of the application to *node*."""
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE usename = 'app' AND {extra}"
    )
    with admin(lab, node) as connection:
        ended = connection.execute(query).rowcount
    # The news has to travel half of a round trip.
    time.sleep(2 * RTT)
    return ended


def test_connections_that_hung_up_while_idle_are_replaced_unseen(
    lab: Lab, conn: Connection
) -> None:
    for key, (write, _) in enumerate(WAYS):
        if conn.session.lease is not None:
            conn.execute("DISCARD ALL")
        assert end_connections(lab, WRITER) >= 1
        write(conn, key)
        end_connections(lab, READER)
        assert one(conn.execute("SELECT count(*) FROM t")) == (key + 1,)
    assert set(counts(lab, "t").values()) == {1}


def test_a_connection_lost_inside_a_transaction_takes_all_of_it(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN")
    conn.execute(INSERT, (1,))
    end_connections(lab, WRITER)
    with pytest.raises(globaldb.NodeLostError, match="Nothing was applied"):
        conn.execute(INSERT, (2,))
    with pytest.raises(globaldb.InternalError, match="roll back"):
        conn.execute(INSERT, (3,))
    conn.rollback()
    autocommit(conn, 4)
    assert counts(lab, "t") == {4: 1}


def test_a_commit_that_was_not_even_sent_is_not_in_doubt(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN")
    conn.execute(INSERT, (1,))
    end_connections(lab, WRITER)
    with pytest.raises(globaldb.NodeLostError, match="Nothing was applied"):
        conn.commit()
    autocommit(conn, 2)
    assert counts(lab, "t") == {2: 1}


def test_what_lived_on_a_pinned_connection_is_not_silently_gone(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 1 AS n")
    end_connections(lab, WRITER)
    with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
        conn.execute("INSERT INTO t SELECT n FROM mine")
    with pytest.raises(globaldb.ProgrammingError):
        conn.execute("SELECT n FROM mine")
    autocommit(conn, 2)
    assert counts(lab, "t") == {2: 1}


SLOW = "SELECT 7 FROM pg_sleep(2)"


def await_slow_read(lab: Lab) -> None:
    query = "SELECT 1 FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    with admin(lab, READER) as reader:
        until(lambda: reader.execute(query, (SLOW,)).rowcount == 1)


def served_by(conn: Connection) -> str:
    conn.execute("SELECT 1")
    return str(conn.last_route.node)


def looked_again(conn: Connection) -> bool:
    """Have every node asked anew, as the monitor does each second elsewhere."""
    conn.session.cluster.monitor.hurry()
    return False


def end_slow_read(lab: Lab) -> None:
    await_slow_read(lab)
    end_connections(lab, READER)


def kill_at_slow_read(lab: Lab) -> None:
    await_slow_read(lab)
    lab.kill(READER)


@pytest.mark.parametrize("strike", [end_slow_read, kill_at_slow_read])
def test_a_read_lost_in_the_middle_is_repeated_where_there_is_an_answer(
    lab: Lab, conn: Connection, strike: Callable[[Lab], None]
) -> None:
    lab.lag(FAR, 0)
    lab.lag(HOME, 0)
    caught_up(lab)
    # A strike before this one may have left the reader in doubt until its next probe.
    until(lambda: served_by(conn).startswith(FAR) or looked_again(conn))
    striker = threading.Thread(target=strike, args=(lab,))
    striker.start()
    with within(12.0):
        assert one(conn.execute(SLOW)) == (7,)
    striker.join()
    killed = strike is kill_at_slow_read
    assert not (killed and conn.last_route.node.startswith(FAR))


def test_a_read_lost_inside_a_read_only_transaction_is_no_write_in_doubt(
    lab: Lab, conn: Connection
) -> None:
    lab.lag(FAR, 0)
    # As above.
    until(lambda: served_by(conn).startswith(FAR) or looked_again(conn))
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT 1")
    assert conn.last_route.reason == "read_only_transaction"
    for node in lab.nodes:
        end_connections(lab, node.name)
    with pytest.raises(globaldb.NodeLostError):
        conn.execute("SELECT 1")
    conn.rollback()
    assert one(conn.execute("SELECT 2")) == (2,)


def test_every_error_is_also_psycopgs(lab: Lab, conn: Connection) -> None:
    lab.cut(FAR, WRITER, "reply", containing="INSERT INTO t")
    with pytest.raises(psycopg.OperationalError) as caught:
        autocommit(conn, 1)
    text = str(caught.value)
    assert "may have been applied" in text
    assert HOME in text
    assert not getattr(caught.value, "retryable", True)
