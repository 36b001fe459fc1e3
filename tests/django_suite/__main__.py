"""Django's tests, with our engines beside Django's own, on a lab whose readers lag.

``python -m django_suite [--labels LABEL,...] [--line LINE] [ENGINE ...]``; fails when a
test does with our engine that does not with Django's own at the writer.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from django_suite.differences import documented, judge
from django_suite.running import LINES, Task, laggard, outcomes, round_trips, start
from django_suite.selection import everything
from django_suite.source import unpacked

ENGINES = ("postgresql", "mariadb", "mysql")


def compare(line: str, engine: str, told: argparse.Namespace) -> int:
    """Run them with both backends at once, say what differs, and count it."""
    folder = Path(os.environ.get("SUITE_REPORTS", ".")).resolve()
    labels = told.labels.replace(",", " ").split() or everything(
        unpacked(line) / "tests"
    )
    tasks = [
        Task(
            line,
            backend,
            labels,
            folder / f"{line}-{engine}-{backend}.json",
            told.route,
        )
        for backend in ("stock", "ours")
    ]
    began = time.monotonic()
    with laggard(engine) as lab:
        running = [start(lab, task) for task in tasks]
        for each in running:
            each.wait()
        trips = round_trips(lab)
    stock, ours = (outcomes(task) for task in tasks)
    for task, found in zip(tasks, (stock, ours), strict=True):
        print(f"{line} {engine} {task.backend}: {dict(Counter(found.values()))}")
    judged = judge(ours, stock, documented(engine, line))
    for test, outcome in sorted(judged.worse.items()):
        print(f"  only ours: {test} {outcome}, stock {stock.get(test)}")
    for test in judged.better:
        print(f"  passes, and the page says it does not: {test}")
    print(
        f"{line} {engine}: {time.monotonic() - began:.0f} s, round trips by node: {trips}",
        flush=True,
    )
    return len(judged.worse) + len(judged.better)


def main() -> int:
    """Compare each engine named, or all, with each line of Django."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--line", choices=LINES, dest="lines", action="append")
    parser.add_argument("--labels", default="")
    parser.add_argument("--route", default="auto")
    parser.add_argument("engines", nargs="*", default=ENGINES)
    told = parser.parse_args()
    lines = told.lines or LINES
    found = [compare(line, each, told) for line in lines for each in told.engines]
    return min(1, sum(found))


if __name__ == "__main__":
    sys.exit(main())
