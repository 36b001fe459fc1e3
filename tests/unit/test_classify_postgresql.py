"""Verdicts and reasons of single texts, each a trap for a simpler reader of SQL."""

from __future__ import annotations

import pytest

from globaldb.core.catalog import Catalog
from globaldb.core.findings import Finding
from globaldb.core.postgresql.classify import LONGEST, classify
from globaldb.core.statement import Verdict

R, W, P = Verdict.READ, Verdict.WRITE, Verdict.PIN
SAME, NODE = Verdict.SAME_CONNECTION, Verdict.NODE_LOCAL
S, T = Verdict.SESSION, Verdict.TRANSACTION

TABLE = [
    # Writes that look like reads.
    ("SELECT * FROM a FOR UPDATE", W, "locking_clause"),
    ("select * from a where id=1 for\n  no /* x */ key update", W, "locking_clause"),
    ("SELECT * FROM (SELECT * FROM a FOR SHARE) s", W, "locking_clause"),
    ("WITH x AS (SELECT 1 FROM a FOR KEY SHARE) TABLE x", W, "locking_clause"),
    ("SELECT 1 UNION (SELECT id FROM a FOR UPDATE)", W, "locking_clause"),
    ("SELECT * FROM a LIMIT 1for update", W, "locking_clause"),
    ("SELECT * FROM a LIMIT 1.for update", W, "locking_clause"),
    ("SELECT * FROM a LIMIT $1for update", W, "locking_clause"),
    ("SELECT * FROM a WHERE b='x'for update", W, "locking_clause"),
    ('SELECT "x"FROM a WHERE "b"=\'1\'FOR UPDATE OF a NOWAIT', W, "locking_clause"),
    ("SELECT * FROM a LIMIT %sfor update", W, "unparsable"),
    ("SELECT 1 INTO b", W, "select_into"),
    ("SELECT 1into b", W, "select_into"),
    ("SELECT * INTO TEMP b FROM a", P, "temporary_object"),
    ("SELECT * INTO LOCAL TEMPORARY TABLE b FROM a", P, "temporary_object"),
    ("SELECT * INTO pg_temp.b FROM a", P, "temporary_object"),
    ("WITH x AS (UPDATE a SET v=1 RETURNING *) SELECT 1", W, "data_modifying_cte"),
    ("WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x", W, "data_modifying_cte"),
    ("WITH x AS (WITH y AS (SELECT 1) DELETE FROM a) SELECT 1", W, "data_modifying_cte"),
    (
        "WITH RECURSIVE r AS (SELECT 1 x) SEARCH DEPTH FIRST BY x SET o DELETE",
        W,
        "data_modifying_cte",
    ),
    ("with x as materialized(delete from a returning 1) table x", W, "data_modifying_cte"),
    ("TABLE a FOR UPDATE", W, "locking_clause"),
    # Functions.
    ("SELECT f(1)", W, "unknown_function"),
    ("SELECT * FROM a, f(1) AS (x int)", W, "unknown_function"),
    ("SELECT * FROM a, f(1) AS t(x int)", W, "unknown_function"),
    ("SELECT * FROM a ORDER BY f(id)", W, "unknown_function"),
    ("SELECT DISTINCT ON (a) f(b) FROM t", W, "unknown_function"),
    ("SELECT s.lower('X')", W, "unknown_function"),
    ("SELECT s . lower ('X')", W, "unknown_function"),
    ("SELECT s/**/./**/lower/**/('X')", W, "unknown_function"),
    ("SELECT \"s\".lower('X')", W, "unknown_function"),
    ('SELECT "s"."lower"(1)', W, "unknown_function"),
    ('SELECT "wr"(1)', W, "unknown_function"),
    ('SELECT "Lower"(name) FROM a', W, "unknown_function"),
    ('SELECT U&"\\006cower"(name) FROM a', W, "unknown_function"),
    ("SELECT \u2113ower(name) FROM a", W, "unknown_function"),
    ("SELECT \u212aower(name) FROM a", W, "unknown_function"),
    ("SELECT chec\u212a(1)", W, "unknown_function"),
    ("SELECT join(1)", W, "unknown_function"),
    ("SELECT a FROM t ORDER BY join(a)", W, "unknown_function"),
    ("SELECT filter(a) FROM t", W, "unknown_function"),
    ("SELECT over(a) FROM t", W, "unknown_function"),
    ("SELECT materialized(a) FROM t", W, "unknown_function"),
    ("SELECT x AT TIME ZONE f(1) FROM t", W, "unknown_function"),
    ("SELECT 5 %s(1)", W, "unknown_function"),
    ("SELECT a %slower(b) FROM t", W, "unparsable"),
    # A function of one argument may be written as a column of it.
    ("SELECT (5::bigint).pg_advisory_lock", P, "advisory_lock"),
    ('SELECT q."pg_try_advisory_lock" FROM abs(5::bigint) q', P, "advisory_lock"),
    ("SELECT ('{5}'::bigint[])[1] . pg_advisory_xact_lock", W, "advisory_lock"),
    ("SELECT (0.5::float8).setseed", P, "connection_state"),
    ("SELECT q.nextval FROM CAST('s' AS regclass) q", W, "sequence"),
    ("SELECT ('s'::regclass).\"nextval\"", W, "sequence"),
    ("SELECT ('s'::regclass).U&\"!006eextval\" UESCAPE '!'", W, "escaped_name"),
    ("SELECT a.version, a.nextval_of FROM a", R, "select"),
    ("SELECT 1 OPERATOR(s.+) 2", W, "unknown_operator"),
    ("SELECT json_object(KEY f(1) VALUE 2)", W, "unknown_function"),
    ("SELECT pg_catalog.nextval('s')", W, "sequence"),
    ('SELECT "pg_catalog"."nextval"(\'s\')', W, "sequence"),
    ("SELECT NEXTVAL ('s')", W, "sequence"),
    ("SELECT last_value FROM s", W, "sequence"),
    ("SELECT s.last_value FROM s", W, "sequence"),
    ("SELECT last_value FROM pg_sequences", W, "sequence"),
    ("SELECT schemaname FROM pg_sequences", W, "sequence"),
    ("SELECT gid FROM pg_prepared_xacts", W, "prepared_transactions"),
    ("SELECT * FROM pg_catalog.pg_prepared_xact()", W, "prepared_transactions"),
    ("SELECT pg_notify('a', 'b')", W, "notify"),
    ("SELECT lo_import('/etc/passwd')", W, "large_object"),
    ("SELECT pg_read_file('x')", W, "server_file"),
    ("SELECT pg_terminate_backend(1)", W, "admin_function"),
    ("SELECT txid_current()", W, "transaction_id"),
    ("SELECT pg_advisory_xact_lock(1)", W, "advisory_lock"),
    ("SELECT pg_advisory_lock(1)", P, "advisory_lock"),
    ("SELECT pg_advisory_lock(1) FROM a FOR UPDATE", P, "advisory_lock"),
    ("SELECT nextval('s'), pg_advisory_unlock(1)", P, "advisory_lock"),
    ("UPDATE a SET v=1 WHERE pg_try_advisory_lock(id)", P, "advisory_lock"),
    ("INSERT INTO a SELECT pg_advisory_lock(1)", P, "advisory_lock"),
    ("CREATE TABLE b AS SELECT pg_advisory_lock(1)", P, "advisory_lock"),
    ("COPY (SELECT pg_advisory_lock(1)) TO STDOUT", P, "advisory_lock"),
    ("EXPLAIN ANALYZE SELECT pg_advisory_lock(1)", P, "advisory_lock"),
    ("EXPLAIN SELECT pg_advisory_lock(1)", R, "explain"),
    ("SELECT setseed(0.5)", P, "connection_state"),
    ("SELECT dblink_connect('x')", P, "connection_state"),
    ("SELECT query_to_xml('select 1', true, true, '')", R, "select"),
    ("SELECT query_to_xml('select f(1)', true, true, '')", W, "opaque_query"),
    ("SELECT query_to_xml($1, true, true, '')", W, "opaque_query"),
    ("SELECT query_to_xml('select pg_advisory_lock(1)',true,true,'')", P, "advisory_lock"),
    # Answers of one connection or one node.
    ("SELECT currval('s'), * FROM a", SAME, "sequence"),
    ("SELECT * FROM pg_settings", SAME, "session_state"),
    ("SELECT * FROM pg_temp.a", SAME, "temporary_object"),
    ("SELECT current_setting('work_mem')", SAME, "session_state"),
    ("SELECT current_setting(%s)", SAME, "session_state"),
    ("SELECT current_setting('app.user')", R, "select"),
    ("SELECT current_setting('port')", NODE, "node_setting"),
    ("SELECT version()", NODE, "node_function"),
    ("SELECT pg_is_in_recovery()", NODE, "node_function"),
    ("SELECT pg_backend_pid()", NODE, "node_function"),
    ("SELECT * FROM pg_catalog.pg_stat_activity", NODE, "node_view"),
    ('SELECT * FROM "pg_stat_activity"', NODE, "node_view"),
    ("SELECT * FROM mine.pg_locks", R, "select"),
    ("SHOW server_version", NODE, "node_setting"),
    ("SHOW search_path", SAME, "session_state"),
    ("FETCH 10 FROM c", SAME, "cursor"),
    ("MOVE c", SAME, "cursor"),
    # Commands.
    ("", R, "empty"),
    (" ; ; ", R, "empty"),
    ("-- nothing", R, "empty"),
    ("INSERT INTO a VALUES (1)", W, "write_statement"),
    ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", W, "write_statement"),
    ("TRUNCATE a", W, "write_statement"),
    ("CREATE TABLE a (i int)", W, "definition"),
    ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", P, "temporary_object"),
    ("CREATE TEMPORARY SEQUENCE s", P, "temporary_object"),
    ("CREATE TABLE pg_temp.a (i int)", P, "temporary_object"),
    ("CREATE UNLOGGED TABLE a (temp int)", W, "definition"),
    ("VACUUM a", W, "maintenance"),
    ("CALL p()", W, "opaque_body"),
    ("DO $$begin perform pg_advisory_lock(1); end$$", P, "opaque_body"),
    ("DO $$begin create temp table x(i int); end$$", P, "opaque_body"),
    ("DECLARE c CURSOR FOR SELECT 1", T, "declare_cursor"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", P, "holdable_cursor"),
    ("DECLARE c CURSOR FOR SELECT 1 FROM a FOR UPDATE", W, "locking_clause"),
    ("COPY a TO STDOUT", R, "copy_out"),
    ("COPY a (b, c) TO STDOUT WITH (FORMAT csv)", R, "copy_out"),
    ("COPY a FROM STDIN", W, "copy_in"),
    ("COPY a TO '/tmp/x'", W, "server_file"),
    ("COPY a TO PROGRAM 'cat'", W, "server_file"),
    ("COPY (DELETE FROM a RETURNING *) TO STDOUT", W, "write_statement"),
    ("COPY (SELECT * FROM a FOR UPDATE) TO STDOUT", W, "locking_clause"),
    ("EXPLAIN (ANALYZE off, VERBOSE) DELETE FROM a", R, "explain"),
    ("EXPLAIN (ANALYZE 'off') DELETE FROM a", R, "explain"),
    ("EXPLAIN (ANALYZE maybe) DELETE FROM a", W, "write_statement"),
    ("EXPLAIN (\"analyze\") DELETE FROM a", W, "write_statement"),
    ("EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM a", W, "write_statement"),
    ("EXPLAIN ANALYZE VERBOSE DELETE FROM a", W, "write_statement"),
    ("EXPLAIN ANALYZE SELECT 1", R, "explain"),
    ("EXPLAIN (SELECT 1)", R, "explain"),
    ("EXPLAIN ANALYZE (SELECT f(1))", W, "unknown_function"),
    ("EXPLAIN CREATE TABLE b AS SELECT 1", R, "explain"),
    ("EXPLAIN ANALYZE CREATE TABLE b AS SELECT 1", W, "definition"),
    ("EXPLAIN EXECUTE p", W, "execute"),
    ("EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", P, "temporary_object"),
    ("EXPLAIN ANALYZE CREATE TABLE pg_temp.t AS SELECT 1", P, "temporary_object"),
    ("EXPLAIN EXPLAIN SELECT 1", W, "unknown_statement"),
    ("EXECUTE p(1, 'x')", W, "execute"),
    ("EXECUTE p(nextval('s'))", W, "sequence"),
    ("GOBBLE 1", W, "unknown_statement"),
    ("1", W, "unknown_statement"),
    ('"select" 1', W, "unknown_statement"),
    # Texts that are not what they seem.
    ("SELECT 'a", W, "unparsable"),
    ('SELECT "a', W, "unparsable"),
    ("SELECT $a$ x $b$", W, "unparsable"),
    ("SELECT /* /* */ 1", W, "unparsable"),
    ("SELECT 1 \0 ; DELETE FROM a", W, "unparsable"),
    ("SELECT 'a\\' || ' || f(1) || '\\''", W, "backslash_before_quote"),
    ("SELECT '\\', '; DELETE FROM t; --\\'", W, "backslash_before_quote"),
    ("SELECT 'a\\' || f(1) || ' b'", W, "unknown_function"),
    ("SELECT name LIKE '50\\%' ESCAPE '\\' FROM t", R, "select"),
    ("SELECT a FROM t GROUP BY a, (b), ROLLUP (c), CUBE (a, (b))", R, "select"),
    ("SELECT a FROM t GROUP BY DISTINCT ROLLUP (a), ROLLUP (b)", R, "select"),
    ("SELECT a, rollup(b) FROM t GROUP BY a", W, "unknown_function"),
    ("SELECT a FROM t GROUP BY a, f(b, cube(1))", W, "unknown_function"),
    ("SELECT a FROM t GROUP BY a ORDER BY a, cube(1)", W, "unknown_function"),
    ("SELECT '\\' AS a, '' AS b, '\\\\' AS c", R, "select"),
    ("SELECT E'a\\' || f(1) || ' b", R, "select"),
    ("SELECT $A$ $a$ ; DELETE FROM t; --$A$", R, "select"),
    ("SELECT a$b$, f(1), c$b$ FROM t", W, "unknown_function"),
    ("SELECT E'a'\n'\\' , f(1), ' FROM t", R, "select"),
]  # fmt: skip

SCRIPTS = [
    ("SELECT 1; SELECT 2;", R, "select"),
    ("SELECT 1; SELECT version()", NODE, "node_function"),
    ("SELECT 1; DELETE FROM a", W, "write_statement"),
    ("DELETE FROM a; SELECT currval('s')", W, "write_statement"),
    ("BEGIN; DELETE FROM a; COMMIT", P, "script_begin"),
    ("SET work_mem = 1; SELECT 1", P, "script_set"),
    ("LOCK TABLE a; DELETE FROM a", W, "lock_table"),
    ("CREATE TEMP TABLE b (i int); SELECT 1", P, "temporary_object"),
]


@pytest.mark.parametrize(("sql", "verdict", "reason"), TABLE)
def test_one_statement_has_its_verdict(sql, verdict, reason):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (verdict, reason)


@pytest.mark.parametrize(("sql", "verdict", "reason"), SCRIPTS)
def test_a_script_is_as_grave_as_its_gravest_statement(sql, verdict, reason):
    statement = classify(sql)
    assert (statement.verdict, statement.reason) == (verdict, reason)
    assert statement.multiple


def test_a_semicolon_inside_parentheses_does_not_end_a_statement():
    statement = classify("CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2)")
    assert (statement.reason, statement.multiple) == ("definition", False)


def test_the_body_of_a_routine_is_not_taken_for_transaction_control():
    statement = classify("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END")
    assert (statement.verdict, statement.reason) == (W, "definition")
    assert statement.alone


@pytest.mark.parametrize(
    ("sql", "multiple"),
    [
        ("INSERT INTO a VALUES (1);", False),
        ("INSERT INTO a VALUES (';')", False),
        ("INSERT INTO a VALUES (E'\\';')", False),
        ("INSERT INTO a VALUES ($$;$$)", False),
        ("INSERT INTO a VALUES (1); -- the end ;", False),
        ("INSERT INTO a VALUES (1) /* ; /* ; */ ; */", False),
        ("INSERT INTO a VALUES (1); SELECT 1", True),
        ("INSERT INTO a VALUES ('\\'); SELECT ('1')", True),
        ("INSERT INTO a VALUES (1) /* /* */ ; */ ; SELECT 1", True),
        ("SELECT 1;", False),
        ("SELECT 1;;  ", False),
        ("BEGIN; COMMIT", True),
    ],
)
def test_a_text_knows_whether_it_holds_more_than_one_statement(sql, multiple):
    assert classify(sql).multiple is multiple


@pytest.mark.parametrize(
    "sql",
    ["VACUUM a", "CREATE DATABASE d", "DROP DATABASE d", "CALL p()", "DO 'x'", "BEGIN",
     "CREATE INDEX CONCURRENTLY i ON a (b)", "REINDEX TABLE a", "COMMIT", "CLUSTER a",
     "ALTER SYSTEM SET x = 1", "ALTER TYPE t ADD VALUE 'x'", "SAVEPOINT s", "GOBBLE",
     "DISCARD ALL", "CREATE TABLESPACE s LOCATION 'x'", "COMMIT PREPARED 'x'",
     "DROP INDEX CONCURRENTLY i", "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
     "REFRESH MATERIALIZED VIEW CONCURRENTLY v", "CREATE SUBSCRIPTION s"],
)  # fmt: skip
def test_what_refuses_company_travels_alone(sql):
    assert classify(sql).alone


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "INSERT INTO a VALUES (1)", "CREATE TABLE a (i int)", "TRUNCATE a",
     "CREATE INDEX i ON a (b)", "SET x.y = 1", "NOTIFY c", "COPY a FROM STDIN",
     "ALTER TABLE a ADD b int", "DROP TABLE a", "GRANT SELECT ON a TO b"],
)  # fmt: skip
def test_what_bears_company_may_share_a_pipeline(sql):
    assert not classify(sql).alone


