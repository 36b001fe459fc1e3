"""A function run as a transaction is repeated where that is safe, and only there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import psycopg
import pymysql
import pytest
from mysql_family import near
from promises import FAR, HOME, WRITER, until

import globaldb
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

Connection = Any


def do(conn: Connection, sql: str, *args: Any) -> None:
    with conn.cursor() as cursor:
        cursor.execute(sql, args or None)


def value(conn: Connection, sql: str, *args: Any) -> Any:
    with conn.cursor() as cursor:
        cursor.execute(sql, args or None)
        [[found]] = cursor.fetchall()
        return found


def add(conn: Connection, key: int = 1) -> None:
    do(conn, "UPDATE repeated SET v = v + 1 WHERE id = %s", key)


def read(conn: Connection, key: int = 1) -> int:
    return int(value(conn, "SELECT v FROM repeated WHERE id = %s", key))


class Attempts:
    """Functions for one test: each does *first* in its first attempt alone."""

    def __init__(self, first: Callable[[Connection], None] = lambda _conn: None):
        self.number = 0
        self.first = first

    def __call__(self, conn: Connection) -> int:
        self.number += 1
        add(conn)
        if self.number == 1:
            self.first(conn)
        return self.number


@pytest.fixture
def prepared(engine_lab: Lab) -> Lab:
    prepare(engine_lab)
    return engine_lab


def prepare(lab: Lab) -> None:
    """Make a table of a few counters."""
    counters = ", ".join(f"({key}, 0)" for key in range(1, 6))
    with connection(lab) as conn:
        do(conn, "DROP TABLE IF EXISTS repeated")
        do(conn, "CREATE TABLE repeated (id int PRIMARY KEY, v int)")
        do(conn, f"INSERT INTO repeated VALUES {counters}")


def connection(lab: Lab, region: str = HOME, **options: Any) -> Connection:
    return globaldb.connect(lab.url(region), **{"autocommit": True, **options})


@pytest.fixture
def conn(prepared: Lab, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A session in autocommit, unless a test asks for another."""
    with connection(prepared, autocommit=getattr(request, "param", True)) as conn:
        yield conn


@pytest.fixture
def other(prepared: Lab) -> Iterator[Connection]:
    """Another session."""
    with connection(prepared) as conn:
        # What is read is what the writer has, whichever session wrote it.
        with conn.using(route="writer"):
            yield conn


each_mode = pytest.mark.parametrize(
    "conn", [True, False], ids=["autocommit", "transactions"], indirect=True
)


def notes(caught: pytest.ExceptionInfo[BaseException]) -> str:
    return " ".join(caught.value.__notes__)


@each_mode
def test_a_transaction_is_committed_once_and_its_value_returned(conn, other):
    before = conn.session.autocommit
    assert globaldb.run_transaction(conn, Attempts()) == 1
    assert read(other) == 1
    assert not conn.session.transaction.active
    assert conn.session.autocommit is before


def backend(conn: Connection, engine: str) -> int:
    asked = "pg_backend_pid" if engine == "postgresql" else "connection_id"
    return int(value(conn, f"SELECT {asked}()"))


def kill(other: Connection, engine: str, number: int) -> None:
    how = "SELECT pg_terminate_backend(%s)" if engine == "postgresql" else "KILL %s"
    do(other, how, number)


@each_mode
def test_a_connection_killed_in_the_middle_is_an_attempt(conn, other, engine):
    def cut_off(conn: Connection) -> None:
        kill(other, engine, backend(conn, engine))
        add(conn, 2)

    assert globaldb.run_transaction(conn, Attempts(cut_off)) == 2
    assert (read(other), read(other, 2)) == (1, 0)


