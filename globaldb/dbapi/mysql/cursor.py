"""Cursors: PyMySQL's own, each of whose statements finds its node first."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pymysql.cursors import Cursor, SSCursor

if TYPE_CHECKING:
    from globaldb.core.routing import Route
    from globaldb.dbapi.mysql.connection import Connection


class RoutedCursor(Cursor):
    """What every cursor of a routed connection does in its own way.

    Where a statement runs is the connection's business. Here it learns of the text
    before values were put into it: the same for each execution, it is classified once.
    """

    #: Where the last statement ran, and why.
    route: Route | None = None
    #: What `executemany` makes one long text of.
    _template: str | None = None

    def execute(self, query: Any, args: Any = None) -> int:
        """Execute a statement where it belongs; returns the rows affected or read.

        Waits for a reader that is fresh enough, and for a writer while none is known:
        ``failover_wait`` seconds at most, and no longer than ``timeout``.

        Raises what PyMySQL raises, and of globaldb's own: `NoNodeAvailableError` and
        `PoolTimeoutError` (nothing was sent), `NodeLostError` (nothing was applied),
        `OutcomeUnknownError` (a write may have been), `DeadlineExceededError`,
        `CausalityLostError`. Every one of them is caught by both error trees.
        """
        face: Connection = self._get_db()  # type: ignore[attr-defined]
        while self.nextset():
            pass
        template = self._template
        if args is not None:
            template = query
            query = self._mogrify(query, args)  # type: ignore[attr-defined]
        if template is not None:
            face.template = face.template_of(template)
        rows: int = self._query(query)  # type: ignore[attr-defined]
        self._executed = query
        self.route = face.session.route
        return rows

    def executemany(self, query: Any, args: Any) -> int | None:
        """Execute one statement with many sets of values, INSERTs as one long text."""
        self._template = query if isinstance(query, str) else None
        try:
            rows: int | None = super().executemany(query, args)
        finally:
            self._template = None
        return rows


def _forget(cursor: Any) -> None:
    """Leave the rest of its rows: a finalizer must not wait, nor hand anything back."""
    stream = getattr(getattr(cursor, "connection", None), "stream", None)
    if stream is not None and stream.result is cursor._result:
        stream.forgotten = True


@cache
def routed(factory: Any) -> Any:
    """Return the routed form of any of PyMySQL's cursor classes, or of a user's.

    What a user's class overrides stays on top: its calls to ``super()`` arrive here.
    What is no such class is left as it is: the connection routes whatever it sends.
    """
    if factory is Cursor:
        return RoutedCursor
    if not isinstance(factory, type) or not issubclass(factory, Cursor):
        return factory
    if issubclass(factory, RoutedCursor):
        return factory
    own: dict[str, Any] = {"__module__": "globaldb.mysql"}
    if getattr(factory, "__del__", None) is SSCursor.__del__:
        own["__del__"] = _forget
    return type(factory.__name__, (factory, RoutedCursor), own)
