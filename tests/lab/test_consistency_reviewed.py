"""What a transaction that reads first must not forget when it goes on at the writer."""

from __future__ import annotations

from collections.abc import Iterator
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
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: What the server writes for itself is flushed, and so sent to its reader, at once.
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.03},
    settings={"wal_writer_delay": "10ms"},
)
UPDATE = "UPDATE rv SET v = v + 1 WHERE id = %s"
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "rv", "id int primary key, v int")
    with admin(near) as writer:
        writer.execute("INSERT INTO rv SELECT n, 0 FROM generate_series(1, 20) n")
    caught_up(near)
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, autocommit=False) as warm:
        yield warm


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as connection:
        yield connection


def begin_reading(connection: Connection) -> None:
    connection.execute("SELECT v FROM rv WHERE id = 1")
    assert connection.last_route.role.value == "reader"


def reason(connection: Connection) -> str:
    return str(connection.last_route.reason)


def values(lab: Lab) -> dict[int, int]:
    with admin(lab) as writer:
        return dict(writer.execute("SELECT id, v FROM rv WHERE v <> 0").fetchall())


def test_what_a_savepoint_undid_at_the_reader_is_not_in_force_at_the_writer(
    conn: Connection,
) -> None:
    begin_reading(conn)
    conn.execute("SAVEPOINT a")
    conn.execute("SET LOCAL statement_timeout = '7s'")
    conn.execute("ROLLBACK TO a")
    conn.execute(UPDATE, (1,))

    assert reason(conn) == "transaction_moved"
    assert one(conn.execute("SHOW statement_timeout")) == ("0",)


@pytest.mark.parametrize(
    "write",
    [
        lambda conn: conn.execute(UPDATE, (1,)),
        lambda conn: conn.cursor().executemany(UPDATE, [(1,)]),
        lambda conn: next(conn.cursor().stream("SELECT 1")),
        lambda conn: conn.transaction().__enter__(),
    ],
)
def test_a_transaction_that_failed_at_the_reader_is_brought_back_by_its_savepoint(
    lab: Lab, conn: Connection, write: Any
) -> None:
    begin_reading(conn)
    conn.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / v FROM rv")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="aborted"):
        write(conn)
    conn.execute("ROLLBACK TO a")
    conn.execute(UPDATE, (2,))
    conn.commit()

    assert values(lab) == {2: 1}


def test_a_block_in_a_failed_transaction_does_not_bring_it_back(
    conn: Connection,
) -> None:
    begin_reading(conn)
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / v FROM rv")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction), conn.transaction():
        pass
    assert conn.info.transaction_status.name == "INERROR"
    conn.rollback()
    begin_reading(conn)


def test_nothing_is_pinned_to_a_reader_whose_transaction_failed(
    lab: Lab, conn: Connection
) -> None:
    begin_reading(conn)
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / v FROM rv")
    conn.fileno()
    conn.rollback()
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert values(lab) == {1: 1}


def test_a_parameter_that_cannot_be_sent_leaves_the_transaction_usable(
    conn: Connection,
) -> None:
    with pytest.raises(psycopg.ProgrammingError):
        conn.execute("SELECT v FROM rv WHERE id = %s", (object(),))

    assert one(conn.execute("SELECT v FROM rv WHERE id = 1")) == (0,)


def test_a_transaction_whose_reader_was_hung_up_on_says_that_it_is_over(
    conn: Connection,
) -> None:
    begin_reading(conn)
    conn.session.transaction_lost()
    with pytest.raises(psycopg.InternalError, match="roll back"):
        conn.execute("SELECT v FROM rv WHERE id = 1")
    conn.rollback()
    begin_reading(conn)


