"""Aurora's own view of a cluster, kept up while a lab runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from globaldb.lab.cluster import Cluster

#: Seconds between two notes of who the writer is.
BEAT: Final = 0.25
_END_LIMIT: Final = 10.0


class Surface(Protocol):
    """What an engine's servers answer as Aurora's would."""

    def install(self, writer: Any, servers: Collection[Any]) -> None:
        """Have *writer* note who the instances are, and make what tells of them."""

    def beat(self, writer: Any) -> None:
        """Note at *writer* who the writer is; never raises for a server that is gone."""

    def claim(self, writer: Any, name: str | None) -> None:
        """Have *name* be noted as a writer too; None: nobody but the writer."""

    def close(self) -> None:
        """End the connection that the beats go over."""


class Heartbeat:
    """Has the writer note again and again that it is one, until it is stopped.

    A thread, for promotions take seconds and the note must not wait for their end. It
    starts no process: servers die with the thread that has started them.
    """

    def __init__(self, cluster: Cluster[Any], surface: Surface) -> None:
        self._cluster = cluster
        self._surface = surface
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="globaldb-lab-heartbeat", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(_END_LIMIT)

    def _run(self) -> None:
        while not self._stopping.wait(BEAT):
            self._surface.beat(self._cluster.writer)
        self._surface.close()
