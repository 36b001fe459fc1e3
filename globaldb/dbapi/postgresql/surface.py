"""What a cluster needs of its engine to hand out connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.adapt import AdaptersMap

from globaldb.dbapi.postgresql.connection import Connection
from globaldb.dbapi.postgresql.snapshot import Snapshot
from globaldb.drivers.psycopg.translate import translate

if TYPE_CHECKING:
    from psycopg import Cursor
    from psycopg.abc import AdaptContext
    from psycopg.rows import RowFactory

    from globaldb.runtime.cluster import ClusterRuntime


class PostgresqlSurface:
    """The connections of one PostgreSQL cluster."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._snapshot = Snapshot(cluster)

    def connect(
        self,
        *,
        row_factory: RowFactory[Any] | None = None,
        cursor_factory: type[Cursor[Any]] | None = None,
        context: AdaptContext | None = None,
    ) -> Connection:
        """Return a new connection, with psycopg's options for it."""
        connection = Connection(self._cluster, self._snapshot)
        if row_factory is not None:
            connection.row_factory = row_factory
        if cursor_factory is not None:
            connection.cursor_factory = cursor_factory
        if context is not None:
            connection._adapters = AdaptersMap(context.adapters)
        return connection

    def raise_translated(self, error: Exception) -> None:
        """Raise *error* as both trees' where there is no connection to raise it."""
        both = translate(error, None)
        if both is not error:
            raise both from error
