"""What a session says to MySQL and MariaDB of its transactions and settings."""

from __future__ import annotations

import pytest

from globaldb.core.idiom import POSTGRESQL, may_commit, outlives
from globaldb.core.mysql.classify import Dialect, classify
from globaldb.core.mysql.idiom import MysqlIdiom
from globaldb.core.postgresql.classify import classify as classify_postgresql
from globaldb.core.settings import SettingsBook, replay
from globaldb.core.transaction import Transaction, TransactionMode

MYSQL = MysqlIdiom("shop")


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        (TransactionMode(), ("START TRANSACTION",)),
        (TransactionMode(read_only=True), ("START TRANSACTION READ ONLY",)),
        (TransactionMode(read_only=False), ("START TRANSACTION",)),
        (
            TransactionMode("read committed"),
            ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"),
        ),
    ],
)
def test_a_transaction_begins_with_what_was_asked(mode, sent):
    book = Transaction(MYSQL)
    book.begin(mode)
    assert book.pending == sent


def test_a_savepoint_takes_the_place_of_one_of_its_name():
    book = Transaction(MYSQL)
    book.begin(TransactionMode())
    for name in ("a", "b", "a"):
        book.savepoint(name, MYSQL.savepoint(name))
    assert book.pending[1:] == ("SAVEPOINT `b`", "SAVEPOINT `a`")
    assert not book.rollback_to("b")
    assert not book.has_savepoint("a")


def test_settings_survive_a_rollback():
    book = SettingsBook(MYSQL)
    book.begin()
    book.record("sql_mode", "SET sql_mode = 'ANSI'")
    book.end(committed=False)
    assert book.value_of("sql_mode") is not None


@pytest.mark.parametrize(
    ("name", "undone"),
    [
        ("sql_mode", "SET SESSION sql_mode = DEFAULT"),
        ("@cart", "SET @cart = NULL"),
        ("database", "USE `shop`"),
        ("names", "SET NAMES DEFAULT"),
        ("prepared:p", "DEALLOCATE PREPARE `p`"),
    ],
)
def test_the_next_borrower_of_a_connection_undoes_what_it_does_not_want(name, undone):
    assert replay(((name, "SET ..."),), (), MYSQL) == (undone,)


@pytest.mark.parametrize(
    ("sql", "commits"),
    [
        ("CREATE TABLE t (i INT)", True),
        ("TRUNCATE t", True),
        ("LOCK TABLES t WRITE", True),
        ("GRANT ALL ON t TO a", True),
        ("CREATE TEMPORARY TABLE t (i INT)", False),
        ("INSERT INTO t VALUES (1)", False),
        ("SET GLOBAL max_connections = 5", False),
        ("KILL 5", False),
        ("SELECT 1", False),
    ],
)
def test_a_definition_commits_first(sql, commits):
    assert MYSQL.commits_first(classify(sql)) is commits


@pytest.mark.parametrize(
    "sql",
    [
        "CALL p(1)",
        "EXECUTE s",
        "EXECUTE IMMEDIATE 'CALL p(1)'",
        "BEGIN NOT ATOMIC COMMIT; END",
        "IF 1 THEN COMMIT; END IF",
        "SET PASSWORD = 'x'",
        "FROBNICATE",
        "ANALYZE TABLE t",
        "SELECT 1; COMMIT",
    ],
)
def test_what_may_commit_by_itself_is_known(sql):
    statement = classify(sql, dialect=Dialect(mariadb=True))
    assert may_commit(statement, MYSQL)
    assert outlives(statement, MYSQL)


@pytest.mark.parametrize(
    ("sql", "stays"),
    [
        ("INSERT INTO t VALUES (1)", True),
        ("SIGNAL SQLSTATE '45000'", True),
        ("SELECT 1", False),
    ],
)
def test_not_every_engine_takes_part_in_a_transaction(sql, stays):
    statement = classify(sql)
    assert not may_commit(statement, MYSQL)
    assert outlives(statement, MYSQL) is stays
    assert not outlives(statement, POSTGRESQL)


@pytest.mark.parametrize(
    ("sql", "commits"),
    [
        ("SELECT 1; END", True),
        ("SELECT pg_advisory_lock(1); COMMIT AND CHAIN", True),
        ("INSERT INTO t VALUES (1); CALL p()", True),
        ("SELECT 1; FROBNICATE", True),
        ("SELECT 1; 'open", True),
        ("SET a.b = 'COMMIT'; INSERT INTO t VALUES (1)", False),
        ("SELECT f(); EXECUTE p", False),
        ("CREATE TABLE t (n int)", False),
    ],
)
def test_a_script_of_postgresql_commits_only_where_it_may_say_so(sql, commits):
    assert may_commit(classify_postgresql(sql), POSTGRESQL) is commits


@pytest.mark.parametrize(
    ("sql", "stays"),
    [
        ("SELECT f()", True),
        ("SELECT dblink_exec('x', 'y')", True),
        ("SELECT lo_export(1, 'x')", True),
        ("EXECUTE p", True),
        ("SELECT nextval('s')", False),
        ("SELECT pg_notify('a', 'b')", False),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("SELECT n FROM t FOR UPDATE", False),
        ("SELECT 1", False),
    ],
)
def test_a_function_of_postgresql_may_act_where_no_rollback_reaches(sql, stays):
    assert outlives(classify_postgresql(sql), POSTGRESQL) is stays