def test_an_error_that_will_come_again_leaves_at_once_and_undoes(conn, other):
    attempts = Attempts(lambda _conn: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        globaldb.run_transaction(conn, attempts)
    assert not hasattr(caught.value, "__notes__")
    assert (attempts.number, read(other)) == (1, 0)
    wrong = Attempts(lambda conn: do(conn, "SELECT nothing"))
    with pytest.raises(globaldb.DatabaseError):
        globaldb.run_transaction(conn, wrong)
    assert (wrong.number, read(other)) == (1, 0)
    assert globaldb.run_transaction(conn, add) is None
    assert read(other) == 1


def test_who_is_interrupted_is_not_held_up(conn, other):
    def interrupt(_conn: Connection) -> None:
        raise KeyboardInterrupt

    attempts = Attempts(interrupt)
    with pytest.raises(KeyboardInterrupt):
        globaldb.run_transaction(conn, attempts)
    assert (attempts.number, read(other)) == (1, 0)


def busy(_conn: Connection) -> None:
    raise globaldb.PoolTimeoutError("all in use")


def test_after_the_last_attempt_the_error_tells_how_many_there_were(conn, other):
    with pytest.raises(globaldb.PoolTimeoutError) as caught:
        globaldb.run_transaction(conn, busy, retries=2)
    assert "run_transaction: 3 attempts in" in notes(caught)
    assert "(retries)" in notes(caught)


def test_no_attempt_begins_when_the_time_is_over(conn):
    began = monotonic()
    with pytest.raises(globaldb.PoolTimeoutError) as caught:
        globaldb.run_transaction(conn, busy, retries=10**6, timeout="300ms")
    assert monotonic() - began < 10
    assert "no other could begin within 0.3 s (timeout)" in notes(caught)


def test_inside_a_transaction_it_is_refused_and_nothing_is_done(conn, other):
    def nested(conn: Connection) -> None:
        add(conn)
        globaldb.run_transaction(conn, add)

    with pytest.raises(globaldb.ProgrammingError, match="inside a transaction"):
        globaldb.run_transaction(conn, nested)
    do(conn, "BEGIN")
    with pytest.raises(globaldb.ProgrammingError, match="inside a transaction"):
        globaldb.run_transaction(conn, add)
    do(conn, "ROLLBACK")
    assert read(other) == 0


@pytest.mark.parametrize("wrong", [{"retries": -1}, {"timeout": "soon"}])
def test_what_makes_no_sense_is_refused(conn, other, wrong):
    with pytest.raises(globaldb.ProgrammingError):
        globaldb.run_transaction(conn, add, **wrong)
    with pytest.raises(TypeError, match="takes a connection of globaldb"):
        globaldb.run_transaction(other.cursor(), add)
    assert read(other) == 0


def test_a_commit_whose_answer_is_lost_is_not_done_again(prepared, conn, other):
    attempts = Attempts(
        lambda _conn: prepared.cut(HOME, WRITER, "reply", containing="COMMIT")
    )
    with suppress(globaldb.OutcomeUnknownError):
        globaldb.run_transaction(conn, attempts)
    assert (attempts.number, read(other)) == (1, 1)


@each_mode
def test_what_the_function_has_committed_itself_is_not_done_again(conn, other):
    def commits(conn: Connection) -> None:
        do(conn, "COMMIT")
        add(conn, 2)
        raise globaldb.PoolTimeoutError("all in use")

    attempts = Attempts(commits)
    with pytest.raises(globaldb.PoolTimeoutError) as caught:
        globaldb.run_transaction(conn, attempts)
    assert "has committed a part of it" in notes(caught)
    # What came behind its COMMIT was not committed statement by statement.
    assert (attempts.number, read(other), read(other, 2)) == (1, 1, 0)


# On PostgreSQL.


@pytest.fixture
def pg(lab: Lab) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions on PostgreSQL; the other one reads what the writer has."""
    prepare(lab)
    with connection(lab) as conn, connection(lab) as other:
        with other.using(route="writer"):
            yield conn, other


def test_a_serialization_failure_is_an_attempt(pg):
    conn, other = pg
    seen = []

    def transfer(conn: Connection) -> None:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen.append(read(conn))
        if len(seen) == 1:
            add(other)
        do(conn, "UPDATE repeated SET v = %s WHERE id = 1", seen[-1] + 10)

    globaldb.run_transaction(conn, transfer)
    assert (seen, read(other)) == ([0, 1], 11)


def test_a_failure_found_at_commit_is_an_attempt(pg):
    conn, other = pg
    numbers = []

    def skewed(conn: Connection) -> None:
        conn.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        numbers.append(value(conn, "SELECT sum(v) FROM repeated"))
        add(conn, 1)
        if len(numbers) == 1:
            with other.transaction():
                other.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                value(other, "SELECT sum(v) FROM repeated")
                add(other, 2)

    globaldb.run_transaction(conn, skewed)
    assert (numbers, read(other), read(other, 2)) == ([0, 1], 1, 1)


def test_an_error_that_remains_is_psycopgs_too(pg):
    conn, other = pg

    def meets(conn: Connection) -> None:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        read(conn)
        add(other)
        add(conn)

    with pytest.raises(psycopg.errors.SerializationFailure) as caught:
        globaldb.run_transaction(conn, meets, retries=1)
    assert caught.value.retryable
    assert "2 attempts" in notes(caught)
    assert read(other) == 2


@pytest.mark.parametrize(("lost", "attempts"), [("reply", 1), ("request", 2)])
def test_a_lost_commit_is_an_attempt_if_the_database_says_that_it_failed(
    lab, pg, lost, attempts
):
    conn, other = pg
    function = Attempts(lambda _conn: lab.cut(HOME, WRITER, lost, containing="COMMIT"))
    assert globaldb.run_transaction(conn, function) == attempts
    assert (function.number, read(other)) == (attempts, 1)


def test_who_goes_on_after_an_error_is_not_told_that_it_was_committed(pg):
    conn, other = pg

    def goes_on(conn: Connection) -> int:
        add(conn)
        with suppress(globaldb.Error):
            conn.execute("SELECT nothing")
        return 1

    with pytest.raises(psycopg.InternalError, match="the function went on") as caught:
        globaldb.run_transaction(conn, goes_on)
    assert isinstance(caught.value, globaldb.InternalError)
    assert read(other) == 0

    def steps_back(conn: Connection) -> int:
        add(conn)
        with suppress(globaldb.Error), conn.transaction():
            conn.execute("SELECT nothing")
        return 1

    assert globaldb.run_transaction(conn, steps_back) == 1
    assert read(other) == 1


def test_psycopgs_block_keeps_its_rules(pg):
    conn, other = pg

    def rolls_back(conn: Connection) -> None:
        add(conn)
        raise psycopg.Rollback

    assert globaldb.run_transaction(conn, rolls_back) is None
    with pytest.raises(globaldb.ProgrammingError, match="forbidden"):
        globaldb.run_transaction(conn, lambda conn: conn.commit())
    with conn.pipeline(), pytest.raises(globaldb.ProgrammingError, match="pipeline"):
        globaldb.run_transaction(conn, add)
    assert read(other) == 0


# On MySQL and MariaDB.


@pytest.fixture
def family(mysql_lab: Lab) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions on MySQL and MariaDB; the other one reads what the writer has."""
    prepare(mysql_lab)
    with connection(mysql_lab) as conn, connection(mysql_lab) as other:
        with other.using(route="writer"):
            yield conn, other


def test_a_deadlock_is_an_attempt(family):
    conn, other = family

    def meets(conn: Connection) -> None:
        other.begin()
        for key in (2, 3, 4):
            add(other, key)
        waits.start()
        # Whoever has changed less is rolled back.
        add(conn, 2)

    def wait() -> None:
        add(other, 1)
        other.commit()

    waits = threading.Thread(target=wait)
    attempts = Attempts(meets)
    assert globaldb.run_transaction(conn, attempts) == 2
    waits.join(30)
    assert (read(other), read(other, 2)) == (2, 1)


def test_a_commit_of_unknown_outcome_says_that_it_was_not_repeated(mysql_lab, family):
    conn, _ = family
    attempts = Attempts(
        lambda _conn: mysql_lab.cut(HOME, WRITER, "reply", containing="COMMIT")
    )
    with pytest.raises(globaldb.OutcomeUnknownError) as caught:
        globaldb.run_transaction(conn, attempts)
    assert "1 attempt in" in notes(caught)
    assert "may have been applied" in notes(caught)


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE IF NOT EXISTS r2 (n int)", "CREATE TABLE repeated (n int)"]
)
def test_a_definition_has_committed_whatever_became_of_it(family, sql):
    conn, other = family

    def defines(conn: Connection) -> None:
        with suppress(pymysql.err.Error):
            do(conn, sql)
        raise globaldb.PoolTimeoutError("all in use")

    attempts = Attempts(defines)
    with pytest.raises(globaldb.PoolTimeoutError) as caught:
        globaldb.run_transaction(conn, attempts)
    assert "has committed a part of it" in notes(caught)
    assert (attempts.number, read(other)) == (1, 1)


