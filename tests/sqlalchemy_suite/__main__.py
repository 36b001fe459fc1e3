"""SQLAlchemy's tests for dialects, ours beside the stock ones, on a lab with lag.

``python -m sqlalchemy_suite [--lines 2.0,2.1] [--tests EXPRESSION] [ENGINE ...]``; fails
when a test does with our dialect that does not with SQLAlchemy's own at the writer, and
docs/howto/sqlalchemy.md does not say so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from sqlalchemy_suite.differences import PAGE, Judgement, documented, judge
from sqlalchemy_suite.lines import RELEASES
from sqlalchemy_suite.running import Task, laggard, outcomes

ENGINES = ("postgresql", "mariadb", "mysql")
#: Seconds between regions.
RTT = 0.02


def compare(engine: str, lines: list[str], tests: str, folder: Path) -> int:
    """Run them with both dialects on each line, say what differs, and count it."""
    differ = 0
    with laggard(engine, RTT) as lab:
        for line in lines:
            results = []
            for dialect in ("stock", "ours"):
                began = time.monotonic()
                found = outcomes(lab, Task(line, dialect, ["-k", tests]), folder)
                results.append(found)
                print(
                    f"{line} {engine} {dialect}: {dict(Counter(found.values()))} in "
                    f"{time.monotonic() - began:.0f} s",
                    flush=True,
                )
            stock, ours = results
            listed = documented(PAGE.read_text(), engine, line)
            differ += told(judge(ours, stock, listed))
    return differ


def told(judged: Judgement) -> int:
    """Print what is different, and count it."""
    for test, outcome in sorted(judged.worse.items()):
        print(f"  only ours: {test} {outcome}")
    for test in judged.better:
        print(f"  passes, and the page says it does not: {test}")
    return len(judged.worse) + len(judged.better)


def main() -> int:
    """Compare each engine named, or all, on each line named, or both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", default=",".join(RELEASES))
    parser.add_argument("--tests", default="")
    parser.add_argument("engines", nargs="*", default=ENGINES)
    given = parser.parse_args()
    folder = Path(os.environ.get("SUITE_REPORTS", ".")).resolve()
    print(f"SQLAlchemy {given.lines}, reports in {folder}", flush=True)
    lines = given.lines.split(",")
    return min(1, sum(compare(e, lines, given.tests, folder) for e in given.engines))


if __name__ == "__main__":
    sys.exit(main())
