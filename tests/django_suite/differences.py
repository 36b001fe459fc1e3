"""Which of Django's tests fail with our engines alone, as docs/howto/django.md says."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs/howto/django.md"
_ROW: Final = re.compile(
    r"^\| `([\w.]+)` \| (\w+)(?:, Django ([\d.]+))? \| \S.* \|$", re.MULTILINE
)
#: How a test ends that does not pass.
BAD: Final = ("failed", "error", "unexpected")
#: The most that there may be.
MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run differs in from Django's own backend, beyond what the page says.

    *worse* has each test's outcome; *better* those of the page that do not fail, or
    that their class has not.
    """

    worse: dict[str, str]
    better: list[str]

    def __bool__(self) -> bool:
        return bool(self.worse or self.better)


def documented(engine: str, line: str) -> set[str]:
    """Return the tests that the page lists for *engine* and Django *line*.

    Raises `ValueError` when it lists more than there may be.
    """
    _, _, section = PAGE.read_text().partition("\n## What is different\n")
    rows = _ROW.findall(section)
    if not 0 < len(rows) <= MOST:
        raise ValueError(f"{PAGE} lists {len(rows)} tests; there may be {MOST}")
    family = "postgresql" if engine == "postgresql" else "mysql"
    return {
        f"backends.{test}"
        for test, engines, alone in rows
        if engines in ("both", family) and alone in ("", line)
    }


def judge(
    ours: dict[str, str], stock: dict[str, str], listed: Collection[str]
) -> Judgement:
    """Compare what became of each test; those *listed* are to fail with ours alone.

    *stock* may hold nothing but the tests that do not pass there, or do not run.
    """
    worse = {
        test: outcome
        for test, outcome in ours.items()
        if outcome in BAD and stock.get(test) not in BAD and test not in listed
    }
    for test, outcome in stock.items():
        # A test that is skipped has not shown anything.
        if outcome == "passed" and ours.get(test, "missing") in ("missing", "skipped"):
            worse[test] = ours.get(test, "missing")
    classes = {_class_of(test) for test in ours}
    better = [t for t in listed if _class_of(t) in classes and ours.get(t) not in BAD]
    return Judgement(worse, sorted(better))


def _class_of(test: str) -> str:
    return test.rpartition(".")[0]
