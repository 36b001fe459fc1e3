"""What the session itself must understand is parsed, not only judged."""

from __future__ import annotations

import pytest

from globaldb.core.postgresql.classify import classify
from globaldb.core.statement import (
    Begin,
    Commit,
    CommitPrepared,
    Copy,
    Deallocate,
    Defines,
    Discard,
    Execute,
    ExplainRoute,
    GlobaldbShow,
    Listen,
    Load,
    Prepare,
    PrepareTransaction,
    Release,
    ResetSetting,
    Rollback,
    RollbackPrepared,
    RollbackTo,
    Savepoint,
    SetCharacteristics,
    SetConfig,
    SetConsistency,
    SetSetting,
    SetTransaction,
    ShowConsistency,
    ShowSetting,
    Statement,
    Unlisten,
    Verdict,
)

TRANSACTIONS = [
    ("BEGIN", Begin()),
    ("begin work;", Begin()),
    ("BEGIN TRANSACTION READ WRITE", Begin(read_only=False)),
    ("START TRANSACTION", Begin()),
    (
        "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        Begin("repeatable read", read_only=True),
    ),
    (
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY NOT DEFERRABLE",
        Begin("serializable", read_only=True, deferrable=False),
    ),
    ("BEGIN DEFERRABLE", Begin(deferrable=True)),
    ("BEGIN ISOLATION LEVEL READ UNCOMMITTED", Begin("read uncommitted")),
    ("COMMIT", Commit()),
    ("COMMIT WORK AND CHAIN", Commit(chain=True)),
    ("END TRANSACTION AND NO CHAIN", Commit()),
    ("ROLLBACK", Rollback()),
    ("ABORT WORK", Rollback()),
    ("ROLLBACK AND CHAIN", Rollback(chain=True)),
    ("SAVEPOINT A", Savepoint("a")),
    ('SAVEPOINT "A ""b"', Savepoint('A "b')),
    ("RELEASE a", Release("a")),
    ("RELEASE SAVEPOINT a", Release("a")),
    ("RELEASE savepoint", Release("savepoint")),
    ("ROLLBACK TO a", RollbackTo("a")),
    ("ROLLBACK WORK TO SAVEPOINT a", RollbackTo("a")),
    ("PREPARE TRANSACTION 'it''s'", PrepareTransaction("it's")),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", SetTransaction("serializable")),
    ("SET LOCAL TRANSACTION READ ONLY", SetTransaction(read_only=True)),
    ("SET transaction_read_only = on", SetTransaction(read_only=True)),
    ("SET SESSION transaction_read_only TO 'off'", SetTransaction(read_only=False)),
    (
        "SET transaction_isolation = 'repeatable read'",
        SetTransaction("repeatable read"),
    ),
    ("SET TRANSACTION SNAPSHOT '0001'", SetTransaction()),
]


@pytest.mark.parametrize(("sql", "action"), TRANSACTIONS)
def test_transaction_control_is_parsed(sql, action):
    statement = classify(sql)
    assert statement.action == action
    assert statement.verdict is Verdict.TRANSACTION
    assert statement.alone


def setting(sql, name, value=None, *, local=False):
    return sql, SetSetting(name, sql, local, value)


def reset(sql, name, *, local=False):
    return sql, ResetSetting(name, sql, local)


