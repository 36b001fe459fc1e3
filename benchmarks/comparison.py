"""One operation through globaldb and through plain psycopg, counted side by side."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

import globaldb
from benchmarks.meter import Meter, Replication, Trips
from benchmarks.operations import EXECUTIONS, SCHEMA, TABLE
from globaldb.core.topology import Role
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.operations import Operation
    from globaldb.lab import Lab

#: Where the application is: a region with a reader, far from the writer.
REGION: Final = "ap-south-1"

#: Seconds between regions, and within the client's, while trips are counted. Their
#: number does not depend on them, but for two things: a far reader must stay outside
#: the latency window, or it counts as near; and the parts of one trip are written one
#: after the other, so a busy machine must not let an answer come in between.
RTT: Final = 0.030
LOCAL_RTT: Final = 0.005

#: The monitor's probes are trips too. Seconds, longer than any measurement.
_QUIET: Final = 60.0


class Comparison:
    """Counts operations of a client in `REGION`, by either driver."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._writer = lab.writer()
        self._set_distances()
        self.meter = Meter(lab, REGION)
        self.replication = Replication(lab, REGION)
        with psycopg.connect(self._dsn(self._writer.region), autocommit=True) as setup:
            for statement in SCHEMA:
                setup.execute(statement)

    def _set_distances(self) -> None:
        regions = list(self._lab.spec.regions)
        for index, region in enumerate(regions):
            for other in regions[:index]:
                self._lab.latency(region, other, RTT)
        self._lab.latency(REGION, REGION, LOCAL_RTT)

    def _dsn(self, region: str) -> str:
        return self._lab.dsn(region, self._writer.name)

    @contextmanager
    def cluster(self) -> Iterator[globaldb.Cluster]:
        """Open a cluster whose pools are warm and whose monitor is silent."""
        url = self._lab.url(REGION)
        with globaldb.Cluster(url, probe_interval=_QUIET) as cluster:
            with cluster.connect() as connection:
                connection.autocommit = True
                connection.execute(f"INSERT INTO {TABLE} (label) VALUES ('warm')")
                self.replication.settle()
                nodes = cluster.topology.nodes
                wait_until(
                    lambda: all(
                        cluster.topology.nodes[name].reachable for name in nodes
                    ),
                    limit=10.0,
                    what="a node does not answer",
                )
                connection.execute("SELECT 'warm'")
                wait_until(
                    lambda: _at_rest(connection), limit=10.0, what="pools do not rest"
                )
            yield cluster

    @contextmanager
    def connection(self, operation: Operation) -> Iterator[Any]:
        """Open a routed connection as *operation* wants it, in a cluster of its own."""
        with self.cluster() as cluster, cluster.connect() as connection:
            connection.autocommit = operation.autocommit
            for name, value in operation.options.items():
                setattr(connection, name, value)
            operation.prepare(connection)
            yield connection

    def routed(self, operation: Operation) -> list[Trips]:
        """Return what each execution costs through globaldb."""
        with self.connection(operation) as connection:
            return self._repeat(connection, operation)

    def plain(self, operation: Operation) -> list[Trips]:
        """Return what each execution costs through psycopg, connected to the writer."""
        with psycopg.connect(
            self._dsn(REGION), autocommit=operation.autocommit
        ) as connection:
            operation.prepare(connection)
            return self._repeat(connection, operation)

    def _repeat(self, connection: Any, operation: Operation) -> list[Trips]:
        """Execute *operation* ten times, each with its reader caught up."""
        costs = []
        for number in range(EXECUTIONS):
            self.replication.settle()
            work = partial(operation.work, connection, number)
            costs.append(self.meter.count(work))
        return costs

    def routed_connect(self) -> list[Trips]:
        """Return what opening each of ten connections costs, the pools being warm."""
        with self.cluster() as cluster:
            return [
                self.meter.count(lambda: cluster.connect().close())
                for _ in range(EXECUTIONS)
            ]

    def plain_connect(self) -> list[Trips]:
        """Return what opening each of ten connections to the writer costs."""
        dsn = self._dsn(REGION)
        return [
            self.meter.count(lambda: psycopg.connect(dsn).close())
            for _ in range(EXECUTIONS)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.replication.close()


def _at_rest(connection: Any) -> bool:
    """Whether the monitor has asked every node, and no connection is being opened."""
    cursor = connection.execute("SHOW GLOBALDB NODES")
    roles = [row[_column(cursor, "role")] for row in cursor]
    cursor = connection.execute("SHOW POOLS")
    names = [_column(cursor, name) for name in ("busy", "connecting", "idle")]
    pools = [[row[column] for column in names] for row in cursor]
    return Role.UNKNOWN.value not in roles and all(
        (busy, connecting) == (0, 0) and idle for busy, connecting, idle in pools
    )


def _column(cursor: Any, name: str) -> int:
    return [column.name for column in cursor.description].index(name)
