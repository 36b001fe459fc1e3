"""Statements one after the other, as one session sends them.

What was prepared above is known when it is executed below. So are functions and views
where no database is there to ask: by their definitions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.statement import (
    Deallocate,
    Discard,
    Execute,
    Prepare,
    Statement,
)

if TYPE_CHECKING:
    from globaldb.core.knowledge import Knowledge
    from globaldb.core.postgresql.definitions import Definitions

_DEFINING: Final = frozenset(("CREATE", "DROP"))


class Stream:
    """Classifies statements in their order; with *definitions* learns from them."""

    def __init__(self, known: Knowledge, definitions: Definitions | None) -> None:
        self._known = known
        self._definitions = definitions
        self._prepared: dict[str, Statement] = {}

    def look_up(self, sql: str) -> Statement:
        """Return what *sql* means after everything before it."""
        found = self._known.cache.lookup(sql)
        match found.action:
            case Prepare(name, body):
                self._prepared[name] = body
            case Deallocate(None) | Discard("ALL"):
                self._prepared.clear()
            case Deallocate(str(name)):
                self._prepared.pop(name, None)
            case Execute(name) if name in self._prepared:
                body = self._prepared[name]
                return replace(found, verdict=body.verdict, reason=body.reason)
        if self._definitions is not None and found.command in _DEFINING:
            self._define(sql, self._definitions)
        return found

    def _define(self, sql: str, definitions: Definitions) -> None:
        if definitions.observe(sql):
            self._known.update(definitions.catalog)
