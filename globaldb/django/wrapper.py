"""What both engines do in their own way: one session for each request, and its end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper

from globaldb.config import configure
from globaldb.dbapi.cluster import Cluster, shared
from globaldb.django import intent
from globaldb.django.chain import Chain
from globaldb.errors import ConfigurationError
from globaldb.runtime.causality import current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from globaldb.config import Config
    from globaldb.core.session import SessionState
    from globaldb.core.token import Token
    from globaldb.runtime.causality import PieceOfWork
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.session import Session

#: In ``settings.DATABASES[alias]["TEST"]``: where tests read, ``writer`` or ``auto``.
TEST_ROUTE = "GLOBALDB_ROUTE"
#: Set while the database is one that a test run has made.
_TESTING = "GLOBALDB_TESTING"

#: Of ``get_connection_params``: what is about one connection, not its cluster.
_OBJECTS = ("context", "cursor_factory")


class GlobaldbWrapper(BaseDatabaseWrapper):
    """The part of a ``DatabaseWrapper`` that has a globaldb connection in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cluster: Cluster | None = None
        self._asked_for: dict[str, Any] = {}
        self._at_writer = False
        self._staying: AbstractContextManager[Any] | None = None
        self._caught_up: Token | None = None
        #: What the session that ended last has seen, if its request has not ended.
        self._before: tuple[ClusterRuntime, SessionState, PieceOfWork] | None = None
        intent.watch_router()

    def open_session(self, params: dict[str, Any]) -> Any:
        """Return a new connection as *params* (of ``get_connection_params``) ask for it.

        Raises `ImproperlyConfigured` for options that make no sense.
        """
        objects = {name: params[name] for name in _OBJECTS if name in params}
        options = {name: params[name] for name in params if name not in _OBJECTS}
        if self._cluster is None or self._cluster.closed or options != self._asked_for:
            config = self.configured(options)
            alone = self.alias == NO_DB_ALIAS
            self._cluster = Cluster.of(config) if alone else shared(config)
            self._asked_for = options
        connection = self._cluster.connect(**objects)
        self._go_on(connection.session)
        self._staying = None
        if self._at_writer or (self._test_run and self.test_route == "writer"):
            self._staying = _stay(connection)
        if self._test_run is not None:
            self._test_run.begun(connection)
        return connection

    def _go_on(self, session: Session) -> None:
        if self._before is not None:
            cluster, seen, piece = self._before
            # What was done outside of a piece of work is none of its business.
            if cluster is session.cluster and piece is current():
                session.books.inherit(seen)

    def configured(self, params: dict[str, Any]) -> Config:
        """Return the configuration that *params* amount to."""
        options = {k: v for k, v in params.items() if k not in _OBJECTS}
        ours = options.pop("globaldb", {})
        try:
            return configure(**{**options, **ours})
        except ConfigurationError as error:
            raise ImproperlyConfigured(f"DATABASES[{self.alias!r}]: {error}") from None

    def prepare_database(self) -> None:
        """Migrate where the changes are made: a reader may not know the last ones yet."""
        super().prepare_database()
        self._at_writer = True
        if self.connection is not None and self._staying is None:
            self._staying = _stay(self.connection)

    @property
    def _test_run(self) -> Chain | None:
        # They share the settings, in whichever thread.
        return self.settings_dict.get(_TESTING)

    @property
    def test_route(self) -> str:
        """Where tests read: ``writer``, or ``auto`` as in production."""
        route: str = self.settings_dict["TEST"].get(TEST_ROUTE, "writer")
        if route not in ("writer", "auto"):
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['TEST'][{TEST_ROUTE!r}] is {route!r}; it "
                "must be 'writer' or 'auto'"
            )
        return route

    def is_tested(self, *, now: bool) -> None:
        """Take note that the database is one that a test run made, or no more."""
        self.settings_dict[_TESTING] = Chain() if now else None

    def _cursor(self, name: str | None = None) -> Any:
        # Connecting may take cursors, too.
        caching = intent.takes_cache()
        test_run, connection = self._test_run, self.connection
        if test_run is not None and connection is not None and self.autocommit:
            self._caught_up = test_run.catch_up(connection, self._caught_up)
        cursor = super()._cursor(name)  # type: ignore[misc]
        if caching:
            cursor.cursor = intent.CachingCursor(self, cursor.cursor)
        return cursor

    def close(self) -> None:
        """End the session. What the next statement begins goes on from what it saw.

        Whoever closes a connection and then reads, expects what was written before: with
        Django's own that is on the same server. What is over at its end is a request.
        """
        connection = self.connection
        if connection is not None and self._test_run is not None:
            self._test_run.ending(connection)
        super().close()
        if self.connection is None:
            self._at_writer, self._staying = False, None
            if connection is not None:
                session = connection.session
                self._before = session.cluster, session.books, current()

    def close_if_unusable_or_obsolete(self) -> None:
        """End the session with its request, whatever ``CONN_MAX_AGE`` says.

        What is kept for the next request are the physical connections, in their pools.
        A session that lasted would have one user's reads wait for another's writes.
        """
        intent.forget()
        if self.in_atomic_block:
            super().close_if_unusable_or_obsolete()
            return
        if self.connection is not None:
            self.close()
        self._before = None

    def close_cluster(self) -> None:
        """Close every physical connection that this process has to the database."""
        self.close()
        if self._cluster is not None:
            self._cluster.close()

    @contextmanager
    def _nodb_cursor(self) -> Iterator[Any]:
        wrapper: GlobaldbWrapper | None = None
        try:
            with super()._nodb_cursor() as cursor:
                wrapper = cursor.db
                yield cursor
        finally:
            if wrapper is not None and wrapper.alias == NO_DB_ALIAS:
                # Nobody else uses that cluster: it is not the one of the application.
                wrapper.close_cluster()


def _stay(connection: Any) -> AbstractContextManager[Any]:
    """Have *connection* read at the writer as long as the answer is kept."""
    staying: AbstractContextManager[Any] = connection.using(route="writer")
    staying.__enter__()
    return staying
