"""Which of SQLAlchemy's tests fail with our dialects alone: docs/howto/sqlalchemy.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs/howto/sqlalchemy.md"
_ROW: Final = re.compile(
    r"^\| `(\w+::\w+)` \| (\w+) \| ([\w.]+) \| \S.* \|$", re.MULTILINE
)
#: How a test ends that does not pass.
BAD: Final = ("failure", "error")
#: The most that there may be.
MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run differs in from SQLAlchemy's own dialect, beyond what the page says.

    *worse* has each test's outcome; *better* those of the page that pass.
    """

    worse: dict[str, str]
    better: list[str]

    def __bool__(self) -> bool:
        return bool(self.worse or self.better)


def documented(page: str, engine: str, line: str) -> set[str]:
    """Return the tests that the text of the page lists for an engine and a line.

    Raises `ValueError` when it lists more than there may be.
    """
    _, found, section = page.partition("\n## What is different\n")
    rows = _ROW.findall(section)
    if not found or len(rows) > MOST:
        raise ValueError(f"{PAGE} lists {len(rows)} tests; there may be {MOST}")
    return {
        test
        for test, engines, lines in rows
        if engines in ("all", engine) and lines in ("both", line)
    }


def judge(ours: dict[str, str], stock: dict[str, str], listed: set[str]) -> Judgement:
    """Compare what became of each test, by its name and number."""

    def name(test: str) -> str:
        return test.partition("#")[0]

    worse = {
        test: outcome
        for test, outcome in ours.items()
        if outcome in BAD and stock.get(test) not in BAD and name(test) not in listed
    }
    for test, outcome in stock.items():
        # A test that is skipped has not shown anything.
        if outcome == "passed" and ours.get(test, "missing") in ("missing", "skipped"):
            worse[test] = ours.get(test, "missing")
    ran = {name(test) for test in ours}
    failed = {name(test) for test, outcome in ours.items() if outcome in BAD}
    return Judgement(worse, sorted((listed & ran) - failed))