def test_bytes_are_read_as_text_in_any_encoding():
    assert classify(b"SELECT 'gr\xc3\xbc\xc3\x9f'").verdict is R
    assert classify(b"SELECT 'gr\xfc\xdf'").verdict is R
    assert classify(b"DELETE FROM gr\xfc\xdf").verdict is W


def test_a_catalog_may_know_the_functions_of_the_application():
    findings = {"t.ro": Finding(R, "known_function"), "t.lock": Finding(P, "kept")}
    catalog = Catalog(functions=findings)
    assert classify("SELECT t.ro(1)", catalog).verdict is R
    assert classify("SELECT t.lock(1)", catalog).verdict is P
    assert classify("SELECT t.other(1)", catalog).verdict is W


def test_a_catalog_is_not_asked_about_the_servers_own_functions():
    catalog = Catalog(functions={"nextval": Finding(R, "known_function")})
    assert classify("SELECT nextval('s')", catalog).verdict is W


def test_a_long_insert_is_one_write():
    values = ", ".join(f"({i}, 'it''s; {i}')" for i in range(100_000))
    statement = classify(f"INSERT INTO a VALUES {values};")
    assert (statement.verdict, statement.multiple) == (W, False)


def test_a_long_read_is_still_a_read():
    ids = ", ".join(map(str, range(300_000)))
    assert len(ids) > LONGEST
    assert classify(f"SELECT * FROM a WHERE id IN ({ids})").verdict is R


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [("SELECT f('{}')", W), ("SELECT pg_advisory_lock(1), '{}'", P),
     ("SELECT f('{}'); SELECT 1", P)],
)  # fmt: skip
def test_a_text_too_long_to_take_apart_is_a_write_or_keeps_its_connection(sql, verdict):
    statement = classify(sql.format("x" * LONGEST))
    assert (statement.verdict, statement.reason) == (verdict, "too_long")