SETTINGS = [
    setting("SET work_mem = '8MB'", "work_mem", "8MB"),
    setting("set Work_Mem to 8", "work_mem", "8"),
    setting('SET "work_mem" = 8', "work_mem", "8"),
    setting("SET x.y = -1", "x.y", "-1"),
    setting('SET SESSION search_path TO a, "B"', "search_path", 'a, "B"'),
    setting("SET search_path = %s", "search_path"),
    setting("SET TIME ZONE 'UTC'", "timezone", "UTC"),
    setting("SET TIMEZONE TO 'UTC'", "timezone", "UTC"),
    setting("SET NAMES 'utf8'", "client_encoding", "utf8"),
    setting("SET ROLE app", "role", "app"),
    setting("SET ROLE NONE", "role", "none"),
    setting("SET role = 'app'", "role", "app"),
    setting("SET SESSION AUTHORIZATION 'joe'", "session_authorization", "joe"),
    setting("SET SESSION ROLE app", "role", "app"),
    setting("SET SCHEMA 'x'", "search_path", "x"),
    setting("SET XML OPTION DOCUMENT", "xmloption", "document"),
    setting("SET synchronous_commit = off", "synchronous_commit", "off"),
    reset("RESET work_mem", "work_mem"),
    reset("RESET ALL", None),
    reset("RESET TIME ZONE", "timezone"),
    reset("RESET SESSION AUTHORIZATION", "session_authorization"),
    reset("RESET ROLE", "role"),
    reset("SET work_mem TO DEFAULT", "work_mem"),
    reset("SET TIME ZONE LOCAL", "timezone"),
    reset("SET TIME ZONE DEFAULT", "timezone"),
    reset("SET SESSION AUTHORIZATION DEFAULT", "session_authorization"),
    (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        SetCharacteristics(read_only=True),
    ),
    (
        "SELECT set_config('app.user', '1', false)",
        SetConfig("app.user", False, "SELECT set_config('app.user', '1', false)", "1"),
    ),
    (
        "SELECT pg_catalog.set_config('a.b', %s, 'f') AS x",
        SetConfig("a.b", False, "SELECT pg_catalog.set_config('a.b', %s, 'f') AS x"),
    ),
    (
        "SELECT set_config($1, $2, false)",
        SetConfig(None, False, "SELECT set_config($1, $2, false)"),
    ),
    ("DISCARD ALL", Discard("ALL")),
    ("DISCARD PLANS", Discard("PLANS")),
    ("DEALLOCATE PREPARE p", Deallocate("p")),
    ("DEALLOCATE ALL", Deallocate(None)),
    ("LOAD 'auto_explain'", Load("auto_explain", "LOAD 'auto_explain'")),
    (
        "PREPARE p (int) AS SELECT $1",
        Prepare(
            "p",
            Statement(Verdict.READ, "select", "SELECT"),
            "PREPARE p (int) AS SELECT $1",
        ),
    ),
    (
        "PREPARE p AS DELETE FROM a",
        Prepare(
            "p",
            Statement(Verdict.WRITE, "write_statement", "DELETE"),
            "PREPARE p AS DELETE FROM a",
        ),
    ),
    ("SET apg_write_forward.consistency_mode = session", SetConsistency("session")),
    ("SET apg_write_forward.consistency_mode TO 'GLOBAL'", SetConsistency("global")),
    ("SET apg_write_forward.consistency_mode = OFF", SetConsistency(None)),
    ("SET apg_write_forward.consistency_mode = ''", SetConsistency(None)),
    ("SET @@aurora_replica_read_consistency = 'eventual'", SetConsistency("eventual")),
    ("SET @@session.aurora_replica_read_consistency = ''", SetConsistency(None)),
    ("SET SESSION aurora_replica_read_consistency = 'x'", SetConsistency("x")),
    ("RESET apg_write_forward.consistency_mode", SetConsistency("default")),
    (
        "SELECT set_config('apg_write_forward.consistency_mode', 'global', false)",
        SetConsistency("global"),
    ),
]


@pytest.mark.parametrize(("sql", "action"), SETTINGS)
def test_session_state_is_parsed(sql, action):
    statement = classify(sql)
    assert statement.action == action
    assert statement.verdict is Verdict.SESSION


LOCAL = [
    setting("SET LOCAL work_mem = 8", "work_mem", "8", local=True),
    reset("SET LOCAL work_mem TO DEFAULT", "work_mem", local=True),
    setting("SET LOCAL ROLE app", "role", "app", local=True),
    (
        "SELECT set_config('a.b', '1', true), set_config('a.c', '2', true)",
        SetConfig(
            None,
            True,
            "SELECT set_config('a.b', '1', true), set_config('a.c', '2', true)",
        ),
    ),
]


@pytest.mark.parametrize(("sql", "action"), LOCAL)
def test_settings_of_a_transaction_follow_it(sql, action):
    statement = classify(sql)
    assert statement.action == action
    assert statement.verdict is Verdict.TRANSACTION


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT set_config('a', '1', $1)",
        "SELECT set_config('a', '1', true), set_config('b', '1', false)",
        "SELECT set_config('a', f(), false)",
        "SELECT set_config('a', '1', false) FROM t",
        "SELECT id, set_config('a', '1', true) FROM t",
        "INSERT INTO t SELECT set_config('a', '1', false)",
    ],
)
def test_a_setting_that_cannot_be_recorded_keeps_its_connection(sql):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (Verdict.PIN, "set_config")


