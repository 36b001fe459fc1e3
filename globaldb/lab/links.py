"""The proxy seen from the supervisor: its plan, its process, and commands to it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from globaldb.lab import child
from globaldb.lab.errors import LabError
from globaldb.lab.network import client_link, replication_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.server import Server
    from globaldb.lab.spec import LabSpec


class Links:
    """A running proxy process."""

    def __init__(self, spec: LabSpec, book: AddressBook, log: Path) -> None:
        self._spec = spec
        with log.open("ab") as errors:
            self._process = child.start(
                [sys.executable, "-P", "-m", "globaldb.lab.proxy"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._send(plan(spec, book))

    @property
    def pid(self) -> int:
        """The proxy's process id."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until every link listens."""
        self._receive()

    def command(self, do: str, *arguments: Any) -> Any:
        """Have the proxy do something, and return its answer."""
        self._send({"do": do, "with": arguments})
        return self._receive()

    def lay_out(self) -> None:
        """Give every pair of regions the round-trip time that the plan has for it."""
        for a, b in _pairs(self._spec):
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
        self._process.kill()
        # A command that was never read may be left in the pipe.
        with contextlib.suppress(BrokenPipeError), self._process:
            pass

    def _send(self, message: Any) -> None:
        pipe = self._process.stdin
        if pipe is None:
            raise LabError("the proxy has no pipe")
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()
        except OSError as failure:
            raise LabError(f"the proxy is gone: {failure}") from failure

    def _receive(self) -> Any:
        pipe = self._process.stdout
        line = pipe.readline() if pipe is not None else b""
        if not line:
            raise LabError("the proxy is gone; its log is beside the nodes'")
        message = json.loads(line)
        if "error" in message:
            raise LabError(message["error"])
        return message["result"]


def plan(spec: LabSpec, book: AddressBook) -> dict[str, Any]:
    """Return what the proxy process needs to know.

    At first nothing takes any time, so that readers join quickly; see `lay_out`.
    """
    return {
        "rtt": [[a, b, 0.0] for a, b in _pairs(spec)],
        "links": list(_links(spec, book)),
    }


def _pairs(spec: LabSpec) -> Iterable[tuple[str, str]]:
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
                }
