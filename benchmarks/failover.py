"""A writer that moves: how long until applications elsewhere write again.

``python benchmarks/failover.py [--repetitions N] [--engine ENGINE] [--json FILE]``
starts a lab of its own. globaldb and the AWS Advanced Python Wrapper (if it is
installed; ``pip install aws-advanced-python-wrapper``) run at the same time, in
processes of their own, in a region that keeps its reader, while the writer moves
between two others: each fault hits both at once. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.failover_report import Report, report
from benchmarks.failover_stage import FAULTS, Background, Moved, Stage
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WRAPPER: Final = "aws_advanced_python_wrapper"


def moves(stage: Stage, faults: Sequence[str], repetitions: int) -> Iterator[Moved]:
    """Move the writer *repetitions* times in each way."""
    for fault in faults:
        for number in range(repetitions):
            for moved in stage.move(fault):
                print(f"{number + 1:3} {moved}", flush=True)
                yield moved


def background(stage: Stage, rounds: int, settle: float) -> Iterator[Background]:
    """Count what each client asks of the writer by itself, one client at a time."""
    for kind in stage.kinds:
        for _ in range(rounds):
            found = stage.background(kind, settle)
            print(found, flush=True)
            yield found


def measure(arguments: argparse.Namespace) -> Report:
    kinds = ["globaldb"]
    if arguments.engine == "postgresql" and not arguments.alone:
        if importlib.util.find_spec(WRAPPER) is None:
            print("the wrapper is not installed: globaldb runs alone")
        else:
            kinds.append("wrapper")
    spec = LabSpec(engine=arguments.engine, aurora=arguments.engine == "postgresql")
    with Lab.start(spec) as lab:
        stage = Stage(lab, kinds, quick=arguments.quick)
        return Report(
            list(moves(stage, arguments.faults, arguments.repetitions)),
            list(background(stage, arguments.rounds, arguments.settle)),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--repetitions", type=int, default=20, help="of each fault")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of counting what is asked unasked"
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=40.0,
        help="seconds until a client counts as at rest (default: 40, for the wrapper "
        "asks more often in its first 30)",
    )
    parser.add_argument(
        "--engine", choices=("postgresql", "mariadb"), default="postgresql"
    )
    parser.add_argument(
        "--quick", action="store_true", help="shows that it runs, no more"
    )
    parser.add_argument("--alone", action="store_true", help="without the wrapper")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repetitions, arguments.rounds, arguments.settle = 1, 1, 0.0
        # Counting has the other one in it.
        arguments.faults = FAULTS[:1]
    found = measure(arguments)
    print()
    missed = report(found)
    if arguments.json:
        table = {
            "moves": [asdict(each) for each in found.moves],
            "background": [asdict(each) for each in found.background],
            "missed": missed,
        }
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
