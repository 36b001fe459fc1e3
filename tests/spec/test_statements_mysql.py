"""The recorded statements of MySQL get the verdicts that a real replica taught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from globaldb.core.catalog import Catalog
from globaldb.core.findings import Finding
from globaldb.core.mysql.classify import classify
from globaldb.core.statement import Verdict

CASES = [
    case
    for line in (Path(__file__).parent / "statements.jsonl").read_text().splitlines()
    if (case := json.loads(line))["engine"] == "mysql"
]
#: What text alone says where only the catalog can tell.
NEEDS_THE_CATALOG = {"SELECT * FROM vw": "read", "CALL p_tmp()": "write"}
#: What a server's catalog says about the schema that the statements refer to.
CATALOG = Catalog(
    functions={
        "ro": Finding(Verdict.READ, "known_function"),
        "wr": Finding(Verdict.WRITE, "known_function"),
        "p_ro": Finding(Verdict.READ, "known_function"),
        "p_wr": Finding(Verdict.WRITE, "known_function"),
        "p_tmp": Finding(Verdict.PIN, "temporary_object"),
    },
    relations={"vw": Finding(Verdict.WRITE, "known_function")},
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"][:60])
def test_a_recorded_statement_has_its_verdict(case):
    assert classify(case["sql"], CATALOG).verdict.value == case["verdict"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"][:60])
def test_text_alone_errs_in_the_known_cases_only(case):
    expected = NEEDS_THE_CATALOG.get(case["sql"], case["verdict"])
    assert classify(case["sql"]).verdict.value == expected


def test_the_catalog_cases_are_still_among_the_cases():
    assert NEEDS_THE_CATALOG.keys() <= {case["sql"] for case in CASES}


def test_nothing_that_a_replica_runs_silently_may_go_to_one():
    silent = [case["sql"] for case in CASES if case["silent"]]
    readable = {Verdict.READ, Verdict.NODE_LOCAL}
    assert len(silent) == 18
    assert [sql for sql in silent if classify(sql).verdict in readable] == []
