"""The host names of a lab: those that Aurora would give it, and those of its own zone.

They mean something to the lab's own name server only; see `nameserver`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Stands where AWS has a word of an account and region, such as `c7wxyz0abc12`.
LABEL: Final = "lab1abc"
DOMAIN: Final = "rds.amazonaws.com"
#: Below this every lab has a zone of its own, as a self-hosted cluster has one.
TOP: Final = "lab"
SERVICES: Final = {"postgresql": "_postgresql", "mysql": "_mysql", "mariadb": "_mysql"}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The names of the lab called *lab*, which is its cluster in every region too."""

    lab: str
    engine: str = "postgresql"

    def instance(self, node: str, region: str) -> str:
        """Return the name of one node; it stays whatever becomes of the node."""
        return f"{node}.{LABEL}.{region}.{DOMAIN}"

    def pattern(self, region: str) -> str:
        """Return the names of the nodes in *region*, with `?` for the node."""
        return self.instance("?", region)

    def writer(self, region: str) -> str:
        """Return the cluster endpoint of *region*: none elsewhere than the writer is."""
        return f"{self.lab}.cluster-{LABEL}.{region}.{DOMAIN}"

    def reader(self, region: str) -> str:
        """Return the reader endpoint of *region*: each of its readers in turn."""
        return f"{self.lab}.cluster-ro-{LABEL}.{region}.{DOMAIN}"

    @property
    def global_writer(self) -> str:
        """The name that leads to the writer wherever it is."""
        return f"{self.lab}.global-{LABEL}.global.{DOMAIN}"

    def host(self, node: str, region: str) -> str:
        """Return the name of a node in the lab's own zone, where SRV records lead."""
        return f"{node}.{self.zone(region)}"

    def zone(self, region: str | None = None) -> str:
        """Return the lab's own zone, or the part of it that *region* is."""
        whole = f"{self.lab}.{TOP}"
        return whole if region is None else f"{region}.{whole}"

    def service(self, region: str | None = None) -> str:
        """Return the name of the SRV records of all nodes, or of those in *region*."""
        return f"{SERVICES[self.engine]}._tcp.{self.zone(region)}"
