"""Rules, catalog, the user's word, hints and lessons, in the answer for one text."""

from __future__ import annotations

from typing import Any

import pytest

from globaldb.core.catalog import Catalog, Entry, Kind
from globaldb.core.findings import Finding
from globaldb.core.knowledge import Knowledge, Language
from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.postgresql.classify import classify
from globaldb.core.statement import Verdict

READ, WRITE = Verdict.READ, Verdict.WRITE
CALL = "SELECT app.f(1)"


def known(**options: Any) -> Knowledge:
    return Knowledge(Language(classify, tokenize), **options)


def test_the_catalog_makes_a_function_known() -> None:
    knowledge = known()
    lookup = knowledge.cache.lookup
    assert lookup(CALL).verdict is WRITE
    knowledge.update(Catalog.of([Entry(Kind.FUNCTION, "app", "f")]))
    assert lookup(CALL).verdict is READ
    knowledge.update(Catalog())
    assert lookup(CALL).verdict is WRITE


@pytest.mark.parametrize(
    "catalog", [None, Catalog.of([Entry(Kind.FUNCTION, "app", "f")])]
)
def test_the_user_has_the_last_word(catalog: Catalog | None) -> None:
    reads, writes = known(read_functions=["app.f"]), known(write_functions=["app.f"])
    for knowledge in (reads, writes):
        if catalog is not None:
            knowledge.update(catalog)
    assert reads.cache.lookup(CALL).verdict is READ
    assert writes.cache.lookup(CALL).verdict is WRITE


def test_a_refusal_is_remembered_until_definitions_change() -> None:
    knowledge = known(read_functions=["f"])
    lookup = knowledge.cache.lookup
    assert lookup("SELECT f(1)").verdict is READ
    knowledge.learn("SELECT f(2)", "refused", "r", 0.0)
    again = lookup("SELECT f(1)")
    assert (again.verdict, again.reason) == (WRITE, "learned")
    assert lookup(b"SELECT f(3)").reason == "learned"
    # The catalog's first arrival says nothing about what readers refuse.
    knowledge.update(Catalog.of([Entry(Kind.FUNCTION, "app", "g")]))
    assert lookup("SELECT f(1)").reason == "learned"
    knowledge.update(Catalog.of([Entry(Kind.FUNCTION, "app", "h")]))
    assert lookup("SELECT f(1)").verdict is READ
    knowledge.learn("SELECT f(2)", "refused", "r", 0.0)
    knowledge.forget()
    assert lookup("SELECT f(1)").verdict is READ
    assert knowledge.lessons() == ()


def test_a_lesson_changes_no_graver_verdict() -> None:
    knowledge = known()
    knowledge.learn("SELECT pg_advisory_lock(1)", "refused", "r", 0.0)
    assert knowledge.cache.lookup("SELECT pg_advisory_lock(2)").verdict is Verdict.PIN


def test_hints_count_when_they_are_asked_for() -> None:
    hinted = "/* globaldb: route=writer */ SELECT 1"
    obeyed = known(obey_hints=True).cache.lookup(hinted)
    assert dict(obeyed.hints) == {"route": "writer"}
    assert not obeyed.plain
    assert known().cache.lookup(hinted).plain


def test_an_outdated_catalog_errs_towards_the_writer_alone() -> None:
    knowledge = known(read_functions=["listed"])
    lookup = knowledge.cache.lookup
    entries = [
        Entry(Kind.FUNCTION, "app", "f"),
        Entry(Kind.RELATION, "app", "v", Finding(WRITE, "volatile_function")),
    ]
    knowledge.update(Catalog.of(entries))
    assert (lookup(CALL).verdict, lookup("TABLE v").verdict) == (READ, WRITE)
    knowledge.doubt()
    assert (lookup(CALL).verdict, lookup("TABLE v").verdict) == (WRITE, WRITE)
    assert lookup("SELECT listed(1)").verdict is READ
    knowledge.update(Catalog.of(entries))
    assert lookup(CALL).verdict is READ


def test_functions_run_wherever_they_are_called_and_behind_views() -> None:
    knowledge = known(read_functions=["listed"])
    knowledge.update(
        Catalog.of(
            [
                Entry(Kind.FUNCTION, "app", "f"),
                Entry(Kind.FUNCTION, "app", "F g"),
                Entry(Kind.RELATION, "app", "v", calls=("app.f",)),
                Entry(Kind.RELATION, "app", "plain"),
            ]
        )
    )
    for sql in (
        CALL,
        "SELECT F /* x */ (1)",
        'SELECT "F g"(1)',
        "SELECT t.f FROM t",
        "TABLE v",
        b"SELECT * FROM app.v",
        "SELECT listed(1)",
    ):
        assert knowledge.runs_functions(sql), sql
    for sql in ("SELECT f FROM t", "TABLE plain", "SELECT 'f(1)'", "SELECT count(*)"):
        assert not knowledge.runs_functions(sql), sql


def test_what_is_learnt_twice_is_news_once() -> None:
    knowledge = known(read_functions=["f"])
    knowledge.learn("SELECT f(1)", "refused", "r", 0.0)
    kept = knowledge.cache.lookup("SELECT 1")
    knowledge.learn("SELECT f(2)", "refused", "r", 1.0)
    assert knowledge.cache.get("SELECT 1") is kept
    assert knowledge.refused("SELECT f(3)")
    assert not knowledge.refused("SELECT g(3)")
