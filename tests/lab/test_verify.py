"""Every promise is kept under faults, and the verification finds where one is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import psycopg
import pytest
from lab_fixtures import engines

from globaldb.cli import main
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.flow import read
from globaldb.verify import Findings, History, Promise, check
from globaldb.verify.faults import FAILOVER, HARMLESS, Breaker
from globaldb.verify.plan import MODES, Plan
from globaldb.verify.run import perform
from globaldb.verify.summary import summarize
from globaldb.verify.tables import Tables

pytestmark = pytest.mark.lab

REGIONS = ("us-west-2", "ap-south-1", "ap-southeast-2")
RTT = {(a, b): 0.0 if a == b else 0.02 for a in REGIONS for b in REGIONS}
#: Seconds of a run under faults; `make verify` has the long ones.
SECONDS = 12.0

Capture = pytest.CaptureFixture[str]
FAMILY = [name for name in engines() if name != "postgresql"]
of_the_family = pytest.mark.parametrize(
    "engine", FAMILY, indirect=True, scope="session"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with Lab.start(LabSpec(regions=dict.fromkeys(REGIONS, 1), rtt=RTT)) as lab:
        yield lab


@pytest.fixture
def lab(running: Lab) -> Lab:
    running.restore()
    return running


@pytest.fixture(scope="module")
def family_lab(engine: str, module_lab: Any) -> Lab:
    spec = LabSpec(regions=dict.fromkeys(REGIONS, 1), rtt=RTT, engine=engine)
    found: Lab = module_lab(spec)
    return found


def plan(lab: Lab, mode: str = "session", **options: Any) -> Plan:
    tables = Tables(engine="postgresql" if lab.spec.engine == "postgresql" else "mysql")
    urls = {name: lab.url(name) for name in REGIONS}
    return Plan(urls, mode=mode, tables=tables, **options)


def promises(findings: Findings) -> set[Promise]:
    return {violation.promise for violation in findings.violations}


def explained(history: History, findings: Findings) -> str:
    return "\n".join(summarize(history, findings).lines())


@pytest.mark.parametrize("mode", MODES)
def test_every_promise_is_kept_under_faults(lab: Lab, mode: str):
    breaker = Breaker(lab, HARMLESS, Random(mode))
    bound = 0.3 if mode == "eventual" else None
    options = {"max_staleness": bound} if bound else {}
    run = plan(lab, mode, sessions=18, processes=2, options=options)
    history = perform(run, SECONDS, breaker=breaker)
    findings = check(history, max_staleness=bound)
    assert not findings.violations, explained(history, findings)
    assert len(history.operations) > 500
    assert {each.what.split()[0] for each in history.disturbances} >= {"switchover"}


def test_a_failover_loses_no_more_than_it_may(fresh_lab: Any):
    lab = fresh_lab(LabSpec(regions=dict.fromkeys(REGIONS, 1), rtt=RTT))
    breaker = Breaker(lab, ("lag", FAILOVER, "kill"), Random(1))
    history = perform(plan(lab, sessions=12), SECONDS, breaker=breaker)
    findings = check(history)
    assert not findings.violations, explained(history, findings)
    assert any(each.loses for each in history.disturbances)


@of_the_family
def test_mysql_s_servers_keep_every_promise_under_faults(family_lab: Lab):
    family_lab.restore()
    breaker = Breaker(family_lab, HARMLESS, Random(7))
    history = perform(plan(family_lab, sessions=12), SECONDS, breaker=breaker)
    findings = check(history)
    assert not findings.violations, explained(history, findings)
    assert len(history.operations) > 500
    assert history.disturbances


# It can fail.


@of_the_family
def test_mysql_s_servers_break_promises_where_nobody_waits(family_lab: Lab):
    family_lab.restore()
    late(family_lab)
    run = plan(family_lab, consistency="eventual")
    found = promises(check(perform(run, 60.0, operations=2000)))
    assert {Promise.OWN_WRITES, Promise.MONOTONIC_READS} <= found
    assert Promise.LOST not in found


@of_the_family
def test_a_fence_that_lets_everything_through_is_found_there(
    family_lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    family_lab.restore()
    late(family_lab, 0.5)
    monkeypatch.setattr(read, "reached", lambda *_: True)
    found = promises(check(perform(plan(family_lab), 60.0, operations=2000)))
    assert Promise.OWN_WRITES in found


def late(lab: Lab, seconds: float = 0.1) -> None:
    for region in REGIONS:
        lab.lag(region, seconds)


def test_reading_from_the_nearest_replica_breaks_promises(lab: Lab):
    late(lab)
    found = check(perform(plan(lab, consistency="eventual"), 60.0, operations=2000))
    assert {Promise.OWN_WRITES, Promise.MONOTONIC_READS} <= promises(found)
    assert Promise.LOST not in promises(found)


def test_a_fence_that_is_always_satisfied_is_found(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    late(lab)
    monkeypatch.setattr(read, "reached", lambda *_: True)
    assert Promise.OWN_WRITES in promises(
        check(perform(plan(lab), 60.0, operations=2000))
    )


def test_reads_that_are_not_compared_before_a_write_are_found(lab: Lab):
    late(lab, 0.2)
    # Eventual reads are late even in sessions that have just written.
    run = plan(lab, "eventual", options={"transaction_reads": "local"})
    assert promises(check(perform(run, 60.0, operations=3000))) == {Promise.UPGRADE}


# The command.


def schemas(lab: Lab) -> list[str]:
    writer = lab.writer()
    with psycopg.connect(lab.dsn(writer.region, writer.name)) as connection:
        query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'globaldb%'"
        return [name for (name,) in connection.execute(query)]


def test_a_user_s_database_is_used_and_left_as_it_was(lab: Lab, capsys: Capture):
    # A test before may have moved the writer.
    url = lab.url(next(name for name in REGIONS if name != lab.writer().region))
    code = main(["verify", "--url", url, "--seconds", "6", "--sessions", "6", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0, told
    assert told["ok"]
    assert (told["violations"], told["broken"], told["examples"]) == (0, {}, [])
    assert told["operations"] > 100
    assert 0 < told["local_reads"] <= told["reads"]
    assert told["schema"].startswith("globaldb_verify_")
    assert schemas(lab) == []


def test_a_violation_is_shown_with_what_contradicts_it(lab: Lab, capsys: Capture):
    late(lab)
    words = ["--url", lab.url("ap-south-1"), "--baseline", "nearest", "--seconds", "2"]
    assert main(["verify", *words]) == 1
    told = capsys.readouterr().out
    assert "judged as session" in told
    assert "x read your writes" in told
    assert "[reader " in told
    assert "write_statement] (session, " in told
    assert schemas(lab) == []


def test_fewer_operations_than_demanded_are_a_failure(lab: Lab, capsys: Capture):
    words = ["--url", lab.url("us-west-2"), "--seconds", "0.5"]
    assert main(["verify", *words, "--operations", "1000000"]) == 1
    assert "of 1,000,000 operations were made" in capsys.readouterr().out
    assert main(["verify", *words, "--seconds", "60", "--operations", "50"]) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--url", "postgresql://h/d", "--faults"], "goes with --lab only"),
        (["--lab", "--faults", "lag,flood"], "no fault 'flood'"),
        (["--lab", "--seconds", "0"], "--seconds is 0"),
        (["--url", "mysql://h/d", "--engine", "mysql"], "--engine goes with --lab"),
        (["--lab", "--max-staleness", "1"], "goes with --mode eventual"),
        (["--lab", "--sessions", "2", "--processes", "3"], "more than --sessions"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], complaint: str, capsys: Capture
):
    assert main(["verify", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_database_that_does_not_answer_is_told_apart(capsys: Capture):
    url = "postgresql://u@127.0.0.1:1/d?connect_timeout=1"
    assert main(["verify", "--url", url]) == 3
    assert "no node" in capsys.readouterr().err
