"""`globaldb lab` does from a shell what the library does, and says how it went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from globaldb.cli import main
from globaldb.lab import Lab

UP = ["lab", "up", "--regions", "us-west-2=0,ap-south-1=1"]
QUICK = ["--rtt", "us-west-2,ap-south-1=20ms"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for labs that no other test looks into; empty at the end."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("labs")
        folder.chmod(0o700)
        patch.setenv("GLOBALDB_LAB_DIR", str(folder))
        yield folder
        main(["lab", "down", "--all"])
        assert [one for one in folder.iterdir() if not one.name.startswith(".")] == []


@pytest.fixture
def background(home: Path, capsys: Capture) -> Iterator[str]:
    """A lab in the background, started by the command."""
    assert main([*UP, *QUICK, "--name", "shell"]) == 0
    capsys.readouterr()
    yield "shell"
    main(["lab", "down", "--name", "shell"])


def ask(capsys: Capture, *words: str, code: int = 0) -> Any:
    """Run `globaldb lab ... --json` and return what it printed."""
    assert main(["lab", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_lab_goes_up_answers_and_goes_down(capsys: Capture, home: Path) -> None:
    up = ask(capsys, *UP[1:], *QUICK)
    assert up["name"] == "lab"
    assert [node["name"] for node in up["nodes"]] == ["us-west-2-1", "ap-south-1-1"]
    assert up["urls"] == ask(capsys, "url")
    assert main(["lab", "url", "--region", "ap-south-1"]) == 0
    assert capsys.readouterr().out.strip() == up["urls"]["ap-south-1"]
    with psycopg.connect(Lab.attach().dsn("ap-south-1", "ap-south-1-1")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    again = ask(capsys, "up", code=2)
    assert "a lab called 'lab' is running" in again["error"]
    assert ask(capsys, "down") == {"ended": ["lab"], "cleaned": []}
    gone = ask(capsys, "status", code=3)
    assert gone["error"] == (
        "no lab called 'lab' is running (running: none); start one with: "
        "globaldb lab up"
    )


def test_status_tells_a_person_and_a_program_what_is_wrong(
    capsys: Capture, background: str
) -> None:
    assert ask(capsys, "status")["degraded"] is False
    assert main(["lab", "status"]) == 0
    printed = capsys.readouterr().out
    assert "us-west-2-1" in printed
    assert "ap-south-1 - us-west-2: 20 ms" in printed
    assert ask(capsys, "kill", "ap-south-1-1") == {"ok": True, "node": "ap-south-1-1"}
    dead = ask(capsys, "status", code=1)
    assert [node["up"] for node in dead["nodes"]] == [True, False]
    assert main(["lab", "status"]) == 1
    assert "down" in capsys.readouterr().out
    ask(capsys, "start", "ap-south-1-1")
    ask(capsys, "partition", "us-west-2", "ap-south-1")
    cut = ask(capsys, "status", code=1)
    assert cut["partitions"] == [["ap-south-1", "us-west-2"]]
    ask(capsys, "heal")
    Lab.attach(background).restore()  # returns when the reader follows again
    assert ask(capsys, "status")["partitions"] == []


def test_dns_fails_and_lags_from_the_shell(capsys: Capture, background: str) -> None:
    assert list(ask(capsys, "status")["dns"]) == ["us-west-2", "ap-south-1"]
    ask(capsys, "dns-fault", "delay", "--region", "ap-south-1", "--seconds", "20ms")
    assert ask(capsys, "dns-lag", "30s") == {"ok": True, "seconds": 30.0}
    status = ask(capsys, "status", code=1)
    assert status["dns_faults"] == {"ap-south-1": "delay"}
    host, port = status["dns"]["ap-south-1"]
    assert main(["lab", "status"]) == 1
    printed = capsys.readouterr().out
    assert f"dns of ap-south-1: {host}:{port}  late by 30 s  delay\n" in printed
    ask(capsys, "heal")
    assert ask(capsys, "status")["dns_faults"] == {}


def test_aws_is_served_from_the_shell(capsys: Capture, background: str) -> None:
    served = ask(capsys, "aws")
    assert served["global_cluster"] == background
    assert main(["lab", "aws"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        f"export {name}={value}" for name, value in served["environment"].items()
    ]
    assert "export AWS_ACCESS_KEY_ID=test" in lines
    before = ask(capsys, "url")
    assert ask(capsys, "rotate-password") == {"ok": True}
    assert ask(capsys, "url") != before


def test_latency_and_lag_take_durations(capsys: Capture, background: str) -> None:
    changed = ask(capsys, "latency", "us-west-2", "ap-south-1", "50ms")
    assert changed["seconds"] == 0.05
    assert ask(capsys, "lag", "ap-south-1", "1.5s")["seconds"] == 1.5
    status = ask(capsys, "status")
    assert ["ap-south-1", "us-west-2", 0.05] in status["latency"]
    assert [node["held_back"] for node in status["nodes"]] == [0.0, 1.5]
    assert main(["lab", "status"]) == 0
    assert "held back 1.5 s" in capsys.readouterr().out


def test_counters_are_shown_and_reset(capsys: Capture, background: str) -> None:
    psycopg.connect(Lab.attach(background).dsn("ap-south-1", "us-west-2-1")).close()
    assert main(["lab", "counters"]) == 0
    assert "TRIPS" in capsys.readouterr().out
    links = ask(capsys, "counters", "--reset")["links"]
    [used] = [link for link in links if link["connects"]]
    assert (used["client_region"], used["node"]) == ("ap-south-1", "us-west-2-1")
    assert (used["wide_area"], used["round_trips"]) == (True, 3)
    after = ask(capsys, "counters")["links"]
    assert sum(link["connects"] for link in after) == 0


def test_the_writer_moves_from_the_shell(capsys: Capture, background: str) -> None:
    assert ask(capsys, "switchover", "ap-south-1") == {"writer": "ap-south-1-1"}
    assert main(["lab", "failover", "us-west-2"]) == 0
    assert capsys.readouterr().out == "the writer is us-west-2-1\n"


def test_a_wrong_name_or_number_is_a_usage_error(
    capsys: Capture, background: str
) -> None:
    wrong = {
        "lag mars 1": "no region 'mars' in this lab; it has us-west-2, ap-south-1",
        "kill mars-1": "no node 'mars-1' in this lab; it has us-west-2-1, ap-south-1-1",
        "url --region mars": "no region 'mars'",
        "latency us-west-2 ap-south-1 11s": "11.0 is not between 0 and 10 seconds",
    }
    for words, message in wrong.items():
        assert main(["lab", *words.split()]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lag", "ap-south-1", "soon"], "'soon': use 220ms, 2s or 0.22"),
        (["up", "--regions", "a=many"], "'a=many': use REGION=READERS"),
        (["up", "--rtt", "a=1ms"], "'a=1ms': use REGION,REGION=220ms"),
        (["up", "--set", "work_mem"], "'work_mem': use NAME=VALUE"),
        (["up", "--regions", "A"], "region 'A': use up to 31 lower-case letters"),
        (["explode"], "invalid choice: 'explode'"),
        ([], "the following arguments are required: WHAT"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    capsys: Capture, words: list[str], message: str
) -> None:
    assert main(["lab", *words]) == 2
    assert message in capsys.readouterr().err


def test_down_removes_what_a_dead_lab_left(capsys: Capture, home: Path) -> None:
    (home / "dead" / "node").mkdir(parents=True)
    assert ask(capsys, "down") == {"ended": [], "cleaned": ["dead"]}
    assert main(["lab", "down"]) == 3
