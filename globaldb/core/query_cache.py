"""Classified texts, kept for the next time, within bounds.

Two generations: a text is stored in the young one; when that is full it becomes the
old one, and the old one is forgotten. A text met again in the old generation moves to
the young one, so what is in use survives and what was used once goes, without a list
to maintain on each hit.

A hit is one dictionary lookup and takes no lock. Two threads that miss at once may
classify the same text twice or lose an entry; both get a right answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.statement import Statement

#: Longer texts are classified each time: most are scripts or loads that run once.
LONGEST: Final = 64 * 1024


class QueryCache:
    """Statements by their text; *entries* and *size* (characters) bound the whole."""

    __slots__ = (
        "_classify",
        "_cleared",
        "_entries",
        "_old",
        "_room",
        "_size",
        "_young",
    )

    def __init__(
        self,
        classify: Callable[[str | bytes], Statement],
        *,
        entries: int = 4096,
        size: int = 8 * 1024 * 1024,
    ) -> None:
        self._classify = classify
        self._entries = max(1, entries // 2)
        self._size = size // 2
        self._room = self._size
        self._cleared = 0
        self._young: dict[str | bytes, Statement] = {}
        self._old: dict[str | bytes, Statement] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, sql: str | bytes) -> Statement | None:
        """Return the statement of a text met before, if it is still kept."""
        return self._young.get(sql) or self._old.get(sql)

    def lookup(self, sql: str | bytes) -> Statement:
        """Return the statement of *sql*, classified now or before."""
        return self._young.get(sql) or self._miss(sql)

    def clear(self) -> None:
        """Forget everything, for when a catalog has changed what texts mean.

        What another thread is classifying meanwhile is not kept.
        """
        self._cleared += 1
        self._young, self._old, self._room = {}, {}, self._size

    def _miss(self, sql: str | bytes) -> Statement:
        statement = self._old.pop(sql, None)
        if statement is None:
            cleared = self._cleared
            statement = self._classify(sql)
            if self._cleared != cleared:
                return statement
            if len(sql) > min(LONGEST, self._size):
                return statement
        if len(self._young) >= self._entries or len(sql) > self._room:
            self._old, self._young, self._room = self._young, {}, self._size
        self._room -= len(sql)
        self._young[sql] = statement
        return statement
