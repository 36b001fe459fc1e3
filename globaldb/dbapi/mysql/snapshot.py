"""What is the same on every connection of a cluster, as one of them was told it."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import InterfaceError

if TYPE_CHECKING:
    from globaldb.runtime.cluster import ClusterRuntime

#: What a server says of itself in its first packet, and PyMySQL of how it was reached.
_FACTS: Final = (
    "protocol_version",
    "server_version",
    "server_capabilities",
    "server_language",
    "server_charset",
    "server_status",
    "server_thread_id",
    "salt",
    "host_info",
    "_auth_plugin_name",
    "_secure",
)


class Facts:
    """The greeting of one server; the names are PyMySQL's."""

    server_status: int

    def __init__(self, link: Any) -> None:
        self.__dict__.update((name, getattr(link, name)) for name in _FACTS)


class Snapshot:
    """What a connection to the nearest node was told when somebody first asked.

    One is opened for it and closed at once: what a lent connection knows is coloured
    by what its borrowers have set.
    """

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        """The picture, taken when first asked for.

        Raises what connecting raises, and `InterfaceError` when no node answers.
        """
        with self._lock:
            if self._facts is None:
                self._facts = self._take()
            return self._facts

    def _take(self) -> Facts:
        cluster = self._cluster
        problem: Exception | None = None
        deadline = monotonic() + cluster.config.connect_timeout
        for state in cluster.near():
            try:
                link = cluster.node(state.name).open(deadline)
            except Exception as error:  # noqa: BLE001 - raised below, if no other serves
                problem = error
                continue
            facts = Facts(link)
            cluster.driver.close(link)
            return facts
        raise problem or InterfaceError("no node of the cluster answers")
