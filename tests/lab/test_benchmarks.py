"""The benchmarks run and report everything; how fast it is, no test can say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

FIGURES = {
    "1 row, autocommit, 1 thread",
    "1 row, autocommit, 8 threads",
    "1 row, transaction, 1 thread",
    "1 row, transaction, 8 threads",
    "1000 rows, autocommit, 1 thread",
    "1000 rows, autocommit, 8 threads",
    "1000 rows, transaction, 1 thread",
    "1000 rows, transaction, 8 threads",
    "a row by fetchone",
    "a row by iteration",
    "a row by fetchall",
    "cluster.connect(), close()",
    "globaldb.connect(url), close()",
    "import globaldb, beside an empty process",
    "import globaldb, beside import psycopg",
    "memory an idle session of 100, RSS",
    "memory an idle session of 100, tracemalloc",
}
OF_PYMYSQL = {each for each in FIGURES if "row" in each or each.startswith("cluster")}
OF_PYMYSQL -= {"a row by iteration"}


def test_the_overhead_benchmark_reports_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "overhead.json"
    command = [sys.executable, str(BENCHMARKS / "overhead.py"), "--quick", "--json"]

    done = subprocess.run(
        [*command, str(file)], check=False, capture_output=True, text=True, timeout=115
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())["figures"]
    assert {each["name"] for each in figures} == FIGURES
    assert all(each["raw"] > 0 and each["ratio"] != 0 for each in figures)
    assert {each["verdict"] for each in figures} <= {"ok", "MISSED", ""}
    assert all(each["name"] in done.stdout for each in figures)


def test_the_overhead_benchmark_reports_every_figure_of_pymysql(tmp_path: Path) -> None:
    file = tmp_path / "overhead.json"
    command = [sys.executable, str(BENCHMARKS / "overhead_mysql.py"), "--quick"]

    done = subprocess.run(
        [*command, "--json", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=115,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert {each["name"] for each in figures} == OF_PYMYSQL
    assert all(each["raw"] > 0 and each["ratio"] != 0 for each in figures)


def test_the_failover_benchmark_lives_through_what_it_does(tmp_path: Path) -> None:
    file = tmp_path / "failover.json"
    command = [sys.executable, str(BENCHMARKS / "failover.py"), "--quick", "--alone"]

    done = subprocess.run(
        [*command, "--json", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=115,
    )

    # 1 says that a goal was missed, on a machine that may be busy.
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(file.read_text())
    [moved] = found["moves"]
    assert (moved["fault"], moved["client"]) == ("switchover", "globaldb")
    assert moved["acknowledged"] > 1
    assert moved["reads"] > 10
    assert moved["gap"] > 0
    # What no haste excuses.
    wrong = [moved[name] for name in ("reads_failed", "lost", "twice", "hidden")]
    assert wrong == [0, 0, 0, 0]
    [background] = found["background"]
    assert len(background["seconds"]) == 1
    assert "| switchover, globaldb |" in done.stdout


def test_the_consistency_benchmark_compares_every_way_at_every_point(
    tmp_path: Path,
) -> None:
    file = tmp_path / "consistency.json"
    command = [sys.executable, str(BENCHMARKS / "consistency.py"), "--quick", "--json"]

    done = subprocess.run(
        [*command, str(file)], check=False, capture_output=True, text=True, timeout=120
    )

    # 1 says that a point was missed, on a machine that may be busy.
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(file.read_text())
    assert len(rows) == 3 * 2 * 2
    for row in rows:
        assert row["means"].keys() == {"globaldb", "writer", "2 s window", "wait"}
        assert row["stale"] == dict.fromkeys(row["means"], 0)
        assert row["means"]["writer"] >= row["distance"]
        # Far beyond what a busy machine adds, and below what a wrong choice costs.
        if row["distance"] > 0.1 and row["lag"] == 0:
            assert row["means"]["globaldb"] < 0.7 * row["distance"]
            assert row["local"]["globaldb"] > 0.5