def test_what_follows_a_deadlock_in_the_function_is_not_kept(family):
    """It is over at the server by then, and the next statement would stand alone."""
    conn, other = family

    def goes_on(conn: Connection) -> None:
        other.begin()
        for key in (2, 3, 4):
            add(other, key)
        waits = threading.Thread(target=add, args=(other, 1))
        waits.start()
        with suppress(globaldb.OperationalError):
            add(conn, 2)
        waits.join(30)
        other.commit()
        add(conn, 5)

    attempts = Attempts(goes_on)
    assert globaldb.run_transaction(conn, attempts) == 2
    assert (read(other), read(other, 2), read(other, 5)) == (2, 1, 0)


def test_a_function_may_end_its_transaction_with_a_rollback(family):
    conn, other = family

    def thinks_better(conn: Connection) -> str:
        add(conn)
        conn.rollback()
        return "no"

    assert globaldb.run_transaction(conn, thinks_better) == "no"
    assert read(other) == 0


def test_a_definition_that_fails_is_the_functions_to_deal_with(family):
    conn, other = family

    def defines(conn: Connection) -> str:
        add(conn)
        with suppress(pymysql.err.Error):
            do(conn, "CREATE TABLE repeated (n int)")
        return "there"

    assert globaldb.run_transaction(conn, defines) == "there"
    assert read(other) == 1


# While the writer moves.


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
def test_transactions_go_on_through_a_switchover_and_count_once(module_lab, engine):
    lab: Lab = module_lab(near(engine))
    prepare(lab)
    done, doubtful = [], []
    stop = threading.Event()

    def work(region: str) -> None:
        with connection(lab, region, probe_interval=0.2) as conn:
            while not stop.is_set():
                try:
                    globaldb.run_transaction(conn, add, retries=100, timeout=60)
                except globaldb.OutcomeUnknownError:
                    doubtful.append(1)
                else:
                    done.append(1)

    workers = [threading.Thread(target=work, args=(name,)) for name in (HOME, FAR)]
    for worker in workers:
        worker.start()
    try:
        until(lambda: len(done) > 10)
        lab.switchover(FAR)
        moved = len(done)
        until(lambda: len(done) > moved + 10, 30)
    finally:
        stop.set()
        for worker in workers:
            worker.join(60)
    with connection(lab, region=FAR) as conn:
        with conn.using(route="writer"):
            assert len(done) <= read(conn) <= len(done) + len(doubtful)
