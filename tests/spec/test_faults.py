"""Each error that a server or a client library raises is what the table says it is."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path

import pytest

from globaldb.core.faults import (
    HOPELESS,
    READ_ELSEWHERE,
    RETRYABLE,
    Fault,
    FaultVerdict,
    Sent,
    verdict,
)
from globaldb.core.mysql.faults import mysql_fault, mysql_opening_fault
from globaldb.core.postgresql.faults import postgresql_fault, postgresql_opening_fault

SPEC = tomllib.loads((Path(__file__).parent / "faults.toml").read_text())
CASES = [(e, case) for e in ("postgresql", "mysql") for case in SPEC[e]["cases"]]
OPENING = [(e, case) for e in ("postgresql", "mysql") for case in SPEC[e]["opening"]]
COLUMNS = [
    *((Sent.NOTHING, False), (Sent.NOTHING, True)),
    *((Sent.STATEMENT, False), (Sent.STATEMENT, True)),
    *((Sent.FIRST, True), (Sent.INSIDE, True)),
    *((Sent.COMMIT, False), (Sent.COMMIT, True)),
]


def name(value: object) -> str:
    if isinstance(value, dict):
        return f"{value.get('code', '')} {value['message'][:40]}".strip()
    return str(value)


@pytest.mark.parametrize(("engine", "case"), CASES, ids=name)
def test_an_error_is_the_fault_and_has_the_verdict_of_the_table(engine, case):
    classify = postgresql_fault if engine == "postgresql" else mysql_fault
    found = classify(
        case.get("code"), case["message"], broken=case.get("broken", False)
    )
    assert found is Fault(case["fault"])
    next_ = verdict(found, Sent(case["sent"]), writes=case["writes"])
    assert next_ is FaultVerdict(case["verdict"])


@pytest.mark.parametrize(("engine", "case"), OPENING, ids=name)
def test_a_connection_that_was_not_made_has_the_fault_of_the_table(engine, case):
    if engine == "postgresql":
        found = postgresql_opening_fault(case["message"])
    else:
        found = mysql_opening_fault(case["code"], case["message"])
    assert found is Fault(case["fault"])


def test_every_fault_has_a_row_and_every_row_a_fault():
    assert {Fault(row) for row in SPEC["verdicts"]} == set(Fault)


@pytest.mark.parametrize("row", SPEC["verdicts"])
def test_what_may_be_done_next_is_what_the_row_says(row):
    found = [verdict(Fault(row), sent, writes=writes) for sent, writes in COLUMNS]
    assert [each.value for each in found] == SPEC["verdicts"][row]


def test_a_transaction_has_one_verdict_whether_the_statement_writes_or_not():
    for fault, sent in product(Fault, (Sent.FIRST, Sent.INSIDE)):
        assert verdict(fault, sent, writes=False) is verdict(fault, sent, writes=True)


def test_every_fault_is_met_by_some_code():
    assert {Fault(case["fault"]) for _, case in CASES} == set(Fault)


REPEATED = {FaultVerdict.ELSEWHERE, FaultVerdict.RECONNECT, FaultVerdict.WRITER}
MAY_HAVE_RUN = (Fault.NODE_LOST, Fault.RECOVERY_CONFLICT, Fault.OUTCOME_UNKNOWN)


@pytest.mark.parametrize("fault", MAY_HAVE_RUN)
@pytest.mark.parametrize("sent", [Sent.STATEMENT, Sent.COMMIT])
def test_a_write_that_may_have_run_is_never_repeated(fault, sent):
    assert verdict(fault, sent, writes=True) is FaultVerdict.UNKNOWN


def test_nothing_of_an_open_transaction_is_repeated_by_itself():
    found = {verdict(fault, Sent.INSIDE, writes=True) for fault in Fault}
    assert not found & REPEATED


def test_what_is_known_of_each_fault_follows_from_the_table():
    assert {
        *(Fault.READ_ONLY, Fault.RECOVERY_CONFLICT, Fault.NODE_LOST),
        *(Fault.UNAVAILABLE, Fault.CAPACITY, Fault.OUTCOME_UNKNOWN),
    } == READ_ELSEWHERE
    assert {Fault.ROLLED_BACK, Fault.UNAVAILABLE, Fault.CAPACITY} == RETRYABLE
    assert {Fault.CREDENTIALS, Fault.REFUSED} == HOPELESS
