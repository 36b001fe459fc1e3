"""Named cursors: each lives on one connection, the session's or one of its own."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
from psycopg import errors as pgerrors

from globaldb.core.statement import Statement, Verdict
from globaldb.dbapi.postgresql.aside import (
    has_spare,
    learn,
    may_stand_aside,
    open_beside,
)
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
    #: Set by who is sure that nobody names the cursor in SQL: a holdable one may then
    #: live at a reader, while the session goes on without it.
    aside = False
    _beside: Connection | None = None

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
            self._come_back()
            if self.withhold and self._may_stand_aside(face, query, statement):
                self._beside = open_beside(face)
            elif self.withhold:
                # It outlives its transaction: so must its connection.
                statement = Statement(Verdict.PIN, "cursor_with_hold", "DECLARE")
            try:
                with self._home.holding(statement), self._bound(face):
                    super().execute(query, params, binary=binary, **kwargs)
                    if self._beside is not None:
                        self._beside.session.pinned_whole = True
            except BaseException:
                self._come_back()
                raise
            if self._beside is not None:
                learn(face, self._beside)
            self.route = face.session.route
        return self

    def _may_stand_aside(
        self, face: Connection, query: Query, statement: Statement
    ) -> bool:
        if not (self.aside and may_stand_aside(face.session, statement)):
            return False
        return has_spare(face.session, face.explain_route(query).node)

    @property
    def _home(self) -> Connection:
        """The connection that holds the physical one where the cursor lives."""
        face: Connection = self._conn  # type: ignore[assignment]
        return self._beside or face

    def _come_back(self, *, ended: bool = False) -> None:
        """Let go of the cursor's own connection, if it has one.

        Where the cursor has not *ended* by itself, it does when that is cleaned.
        """
        beside, self._beside = self._beside, None
        if beside is None:
            return
        self._described = False
        if ended:
            beside.session.unpin()
            beside.session.release()
        beside.close()

    def __del__(self, warn: Any = warnings.warn, /) -> None:
        if self._beside is not None:
            self._beside.session.abandon()
        super().__del__(warn)

    @contextmanager
    def _bound(self, face: Connection) -> Iterator[Physical]:
        """Work on the connection where the cursor lives."""
        if face.closed:
            self._come_back()
        lease = self._home.session.lease
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
        home = self._home
        with home.lock:
            session = home.session
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
                home.after_talk()

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
        never = self.aside and not self._described
        # What was not closed at the server must not be there for the next borrower.
        left = face.closed and self._beside is not None
        if face.closed or never or self._home.session.lease is None:
            self._close()
        else:
            with self._talking():
                super().close()
        self._come_back(ended=not left)


@cache
def routed_named(factory: Any) -> Any:
    """Return the routed form of a server-side cursor class, a user's stays on top."""
    if factory is psycopg.ServerCursor:
        return RoutedServerCursor
    if issubclass(factory, RoutedServerCursor):
        return factory
    return join(factory, RoutedServerCursor)
