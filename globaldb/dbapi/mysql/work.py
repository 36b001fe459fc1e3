"""One statement of an application, as the flow sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from globaldb.dbapi.mysql.results import without_rows
from globaldb.drivers.pymysql.repeat import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.statement import Statement
    from globaldb.drivers.pymysql.wire import Call
    from globaldb.runtime.port import Link


class QueryWork:
    """A text on its way to a server, with its verdict.

    *source* is what was classified: the text before values were put into it, where
    there is one.
    """

    __slots__ = ("call", "deadline", "on_success", "source", "statement")

    #: Values stand in the text already: it says everything.
    has_parameters = False

    def __init__(
        self,
        call: Call | None,
        statement: Statement,
        deadline: float | None,
        source: str | bytes,
    ) -> None:
        self.call: Any = call
        self.statement = statement
        self.deadline = deadline
        self.source = source
        self.on_success: Callable[[Link], None] | None = None

    @property
    def text(self) -> str:
        """The statement as the application wrote it, without its parameters."""
        source = self.source
        return source if isinstance(source, str) else source.decode(errors="replace")

    def acknowledge(self, _tag: str) -> None:
        """Look as if the server had answered OK."""
        self.call.results[:] = [without_rows()]

    def recording(self, *, ordered: bool, compared: bool) -> Recording:
        """Return what makes the statement again, with the answer that it had."""
        return Recording(self.call, self.text, ordered=ordered, compared=compared)

    def first_value(self) -> str | None:
        """Return the first column of the first row, as text."""
        rows = self.call.results[0].rows if self.call.results else None
        if not rows or rows[0][0] is None:
            return None
        return str(rows[0][0])