def test_an_interrupted_move_leaves_nothing_that_could_run_by_itself(
    lab: Lab, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_reading(conn)
    travel = conn.session.shell.travel

    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(conn.session.shell, "travel", interrupted)
        with pytest.raises(KeyboardInterrupt):
            conn.execute(UPDATE, (1,))
    assert conn.session.shell.travel == travel
    with pytest.raises(psycopg.InternalError, match="roll back"):
        conn.execute(UPDATE, (1,))
    conn.rollback()

    assert values(lab) == {}


@pytest.mark.parametrize(
    "options",
    [{"consistency": "global"}, {"route": "writer"}, {"transaction_reads": "writer"}],
)
def test_what_a_block_inside_the_transaction_asks_for_counts(
    conn: Connection, options: dict[str, str]
) -> None:
    begin_reading(conn)
    with conn.using(**options):
        conn.execute("SELECT v FROM rv WHERE id = 1")

    assert conn.last_route.role.value == "writer"


def test_a_block_inside_the_transaction_may_compare_nothing(conn: Connection) -> None:
    begin_reading(conn)
    with conn.using(transaction_reads="local"):
        conn.execute("SELECT now()")
        assert conn.last_route.role.value == "reader"
    conn.execute(UPDATE, (1,))

    assert reason(conn) == "transaction_moved"


def test_a_block_without_forwarding_refuses_the_write_of_a_reading_transaction(
    lab: Lab, conn: Connection
) -> None:
    begin_reading(conn)
    with conn.using(consistency=None), pytest.raises(globaldb.ReadOnlyError):
        conn.execute(UPDATE, (1,))
    conn.execute(UPDATE, (2,))
    conn.commit()

    assert values(lab) == {2: 1}


def test_a_reader_chosen_for_eventual_reads_serves_no_session_read_later(
    lab: Lab, conn: Connection
) -> None:
    with admin(lab, READER) as reader:
        reader.execute("SELECT pg_wal_replay_pause()")
        try:
            conn.execute(UPDATE, (5,))
            conn.commit()
            with conn.using(consistency="eventual"):
                begin_reading(conn)
            seen = one(conn.execute("SELECT v, id FROM rv WHERE id = 5"))
        finally:
            reader.execute("SELECT pg_wal_replay_resume()")

    assert seen == (1, 5)


def test_currval_never_tells_what_another_session_has_drawn(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    table(lab, "rvs", "id serial, n int")
    with admin(lab) as writer:
        writer.execute("ALTER SEQUENCE rvs_id_seq OWNED BY NONE")
        writer.execute("GRANT ALL ON SEQUENCE rvs_id_seq TO app")
    caught_up(lab)
    with found.connect() as other:
        other.execute("INSERT INTO rvs (n) VALUES (1)")
        other.commit()
        begin_reading(conn)
        with pytest.raises(psycopg.ProgrammingError, match="another session"):
            conn.execute("SELECT currval('rvs_id_seq')")
        conn.rollback()
        begin_reading(conn)
        [drawn] = one(conn.execute("INSERT INTO rvs (n) VALUES (2) RETURNING id"))
        conn.commit()
        other.execute("INSERT INTO rvs (n) VALUES (3)")
        other.commit()

        assert one(conn.execute("SELECT currval('rvs_id_seq')")) == (drawn,)
        conn.rollback()
    with admin(lab) as writer:
        writer.execute("DROP TABLE rvs; DROP SEQUENCE rvs_id_seq")


def test_what_is_shown_of_the_session_opens_no_transaction_at_a_reader(
    lab: Lab, conn: Connection
) -> None:
    with conn.transaction():
        conn.execute("SHOW GLOBALDB NODES")
        conn.execute(UPDATE, (1,))

    assert values(lab) == {1: 1}


def test_what_is_shown_of_the_session_ends_no_transaction_that_is_over(
    conn: Connection,
) -> None:
    begin_reading(conn)
    conn.session.transaction_lost()
    conn.execute("SHOW GLOBALDB NODES")
    with pytest.raises(psycopg.InternalError, match="roll back"):
        conn.execute(UPDATE, (1,))
    conn.rollback()


def test_a_two_phase_transaction_may_read_first(lab: Lab, conn: Connection) -> None:
    with admin(lab) as writer:
        if one(writer.execute("SHOW max_prepared_transactions")) == ("0",):
            pytest.fail("the lab's servers must allow prepared transactions")
    conn.tpc_begin(conn.xid(1, "reviewed", "one"))
    begin_reading(conn)
    conn.tpc_prepare()
    conn.tpc_commit()

    def reads_nearby() -> bool:
        conn.rollback()
        conn.execute("SELECT v FROM rv WHERE id = 1")
        return bool(conn.last_route.role.value == "reader")

    until(reads_nearby)


def test_a_reader_that_hangs_does_not_hold_up_the_move(
    lab: Lab, conn: Connection
) -> None:
    begin_reading(conn)
    lab.freeze(FAR, READER)
    try:
        with within(3.0), conn.using(timeout=2.0):
            conn.execute(UPDATE, (1,))
    finally:
        lab.thaw(FAR, READER)
    conn.commit()

    assert values(lab) == {1: 1}
