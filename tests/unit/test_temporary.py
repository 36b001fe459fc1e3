"""Names of temporary tables, out of the statements that make and drop them."""

from __future__ import annotations

import pytest

from globaldb.core.lexer.mysql import tokenize as mysql_tokenize
from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.temporary import Created, TemporaryTables, created, dropped


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("CREATE TEMP TABLE a (n int)", Created("a", until_commit=False)),
        ('CREATE TEMPORARY TABLE "A b" (n int)', Created("A b", until_commit=False)),
        ("create global temp table if not exists A as select 1", Created("a", False)),
        ("CREATE TABLE pg_temp.a (n int)", Created("a", until_commit=False)),
        (
            "CREATE OR REPLACE TEMP RECURSIVE VIEW a (n) AS SELECT 1",
            Created("a", until_commit=False, table=False),
        ),
        ("CREATE TEMP SEQUENCE s", Created("s", until_commit=False, table=False)),
        ("CREATE TEMP TABLE a (n int) ON COMMIT DROP", Created("a", until_commit=True)),
        ("SELECT 1 INTO TEMP a FROM b", Created("a", until_commit=False)),
        ("SELECT 1 INTO LOCAL TEMPORARY TABLE a", Created("a", until_commit=False)),
        ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", None),
        ("CREATE TEMP", None),
        ("CREATE TEMP TABLE", None),
        ("INSERT", None),
        ("", None),
    ],
)
def test_what_is_made_has_a_name(sql: str, made: Created | None) -> None:
    assert created(tokenize(sql)) == made


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("DROP TABLE a", {"a"}),
        ('DROP TABLE IF EXISTS a, "B", pg_temp.c CASCADE', {"a", "B", "c"}),
        ("DROP TABLE public.a", set()),
        ("DROP VIEW a", {"a"}),
        ("DROP FUNCTION a", set()),
        ("DROP TABLE", set()),
        ("DROP TABLE a.", set()),
        ("SELECT 1", set()),
    ],
)
def test_what_is_dropped_is_named_without_a_schema(sql: str, names: set[str]) -> None:
    assert dropped(tokenize(sql)) == names


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("DROP TEMPORARY TABLE t", {"t"}),
        ("drop temporary table if exists `T`, b restrict", {"T", "b"}),
        ("DROP TEMPORARY SEQUENCE s", {"s"}),
        ("DROP TEMPORARY", set()),
    ],
)
def test_mysql_says_that_it_drops_a_temporary_one(sql: str, names: set[str]) -> None:
    assert dropped(mysql_tokenize(sql)) == names


def test_a_name_is_found_wherever_it_may_be_read() -> None:
    book = TemporaryTables()
    book.add(Created("Mine", until_commit=False), inside=False)
    for sql in (
        "SELECT * FROM mine",
        'SELECT "Mine".n',
        "TABLE pg_temp.mine",
        b"table MINE",
    ):
        assert book.named_in(sql), sql
    for sql in ("SELECT * FROM miner", "SELECT 1", "TABLE _mine"):
        assert not book.named_in(sql), sql
    for sql in (
        'TABLE U&"m\\0069ne"',
        "SELECT count(*) FROM pg_class",
        "SELECT * FROM information_schema.tables",
        "SELECT %s::regclass",
        "SELECT last_value FROM a_n_seq",
    ):
        assert book.named_in(sql), sql


def test_a_transaction_undoes_what_it_made_and_dropped() -> None:
    book = TemporaryTables()
    kept = Created("kept", until_commit=False)
    book.add(kept, inside=False)
    book.add(Created("new", until_commit=False), inside=True)
    book.remove({"kept"}, inside=True)
    book.end(committed=False)
    assert book.named_in("SELECT * FROM kept")
    assert not book.named_in("SELECT * FROM new")


def test_what_lasts_until_commit_is_gone_after_it() -> None:
    book = TemporaryTables()
    book.add(Created("a", until_commit=True), inside=True)
    assert book
    book.end(committed=True)
    assert not book
    book.add(Created("a", until_commit=True), inside=False)
    assert not book


def test_only_tables_stand_for_nothing_else() -> None:
    held = TemporaryTables()
    held.add(Created("a", until_commit=False), inside=False)
    assert held.tables == {"a"}
    held.add(Created("v", until_commit=False, table=False), inside=False)
    assert held.tables is None
