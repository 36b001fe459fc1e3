"""Transactions on MySQL and MariaDB: what they read, where they write, how they end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from mysql_family import (
    admin,
    caught_up,
    connected,
    each_engine,
    near,
    rows,
    run,
    seen_everywhere,
    table,
    value,
)
from promises import FAR, HOME, WRITER, cluster, until

import globaldb
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

Connection = Any
READ = "SELECT v FROM mt WHERE id = %s"
UPDATE = "UPDATE mt SET v = v + 1 WHERE id = %s"


@pytest.fixture(scope="module")
def started(engine: str, module_lab: Any) -> Lab:
    found: Lab = module_lab(near(engine))
    return found


@pytest.fixture
def lab(started: Lab) -> Lab:
    started.restore()
    table(started, "mt", "id int primary key, v int")
    with admin(started) as writer:
        numbers = ", ".join(f"({n}, 0)" for n in range(1, 11))
        writer.execute(f"INSERT INTO mt VALUES {numbers}")
    caught_up(started)
    return started


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with connected(lab, autocommit=False) as connection:
        yield connection


def route(connection: Connection) -> tuple[str, str]:
    found = connection.last_route
    return str(found.role.value), str(found.reason)


def elsewhere(lab: Lab, sql: str) -> None:
    """Have somebody else commit *sql*."""
    with admin(lab) as writer:
        writer.execute(sql)


def test_a_transaction_reads_at_a_reader_until_it_writes(lab, conn):
    assert value(conn, READ, (1,)) == 0
    assert route(conn) == ("reader", "transaction_reads")
    assert run(conn, UPDATE, (1,)) == 1
    assert route(conn) == ("writer", "transaction_moved")
    conn.commit()
    assert value(conn, READ, (1,)) == 1


def test_a_read_that_changed_fails_the_transaction_and_is_named(lab, conn):
    assert value(conn, READ, (1,)) == 0
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id = 1")
    with pytest.raises(globaldb.OperationalError, match="SELECT v FROM mt") as caught:
        run(conn, UPDATE, (2,))
    assert caught.value.args[0] == 1213
    assert caught.value.retryable
    conn.rollback()
    assert value(conn, READ, (2,)) == 0
    assert value(conn, READ, (1,)) == 7, "its next attempt finds what is newer"
    run(conn, UPDATE, (2,))
    conn.commit()


def test_what_is_read_locally_is_not_compared_when_nobody_wants_it(lab, conn):
    with conn.using(transaction_reads="local"):
        assert value(conn, READ, (1,)) == 0
        elsewhere(lab, "UPDATE mt SET v = 7 WHERE id = 1")
        run(conn, UPDATE, (2,))
        conn.commit()
    assert value(conn, READ, (2,)) == 1


def test_after_the_move_every_read_is_of_one_state(lab, conn):
    assert value(conn, READ, (1,)) == 0
    run(conn, UPDATE, (2,))
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id IN (1, 3)")
    assert value(conn, READ, (1,)) == 0
    assert value(conn, READ, (3,)) == 0
    conn.commit()
    assert value(conn, READ, (3,)) == 7


def test_before_the_move_every_read_is_of_one_state(lab, conn):
    assert value(conn, READ, (1,)) == 0
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id IN (1, 3)")
    caught_up(lab)
    assert value(conn, READ, (3,)) == 0
    assert route(conn) == ("reader", "transaction_reads")
    conn.rollback()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_isolation_level_asked_for_by_name_is_the_writers(lab, conn, level):
    run(conn, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    assert value(conn, READ, (1,)) == 0
    assert conn.last_route.role.value == "writer"
    conn.rollback()


def test_a_read_only_transaction_stays_at_its_reader_and_writes_nothing(lab, conn):
    run(conn, "START TRANSACTION READ ONLY")
    assert value(conn, READ, (1,)) == 0
    assert route(conn) == ("reader", "read_only_transaction")
    with pytest.raises(pymysql.err.MySQLError) as caught:
        run(conn, UPDATE, (1,))
    assert caught.value.args[0] in (1290, 1792)
    conn.rollback()
    assert value(conn, READ, (1,)) == 0


def test_savepoints_undo_what_came_behind_them(lab, conn):
    run(conn, UPDATE, (1,))
    run(conn, "SAVEPOINT One")
    run(conn, UPDATE, (2,))
    run(conn, "SAVEPOINT two")
    run(conn, UPDATE, (3,))
    run(conn, "ROLLBACK TO SAVEPOINT one")
    run(conn, UPDATE, (4,))
    conn.commit()
    found = [value(conn, READ, (key,)) for key in (1, 2, 3, 4)]
    assert found == [1, 0, 0, 1]


def test_a_second_savepoint_of_a_name_takes_the_place_of_the_first(lab, conn):
    run(conn, "SAVEPOINT s")
    run(conn, UPDATE, (1,))
    run(conn, "SAVEPOINT s")
    run(conn, UPDATE, (2,))
    run(conn, "ROLLBACK TO s")
    run(conn, "RELEASE SAVEPOINT s")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        run(conn, "ROLLBACK TO s")
    assert caught.value.args[0] == 1305
    conn.commit()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [1, 0]


def test_a_definition_commits_what_came_before_it(lab, conn):
    run(conn, UPDATE, (1,))
    run(conn, "CREATE TABLE IF NOT EXISTS mt_other (n int)")
    run(conn, UPDATE, (2,))
    conn.rollback()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [1, 0]
    run(conn, "DROP TABLE mt_other")


DIVIDING = ["ANALYZE TABLE mt", "TRUNCATE TABLE mt_other", "CALL mt_commits()"]


@pytest.fixture
def dividing(lab):
    table(lab, "mt_other", "n int")
    with admin(lab) as writer:
        writer.execute("DROP PROCEDURE IF EXISTS app.mt_commits")
        writer.execute("CREATE PROCEDURE app.mt_commits() COMMIT")
        writer.execute("GRANT EXECUTE ON app.* TO app")
    return lab


def lose(lab: Lab, conn: Connection, *before: str) -> globaldb.Error:
    """Lose the last of a few statements of a transaction; return what was said."""
    for sql in before:
        run(conn, sql)
    lab.cut(FAR, WRITER, "request", containing="SET v = 9")
    with pytest.raises(globaldb.OperationalError) as caught:
        run(conn, "UPDATE mt SET v = 9 WHERE id = 9")
    conn.rollback()
    return caught.value


def test_behind_a_part_that_was_committed_nobody_is_told_to_try_again(dividing, conn):
    write = "UPDATE mt SET v = v + 1 WHERE id = 1"
    for number, divides in enumerate(DIVIDING, 1):
        error = lose(dividing, conn, write, divides, write)
        assert isinstance(error, globaldb.OutcomeUnknownError)
        assert not error.retryable
        assert "an earlier part of the transaction was committed" in str(error)
        assert value(conn, READ, (1,)) == number, "that part is there"
        conn.rollback()
        # The next transaction has nothing to do with it.
        error = lose(dividing, conn, write, write)
        assert isinstance(error, globaldb.NodeLostError)
        assert error.retryable


def test_a_deadlock_behind_a_part_that_was_committed_is_not_for_trying_again(
    dividing, conn
):
    write = "UPDATE mt SET v = v + 1 WHERE id = 1"
    for divides in [write, *DIVIDING, write]:
        run(conn, write)
        run(conn, divides)
        with pytest.raises(globaldb.OperationalError) as caught:
            run(conn, "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
        assert caught.value.args[0] == 1213
        assert caught.value.retryable is (divides == write)
        conn.rollback()


def test_a_new_start_commits_the_transaction_before(lab, conn):
    run(conn, UPDATE, (1,))
    run(conn, "START TRANSACTION")
    run(conn, UPDATE, (2,))
    conn.rollback()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [1, 0]


def test_a_failed_statement_leaves_the_transaction_as_it_was(lab, conn):
    run(conn, UPDATE, (1,))
    with pytest.raises(pymysql.err.IntegrityError):
        run(conn, "INSERT INTO mt VALUES (1, 1)")
    run(conn, UPDATE, (2,))
    conn.commit()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [1, 1]


def test_a_deadlock_rolls_everything_back_and_what_follows_is_another(lab, conn):
    run(conn, UPDATE, (1,))
    with connected(lab, autocommit=False) as other:
        run(other, UPDATE, (2,))
        run(other, UPDATE, (3,))
        waiting = threading.Thread(target=run, args=(other, UPDATE, (1,)))
        waiting.start()
        try:
            # The server chooses whom it rolls back: who has changed less.
            with pytest.raises(pymysql.err.OperationalError) as caught:
                run(conn, "SELECT v FROM mt WHERE id = 2 FOR UPDATE")
            assert caught.value.args[0] == 1213
            assert isinstance(caught.value, globaldb.OperationalError)
        finally:
            waiting.join(30)
        other.commit()
    run(conn, UPDATE, (4,))
    conn.commit()
    assert [value(conn, READ, (key,)) for key in (1, 2, 4)] == [1, 1, 1]


def test_a_connection_lost_in_a_transaction_has_applied_nothing(lab, conn):
    run(conn, UPDATE, (1,))
    lab.cut(FAR, "us-west-2-1", "reply", containing="UPDATE")
    with pytest.raises(globaldb.NodeLostError):
        run(conn, UPDATE, (2,))
    conn.rollback()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [0, 0]


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_call_that_may_have_committed_is_of_unknown_outcome(lab, conn, first):
    elsewhere(lab, "DROP PROCEDURE IF EXISTS apart")
    body = f"BEGIN {UPDATE % 'i'}; COMMIT; END"
    elsewhere(lab, f"CREATE PROCEDURE apart(i int) {body}")
    if not first:
        run(conn, UPDATE, (1,))
    lab.cut(FAR, "us-west-2-1", "reply", containing="apart")
    with pytest.raises(globaldb.OutcomeUnknownError):
        run(conn, "CALL apart(2)")
    conn.rollback()
    assert value(conn, READ, (2,)) == 1, "once"


def test_a_first_write_whose_answer_is_lost_is_not_made_twice(lab, conn):
    elsewhere(lab, "DROP TABLE IF EXISTS plain")
    elsewhere(lab, "CREATE TABLE plain (k int) ENGINE = MyISAM")
    lab.cut(FAR, "us-west-2-1", "reply", containing="INSERT")
    with pytest.raises(globaldb.NodeLostError):
        run(conn, "INSERT INTO plain VALUES (1)")
    conn.rollback()
    with admin(lab) as writer:
        writer.execute("SELECT count(*) FROM plain")
        assert writer.fetchone()[0] == 1, "this engine knows no rollback"


def test_a_commit_whose_answer_is_lost_is_of_unknown_outcome(lab, conn):
    run(conn, UPDATE, (1,))
    lab.cut(FAR, "us-west-2-1", "reply", containing="COMMIT")
    with pytest.raises(globaldb.OutcomeUnknownError) as caught:
        conn.commit()
    assert isinstance(caught.value, pymysql.err.OperationalError)
    assert value(conn, READ, (1,)) == 1, "it was applied, and the session finds it"


def test_a_write_whose_answer_is_lost_is_not_sent_again(lab):
    with connected(lab) as alone:
        lab.cut(FAR, "us-west-2-1", "reply", containing="UPDATE")
        with pytest.raises(globaldb.OutcomeUnknownError):
            run(alone, UPDATE, (1,))
        assert value(alone, READ, (1,)) == 1


def test_a_snapshot_asked_for_is_taken_when_it_is_asked_for(lab, conn):
    run(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id = 1")
    caught_up(lab)
    assert value(conn, READ, (1,)) == 0
    conn.rollback()
    assert value(conn, READ, (1,)) in (0, 7)


def test_the_next_transaction_alone_has_the_level_that_was_set_for_it(lab, conn):
    run(conn, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    run(conn, UPDATE, (2,))
    assert value(conn, READ, (1,)) == 0
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id = 1")
    assert value(conn, READ, (1,)) == 7, "it reads what others commit"
    conn.commit()
    run(conn, UPDATE, (2,))
    assert value(conn, READ, (1,)) == 7
    elsewhere(lab, "UPDATE mt SET v = 8 WHERE id = 1")
    assert value(conn, READ, (1,)) == 7, "and this one reads one state"
    conn.rollback()


def test_session_state_goes_along_and_stays_with_nobody_else(lab):
    asked = "SELECT @cart, @@sort_buffer_size, DATABASE() FROM app.mt LIMIT 1"
    with cluster(lab) as found:
        seen_everywhere(found)
        one, other = found.connect(), found.connect()
        default = rows(other, asked)
        run(one, "SET @cart = 17")
        run(one, "SET SESSION sort_buffer_size = 123904")
        run(one, "USE information_schema")
        run(one, "UPDATE app.mt SET v = 1 WHERE id = 1")
        mine = [(17, 123904, "information_schema")]
        for route in ("auto", "writer", "auto"):
            with one.using(route=route):
                assert rows(one, asked) == mine
            with other.using(route=route):
                assert rows(other, asked) == default
        assert default[0][0] is None


def test_a_temporary_table_lives_as_on_one_connection(lab, conn):
    conn.autocommit(True)
    run(conn, "CREATE TEMPORARY TABLE mt_temp (n int)")
    run(conn, "INSERT INTO mt_temp VALUES (5)")
    assert value(conn, "SELECT n FROM mt_temp") == 5
    assert value(conn, READ, (1,)) == 0
    run(conn, "DROP TEMPORARY TABLE mt_temp")
    assert HOME in str(conn.last_route)


def test_a_rollback_takes_no_temporary_table_away(lab, conn):
    run(conn, "CREATE TEMPORARY TABLE mt_temp (n int)")
    run(conn, "INSERT INTO mt_temp VALUES (5)")
    conn.rollback()
    assert rows(conn, "SELECT n FROM mt_temp") == []
    run(conn, "INSERT INTO mt_temp VALUES (6)")
    conn.commit()
    assert value(conn, "SELECT n FROM mt_temp") == 6


def test_what_is_set_outside_autocommit_holds_for_the_next_transaction(lab, conn):
    run(conn, "SET SESSION TRANSACTION READ ONLY")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        run(conn, UPDATE, (1,))
    assert caught.value.args[0] in (1290, 1792)
    conn.rollback()
    run(conn, "SET SESSION TRANSACTION READ WRITE")
    run(conn, UPDATE, (1,))
    conn.commit()
    run(conn, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    run(conn, UPDATE, (2,))
    assert value(conn, READ, (3,)) == 0
    elsewhere(lab, "UPDATE mt SET v = 7 WHERE id = 3")
    assert value(conn, READ, (3,)) == 7


def test_xa_begins_a_transaction_of_its_own(lab, conn):
    for sql in (
        "XA START 'mt'",
        UPDATE % 1,
        "XA END 'mt'",
        "XA COMMIT 'mt' ONE PHASE",
    ):
        run(conn, sql)
    assert value(conn, READ, (1,)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SET autocommit = 1, sql_notes = 0",
        "SET @x = 1, @@autocommit = 1",
        "SET autocommit = @x",
    ],
)
def test_autocommit_is_not_switched_behind_the_connections_back(lab, conn, sql):
    with pytest.raises(globaldb.SettingError, match="a statement of its own"):
        run(conn, sql)
    run(conn, UPDATE, (1,))
    conn.rollback()
    assert value(conn, READ, (1,)) == 0


def test_what_an_unseen_procedure_leaves_is_its_sessions_alone(lab):
    body = "BEGIN SET @left = 5; DO GET_LOCK('mt', 0); END"
    with admin(lab) as writer:
        writer.execute("DROP PROCEDURE IF EXISTS mt_leaves")
        writer.execute(f"CREATE PROCEDURE mt_leaves() {body}")
    caught_up(lab)
    asked = "SELECT @left, IS_USED_LOCK('mt') FROM mt LIMIT 1"
    with cluster(lab, pool_max_size=3) as found:
        seen_everywhere(found)
        one, other = found.connect(), found.connect()
        run(one, "CALL mt_leaves()")
        assert None not in rows(one, asked)[0]
        one.close()
        with other.using(route="writer"):
            until(lambda: rows(other, asked) == [(None, None)])
            for _ in range(5):
                assert rows(other, asked) == [(None, None)]


def test_what_a_routine_puts_together_itself_is_wiped_off_its_connection(lab):
    with cluster(lab, pool_max_size=2) as found:
        seen_everywhere(found)
        one, other = found.connect(), found.connect()
        run(one, "DROP PROCEDURE IF EXISTS mt_dynamic")
        run(
            one,
            "CREATE PROCEDURE mt_dynamic() BEGIN SET @text = 'SET @left = 7'; "
            "PREPARE said FROM @text; EXECUTE said; END",
        )
        called = "CALL mt_dynamic()"
        until(lambda: one.explain_route(called).statement == "opaque_body")
        for _ in range(4):
            run(one, called)
            with other.using(route="writer"):
                assert value(other, "SELECT @left FROM mt LIMIT 1") is None


def test_a_definition_that_is_not_understood_commits_nothing(conn):
    run(conn, UPDATE, (1,))
    with pytest.raises(pymysql.err.ProgrammingError):
        run(conn, "CREATE TABLE (bad")
    conn.rollback()
    assert value(conn, READ, (1,)) == 0


def test_a_definition_that_fails_has_committed_what_came_before_it(conn):
    run(conn, UPDATE, (1,))
    with pytest.raises(pymysql.err.OperationalError):
        run(conn, "CREATE TABLE mt (n int)")
    run(conn, UPDATE, (2,))
    conn.rollback()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [1, 0]


def test_a_definition_costs_one_trip_and_brings_its_position(lab, conn):
    run(conn, UPDATE, (1,))
    lab.reset_counters()
    run(conn, "CREATE TABLE mt_one_trip (n int)")
    wide = sum(link.round_trips for link in lab.counters() if link.wide_area)
    run(conn, "DROP TABLE mt_one_trip")
    assert wide == 1
    assert not conn.session.books.position_unknown


def test_what_every_commit_does_is_not_changed_behind_the_session(conn):
    with pytest.raises(globaldb.SettingError, match="COMMIT AND CHAIN"):
        run(conn, "SET SESSION completion_type = 'CHAIN'")
