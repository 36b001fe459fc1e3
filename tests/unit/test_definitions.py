"""A definition that passes by says what the catalog would say."""

from __future__ import annotations

import pytest

from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.definitions import Definitions
from globaldb.core.statement import Verdict

READ, WRITE, PIN = Verdict.READ, Verdict.WRITE, Verdict.PIN


def verdict(sql, *definitions):
    """What *sql* is once *definitions* have passed by."""
    known = Definitions()
    for definition in definitions:
        known.observe(definition)
    return classify(sql, known.catalog).verdict


def sql(body, head="f(a int) RETURNS int"):
    return f"CREATE FUNCTION {head} AS $${body}$$ LANGUAGE sql"


def plpgsql(body, head="f(a text) RETURNS text"):
    return f"CREATE OR REPLACE FUNCTION {head} LANGUAGE plpgsql AS $$ {body} $$"


@pytest.mark.parametrize(
    "definition",
    [
        sql("SELECT a + 1"),
        sql("SELECT 1; SELECT count(*) FROM t WHERE id = a"),
        "CREATE FUNCTION f(a int) RETURNS int RETURN a + 1",
        "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT a; SELECT 2; END",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE c IMMUTABLE AS 'lib', 'f'",
        "CREATE FUNCTION f(a int) RETURNS int AS 'textlen' LANGUAGE internal",
        plpgsql("DECLARE n t.id%type := 0; BEGIN SELECT 1 INTO n; RETURN n; END"),
        plpgsql("BEGIN FOR r IN SELECT * FROM t LOOP RETURN NEXT r; END LOOP; END"),
        plpgsql("BEGIN IF a = 'x' THEN RAISE NOTICE 'insert %', a; END IF; END"),
        plpgsql("BEGIN RETURN f(a || 'x'); END"),
        "CREATE AGGREGATE f(int) (sfunc = int4pl, stype = int)",
        "CREATE TYPE f AS RANGE (subtype = text)",
    ],
)
def test_a_function_that_only_reads_makes_its_calls_reads(definition):
    assert verdict("SELECT f(1)") is WRITE
    assert verdict("SELECT f(1)", definition) is READ


@pytest.mark.parametrize(
    "definition",
    [
        sql("INSERT INTO t VALUES (a) RETURNING a"),
        sql("SELECT 1; DELETE FROM t"),
        sql("SELECT g(a)"),
        sql("SELECT a FROM t FOR UPDATE"),
        sql("SELECT nextval('s')"),
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE c AS 'lib', 'f'",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpython3u AS 'return 1'",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM t; END",
        plpgsql("BEGIN IF true THEN INSERT INTO t VALUES (a); END IF; END"),
        plpgsql("BEGIN PERFORM g(a); END"),
        plpgsql("BEGIN PERFORM pg_advisory_lock(1); END"),
        plpgsql("BEGIN RETURN QUERY UPDATE t SET v = 1 RETURNING v; END"),
        plpgsql("BEGIN SET work_mem = 1; CREATE TABLE x(); END"),
        plpgsql("BEGIN EXECUTE 'DROP TABLE ' || a; END"),
        plpgsql("DECLARE q text; BEGIN SELECT x INTO q FROM t; EXECUTE q; END"),
        plpgsql("BEGIN x := g(a); END"),
        plpgsql("BEGIN WHILE g(a) LOOP END LOOP; END"),
        plpgsql("BEGIN 'not terminated"),
    ],
)
def test_a_function_that_may_write_keeps_its_calls_on_the_writer(definition):
    assert verdict("SELECT f(1)", definition) in {WRITE, PIN}


def test_a_declaration_outweighs_a_body_that_nobody_can_judge():
    body = plpgsql("BEGIN EXECUTE x; END")
    assert verdict("SELECT f('a')", body) is WRITE
    assert verdict("SELECT f('a')", f"{body} STABLE") is READ


def test_a_declaration_does_not_hide_a_lock():
    body = plpgsql("BEGIN PERFORM pg_advisory_lock(1); END")
    assert verdict("SELECT f('a')", f"{body} STABLE") is PIN


RUNS = plpgsql("BEGIN RETURN QUERY EXECUTE format('EXPLAIN ANALYZE %s', $1); END")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("SELECT f('SELECT 1')", READ),
        ("SELECT f('EXPLAIN SELECT 1')", READ),
        ("SELECT f($$SELECT * FROM t$$)", READ),
        ("SELECT f('DELETE FROM t')", WRITE),
        ("SELECT f('SELECT * FROM t FOR UPDATE')", WRITE),
        ("SELECT f('CREATE TABLE x()')", WRITE),
        ("SELECT f('EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1')", WRITE),
        ("SELECT f('SELECT 1; DROP TABLE t')", WRITE),
        ("SELECT f(g.query) FROM g", WRITE),
        ("SELECT f(%s)", WRITE),
        ("SELECT f('SELECT 1' || x) FROM t", WRITE),
    ],
)
def test_a_function_that_runs_its_argument_is_judged_by_it(call, expected):
    assert verdict(call, RUNS) is expected


def test_overloads_count_as_the_gravest_of_them():
    writes = sql("DELETE FROM t", "f(a text) RETURNS void")
    assert verdict("SELECT f(1)", sql("SELECT a"), writes) is WRITE
    dropped = "DROP FUNCTION IF EXISTS f(a text)"
    assert verdict("SELECT f(1)", sql("SELECT a"), writes, dropped) is READ


def test_a_function_that_is_replaced_is_what_it_is_now():
    assert verdict("SELECT f(1)", sql("DELETE FROM t"), sql("SELECT 1")) is READ
    assert verdict("SELECT f(1)", sql("SELECT 1"), sql("DELETE FROM t")) is WRITE


def test_a_dropped_function_is_unknown_again():
    assert verdict("SELECT f(1)", sql("SELECT 1"), "DROP FUNCTION f") is WRITE


def test_a_view_that_writes_is_no_longer_a_table():
    assert verdict("SELECT * FROM v") is READ
    for kind in ("VIEW", "TEMP VIEW", "OR REPLACE RECURSIVE VIEW"):
        view = f"CREATE {kind} v AS SELECT nextval('s')"
        assert verdict("SELECT * FROM v", view) is WRITE


def test_a_view_that_is_replaced_by_a_plain_one_is_a_table_again():
    writes = "CREATE VIEW v AS SELECT pg_notify('a', '')"
    assert verdict("TABLE v", writes) is WRITE
    assert verdict("TABLE v", writes, "CREATE OR REPLACE VIEW v AS SELECT 1") is READ
    assert verdict("TABLE v", writes, "DROP VIEW v") is READ


def test_a_name_in_quotes_is_another_one():
    assert verdict('SELECT "F"(1)', sql("SELECT 1")) is WRITE
    assert verdict("SELECT F(1)", sql("SELECT 1")) is READ


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
        "CREATE FUNCTION f(a int) RETURNS int STABLE LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE FUNCTION f(a int) RETURNS int RETURN g($1) + 1",
        "CREATE VIEW v (a) AS SELECT 1",
        "CREATE TYPE r AS RANGE (subtype = int, multirange_type_name = m)",
        "CREATE AGGREGATE a(int) (sfunc = f, stype = int, finalfunc = g)",
        "DROP FUNCTION IF EXISTS s.f(a int), g CASCADE",
    ],
)
def test_a_definition_may_be_cut_anywhere(text):
    for end in range(len(text)):
        assert Definitions().observe(text[:end]) in (True, False)
