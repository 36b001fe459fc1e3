"""The proxy seen from the supervisor: its plan, its process, and commands to it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from globaldb.lab.network import client_link, replication_link
from globaldb.lab.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.server import Server
    from globaldb.lab.space import Space
    from globaldb.lab.spec import LabSpec


class Links:
    """A running proxy process."""

    def __init__(self, spec: LabSpec, book: AddressBook, log: Path) -> None:
        self._spec = spec
        proxy = "globaldb.lab.proxy"
        self._worker = Worker("the proxy", proxy, plan=plan(spec, book), log=log)

    @property
    def pid(self) -> int:
        """The proxy's process id."""
        return self._worker.pid

    def wait_ready(self) -> None:
        """Wait until every link listens."""
        self._worker.wait_ready()

    def space(self, _host: str) -> Space | None:
        """Return the network namespace of a node, or of the clients in a region."""
        return None

    def command(self, do: str, *arguments: Any) -> Any:
        """Have the proxy do something, and return its answer."""
        return self._worker.command(do, *arguments)

    def lay_out(self) -> None:
        """Give every pair of regions the round-trip time that the plan has for it."""
        for a, b in pairs(self._spec):
            self.command("latency", a, b, self._spec.round_trip(a, b))

    def lead_to(self, writer: Server) -> None:
        """Lead every reader's replication to *writer*."""
        self.command("writer", writer.node.region, writer.host, writer.port)

    def set_down(self, server: Server, *, down: bool) -> None:
        """Refuse connects to *server*, or accept them again."""
        self.command("down" if down else "up", server.name)

    def hold_back(self, server: Server, seconds: float) -> None:
        """Have what *server* receives of the writer arrive *seconds* later."""
        self.command("hold_back", server.name, seconds)

    def severed(self) -> set[str]:
        """Return the nodes that cannot reach the writer now."""
        return set(self.command("severed"))

    def stop(self) -> None:
        """End the proxy and every connection through it."""
        self._worker.stop()


def plan(spec: LabSpec, book: AddressBook) -> dict[str, Any]:
    """Return what the proxy process needs to know.

    At first nothing takes any time, so that readers join quickly; see `lay_out`.
    """
    return {
        "rtt": [[a, b, 0.0] for a, b in pairs(spec)],
        "links": list(_links(spec, book)),
    }


def pairs(spec: LabSpec) -> Iterable[tuple[str, str]]:
    """Return every pair of regions, and each with itself."""
    return itertools.combinations_with_replacement(spec.regions, 2)


def _links(spec: LabSpec, book: AddressBook) -> Iterator[dict[str, Any]]:
    nodes = spec.nodes
    writer = nodes[0]
    for node in nodes:
        yield {
            "name": replication_link(node.name),
            "near": node.region,
            "far": writer.region,
            "listen": book.replication[node.number - 1],
            "target": book.servers[writer.number - 1],
        }
        for region, row in zip(spec.regions, book.clients, strict=True):
            if not spec.direct:
                yield {
                    "name": client_link(region, node.name),
                    "near": region,
                    "far": node.region,
                    "listen": row[node.number - 1],
                    "target": book.servers[node.number - 1],
                    "rewrites": bool(spec.aurora) and spec.engine != "postgresql",
                }
