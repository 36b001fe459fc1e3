"""SQLAlchemy's tests for dialects, ours beside the stock ones, on a lab with lag.

``python -m sqlalchemy_suite [ENGINE ...]``; fails when a test does with our dialect that
does not with SQLAlchemy's own, connected to the writer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import psycopg
import pymysql
import sqlalchemy

from globaldb.lab import Lab, LabSpec

HERE = Path(__file__).parent
FAR = "ap-south-1"
#: Seconds between regions, and that the far reader lags behind on purpose.
RTT, LAG = 0.02, 0.05
STOCK = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}


def prepare(lab: Lab) -> None:
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


def stock_url(lab: Lab) -> str:
    """Return where the stock dialect finds the writer, from beside it."""
    writer = lab.writer()
    at = lab.options(writer.region, writer.name)
    name = at.get("dbname") or at["database"]
    scheme = STOCK.get(lab.spec.engine, "mysql+pymysql")
    return f"{scheme}://{at['user']}:{at['password']}@{at['host']}:{at['port']}/{name}"


def routed_url(lab: Lab) -> str:
    """Return the cluster for our dialect, from the far region."""
    return f"{lab.spec.engine}+globaldb://{lab.url(FAR).partition('://')[2]}"


def outcomes(engine: str, url: str, report: Path) -> dict[str, str]:
    """Run the tests; return what became of each."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", str(HERE / "setup.cfg")),
        *(f"--rootdir={HERE}", f"--confcutdir={HERE}", "-p", "sqlalchemy_suite.plugin"),
        *("--dburi", url, f"--junitxml={report}", str(HERE / "suite.py")),
        *os.environ.get("SUITE_ARGS", "").split(),
    ]
    path = os.pathsep.join([str(HERE.parent), *sys.path])
    with report.with_suffix(".log").open("w") as log:
        subprocess.run(
            command,
            check=False,
            cwd=HERE,
            env={**os.environ, "SUITE_ENGINE": engine, "PYTHONPATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    found = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        # Drivers and servers' versions are part of some names.
        name = case.get("name", "").partition("[")[0]
        number = sum(key[0] == (case.get("classname"), name) for key in found)
        found[(case.get("classname"), name), number] = min(kinds, default="passed")
    return {f"{c}::{n}#{number}": kind for ((c, n), number), kind in found.items()}


def compare(engine: str, folder: Path) -> int:
    """Run them with both dialects, say what differs, and count it."""
    with Lab.start(LabSpec(engine=engine)) as lab:
        for one, other in combinations(lab.spec.regions, 2):
            lab.latency(one, other, RTT)
        lab.lag(FAR, LAG)
        prepare(lab)
        results = []
        for name, url in (("stock", stock_url(lab)), ("ours", routed_url(lab))):
            began = time.monotonic()
            found = outcomes(engine, url, folder / f"{engine}-{name}.xml")
            results.append(found)
            counted = {
                kind: list(found.values()).count(kind) for kind in set(found.values())
            }
            print(
                f"{engine} {name}: {counted} in {time.monotonic() - began:.0f} s",
                flush=True,
            )
    stock, ours = results
    worse = [
        t
        for t, kind in ours.items()
        if kind in ("failure", "error") and stock.get(t) not in ("failure", "error")
    ]
    missing = stock.keys() - ours.keys()
    for test in sorted(worse):
        print(f"  only ours: {test} {ours[test]}, stock {stock.get(test)}")
    if missing:
        print(f"  not run with ours: {sorted(missing)}")
    return len(worse) + len(missing)


def main() -> int:
    """Compare each engine named, or all."""
    folder = Path(os.environ.get("SUITE_REPORTS", ".")).resolve()
    print(f"SQLAlchemy {sqlalchemy.__version__}, reports in {folder}", flush=True)
    engines = sys.argv[1:] or ["postgresql", "mariadb", "mysql"]
    return min(1, sum(compare(engine, folder) for engine in engines))


if __name__ == "__main__":
    sys.exit(main())
