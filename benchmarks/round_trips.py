"""The round-trip table: what each operation costs, beside plain psycopg.

``python benchmarks/round_trips.py [--json FILE]`` starts a lab of its own. W are round
trips to another region, L within the client's. Exits with 1 when a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.comparison import Comparison
from benchmarks.meter import Trips
from benchmarks.operations import OPERATIONS
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: its budget, and what ten executions of it really cost."""

    operation: str
    budget: Trips
    plain: list[Trips]
    routed: list[Trips]

    @property
    def kept(self) -> bool:
        """Whether every execution, not only the first, stayed within the budget."""
        return all(
            cost.wide <= self.budget.wide and cost.local <= self.budget.local
            for cost in self.routed
        )

    def __str__(self) -> str:
        worst = max(self.routed)
        verdict = "ok" if self.kept else f"MISSED, worst {worst}"
        return (
            f"{self.operation:50} {self.plain[0].wide:3} W {self.plain[-1].wide:5} W "
            f"  {self.routed[0]!s:>8} {self.routed[-1]!s:>8}   {self.budget!s:>8}  "
            f"{verdict}"
        )


HEADER = (
    f"{'':50} {'psycopg, writer':>13}  {'globaldb':>15}\n"
    f"{'operation':50} {'1st':>5} {'10th':>7}   {'1st':>8} {'10th':>8}   "
    f"{'budget':>8}"
)


def rows(comparison: Comparison) -> Iterator[Row]:
    """Measure every operation, one after the other."""
    yield Row(
        "open a connection",
        Trips(0, 0),
        comparison.plain_connect(),
        comparison.routed_connect(),
    )
    for operation in OPERATIONS:
        yield Row(
            operation.name,
            operation.budget,
            comparison.plain(operation),
            comparison.routed(operation),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    arguments = parser.parse_args()
    print(HEADER)
    found = []
    with Lab.start(LabSpec()) as lab, Comparison(lab) as comparison:
        for row in rows(comparison):
            found.append(row)
            print(row, flush=True)
    if arguments.json:
        table = [asdict(row) | {"kept": row.kept} for row in found]
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    missed = [row.operation for row in found if not row.kept]
    if missed:
        print(f"\n{len(missed)} of {len(found)} budgets missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
