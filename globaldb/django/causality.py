"""What a request has seen and written: known to the middleware, whatever the thread."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from globaldb.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from globaldb.core.token import Token


logger = logging.getLogger("globaldb")


class Causality:
    """The tokens of one request by alias: those it came with, and those of its writes.

    Mutable, so that a thread which works for the request tells the middleware.
    """

    def __init__(self, came_with: Mapping[str, str]) -> None:
        self._came_with = dict(came_with)
        self._advanced: dict[str, Token] = {}
        self._sessions: list[_Watched] = []

    def began(self, alias: str, connection: Any) -> None:
        """Have a new *connection* see what the request has to see."""
        for token in (self._came_with.get(alias), self._advanced.get(alias)):
            if token:
                connection.observe(token, invalid="ignore")
        self._sessions.append(_Watched(alias, connection, _seen(connection)))

    def joined(self, alias: str, connection: Any) -> None:
        """Have a new *connection* see what those that are open have written, too."""
        self.advanced()
        self.began(alias, connection)

    def ending(self, connection: Any) -> None:
        """Take note of what *connection* has written, before it is closed."""
        for watched in [w for w in self._sessions if w.connection is connection]:
            self._sessions.remove(watched)
            self._look(watched)

    def advanced(self) -> dict[str, Token]:
        """Return a token by alias, for those where something was written.

        Costs no round trip, but where the position of a write is not known.
        """
        for watched in self._sessions:
            self._look(watched)
            watched.seen = _seen(watched.connection)
        return dict(self._advanced)

    def _look(self, watched: _Watched) -> None:
        connection = watched.connection
        if connection.session.closed or _seen(connection) == watched.seen:
            return
        try:
            token = connection.token
        except Error as error:
            # What was written is written: the request has not failed.
            logger.warning("token_missing alias=%s error=%s", watched.alias, error)
            return
        before = self._advanced.get(watched.alias)
        self._advanced[watched.alias] = token if before is None else token.merge(before)


@dataclass(slots=True)
class _Watched:
    """A session of the request, and what it had to see when it was looked at last."""

    alias: str
    connection: Any
    seen: Any


def _seen(connection: Any) -> Any:
    """Return what *connection* must see; reads at a reader do not change it."""
    books = connection.session.books
    return books.floor, books.position_unknown


_current: ContextVar[Causality | None] = ContextVar("globaldb_causality", default=None)


@contextmanager
def following(causality: Causality) -> Iterator[Causality]:
    """Have the sessions that begin inside the block take part in *causality*."""
    before = _current.set(causality)
    try:
        yield causality
    finally:
        _current.reset(before)


def began(alias: str, connection: Any) -> None:
    """Take note that a session of the current request, if there is one, has begun."""
    causality = _current.get()
    if causality is not None:
        causality.began(alias, connection)


def ending(connection: Any) -> None:
    """Take note that one is about to end."""
    causality = _current.get()
    if causality is not None:
        causality.ending(connection)
