"""One ``execute()`` of a cursor, as the flow sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import pq, sql

from globaldb.drivers.psycopg.repeat import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import Query

    from globaldb.core.statement import Statement
    from globaldb.drivers.psycopg.wire import Call
    from globaldb.runtime.port import Link


def source_of(query: Query, context: Any) -> str | bytes:
    """Return the text that stands for *query* when it is classified.

    Raises `TypeError` for what is no query.
    """
    if isinstance(query, str | bytes):
        return query
    if isinstance(query, sql.Composable):
        return query.as_string(context)
    # A t-string: what stands between its values decides.
    strings = getattr(query, "strings", None)
    if strings is None:
        raise TypeError(f"a query cannot be a {type(query).__name__}")
    return "%s".join(strings)


class CursorWork:
    """A cursor's call with its verdict."""

    __slots__ = ("call", "deadline", "has_parameters", "on_success", "statement")

    def __init__(
        self, call: Call | None, statement: Statement, deadline: float | None
    ) -> None:
        self.call: Any = call
        self.statement = statement
        self.deadline = deadline
        self.has_parameters = call is not None and bool(call.params)
        self.on_success: Callable[[Link], None] | None = None

    @property
    def source(self) -> str | bytes:
        """The text that was classified."""
        return source_of(self.call.query, self.call.cursor)

    @property
    def text(self) -> str:
        """The statement as the application wrote it, without its parameters.

        Composed queries may hold literals, so only their kind is told.
        """
        query = self.call.query
        return query if isinstance(query, str) else f"<{type(query).__name__}>"

    def acknowledge(self, tag: str) -> None:
        """Look as if the server had answered with the command tag *tag*."""
        cursor: Any = self.call.cursor
        cursor._reset()
        cursor._last_query = None
        cursor._results = [cursor._pgconn.make_empty_result(pq.ExecStatus.COMMAND_OK)]
        cursor.pgresult = cursor._results[0]
        cursor._statusmessage = tag.encode()

    def recording(self, *, ordered: bool, compared: bool) -> Recording:
        """Return what makes the statement again, with the answer that it had."""
        call = self.call
        return Recording(
            call.cursor,
            self.text,
            binary=call.binary,
            ordered=ordered,
            compared=compared,
        )

    def first_value(self) -> str | None:
        """Return the first column of the first row, as text."""
        result = self.call.cursor.pgresult
        if result is None or not result.ntuples:
            return None
        value = result.get_value(0, 0)
        return None if value is None else value.decode()
