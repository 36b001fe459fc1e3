"""Reads made again on another connection, and whether their answers are the same."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.drivers.pymysql.wire import Call

#: Characters of a statement that a message shows.
_SHOWN: Final = 200
#: Bytes that a value without a length counts for.
_VALUE: Final = 8

Rows = tuple[tuple[Any, ...], ...]


class Recording:
    """A statement as a cursor has sent it, with the answer it had.

    *ordered* tells whether the order of rows belongs to the answer. Without *compared*
    any answer will do.
    """

    __slots__ = ("_answer", "_ordered", "call", "text")

    def __init__(self, call: Call, text: str, *, ordered: bool, compared: bool) -> None:
        self.text = text
        #: What sends it again.
        self.call = call
        self._ordered = ordered
        #: The rows, None where there were none: it was no query.
        self._answer: tuple[Rows | None, ...] | None = None
        if compared:
            self._answer = tuple(result.rows for result in call.results)

    @property
    def rows(self) -> int:
        """Rows of the answer."""
        return sum(len(rows or ()) for rows in self._answer or ())

    @property
    def size(self) -> int:
        """Bytes of the answer's values, about."""
        return sum(
            _size(value)
            for rows in self._answer or ()
            for row in rows or ()
            for value in row
        )

    def differs(self, results: Sequence[Any]) -> bool:
        """Whether *results* are another answer."""
        if self._answer is None:
            return False
        again = tuple(result.rows for result in results)
        if len(again) != len(self._answer):
            return True
        pairs = zip(self._answer, again, strict=True)
        return not all(self._same(before, after) for before, after in pairs)

    def _same(self, before: Rows | None, after: Rows | None) -> bool:
        if before is None or after is None or self._ordered:
            return before == after
        # Values made by an application's converters need not be hashable.
        return Counter(map(repr, before)) == Counter(map(repr, after))


def shown(each: Recording | str) -> str:
    """Return the text of *each*, shortened for a message."""
    text = " ".join((each if isinstance(each, str) else each.text).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes) else _VALUE
