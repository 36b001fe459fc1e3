"""The recorded statements get the verdicts that a real replica taught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.skim import plain_read
from globaldb.core.statement import Verdict

HERE = Path(__file__).parent
CASES = [
    case
    for line in (HERE / "statements.jsonl").read_text().splitlines()
    if (case := json.loads(line))["engine"] == "postgresql"
]
#: Text alone cannot tell; each with what it says instead.
NEEDS_THE_CATALOG = {
    "SELECT t.ro(1)": "write",  # a STABLE function of the application
    "SELECT * FROM t.ul": "read",  # an unlogged table
    "SELECT x FROM t.vwn": "read",  # a view over nextval()
}


def statements(name):
    """The statements of a file that has one a line."""
    lines = (HERE / name).read_text().splitlines()
    return [line.removesuffix(";") for line in lines if not line.startswith("--")]


READS = statements("ordinary_reads.sql")
POSITIONS = statements("call_positions.sql")
#: Names an application may give to a function; the keywords are tempting to skip.
CALLED = ["wr", '"wr"', "app.wr", '"app"."wr"', 'app."lower"', "Wr"]
CALLED += ["join", "filter", "over", "operator", "materialized", "by", "zone", "value"]
CALLED += ["first", "sets", "varying", "key", "within", "columns"]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["sql"] not in NEEDS_THE_CATALOG],
    ids=lambda case: case["sql"][:60],
)
def test_a_recorded_statement_has_its_verdict_and_reason(case):
    statement = classify(case["sql"])
    assert (statement.verdict.value, statement.reason) == (
        case["verdict"],
        case["reason"],
    )


@pytest.mark.parametrize("sql", sorted(NEEDS_THE_CATALOG))
def test_a_statement_that_needs_the_catalog_is_as_the_text_says(sql):
    assert classify(sql).verdict.value == NEEDS_THE_CATALOG[sql]


def test_the_catalog_cases_are_still_among_the_cases():
    assert NEEDS_THE_CATALOG.keys() <= {case["sql"] for case in CASES}


def test_nothing_that_a_replica_runs_silently_may_go_to_one():
    silent = [case["sql"] for case in CASES if case["silent"]]
    readable = {Verdict.READ, Verdict.NODE_LOCAL}
    assert len(silent) == 9
    assert [sql for sql in silent if classify(sql).verdict in readable] == []


def test_there_are_enough_ordinary_reads_to_mean_something():
    assert len(READS) >= 150


@pytest.mark.parametrize("sql", READS)
def test_an_ordinary_read_stays_a_read(sql):
    statement = classify(sql)
    assert statement.verdict is Verdict.READ
    assert statement.reason in {"select", "values", "table"}
    assert not statement.multiple


def test_most_ordinary_reads_need_no_look_at_tokens():
    skimmed = sum(plain_read(sql) for sql in READS)
    assert skimmed >= 0.6 * len(READS)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_call_is_seen_wherever_the_server_sees_one(position):
    calls = [f"{name}{gap}1)" for name in CALLED for gap in ("(", " \n(", "/**/(")]
    texts = [position.format(f=call) for call in calls]
    readable = {Verdict.READ, Verdict.NODE_LOCAL}
    assert [sql for sql in texts if classify(sql).verdict in readable] == []
