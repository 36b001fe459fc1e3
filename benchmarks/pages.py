"""The table of pages: round trips of applications with SQLAlchemy, beside its own dialect.

``python benchmarks/pages.py [--json FILE]`` starts a lab of its own, and the examples'
applications in the region of `REGION`, first on globaldb, then on what they would have
without it, connected to the writer. Each page is asked for ten times. Exits with 1 when
one needs more round trips to another region than it may.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.meter import Trips


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what it may cost, and what it did cost each time, in order."""

    application: str
    page: str
    #: Round trips to the writer's region.
    budget: int
    stock: list[Trips]
    routed: list[Trips]

    @property
    def kept(self) -> bool:
        """Whether every time, not only the first, stayed within the budget."""
        return all(cost.wide <= self.budget for cost in self.routed)

    def __str__(self) -> str:
        return (
            f"{self.application:10} {self.page:46} {_wide(self.stock):>7} "
            f"{_wide(self.routed):>9} {self.budget:7}  "
            f"{'ok' if self.kept else 'MISSED'}"
        )


def _wide(costs: list[Trips]) -> str:
    """Say what it cost, least and most."""
    least, most = min(costs).wide, max(costs).wide
    return str(least) if least == most else f"{least}-{most}"


HEADER = f"{'round trips to the writer':57} {'stock':>7} {'globaldb':>9} {'budget':>7}"


def pages(lab: Lab) -> Iterator[Page]:
    """Ask for the pages of every application."""
    from benchmarks import pages_fastapi, pages_flask

    yield from pages_fastapi.pages(lab)
    yield from pages_flask.pages(lab)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    arguments = parser.parse_args()
    print(HEADER)
    found = []
    with Lab.start(LabSpec()) as lab:
        for page in pages(lab):
            found.append(page)
            print(page, flush=True)
    if arguments.json:
        table = [asdict(page) | {"kept": page.kept} for page in found]
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0 if all(page.kept for page in found) else 1


if __name__ == "__main__":
    sys.exit(main())
