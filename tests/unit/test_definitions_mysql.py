"""What a stream of MySQL's statements defines is known behind it."""

from __future__ import annotations

import pytest

from globaldb.core.mysql.classify import classify
from globaldb.core.mysql.definitions import Definitions
from globaldb.core.statement import Verdict

STREAM = [
    "create table a (v int)",
    (
        "create function ro(i int) returns int reads sql data deterministic "
        "return (select max(v) from a)"
    ),
    (
        "CREATE DEFINER=`root`@`%` FUNCTION app.`Ro2`(p VARCHAR(10) CHARSET utf8) "
        "RETURNS varchar(10) CHARACTER SET utf8 COLLATE utf8_bin NO SQL COMMENT 'x' "
        "SQL SECURITY INVOKER BEGIN DECLARE x INT; SET x = 1; SET p = 'y'; RETURN p; END"
    ),
    (
        "create function wr(i int) returns int modifies sql data "
        "begin insert into a(v) values (i); return i; end"
    ),
    "create function st() returns int begin set @x = 1; return 1; end",
    "create procedure p_ro() begin select count(*) from a; end",
    "create procedure p_tmp() begin create temporary table x (i int); end",
    "create or replace algorithm=merge view vw as select wr(7) as x",
    "create view vok (n) as select ro(v) from a",
    "create view vv as select * from vw",
    "create trigger t1 before insert on b for each row set @last = new.v",
    "create trigger t2 after update on c for each row follows t3 set new.v = 1",
]


@pytest.fixture(scope="module")
def catalog():
    definitions = Definitions()
    for sql in STREAM:
        definitions.observe(sql)
    return definitions.catalog


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("select ro(1), app.ro2('a')", Verdict.READ),
        ("select other.ro(1)", Verdict.WRITE),
        ("select wr(1)", Verdict.WRITE),
        ("select st()", Verdict.PIN),
        ("select * from vw", Verdict.WRITE),
        ("select * from vv", Verdict.WRITE),
        ("select * from vok", Verdict.READ),
        ("call p_ro()", Verdict.WRITE),
        ("call p_tmp()", Verdict.PIN),
        ("insert into b values (1)", Verdict.PIN),
        ("update c set v = 1", Verdict.WRITE),
    ],
)
def test_a_definition_says_what_the_catalog_would(catalog, sql, verdict):
    assert classify(sql, catalog).verdict is verdict


def test_only_what_is_new_is_told():
    definitions = Definitions()
    sql = "create function f() returns int return 1"
    assert definitions.observe(sql)
    assert not definitions.observe(sql)
    assert not definitions.observe("select f()")
    assert not definitions.observe("create table f (i int)")
    assert not definitions.observe("drop function g")


def test_what_is_dropped_is_unknown_again():
    definitions = Definitions()
    definitions.observe("create function f() returns int return 1")
    assert classify("select f()", definitions.catalog).verdict is Verdict.READ
    assert definitions.observe("drop function if exists f")
    assert classify("select f()", definitions.catalog).verdict is Verdict.WRITE


def test_a_later_definition_holds():
    definitions = Definitions()
    definitions.observe("create view v as select 1")
    definitions.observe("create or replace view v as select get_lock('a', 1)")
    assert classify("select * from v", definitions.catalog).verdict is Verdict.PIN


def test_a_name_that_is_taken_does_what_either_definition_does():
    definitions = Definitions()
    definitions.observe("create function f() returns int begin delete from a; end")
    definitions.observe("create function f() returns int return 1")
    assert classify("select f()", definitions.catalog).verdict is Verdict.WRITE
