"""What passed over the links of a lab, as counted by its proxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from globaldb.lab.network import CLIENT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ConnectionCounters:
    """One connection. *port* is the client's own; *open* whether it still lives.

    A round trip is a change of direction: the client sends after it was answered, or
    for the first time. The trip of the TCP handshake is not in it.
    """

    port: int
    round_trips: int
    bytes_sent: int
    bytes_received: int
    open: bool


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """All connections from one region to one node since the last reset."""

    client_region: str
    node: str
    wide_area: bool
    connects: int
    connections: tuple[ConnectionCounters, ...]

    @property
    def round_trips(self) -> int:
        """The round trips of all connections."""
        return sum(each.round_trips for each in self.connections)

    @property
    def bytes_sent(self) -> int:
        """Bytes from the clients."""
        return sum(each.bytes_sent for each in self.connections)

    @property
    def bytes_received(self) -> int:
        """Bytes to the clients."""
        return sum(each.bytes_received for each in self.connections)


def read_counters(links: Mapping[str, Any]) -> list[LinkCounters]:
    """Return the client links among what the proxy reports."""
    return [
        LinkCounters(
            client_region=link["near"],
            node=name.rpartition("/")[2],
            wide_area=link["near"] != link["far"],
            connects=link["connects"],
            connections=tuple(ConnectionCounters(**each) for each in link["traffic"]),
        )
        for name, link in links.items()
        if name.startswith(f"{CLIENT}/")
    ]
