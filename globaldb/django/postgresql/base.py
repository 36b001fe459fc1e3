"""Django's PostgreSQL backend, whose connections find their node."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import (
    base,
    client,
    creation,
    introspection,
    operations,
)
from django.db.backends.postgresql.psycopg_any import IsolationLevel, errors
from django.utils.asyncio import async_unsafe

from globaldb.django.client import GlobaldbClient
from globaldb.django.creation import GlobaldbCreation
from globaldb.django.intent import ReadingAsIntended
from globaldb.django.introspection import asking_writer
from globaldb.django.postgresql.chunked import ChunkedCursor
from globaldb.django.postgresql.pool import NodePools, pool_options
from globaldb.django.wrapper import GlobaldbWrapper


class DatabaseClient(GlobaldbClient, client.DatabaseClient):
    """``psql`` at the writer."""


class DatabaseCreation(GlobaldbCreation, creation.DatabaseCreation):
    """Databases for tests."""


@asking_writer
class DatabaseIntrospection(introspection.DatabaseIntrospection):
    """Django's own, but that it asks the writer."""


class DatabaseOperations(ReadingAsIntended, operations.DatabaseOperations):
    """Django's own, but for where reads run that decide about a write."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """Return the statement with its values, also where it was only taken note of.

        A savepoint's travels with the next one.
        """
        query = cursor._query  # noqa: SLF001 - Django looks there, too
        bound = self.connection.features.uses_server_side_binding
        if not bound and (query is None or query.query is None):
            with suppress(errors.DataError):
                return self.compose_sql(sql, params)
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(GlobaldbWrapper, base.DatabaseWrapper):
    """One alias: each statement finds its node by itself."""

    client_class = DatabaseClient  # type: ignore[mutable-override]
    creation_class = DatabaseCreation  # type: ignore[mutable-override]
    introspection_class = DatabaseIntrospection  # type: ignore[mutable-override]
    ops_class = DatabaseOperations  # type: ignore[mutable-override]

    @property
    def pool(self) -> NodePools | None:
        """What stands for the pools of the nodes where ``OPTIONS["pool"]`` asks.

        Raises `ImproperlyConfigured` beside ``CONN_MAX_AGE``, as Django does.
        """
        if self.alias == NO_DB_ALIAS or not self.settings_dict["OPTIONS"].get("pool"):
            return None
        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured(
                "Pooling doesn't support persistent connections."
            )
        return NodePools()

    def get_connection_params(self) -> dict[str, Any]:
        """Return what psycopg would get, and ``globaldb`` with the options of ours."""
        asked = pool_options(self.settings_dict["OPTIONS"].get("pool"))
        return {"engine": "postgresql", **asked, **super().get_connection_params()}

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Begin a session; costs no round trip once the pools are warm."""
        _ = self.pool
        level = self.settings_dict["OPTIONS"].get("isolation_level")
        try:
            self.isolation_level = IsolationLevel(
                level or IsolationLevel.READ_COMMITTED
            )
        except ValueError:
            raise ImproperlyConfigured(
                f"Invalid transaction isolation level {level} specified. Use one of "
                "the psycopg.IsolationLevel values."
            ) from None
        connection = self.open_session(conn_params)
        if level:
            connection.isolation_level = self.isolation_level
        return connection

    @async_unsafe
    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor; one on the server, for ``iterator()``, may be at a reader."""
        cursor = super().create_cursor(name)
        return (
            ChunkedCursor(self.connection, cursor, self.create_cursor)
            if name
            else cursor
        )
