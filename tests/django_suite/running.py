"""Run Django's tests on a lab, with our backend or with Django's own at the writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from django_suite.source import unpacked
from globaldb.lab import Lab, LabSpec

#: The lines of Django that this Python is to run, and the newest of them.
LINES: Final = ("5.2",) if sys.version_info < (3, 12) else ("6.0", "6.1")
LINE: Final = LINES[-1]
HOME: Final = "us-west-2"
FAR: Final = "ap-south-1"
#: Seconds between the regions, and within one. Nothing here is about their length.
RTT: Final = 0.002
NEAR: Final = 0.0
#: Seconds that every reader lags behind.
LAG: Final = 0.05
SETTINGS: Final = {
    # What a server writes for itself reaches its readers at once.
    "postgresql": {"wal_writer_delay": "10ms"},
    "mariadb": {},
    "mysql": {},
}


@dataclass(frozen=True, slots=True)
class Task:
    """One run: *labels* of Django *line*, by *backend* ("stock" or "ours").

    *route* is where ours reads: "auto" or "writer". *report* gets what became of each
    test, and beside it lies what was printed.
    """

    line: str
    backend: str
    labels: Sequence[str]
    report: Path
    route: str = "auto"


@contextmanager
def laggard(engine: str) -> Iterator[Lab]:
    """Start a lab with two regions whose readers lag."""
    regions = {HOME: 1, FAR: 1}
    spec = LabSpec(engine=engine, regions=regions, settings=SETTINGS[engine])
    with Lab.start(spec) as lab:
        lab.latency(HOME, FAR, RTT)
        for region in regions:
            lab.latency(region, region, NEAR)
            lab.lag(region, LAG)
        yield lab


def start(lab: Lab, task: Task) -> subprocess.Popen[bytes]:
    """Start the tests in a process of their own."""
    source = unpacked(task.line)
    task.report.unlink(missing_ok=True)
    path = [source, source / "tests", Path(__file__).parents[1]]
    environment = {
        **os.environ,
        "DJANGO_SUITE": json.dumps(_told(lab, task)),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }
    slowest = ["--durations=30"] if sys.version_info >= (3, 12) else []
    with task.report.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "runtests.py", "--settings=django_suite.settings"),
                *("--noinput", "--parallel=1", "--timing", *slowest),
                *task.labels,
            ],
            cwd=source / "tests",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _told(lab: Lab, task: Task) -> dict[str, object]:
    writer = lab.writer().name
    at = lab.options(FAR, writer, superuser=True)
    return {
        "engine": lab.spec.engine,
        "backend": task.backend,
        "route": task.route,
        "report": str(task.report),
        "login": {
            "NAME": at.get("dbname") or at["database"],
            "USER": at["user"],
            "PASSWORD": at["password"],
        },
        "writer": {"HOST": at["host"], "PORT": at["port"]},
        "nodes": parse_qs(urlsplit(lab.url(FAR)).query)["node"],
        "region": FAR,
    }


def round_trips(lab: Lab) -> dict[str, int]:
    """Return how many there were from where the tests run, by node."""
    return {
        link.node: sum(each.round_trips for each in link.connections)
        for link in lab.counters()
        if link.client_region == FAR
    }


def outcomes(task: Task) -> dict[str, str]:
    """Return what became of each test of a run that has ended.

    Raises `RuntimeError` with what it printed last when it did not come to its end.
    """
    try:
        found: dict[str, str] = json.loads(task.report.read_text())
    except FileNotFoundError:
        log = task.report.with_suffix(".log")
        last = log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{log} has no end:\n{last}") from None
    return found
