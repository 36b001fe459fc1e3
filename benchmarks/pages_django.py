"""The pages of the Django example: what they cost with and without globaldb.

``python benchmarks/pages_django.py [--engine ENGINE] [--json FILE]`` starts a lab of its
own and prints the table of docs/howto/django.md. Exits with 1 when a page needs more round
trips to another region than it may.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.django_shop import own_database
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[1]
#: How often each page is asked for. With Django's own all times are one.
TIMES: Final = 10
#: Seconds that all pages may take on a busy machine.
_LIMIT: Final = 600.0


@dataclass(frozen=True, slots=True)
class Case:
    """A page: whether it saves anything, and the wide-area trips that it may take."""

    name: str
    words: str
    budget: int
    saves: bool = False


CASES: Final = (
    Case("products", "list of products", 0),
    Case("product", "one product", 0),
    Case("cart", "cart", 0),
    Case("orders", "orders", 0),
    Case("changelist", "admin: search in the list", 0),
    Case("change_form", "admin: form, with an inline", 0),
    Case("user_form", "admin: form, with two lists of choices", 0),
    Case("delete_form", "admin: asks what to delete", 0),
    Case("csv", "all orders, by `iterator()`", 0),
    Case("profile", "saves the profile: UPDATE", 3, saves=True),
    Case("like", "likes a product: `get_or_create()`", 3, saves=True),
    Case("add", "adds to the cart: `update_or_create()`", 3, saves=True),
    Case("login", "logs in: `globaldb.django.sessions`", 3, saves=True),
    Case("login_django", "the same with Django's sessions", 5, saves=True),
    Case("change", "admin: saves a product, and a log entry", 3, saves=True),
    Case("change_with_inline", "the same with a changed inline", 4, saves=True),
    Case("checkout", "checks out: five statements", 6, saves=True),
    Case("delete", "admin: deletes, from four other tables too", 11, saves=True),
)


#: Of ``ATOMIC_REQUESTS``.
SETTINGS: Final = ("off", "on")


@dataclass(frozen=True, slots=True)
class Counted:
    """What every page cost, in order, by the setting and the page's name."""

    globaldb: Mapping[str, Mapping[str, list[int]]]
    stock: Mapping[str, Mapping[str, list[int]]]

    def rows(self) -> Iterator[Row]:
        """Each page, in the order of `CASES`."""
        for case in CASES:
            yield Row(
                case,
                *(
                    tuple(counts[f"{atomic} {age}"][case.name] for atomic in SETTINGS)
                    for counts, age in (
                        (self.stock, "0"),
                        (self.stock, "None"),
                        (self.globaldb, "0"),
                    )
                ),
            )


@dataclass(frozen=True, slots=True)
class Row:
    """One page: its wide-area round trips each time, for each of `SETTINGS`."""

    case: Case
    #: Of Django's own, which connects for each request, or keeps its connection.
    connecting: tuple[list[int], ...]
    keeping: tuple[list[int], ...]
    globaldb: tuple[list[int], ...]

    @property
    def kept(self) -> bool:
        """Whether every time, not only the first, stayed within the budget."""
        return all(max(costs) <= self.case.budget for costs in self.globaldb)

    def __str__(self) -> str:
        cells = map(_cell, (self.connecting, self.keeping, self.globaldb))
        return f"| {self.case.words} | {' | '.join(cells)} |"


def _cell(costs: tuple[list[int], ...]) -> str:
    """Say the most that it costs, once where the setting makes no difference."""
    return ", ".join(dict.fromkeys(str(max(each)) for each in costs))


HEADER: Final = (
    "| page | Django's own, `CONN_MAX_AGE=0` | `None` | globaldb |\n|---|---|---|---|"
)


def count(lab: Lab, times: int = TIMES) -> Counted:
    """Ask for every page, on globaldb and on Django's own backend at the writer.

    The lab has a database for the shop (`own_database`).
    """
    return Counted(_ask(lab, "globaldb", times), _ask(lab, "stock", 1))


def _ask(lab: Lab, backend: str, times: int) -> Mapping[str, Mapping[str, list[int]]]:
    words = ["-m", "benchmarks.pages_django_client", lab.name, backend, str(times)]
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(f"the pages on {backend} were not counted:\n{done.stderr}")
    found: Mapping[str, Mapping[str, list[int]]] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="postgresql")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    arguments = parser.parse_args()
    with Lab.start(LabSpec(engine=arguments.engine)) as lab, own_database(lab):
        counted = count(lab)
    print(HEADER)
    for row in counted.rows():
        print(row)
    if arguments.json:
        table = {"globaldb": counted.globaldb, "stock": counted.stock}
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    missed = [row for row in counted.rows() if not row.kept]
    for row in missed:
        print(f"MISSED, {row.case.budget} at most: {row} {row.globaldb}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
