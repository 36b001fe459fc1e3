"""Which engines a lab can have, and how each builds its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.child import Identity
    from globaldb.lab.cluster import Cluster, Routes
    from globaldb.lab.spec import LabSpec


def make_cluster(
    spec: LabSpec,
    book: AddressBook,
    *,
    folder: Path,
    identity: Identity,
    routes: Routes,
) -> Cluster[Any]:
    """Return the cluster that *spec* asks for, not started yet.

    `LabError` says how to get a server of that engine if there is none.
    """
    # Nobody needs the driver of an engine that is not asked for.
    if spec.engine == "postgresql":
        from globaldb.lab.postgresql.cluster import PostgresqlCluster

        return PostgresqlCluster(
            spec, book, folder=folder, identity=identity, routes=routes
        )
    from globaldb.lab.mysql.cluster import MysqlCluster

    return MysqlCluster(spec, book, folder=folder, routes=routes)
