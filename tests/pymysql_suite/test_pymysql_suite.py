"""PyMySQL's own tests fail on a routed connection where the differences say so only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from mysql_family import admin, each_engine, near
from promises import FAR, HOME, WRITER

from globaldb.lab import Lab
from pymysql_suite.source import unpack

PAGE: Final = Path(__file__).parents[2] / "docs/reference/pymysql.md"
#: Tests that pass on PyMySQL alone, and what the page says of them.
DIFFERENCES: Final = {
    "TestConnection.test_defer_connect": "`defer_connect`",
    "TestConnection.test_ssl_connect": "`ssl_*`",
    "TestConnection.test_connection_gone_away": "A connection that the server has ended",
    "TestEscape.test_force_close_closes_socketio": "`_sock`",
    "TestEscape.test_socket_closed_on_exception_in_connect": "`_sock`",
}
#: A run with fewer has not found the tests, or no server.
LEAST: Final = 140
GRANTS: Final = {
    "mariadb": "CONNECTION ADMIN",
    "mysql": "CONNECTION_ADMIN",
}


@pytest.fixture(scope="module")
def lab(engine: str, module_lab: Any) -> Lab:
    found: Lab = module_lab(near(engine))
    with admin(found) as cursor:
        cursor.execute("CREATE SCHEMA test1")
        cursor.execute("CREATE SCHEMA test2")
        cursor.execute(f"GRANT PROCESS, {GRANTS[engine]} ON *.* TO app")
        cursor.execute("GRANT SELECT ON mysql.* TO app")
    found.latency(HOME, FAR, 0.001)
    return found


def outcomes(lab: Lab, folder: Path, url: str) -> dict[str, bool]:
    """Run the tests in a process of their own; tell which of them passed."""
    report = folder / "report.xml"
    server = lab.options(FAR, WRITER)
    server.pop("database", None)
    told = {"folder": str(folder), "server": server, "url": url}
    here = Path(__file__).parent
    environment = {**os.environ, "SUITE": json.dumps(told), "PYTHONPATH": str(here)}
    ran = subprocess.run(
        [
            sys.executable,
            *[
                "-m",
                "pytest",
                "-q",
                "-p",
                "suite_plugin",
                "-p",
                "no:randomly",
                "-p",
                "no:cacheprovider",
            ],
            *("--timeout=30", f"--junitxml={report}", "-c", os.devnull),
            *(f"--rootdir={folder}", "pymysql/tests"),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert report.exists(), ran.stdout + ran.stderr
    found = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        if case.find("skipped") is None:
            failed = case.find("failure") is not None or case.find("error") is not None
            found[name] = found.get(name, True) and not failed
    return found


@each_engine
@pytest.mark.lab
@pytest.mark.timeout(300)
def test_what_passes_on_pymysql_passes_on_a_routed_connection(lab, tmp_path):
    folder = unpack(tmp_path)
    raw = outcomes(lab, folder, "")
    routed = outcomes(lab, folder, lab.url(FAR))
    passed = {name for name, well in raw.items() if well}
    assert len(passed) > LEAST
    different = {name for name in passed if not routed.get(name)}
    assert sorted(different - DIFFERENCES.keys()) == []
    stale = {name for name in DIFFERENCES if name in passed - different}
    assert sorted(stale) == []


@pytest.mark.parametrize("difference", sorted(set(DIFFERENCES.values())))
def test_every_difference_is_documented(difference):
    assert difference in PAGE.read_text()
