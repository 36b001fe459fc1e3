"""The demo tells the truth: what it shows happened, and what failed is said."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
from lab_fixtures import engines

from globaldb.cli import DEGRADED, OK, USAGE, main
from globaldb.cli.demo import play
from globaldb.cli.demo_mysql import MYSQL
from globaldb.cli.demo_play import Stage
from globaldb.cli.demo_story import (
    READER_SIDE,
    Look,
    Operation,
    Script,
    Step,
    column,
    done,
)
from globaldb.core.consistency import Consistency
from globaldb.lab import Lab
from globaldb.lab.state import labs_home, running_labs

#: The engines of this run that the session of the article is for.
FAMILY = [name for name in engines() if name != "postgresql"]
NOTHING = Script(steps=(), looks=(), operations=())


@pytest.fixture
def stage(lab: Lab) -> Stage:
    return Stage(lab, "us-west-2", "ap-south-1")


@pytest.fixture
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for labs where no other test's lab is."""
    # Short enough for the name of a socket, as `tmp_path` is not always.
    with tempfile.TemporaryDirectory(prefix="labs-") as place:
        monkeypatch.setenv("GLOBALDB_LAB_DIR", place)
        yield Path(place)


def test_the_demo_meets_every_expectation_and_shows_what_it_promises(
    own_home: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)

    assert told["ok"] is True
    assert told["seconds"] < 60
    every = told["steps"] + told["modes"] + told["comparison"]
    assert [each for each in every if not each["ok"]] == []
    assert running_labs(labs_home()) == []

    steps = told["steps"]
    assert {step["region"] for step in steps} == {"us-west-2", "ap-south-1"}
    refused = [step for step in steps if step["error"]]
    assert [step["error"]["sqlstate"] for step in refused] == ["25006"]
    assert "read-only" in refused[0]["error"]["message"]
    assert [row[1] for row in steps[-1]["rows"]] == [
        "writer region column 01",
        "reader region column 01",
    ]
    assert steps[-2]["route"]["role"] == "writer"

    saw = {(m["mode"], m["own_write"]): m["saw"] for m in told["modes"]}
    assert saw["eventual", True] is False
    assert saw["session", True] is True
    assert saw["global", False] is True

    compared = {each["operation"]: each for each in told["comparison"]}
    trips = {name: each["globaldb"]["round_trips"] for name, each in compared.items()}
    assert (trips["open a connection"], trips["read"], trips["write"]) == (0, 0, 1)
    assert compared["read"]["psycopg"]["round_trips"] == 1
    assert compared["read"]["psycopg"]["seconds"] > 0.2
    assert compared["read"]["globaldb"]["seconds"] < 0.1


@pytest.mark.parametrize("engine", FAMILY, indirect=True, scope="session")
def test_aurora_s_own_session_goes_the_same_on_mysql_s_servers(
    engine_lab: Lab, capsys: pytest.CaptureFixture[str]
):
    lab = engine_lab
    for a, b in combinations(lab.spec.regions, 2):
        lab.latency(a, b, 0.03)
    read, write, *_ = MYSQL.operations
    script = replace(MYSQL, looks=MYSQL.looks[:3], operations=(read, write))
    assert play(Stage(lab, "us-west-2", "ap-south-1"), script, in_json=True) == OK
    told = json.loads(capsys.readouterr().out)

    steps = told["steps"]
    refused = [step for step in steps if step["error"]]
    assert [step["error"]["number"] for step in refused] == [1290]
    assert "read-only" in refused[0]["error"]["message"]
    assert [row[1] for row in steps[-1]["rows"]] == [
        "writer region column 01",
        "reader region column 01",
    ]
    assert (steps[-2]["route"]["role"], steps[-2]["region"]) == ("writer", "ap-south-1")
    assert [each["saw"] for each in told["modes"]] == [False, False, True]
    compared = {each["operation"]: each for each in told["comparison"]}
    trips = {
        name: (each["pymysql"]["round_trips"], each["globaldb"]["round_trips"])
        for name, each in compared.items()
    }
    # How often the password goes to and fro is the server's choice.
    plain, routed = trips.pop("open a connection")
    assert (plain >= 3, routed) == (True, 0)
    assert trips == {"read": (1, 0), "write": (1, 1)}


@pytest.mark.parametrize(
    "planted",
    [
        Script((Step(READER_SIDE, "SELECT 'a'", "b", column("b")),), (), ()),
        Script((Step(READER_SIDE, "SELECT 1/0", "done", done),), (), ()),
        Script((), (Look(Consistency.EVENTUAL, own=True, sees=True),), ()),
        Script(
            (),
            (),
            (
                Operation(
                    "write",
                    lambda c: c.execute("CREATE TEMP TABLE IF NOT EXISTS x()"),
                    0,
                ),
            ),
        ),
    ],
    ids=["rows", "error", "mode", "round trips"],
)
def test_a_failed_expectation_is_shown_and_gives_exit_code_1(
    stage: Stage, planted: Script, capsys: pytest.CaptureFixture[str]
):
    assert play(stage, planted, in_json=False) == DEGRADED
    told = capsys.readouterr().out
    assert "✗" in told
    assert "1 of " in told
    assert "expectations failed" in told


def test_a_program_learns_of_a_failed_expectation(
    stage: Stage, capsys: pytest.CaptureFixture[str]
):
    planted = Script((Step(READER_SIDE, "SELECT 'a'", "b", column("b")),), (), ())
    assert play(stage, planted, in_json=True) == DEGRADED
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [step["ok"] for step in told["steps"]] == [False]


def test_colours_stay_out_of_files(stage: Stage, capsys: pytest.CaptureFixture[str]):
    step = Step(READER_SIDE, "SELECT 'a'", "a", column("a"))
    assert play(stage, Script((step,), (), ()), in_json=False) == OK
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("region", ["us-west-2", "mars-north-1"])
def test_a_region_that_cannot_play_is_refused_before_anything_starts(
    own_home: Path, region: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["demo", "--region", region]) == USAGE
    assert region in capsys.readouterr().err
    assert list(own_home.iterdir()) == []


def test_a_kept_lab_goes_on_and_can_be_ended(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from globaldb.cli import demo

    args = SimpleNamespace(
        json=False, region="ap-southeast-2", keep=True, engine="postgresql"
    )
    assert demo.run(args, NOTHING) == OK
    [name] = running_labs(labs_home())
    said = capsys.readouterr().err
    assert Lab.attach(name).url("ap-southeast-2") in said
    assert main(["lab", "down", "--name", name]) == OK
    assert running_labs(labs_home()) == []
