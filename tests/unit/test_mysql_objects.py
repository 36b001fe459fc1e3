"""What the stored objects of MySQL do, told by their definitions alone."""

from __future__ import annotations

import pytest

from globaldb.core.catalog import Catalog
from globaldb.core.findings import Finding
from globaldb.core.mysql.classify import classify
from globaldb.core.mysql.objects import Definition, Sort, entries
from globaldb.core.statement import Verdict


def verdict(sql, *definitions):
    """Return the verdict of *sql* where *definitions* are all there is."""
    return classify(sql, Catalog.of(entries(definitions))).verdict.value


def function(body, name="f", variables=("i",)):
    return Definition(Sort.FUNCTION, "app", name, body, frozenset(variables))


BODIES = {
    "RETURN i + 1": "read",
    "RETURN (SELECT MAX(v) FROM a WHERE id = i)": "read",
    "RETURN REPLACE(INSERT('a', 1, 1, 'b'), 'insert into', 'x')": "read",
    "BEGIN DECLARE n INT; SET n = i; RETURN n; END": "read",
    "BEGIN DECLARE n, m INT DEFAULT 0; SET n = 1, m = GREATEST(n, 2); RETURN m; END": "read",
    "BEGIN DECLARE n INT; SELECT v INTO n FROM a; RETURN n; END": "read",
    "BEGIN DECLARE n INT; SELECT v FROM a INTO `n`; RETURN n; END": "read",
    "BEGIN IF (i > 1) THEN RETURN 1; ELSEIF (i < 0) THEN RETURN 2; ELSE RETURN 3; END IF; END": "read",
    "BEGIN again: LOOP LEAVE again; END LOOP; RETURN 1; END": "read",
    "BEGIN DECLARE x VARCHAR(10); CASE WHEN i THEN SET x = 'a'; ELSE SET x = 'b'; END CASE; RETURN x; END": "read",
    "BEGIN RETURN CASE WHEN i THEN v ELSE w END; END": "read",
    "BEGIN /* insert into a */ -- delete from a\n RETURN 1; END": "read",
    "BEGIN INSERT INTO a VALUES (i); RETURN i; END": "write",
    "BEGIN IF i THEN DELETE FROM a; END IF; RETURN i; END": "write",
    "BEGIN IF i THEN TRUNCATE a; END IF; RETURN i; END": "write",
    "RETURN (SELECT MAX(v) FROM a FOR UPDATE)": "write",
    "RETURN NEXTVAL(s)": "write",
    "RETURN another(i)": "write",
    "BEGIN FROBNICATE a; RETURN 1; END": "write",
    "BEGIN RETURN 'open; END": "write",
    "BEGIN /*!50000 INSERT INTO a VALUES (1); */ RETURN 1; END": "write",
    "RETURN GET_LOCK('x', 1)": "pin",
    "BEGIN SET @x = i; RETURN i; END": "pin",
    "RETURN @x := i": "pin",
    "BEGIN SELECT v INTO @x FROM a; RETURN 1; END": "pin",
    "BEGIN INSERT INTO a VALUES (@x); RETURN 1; END": "pin",
    "BEGIN SET sql_mode = ''; RETURN i; END": "pin",
    "BEGIN SET SESSION sql_mode = ''; RETURN i; END": "pin",
    "BEGIN SET @@sql_mode = ''; RETURN i; END": "pin",
    "BEGIN DECLARE n INT; SET n = 1, sql_mode = ''; RETURN n; END": "pin",
    "BEGIN CREATE TEMPORARY TABLE t (i INT); RETURN 1; END": "pin",
    "BEGIN DROP TEMPORARY TABLE IF EXISTS t; RETURN 1; END": "pin",
    "RETURN @x": "same_connection",
    "RETURN LAST_INSERT_ID()": "same_connection",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_function_does_what_its_body_says(body):
    assert verdict("SELECT f(1)", function(body)) == BODIES[body]


def test_a_body_that_cannot_be_seen_may_leave_anything_on_its_connection():
    assert verdict("SELECT f(1)", function(None)) == "pin"


def test_a_function_does_what_those_it_calls_do():
    chain = [
        function("RETURN app.g(i)"),
        function("RETURN h(i) + f(i)", "g"),
        function("RETURN GET_LOCK('x', i)", "h"),
    ]
    assert verdict("SELECT F(1)", *chain) == "pin"


def test_a_view_does_what_the_views_and_functions_behind_it_do():
    objects = [
        function("BEGIN DELETE FROM a; RETURN 1; END"),
        Definition(Sort.VIEW, "app", "low", "select `app`.`f`(1) AS `x`"),
        Definition(Sort.VIEW, "app", "High", "select `low`.`x` from `app`.`low`"),
        Definition(Sort.VIEW, "app", "plain", "select `a`.`v` from `app`.`a`"),
        function("RETURN (SELECT MAX(x) FROM high)", "reads_high"),
    ]
    verdicts = [
        verdict(sql, *objects)
        for sql in (
            "SELECT * FROM low",
            "SELECT * FROM app.High",
            "SELECT reads_high(1)",
            "SELECT * FROM plain",
        )
    ]
    assert verdicts == ["write", "write", "write", "read"]


def test_views_that_name_each_other_come_to_an_end():
    views = [
        Definition(Sort.VIEW, "app", "one", "select 1 from `app`.`two`"),
        Definition(Sort.VIEW, "app", "two", "select get_lock('a',1) from `app`.`one`"),
    ]
    assert verdict("SELECT * FROM one", *views) == "pin"


def test_a_trigger_that_keeps_something_pins_what_fires_it():
    objects = [
        Definition(Sort.TRIGGER, "app", "a", "SET @seen = NEW.v"),
        Definition(Sort.TRIGGER, "app", "b", "SET NEW.v = 1"),
        Definition(Sort.PROCEDURE, "app", "p", "INSERT INTO a VALUES (1)"),
    ]
    found = {
        sql: verdict(sql, *objects)
        for sql in (
            "INSERT INTO a VALUES (1)",
            "INSERT INTO b VALUES (1)",
            "CALL p()",
            "SELECT * FROM a",
        )
    }
    assert list(found.values()) == ["pin", "write", "pin", "read"]


def test_a_sequence_and_a_table_elsewhere_are_read_on_the_writer():
    objects = [
        Definition(Sort.SEQUENCE, "app", "s"),
        Definition(Sort.FOREIGN, "app", "far"),
    ]
    assert verdict("SELECT * FROM s", *objects) == "write"
    assert verdict("SELECT * FROM far", *objects) == "write"


def test_an_old_geometry_function_is_a_read_until_the_catalog_knows_another():
    own = Catalog(functions={"area": Finding(Verdict.WRITE, "write_statement")})
    assert classify("SELECT AREA(g) FROM t").verdict is Verdict.READ
    assert classify("SELECT AREA(g) FROM t", own).verdict is Verdict.WRITE
    assert classify("SELECT `area`(g) FROM t").verdict is Verdict.WRITE


def test_a_word_of_odbc_behind_a_brace_is_no_call():
    joined = "SELECT * FROM {oj (a LEFT JOIN b ON a.id = b.id)}"
    assert classify(joined).verdict is Verdict.READ
    assert classify("SELECT {fn f(1)}").verdict is Verdict.WRITE
