"""Named cursors: they live on one connection, which the session holds for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg

from globaldb.core.statement import Statement, Verdict
from globaldb.dbapi.postgresql.cursor import raise_both
from globaldb.dbapi.postgresql.work import CursorWork
from globaldb.drivers.psycopg import wire
from globaldb.runtime import flow
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import Params, Query

    from globaldb.core.routing import Route
    from globaldb.dbapi.postgresql.connection import Connection


class RoutedServerCursor(psycopg.ServerCursor[Any]):
    """A server-side cursor of a routed connection."""

    #: Where it lives, and why.
    route: Route | None = None

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
        with face.lock:
            try:
                statement = face.lookup(query)
                if self.withhold:
                    # It outlives its transaction: so must its connection.
                    statement = Statement(Verdict.PIN, "cursor_with_hold", "DECLARE")
                work = CursorWork(
                    wire.Call(self, query), statement, face.session.deadline()
                )
                drive(flow.hold(face.session, work))
                failed = True
                try:
                    with self._bound(face):
                        super().execute(query, params, binary=binary, **kwargs)
                    failed = False
                finally:
                    drive(flow.settle_hold(face.session, work, failed=failed))
                self.route = face.session.route
            except Exception as error:  # noqa: BLE001 - re-raised as both trees' error
                raise_both(face, error)
        return self

    @contextmanager
    def _bound(self, face: Connection) -> Iterator[None]:
        """Work on the connection held; outside a transaction there may be none."""
        lease = face.session.lease
        if lease is not None:
            wire.bind(self, lease.connection)
        try:
            yield
        finally:
            self._conn = face

    @contextmanager
    def _talking(self) -> Iterator[None]:
        face: Connection = self._conn  # type: ignore[assignment]
        with face.lock:
            try:
                with self._bound(face):
                    yield
            except psycopg.Error as error:
                raise_both(face, error)
            finally:
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
