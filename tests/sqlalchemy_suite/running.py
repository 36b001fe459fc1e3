"""SQLAlchemy's tests for dialects, run by themselves on a lab whose readers lag."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import psycopg
import pymysql
from promises import until

import globaldb
from globaldb.lab import Lab, LabSpec
from sqlalchemy_suite.lines import environment

HERE: Final = Path(__file__).parent
FAR: Final = "ap-south-1"
#: Seconds that readers lag behind on purpose.
LAG: Final = 0.05
#: Seconds for all of the tests on a slow machine.
ENOUGH: Final = 3000
STOCK: Final = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
#: Server and driver, with their versions, are part of the names of classes.
_CLASS: Final = re.compile(r"(?:.*\.)?(.+?)(?:_(?:postgresql|mariadb|mysql)\+.*)?")


@dataclass(frozen=True, slots=True)
class Task:
    """A run: of the tests with a line, with the stock dialect or ours."""

    line: str
    dialect: str
    #: More arguments for pytest.
    arguments: Sequence[str] = ()


@contextmanager
def laggard(engine: str, rtt: float) -> Iterator[Lab]:
    """Start a lab as the tests want it, *rtt* seconds between its regions."""
    with Lab.start(LabSpec(engine=engine)) as lab:
        for one, other in combinations(lab.spec.regions, 2):
            lab.latency(one, other, rtt)
        for region in lab.spec.regions:
            lab.lag(region, LAG)
        _prepare(lab)
        yield lab


def _prepare(lab: Lab) -> None:
    """Make the schemas that the tests look for."""
    writer = lab.writer()
    where = lab.options(writer.region, writer.name, superuser=True)
    if lab.spec.engine == "postgresql":
        with psycopg.connect(**where, autocommit=True) as server:
            for schema in ("test_schema", "test_schema_2"):
                server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION app")
            server.execute("GRANT CREATE ON DATABASE app TO app")
        return
    with pymysql.connect(**where) as server, server.cursor() as cursor:
        for schema in ("test_schema", "test_schema_2"):
            cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        cursor.execute(f"ALTER DATABASE {where['database']} CHARACTER SET utf8mb4")
        cursor.execute("GRANT ALL ON *.* TO app")


def followed(lab: Lab) -> None:
    """Wait until what reads from afar shows what was written before."""
    with globaldb.connect(lab.url(FAR), autocommit=True) as near:
        near.cursor().execute("CREATE TABLE test_schema.followed (n int)")
        with near.using(route="reader", consistency="eventual"):
            until(lambda: _is_there(near), 120)


def _is_there(near: Any) -> bool:
    with near.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.tables"
            " WHERE table_schema = 'test_schema' AND table_name = 'followed'"
        )
        return bool(cursor.fetchone()[0])


def url_of(lab: Lab, dialect: str) -> str:
    """Return the writer, from beside it, for ``stock``; else the cluster, from afar."""
    if dialect != "stock":
        return f"{lab.spec.engine}+globaldb://{lab.url(FAR).partition('://')[2]}"
    writer = lab.writer()
    at = lab.options(writer.region, writer.name)
    name = at.get("dbname") or at["database"]
    scheme = STOCK.get(lab.spec.engine, "mysql+pymysql")
    return f"{scheme}://{at['user']}:{at['password']}@{at['host']}:{at['port']}/{name}"


def outcomes(lab: Lab, task: Task, folder: Path) -> dict[str, str]:
    """Run the tests; return what became of each.

    Leaves their report and what they printed in *folder*. Raises `RuntimeError` when
    they did not run.
    """
    report = folder / f"{task.line}-{lab.spec.engine}-{task.dialect}.xml"
    report.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", str(HERE / "suite.ini")),
        *(f"--rootdir={HERE}", f"--confcutdir={HERE}", "-p", "sqlalchemy_suite.plugin"),
        *("--dburi", url_of(lab, task.dialect), f"--junitxml={report}"),
        *(str(HERE / "suite.py"), *task.arguments),
    ]
    log = report.with_suffix(".log")
    with log.open("w") as printed:
        subprocess.run(
            command,
            check=False,
            cwd=HERE,
            env={**environment(task.line), "SUITE_ENGINE": lab.spec.engine},
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=ENOUGH,
        )
    if not report.exists():
        raise RuntimeError(f"no test ran: {log.read_text()[-2000:]}")
    return _read(report)


def _read(report: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        named = _CLASS.fullmatch(case.get("classname", ""))
        # So are they of some parameters.
        test = f"{named[1] if named else ''}::{case.get('name', '').partition('[')[0]}"
        number = 0
        while f"{test}#{number}" in found:
            number += 1
        found[f"{test}#{number}"] = min(kinds, default="passed")
    return found