OTHERS = [
    ("SHOW work_mem", Verdict.SAME_CONNECTION, ShowSetting("work_mem")),
    ("SHOW ALL", Verdict.SAME_CONNECTION, ShowSetting("all")),
    ("SHOW TIME ZONE", Verdict.SAME_CONNECTION, ShowSetting("timezone")),
    (
        "show transaction isolation level",
        Verdict.SAME_CONNECTION,
        ShowSetting("transaction_isolation"),
    ),
    ("SHOW port", Verdict.NODE_LOCAL, ShowSetting("port")),
    (
        "SHOW apg_write_forward.consistency_mode",
        Verdict.READ,
        ShowConsistency("apg_write_forward.consistency_mode"),
    ),
    (
        "SHOW aurora_replica_read_consistency",
        Verdict.READ,
        ShowConsistency("aurora_replica_read_consistency"),
    ),
    ("SHOW POOLS", Verdict.READ, GlobaldbShow("pools")),
    ("SHOW GLOBALDB Nodes;", Verdict.READ, GlobaldbShow("nodes")),
    ("EXPLAIN ROUTE DELETE FROM a", Verdict.READ, ExplainRoute("DELETE FROM a")),
    ("COPY a FROM STDIN", Verdict.WRITE, Copy(to_client=False)),
    ("COPY BINARY s.a (b) FROM stdin", Verdict.WRITE, Copy(to_client=False)),
    ("COPY (SELECT 1) TO STDOUT", Verdict.READ, Copy(to_client=True)),
    ("COPY a FROM '/x'", Verdict.WRITE, None),
    ("EXECUTE p", Verdict.WRITE, Execute("p")),
    ("EXECUTE p(1, lower('A'))", Verdict.WRITE, Execute("p")),
    ("EXECUTE p(f(1))", Verdict.WRITE, None),
    ("LISTEN c", Verdict.PIN, Listen("c")),
    ("UNLISTEN c", Verdict.PIN, Unlisten("c")),
    ("UNLISTEN *", Verdict.PIN, Unlisten(None)),
    ("DISCARD TEMP", Verdict.PIN, Discard("TEMP")),
    ("COMMIT PREPARED 'x'", Verdict.WRITE, CommitPrepared("x")),
    ("ROLLBACK PREPARED 'x'", Verdict.WRITE, RollbackPrepared("x")),
    ("SET CONSTRAINTS ALL DEFERRED", Verdict.TRANSACTION, None),
]


@pytest.mark.parametrize(("sql", "verdict", "action"), OTHERS)
def test_other_commands_are_parsed(sql, verdict, action):
    statement = classify(sql)
    assert (statement.verdict, statement.action) == (verdict, action)


@pytest.mark.parametrize(
    "sql",
    ["BEGIN NONSENSE", "COMMIT 1", "SAVEPOINT", "SET", "SET x", "RESET", "SHOW",
     "SHOW a b", "SET x =", "ROLLBACK TO", "PREPARE p", "PREPARE TRANSACTION x",
     "EXECUTE 1", "DECLARE c", "COPY", "COPY a", "LOAD x", "LISTEN", "DISCARD x",
     "SET TRANSACTION NONSENSE", "BEGIN ISOLATION LEVEL HIGH"],
)  # fmt: skip
def test_a_command_that_is_not_understood_is_a_write_of_its_own(sql):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (Verdict.WRITE, "unknown_statement")
    assert statement.action is None
    assert statement.alone


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("CREATE TABLE t (n int)", Defines.DATA),
        ("CREATE INDEX ON t (n)", Defines.DATA),
        ("DROP FUNCTION f", Defines.DATA),
        ("ALTER TABLE t ADD n int", Defines.DATA),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", Defines.CODE),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS ''", Defines.CODE),
        ("CREATE VIEW v AS SELECT 1", Defines.CODE),
        ("CREATE POLICY p ON t USING (f(n))", Defines.CODE),
        ("ALTER FUNCTION f() STABLE", Defines.CODE),
        ("ALTER TABLE v RENAME TO w", Defines.CODE),
        ("CREATE EXTENSION hstore", Defines.CODE),
        ("DO $$BEGIN CREATE TABLE t (n int); END$$", Defines.CODE),
        ("DO $$BEGIN PERFORM 1; END$$", Defines.NOTHING),
        ("CREATE TABLE t (n int); CREATE VIEW v AS SELECT 1", Defines.CODE),
        ("CREATE TEMP TABLE t (n int)", Defines.NOTHING),
        ("INSERT INTO t VALUES (1)", Defines.NOTHING),
        ("GRANT SELECT ON t TO u", Defines.NOTHING),
        ("SELECT 1", Defines.NOTHING),
    ],
)
def test_what_the_catalog_tells_of_may_be_changed(sql: str, what: Defines) -> None:
    assert classify(sql).defines is what
