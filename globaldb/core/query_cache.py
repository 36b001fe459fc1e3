"""Classified texts, kept for the next time, within bounds.

Two generations: a text is stored in the young one; when that is full it becomes the
old one, and the old one is forgotten. A text met again in the old generation moves to
the young one, so what is in use survives and what was used once goes, without a list
to maintain on each hit.

A hit is one dictionary lookup and takes no lock. Two threads that miss at once may
classify the same text twice or lose an entry; both get a right answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Longer texts are classified each time: most are scripts or loads that run once.
LONGEST: Final = 64 * 1024


class QueryCache(Generic[T]):
    """What *classify* says of texts; *entries* and *size* (characters) bound it."""

    __slots__ = ("_classify", "_entries", "_shelf", "_size")

    def __init__(
        self,
        classify: Callable[[str | bytes], T],
        *,
        entries: int = 4096,
        size: int = 8 * 1024 * 1024,
    ) -> None:
        self._classify = classify
        self._entries = max(1, entries // 2)
        self._size = size // 2
        self._shelf: _Shelf[T] = _Shelf(self._size)

    def __len__(self) -> int:
        return len(self._shelf.young) + len(self._shelf.old)

    def get(self, sql: str | bytes) -> T | None:
        """Return the statement of a text met before, if it is still kept."""
        return self._shelf.young.get(sql) or self._shelf.old.get(sql)

    def lookup(self, sql: str | bytes) -> T:
        """Return the statement of *sql*, classified now or before."""
        return self._shelf.young.get(sql) or self._miss(sql)

    def clear(self) -> None:
        """Forget everything, for when a catalog has changed what texts mean.

        What another thread is classifying meanwhile goes to the shelf given up.
        """
        self._shelf = _Shelf(self._size)

    def _miss(self, sql: str | bytes) -> T:
        # Taken before anything is looked up: a newer one must not get what is older.
        shelf = self._shelf
        statement = shelf.old.pop(sql, None)
        if statement is None:
            statement = self._classify(sql)
            if len(sql) > min(LONGEST, self._size):
                return statement
        if len(shelf.young) >= self._entries or len(sql) > shelf.room:
            shelf.old, shelf.young, shelf.room = shelf.young, {}, self._size
        shelf.room -= len(sql)
        shelf.young[sql] = statement
        return statement


class _Shelf(Generic[T]):
    """Both generations, and the room left in the young one."""

    __slots__ = ("old", "room", "young")

    def __init__(self, room: int) -> None:
        self.room = room
        self.young: dict[str | bytes, T] = {}
        self.old: dict[str | bytes, T] = {}
