"""What Aurora's write forwarding refuses and takes, statement by statement."""

from __future__ import annotations

import pytest

from globaldb.core.consistency import Consistency
from globaldb.core.forwarding import (
    forwards,
    not_forwarded,
    refused,
    refused_level,
    switched,
)
from globaldb.core.lexer import mysql as mysql_lexer, postgresql as postgresql_lexer
from globaldb.core.mysql import classify as mysql
from globaldb.core.postgresql import classify as postgresql
from globaldb.errors import SettingError

CLASSIFY = {"postgresql": postgresql.classify, "mysql": mysql.classify}
TOKENIZE = {
    "postgresql": postgresql_lexer.tokenize,
    "mysql": mysql_lexer.tokenize,
}

REFUSED = {
    "postgresql": [
        ("CREATE TABLE t (a int)", "DDL"),
        ("CREATE TEMP TABLE t (a int)", "DDL"),
        ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "DDL"),
        ("COMMENT ON TABLE t IS 'x'", "DDL"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("REVOKE SELECT ON t FROM u", "REVOKE"),
        ("SECURITY LABEL ON TABLE t IS 'x'", "SECURITY LABEL"),
        ("REASSIGN OWNED BY a TO b", "REASSIGN OWNED"),
        ("TRUNCATE t", "TRUNCATE"),
        ("VACUUM t", "VACUUM"),
        ("ANALYZE t", "ANALYZE"),
        ("CLUSTER t", "CLUSTER"),
        ("COPY t FROM STDIN", "COPY"),
        ("COPY t TO '/tmp/x'", "COPY"),
        ("DECLARE c CURSOR FOR SELECT 1", "cursors"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursors"),
        ("LOCK TABLE t", "LOCK"),
        ("LISTEN c", "LISTEN"),
        ("NOTIFY c", "NOTIFY"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT"),
        ("RELEASE a", "RELEASE SAVEPOINT"),
        ("SELECT 1 INTO t", "SELECT INTO"),
        ("SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS"),
        ("SELECT nextval('s')", "nextval() and setval()"),
        ("INSERT INTO t VALUES (nextval('s'))", "nextval() and setval()"),
        ("PREPARE TRANSACTION 'x'", "two-phase commit"),
        ("COMMIT PREPARED 'x'", "two-phase commit"),
        ("CALL p()", "CALL"),
        ("SELECT mine(1)", "user-defined function"),
    ],
    "mysql": [
        ("CREATE TABLE t (a int)", "DDL"),
        ("create schema globaldb", "DDL"),
        ("RENAME TABLE a TO b", "DDL"),
        ("TRUNCATE t", "DDL"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT"),
        ("RELEASE SAVEPOINT a", "RELEASE SAVEPOINT"),
        ("XA START 'a'", "XA"),
        ("XA COMMIT 'a'", "XA"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "LOAD"),
        ("LOAD XML INFILE 'x' INTO TABLE t", "LOAD"),
        ("INSTALL PLUGIN x SONAME 'y'", "INSTALL PLUGIN"),
        ("UNINSTALL PLUGIN x", "UNINSTALL PLUGIN"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("ANALYZE TABLE t", "ANALYZE"),
        ("LOCK TABLES t WRITE", "LOCK"),
        ("CALL p()", "CALL"),
        ("SELECT mine(1)", "user-defined function"),
        ("INSERT INTO t SELECT * FROM scratch", "temporary table"),
        ("DELETE t FROM t JOIN `Scratch` USING (a)", "temporary table"),
        ("UPDATE app.t SET a = (SELECT max(a) FROM scratch)", "temporary table"),
    ],
}

TAKEN = {
    "postgresql": [
        "INSERT INTO t VALUES (1) RETURNING a",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
        "SELECT * FROM t FOR UPDATE",
        "EXPLAIN ANALYZE UPDATE t SET a = 1",
    ],
    "mysql": [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "SELECT * FROM t FOR UPDATE",
        "EXPLAIN INSERT INTO t VALUES (1)",
    ],
}

#: Not refused, and not forwarded for certain either.
NEITHER = {
    "postgresql": [
        "SELECT 1",
        "COPY t TO STDOUT",
        "SET x.y = 'z'",
        "BEGIN",
        "COMMIT",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "SELECT pg_advisory_lock(1)",
        "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
    ],
    "mysql": [
        "SELECT 1",
        "USE app",
        "START TRANSACTION",
        "REPLACE INTO t VALUES (1)",
        "SELECT GET_LOCK('a', 1)",
        "CREATE TEMPORARY TABLE x (a int)",
        "INSERT INTO scratch SELECT * FROM t",
        "UPDATE scratch SET a = 1",
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE scratch",
    ],
}

SCRATCH = frozenset(("scratch",))


def pairs(table):
    return [(engine, case) for engine, cases in table.items() for case in cases]


def operation(engine, sql, **options):
    statement, tokens = CLASSIFY[engine](sql), TOKENIZE[engine](sql)
    return refused(engine, statement, tokens, temporary=SCRATCH, **options)


def taken(engine, sql):
    return forwards(CLASSIFY[engine](sql), TOKENIZE[engine](sql), SCRATCH)


@pytest.mark.parametrize(("engine", "case"), pairs(REFUSED))
def test_aurora_refuses(engine, case):
    sql, expected = case
    assert operation(engine, sql) == expected


@pytest.mark.parametrize(("engine", "sql"), pairs(TAKEN))
def test_a_reader_forwards(engine, sql):
    assert operation(engine, sql) is None
    assert taken(engine, sql)


@pytest.mark.parametrize(("engine", "sql"), pairs(NEITHER))
def test_on_neither_list_stands(engine, sql):
    assert operation(engine, sql) is None
    assert not taken(engine, sql)


@pytest.mark.parametrize(
    ("engine", "sql", "expected"),
    [
        ("postgresql", "SAVEPOINT a", None),
        ("postgresql", "DECLARE c CURSOR FOR SELECT 1", None),
        ("mysql", "CREATE TABLE t (a int)", None),
        ("mysql", "SAVEPOINT a", "SAVEPOINT"),
        ("mysql", "XA START 'a'", "XA"),
    ],
)
def test_a_read_only_transaction_is_not_forwarded_so_refused_is(engine, sql, expected):
    assert operation(engine, sql, read_only=True) == expected


def test_a_change_that_runs_functions_of_the_database_is_refused():
    found = operation("postgresql", "INSERT INTO t SELECT f(1)", own_functions=True)
    assert found == "user-defined function"
    assert operation("postgresql", "SELECT 1", own_functions=True) is None


@pytest.mark.parametrize(
    ("engine", "level", "expected"),
    [
        ("postgresql", "serializable", "SERIALIZABLE"),
        ("postgresql", "repeatable read", None),
        ("postgresql", None, None),
        ("mysql", "read-committed", "READ COMMITTED"),
        ("mysql", "SERIALIZABLE", "SERIALIZABLE"),
        ("mysql", "SET SESSION tx_isolation = 'READ-COMMITTED'", "READ COMMITTED"),
        ("mysql", "SET SESSION tx_isolation = DEFAULT", None),
        ("mysql", "REPEATABLE-READ", None),
        ("mysql", None, None),
    ],
)
def test_nothing_is_forwarded_in_the_isolation_level(engine, level, expected):
    assert refused_level(engine, level) == expected


def test_a_refusal_has_the_words_and_the_number_of_the_engine():
    error = not_forwarded("mysql", "DDL", "ap-south-1")
    assert str(error).startswith(
        "This version of MySQL doesn't yet support 'DDL with write forwarding'"
    )
    assert error.errno == 1235
    assert "ap-south-1" in str(error)
    other = not_forwarded("postgresql", "COPY", "ap-south-1")
    assert str(other).startswith("COPY is not supported with write forwarding")


SESSION, GLOBAL = Consistency.SESSION, Consistency.GLOBAL


def switch(engine, written, *, before=SESSION, inside=False):
    return switched(engine, written, before=before, default=GLOBAL, inside=inside)


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_mode_is_switched_by_its_word(engine):
    assert switch(engine, "session", before=None) is SESSION
    assert switch(engine, "default") is GLOBAL
    assert switch(engine, None) is None
    assert switch(engine, "global", inside=True) is GLOBAL


def test_a_word_that_is_no_mode_is_refused_as_a_server_refuses_it():
    with pytest.raises(SettingError) as caught:
        switch("mysql", "x")
    assert str(caught.value).startswith(
        "Variable 'aurora_replica_read_consistency' can't be set to the value of 'x'"
    )
    assert caught.value.errno == 1231


@pytest.mark.parametrize(("before", "written"), [(None, "session"), (SESSION, None)])
def test_inside_a_transaction_mysql_switches_neither_on_nor_off(before, written):
    with pytest.raises(SettingError, match="while a transaction is in progr") as caught:
        switch("mysql", written, before=before, inside=True)
    assert caught.value.errno == 1568
    switch("mysql", written, before=before)
    switch("postgresql", written, before=before, inside=True)
