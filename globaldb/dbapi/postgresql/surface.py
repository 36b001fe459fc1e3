"""What a cluster needs of its engine to hand out connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.dbapi.postgresql.connection import Connection
from globaldb.dbapi.postgresql.snapshot import Snapshot
from globaldb.drivers.psycopg.translate import translate

if TYPE_CHECKING:
    from globaldb.runtime.cluster import ClusterRuntime


class PostgresqlSurface:
    """The connections of one PostgreSQL cluster."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._snapshot = Snapshot(cluster)

    def connect(self) -> Connection:
        """Return a new connection."""
        return Connection(self._cluster, self._snapshot)

    def raise_translated(self, error: Exception) -> None:
        """Raise *error* as both trees' where there is no connection to raise it."""
        both = translate(error, None)
        if both is not error:
            raise both from error
