"""What readers have refused: statements known since to need the writer.

A statement is remembered by its fingerprint, the text without its values, so that
what one call has shown holds for every call like it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from globaldb.core.lexer import Token

_VALUES: Final = frozenset(("string", "number", "param"))
#: Longer texts are not remembered: most are scripts or loads that run once.
LONGEST: Final = 64 * 1024
#: Characters of a fingerprint that are kept; behind them stands a digest of the whole.
_SHOWN: Final = 2000


@dataclass(frozen=True, slots=True)
class Lesson:
    """One refusal: the fingerprint, the error, the reader, and when."""

    statement: str
    problem: str
    node: str
    #: Monotonic seconds.
    at: float


class Learned:
    """Refused statements by fingerprint; the oldest are forgotten beyond *limit*.

    Safe for threads: each step is one operation of a dictionary.
    """

    __slots__ = ("_lessons", "_limit", "_tokenize")

    def __init__(
        self, tokenize: Callable[[str], Sequence[Token]], *, limit: int = 1000
    ) -> None:
        self._tokenize = tokenize
        self._limit = limit
        self._lessons: dict[str, Lesson] = {}

    def __len__(self) -> int:
        return len(self._lessons)

    def __contains__(self, sql: str) -> bool:
        """Whether a statement like *sql* was refused before."""
        if not self._lessons or len(sql) > LONGEST:
            return False
        return self._key(sql) in self._lessons

    def remember(self, sql: str, problem: str, node: str, now: float) -> bool:
        """Take note that *node*, a reader, refused *sql* because it only reads.

        Returns whether that is news.
        """
        if len(sql) > LONGEST:
            return False
        key = self._key(sql)
        known = key in self._lessons
        self._lessons[key] = Lesson(key, problem, node, now)
        while len(self._lessons) > self._limit:
            # While it is looked at, another thread may add one: then once more.
            with suppress(RuntimeError):
                self._lessons.pop(next(iter(self._lessons)), None)
        return not known

    def _key(self, sql: str) -> str:
        text = fingerprint(self._tokenize(sql))
        if len(text) <= _SHOWN:
            return text
        return (
            f"{text[:_SHOWN]} ... {sha256(text.encode('utf-8', 'replace')).hexdigest()}"
        )

    def lessons(self) -> tuple[Lesson, ...]:
        """Everything learnt, oldest first."""
        return tuple(self._lessons.copy().values())

    def clear(self) -> None:
        """Forget everything: the objects that the statements named have changed."""
        self._lessons.clear()


def fingerprint(tokens: Iterable[Token]) -> str:
    """Return the statement without its values, comments and white space.

    A list of values counts as one, however long it is.
    """
    parts: list[str] = []
    for kind, text, _, _ in tokens:
        if kind in _VALUES:
            if parts[-2:] == ["?", ","]:
                del parts[-1]
            else:
                parts.append("?")
        elif kind == "quoted":
            parts.append('"' + text.replace('"', '""') + '"')
        else:
            parts.append(text)
    return " ".join(parts)
