"""The network as the cluster changes it, and what tells others of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.lab.cloud import Cloud
    from globaldb.lab.links import Links
    from globaldb.lab.names import Names
    from globaldb.lab.server import Server


@dataclass(frozen=True, slots=True)
class Ways:
    """What `cluster.Routes` asks for, of the links, of DNS and of AWS's API."""

    links: Links
    names: Names
    cloud: Cloud

    def lead_to(self, writer: Server) -> None:
        """Lead every reader's replication to *writer*, and say who it is."""
        self.links.lead_to(writer)
        self.names.lead_to(writer)
        self.cloud.lead_to(writer)

    def severed(self) -> set[str]:
        """Return the nodes that cannot reach the writer now."""
        return self.links.severed()

    def set_down(self, server: Server, *, down: bool) -> None:
        """Refuse connects to *server*, or accept them again; names follow."""
        self.links.set_down(server, down=down)
        self.names.set_down(server, down=down)

    def hold_back(self, server: Server, seconds: float) -> None:
        """Have what *server* receives of the writer arrive *seconds* later."""
        self.links.hold_back(server, seconds)
