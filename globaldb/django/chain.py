"""The chain of causes of a test run: its sessions see what others of them have written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from globaldb.errors import Error

if TYPE_CHECKING:
    from globaldb.core.token import Token

logger = logging.getLogger("globaldb")


class Chain:
    """What the sessions of a test run have written to one database.

    It is one chain, however often Django copies the settings it is kept in, in whichever
    thread its sessions are, and whatever requests they answer.
    """

    def __init__(self) -> None:
        self._newest: Token | None = None
        #: Its sessions, and how often each had advanced when it was looked at last.
        self._open: dict[int, tuple[Any, int]] = {}

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        # Settings may be written down for another process; it is not of this run.
        return "None"

    def begun(self, connection: Any) -> None:
        """Have a new *connection* see what was written before it, also by open ones."""
        for other, _ in list(self._open.values()):
            self._look(other)
        self.catch_up(connection, None)
        self._open[id(connection)] = connection, connection.session.books.advances

    def ending(self, connection: Any) -> None:
        """Take note of what *connection* has written, before it is closed."""
        if id(connection) in self._open:
            self._look(connection)
            del self._open[id(connection)]

    def catch_up(self, connection: Any, known: Token | None) -> Token | None:
        """Have *connection*, which knows *known*, see what ended sessions have written.

        Returns what it knows then. On one server it would see that by itself.
        """
        newest = self._newest
        if newest is not None and newest is not known:
            connection.observe(newest, invalid="ignore")
        return newest

    def _look(self, connection: Any) -> None:
        session = connection.session
        _, advances = self._open[id(connection)]
        if session.closed or session.books.advances == advances:
            return
        try:
            token = connection.token
        except Error as error:
            # What was written is written: the test has not failed.
            logger.warning("token_missing error=%s", error)
            return
        self._open[id(connection)] = connection, session.books.advances
        self._newest = token if self._newest is None else token.merge(self._newest)
