"""One ``execute()`` of a cursor, as the flow sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import pq

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.statement import Statement
    from globaldb.drivers.psycopg.wire import Call
    from globaldb.runtime.port import Link


class CursorWork:
    """A cursor's call with its verdict."""

    __slots__ = ("call", "deadline", "on_success", "statement")

    def __init__(
        self, call: Call, statement: Statement, deadline: float | None
    ) -> None:
        self.call = call
        self.statement = statement
        self.deadline = deadline
        self.on_success: Callable[[Link], None] | None = None

    @property
    def has_parameters(self) -> bool:
        """Whether values travel beside the text."""
        return bool(self.call.params)

    def acknowledge(self, tag: str) -> None:
        """Look as if the server had answered with the command tag *tag*."""
        cursor: Any = self.call.cursor
        cursor._reset()
        cursor._last_query = None
        cursor._results = [cursor._pgconn.make_empty_result(pq.ExecStatus.COMMAND_OK)]
        cursor.pgresult = cursor._results[0]
        cursor._statusmessage = tag.encode()

    def first_value(self) -> str | None:
        """The first column of the first row, as text."""
        result = self.call.cursor.pgresult
        if result is None or not result.ntuples:
            return None
        value = result.get_value(0, 0)
        return None if value is None else value.decode()
