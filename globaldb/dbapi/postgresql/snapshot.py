"""A libpq connection to look at: for quoting, and for what is the same on every node."""

from __future__ import annotations

import os
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.errors import InterfaceError

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from globaldb.runtime.cluster import ClusterRuntime


class Snapshot:
    """What a connection to the nearest node looked like when the first was opened.

    It cannot be one of the pool: libpq rewrites what it knows of a connection while
    another thread talks on it. So one is opened and hung up at once; what the client
    side remembers stays readable, and costs the server nothing.
    """

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._pgconn: Any = None

    @property
    def pgconn(self) -> PGconn:
        """The picture, taken when first asked for.

        Raises what connecting raises, and `InterfaceError` when no node answers.
        """
        with self._lock:
            if self._pgconn is None:
                self._pgconn = self._take()
            pgconn: PGconn = self._pgconn
            return pgconn

    def _take(self) -> PGconn:
        cluster = self._cluster
        problem: Exception | None = None
        deadline = monotonic() + cluster.config.connect_timeout
        for state in cluster.near():
            try:
                link = cluster.node(state.name).open(deadline)
            except Exception as error:  # noqa: BLE001 - raised below, if no other serves
                problem = error
                continue
            pgconn: PGconn = link.pgconn
            # A copy of the descriptor: libpq does not learn that the line is dead.
            with socket.socket(fileno=os.dup(pgconn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)
            return pgconn
        raise problem or InterfaceError("no node of the cluster answers")
