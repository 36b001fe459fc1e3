"""Django's PostgreSQL backend, whose connections find their node."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base, client, creation, operations
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.utils.asyncio import async_unsafe

from globaldb.django.client import GlobaldbClient
from globaldb.django.creation import GlobaldbCreation
from globaldb.django.intent import ReadingAsIntended
from globaldb.django.wrapper import GlobaldbWrapper


class DatabaseClient(GlobaldbClient, client.DatabaseClient):
    """``psql`` at the writer."""


class DatabaseCreation(GlobaldbCreation, creation.DatabaseCreation):
    """Databases for tests."""


class DatabaseOperations(ReadingAsIntended, operations.DatabaseOperations):
    """Django's own, but for where reads run that decide about a write."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        """Return the statement with its values, also where it was only taken note of.

        A savepoint's travels with the next one.
        """
        told: Any = super().last_executed_query(cursor, sql, params)
        text: str = self.compose_sql(sql, params) if told is None else told
        return text


class DatabaseWrapper(GlobaldbWrapper, base.DatabaseWrapper):
    """One alias: each statement finds its node by itself."""

    client_class = DatabaseClient  # type: ignore[mutable-override]
    creation_class = DatabaseCreation  # type: ignore[mutable-override]
    ops_class = DatabaseOperations  # type: ignore[mutable-override]

    @property
    def pool(self) -> None:
        """None: globaldb has a pool for each node, whoever asks for one here.

        Raises `ImproperlyConfigured` where ``OPTIONS["pool"]`` asks for another.
        """
        if self.settings_dict["OPTIONS"].get("pool"):
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['OPTIONS']['pool'] would put a pool above "
                "the pools that globaldb has of each node; say pool_max_size and the "
                "like in OPTIONS['globaldb']"
            )

    def get_connection_params(self) -> dict[str, Any]:
        """Return what psycopg would get, and ``globaldb`` with the options of ours."""
        return {"engine": "postgresql", **super().get_connection_params()}

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
