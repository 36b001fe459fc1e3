"""Reads made again on another connection, and whether their answers are the same."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from psycopg import pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

_TUPLES: Final = pq.ExecStatus.TUPLES_OK
_COMMAND: Final = pq.ExecStatus.COMMAND_OK
#: Characters of a statement that a message shows.
_SHOWN: Final = 200


class Recording:
    """A statement as a cursor has sent it, with the answer it had.

    *ordered* tells whether the order of rows belongs to the answer. Without *compared*
    any answer will do.
    """

    __slots__ = (
        "_answer",
        "_format",
        "_formats",
        "_ordered",
        "_params",
        "_query",
        "_types",
        "text",
    )

    def __init__(
        self,
        cursor: psycopg.Cursor[Any],
        text: str,
        *,
        binary: bool | None,
        ordered: bool,
        compared: bool,
    ) -> None:
        query: Any = cursor._query
        self.text = text
        self._query: bytes = query.query
        # A client-side cursor has put its values into the text already.
        bound = bool(query.types)
        self._params = query.params if bound else None
        self._types = query.types if bound else None
        self._formats = query.formats if bound else None
        self._format = cursor.format if binary is None else pq.Format(bool(binary))
        self._ordered = ordered
        self._answer: PGresult | None = cursor._results[-1] if compared else None

    @property
    def rows(self) -> int:
        """Rows of the answer."""
        return 0 if self._answer is None else self._answer.ntuples

    @property
    def size(self) -> int:
        """Bytes of the answer's values."""
        answer = self._answer
        if answer is None:
            return 0
        return sum(len(value or b"") for row in _rows(answer) for value in row)

    def send(self, pgconn: PGconn) -> None:
        """Put it in the queue of *pgconn*."""
        pgconn.send_query_params(
            self._query,
            self._params,
            param_types=self._types,
            param_formats=self._formats,
            result_format=self._format,
        )

    def differs(self, answer: PGresult) -> bool:
        """Whether *answer* is another one, or none."""
        if answer.status not in (_TUPLES, _COMMAND):
            return True
        before = self._answer
        if before is None:
            return False
        if answer.ntuples != before.ntuples or answer.nfields != before.nfields:
            return True
        if self._ordered:
            pairs = zip(_rows(before), _rows(answer), strict=True)
            return any(one != other for one, other in pairs)
        return Counter(_rows(before)) != Counter(_rows(answer))


def _rows(answer: PGresult) -> Iterator[tuple[bytes | None, ...]]:
    columns = range(answer.nfields)
    value = answer.get_value
    for row in range(answer.ntuples):
        yield tuple(value(row, column) for column in columns)


def commands(
    pgconn: PGconn, repeats: Sequence[Recording | str]
) -> list[Callable[[], None]]:
    """Return what sends each of *repeats* again, in order."""
    return [
        partial(pgconn.send_query_params, each.encode(), None)
        if isinstance(each, str)
        else partial(each.send, pgconn)
        for each in repeats
    ]


def first_difference(
    repeats: Sequence[Recording | str], answers: Sequence[list[PGresult]]
) -> str | None:
    """Return the statement whose answer is not what it was, shortened; None if none.

    *answers* may end early: what was not answered was not made again.
    """
    for index, each in enumerate(repeats):
        if index >= len(answers):
            return _shown(each)
        answer = answers[index][-1]
        if isinstance(each, str):
            if answer.status not in (_COMMAND, _TUPLES):
                return _shown(each)
        elif each.differs(answer):
            return _shown(each)
    return None


def _shown(each: Recording | str) -> str:
    text = " ".join((each if isinstance(each, str) else each.text).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."
