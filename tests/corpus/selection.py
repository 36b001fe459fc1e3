"""Which scripts are played: every eighth in a usual run, all when that is asked for."""

from __future__ import annotations

import os
from typing import Final

from corpus.scripts import Script, literals, printed, regression

#: What the others take for granted, played into every database.
FIXTURES: Final = ("test_setup", "create_misc")
# Runs out of stack on purpose; psql's own commands; a long computation.
_LEFT_OUT: Final = frozenset(
    (*FIXTURES, "infinite_recurse", "psql", "psql_crosstab", "psql_pipeline")
)
#: Those with the most calls, locks and cursors are always among the chosen.
_ALWAYS: Final = frozenset(
    ("advisory_lock", "portals", "prepare", "sequence", "temp", "with")
)


def every() -> dict[str, Script]:
    """Return all scripts there are, by name."""
    scripts = [*regression(), *printed(), literals("postgres")]
    return {script.name: script for script in scripts}


def chosen(scripts: dict[str, Script]) -> list[Script]:
    """Return the scripts to play; all with `$GLOBALDB_CORPUS_ALL` set."""
    names = sorted(scripts.keys() - _LEFT_OUT)
    if os.environ.get("GLOBALDB_CORPUS_ALL"):
        return [scripts[name] for name in names]
    return [
        scripts[name]
        for number, name in enumerate(names)
        if number % 8 == 0 or name in _ALWAYS
    ]
