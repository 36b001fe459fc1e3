"""Named cursors: they live on one connection, which the session holds for them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
from psycopg import errors as pgerrors

from globaldb.core.statement import Statement, Verdict
from globaldb.dbapi.postgresql.cursor import join
from globaldb.dbapi.postgresql.story import Story, raise_both
from globaldb.drivers.psycopg import wire
from globaldb.runtime import flow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import Params, Query

    from globaldb.core.routing import Route
    from globaldb.dbapi.postgresql.connection import Connection
    from globaldb.drivers.psycopg.physical import Physical


_DECLARE: Final = Statement(Verdict.TRANSACTION, "declare_cursor", "DECLARE")


class RoutedServerCursor(psycopg.ServerCursor[Any]):
    """A server-side cursor of a routed connection."""

    #: Where it lives, and why.
    route: Route | None = None

    __new__ = object.__new__

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        binary: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Declare the cursor where its query belongs."""
        face: Connection = self._conn  # type: ignore[assignment]
        with Story(face):
            if face.in_pipeline:
                raise psycopg.NotSupportedError(
                    "server-side cursors not supported in pipeline mode"
                )
            flow.refuse_kind(face.session, _DECLARE)
            statement = face.lookup(query)
            if self.withhold:
                # It outlives its transaction: so must its connection.
                statement = Statement(Verdict.PIN, "cursor_with_hold", "DECLARE")
            with face.holding(statement), self._bound(face):
                super().execute(query, params, binary=binary, **kwargs)
            self.route = face.session.route
        return self

    @contextmanager
    def _bound(self, face: Connection) -> Iterator[Physical]:
        """Work on the connection that the session holds, where the cursor lives."""
        lease = face.session.lease
        if lease is None:
            raise pgerrors.InvalidCursorName(
                f'cursor "{self.name}" does not exist: its transaction has ended'
            )
        link: Physical = lease.connection
        wire.bind(self, link)
        try:
            yield link
        finally:
            self._conn = face

    @contextmanager
    def _talking(self) -> Iterator[None]:
        face: Connection = self._conn  # type: ignore[assignment]
        with face.lock:
            session = face.session
            lease = session.lease
            try:
                with self._bound(face) as link, link.until(session.deadline()):
                    session.shell.busy = link
                    yield
            except psycopg.Error as error:
                raise_both(face, error)
            finally:
                if lease is not None:
                    session.shell.ended(lease.connection)
                face.after_talk()

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        with self._talking():
            return super().fetchone()

    def fetchmany(self, size: int = 0) -> list[Any]:
        """Return the next *size* rows."""
        with self._talking():
            return super().fetchmany(size)

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        with self._talking():
            return super().fetchall()

    def __next__(self) -> Any:
        with self._talking():
            return super().__next__()

    def scroll(self, value: int, mode: str = "relative") -> None:
        """Move the cursor."""
        with self._talking():
            super().scroll(value, mode)

    def close(self) -> None:
        """Close the cursor, at the server too if its connection is still held."""
        face: Connection = self._conn  # type: ignore[assignment]
        if self.closed:
            return
        if face.closed or face.session.lease is None:
            self._close()
            return
        with self._talking():
            super().close()


@cache
def routed_named(factory: Any) -> Any:
    """Return the routed form of a server-side cursor class, a user's stays on top."""
    if factory is psycopg.ServerCursor:
        return RoutedServerCursor
    if issubclass(factory, RoutedServerCursor):
        return factory
    return join(factory, RoutedServerCursor)
