"""The router process: every IP packet between the hosts of a lab passes through it.

Each host has a network namespace; its packets arrive here as they are, stay for as long
as the way takes, and go on. So connecting, resending, slow start and giving up are the
kernel's own. What is cut off is dropped.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.lab.child import sharpen_timers
from globaldb.lab.commands import Commands, answer, read_plan
from globaldb.lab.errors import LabError
from globaldb.lab.loop import READABLE, Loop
from globaldb.lab.network import client_link, replication_link
from globaldb.lab.packets import ADDRESSES, SOURCE, TARGET, readdressed
from globaldb.lab.space import become_root, make_spaces, tap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Send = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace: the clients of a region, or one node."""

    name: str
    region: str
    address: str

    @property
    def raw(self) -> bytes:
        """The address as packets have it."""
        return socket.inet_aton(self.address)


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to the packets from one host to another."""

    link: str
    pair: frozenset[str]
    send: Send
    delay: float
    #: Which address to put in the place of which, if any.
    change: tuple[int, bytes] | None = None


class Router:
    """The ways between hosts as they are now.

    Clients reach nodes by their addresses. Nodes reach the writer, whoever it is, at
    an address that no host has: their packets are led on, and its answers seem to come
    from there.
    """

    def __init__(
        self, loop: Loop, plan: Mapping[str, Any], taps: Mapping[str, socket.socket]
    ) -> None:
        self._loop = loop
        self._clients = [Host(*each) for each in plan["clients"]]
        self._nodes = [Host(*each) for each in plan["nodes"]]
        self._meeting = socket.inet_aton(plan["meeting"])
        self._taps = taps
        self._latency = {frozenset((a, b)): float(s) for a, b, s in plan["rtt"]}
        self._partitions: set[frozenset[str]] = set()
        self._frozen: set[str] = set()
        self._late: dict[str, float] = {}
        self._writer = self._nodes[0]
        self._ways: dict[bytes, Way] = {}
        self._settle()
        for sock in taps.values():
            loop.watch(sock.fileno(), READABLE, partial(self._on_packets, sock))

    def latency(self, a: str, b: str, seconds: float) -> None:
        """Make the round trip between *a* and *b* last *seconds* from now on."""
        self._latency[frozenset((a, b))] = seconds
        self._settle()

    def partition(self, a: str, b: str) -> None:
        """Drop everything between *a* and *b*."""
        self._partitions.add(frozenset((a, b)))
        self._settle()

    def freeze(self, link: str) -> None:
        """Drop everything between a region's clients and one node."""
        self._frozen.add(link)
        self._settle()

    def thaw(self, link: str) -> None:
        """Let that pass again."""
        self._frozen.discard(link)
        self._settle()

    def heal(self) -> None:
        """Undo every partition and every freeze; latencies stay."""
        self._partitions.clear()
        self._frozen.clear()
        self._settle()

    def down(self, node: str) -> None:
        """Do nothing: the kernel refuses connects to a server that is dead."""

    def up(self, node: str) -> None:
        """Do nothing."""

    def writer(self, _region: str, host: str, _port: int) -> None:
        """Lead replication to another writer; it refuses what was the old one's."""
        [self._writer] = [each for each in self._nodes if each.address == host]
        self._settle()

    def hold_back(self, node: str, seconds: float) -> None:
        """Have what *node* receives of the writer arrive *seconds* later."""
        self._late[node] = seconds
        self._settle()

    def severed(self) -> list[str]:
        """Return the nodes that cannot reach the writer now."""
        return [
            each.name
            for each in self._nodes
            if frozenset((each.region, self._writer.region)) in self._partitions
        ]

    def state(self) -> dict[str, Any]:
        """Return latencies and faults as they are."""
        return {
            "latency": [
                [*(sorted(pair) * 2)[:2], seconds]
                for pair, seconds in self._latency.items()
            ],
            "partitions": [(sorted(pair) * 2)[:2] for pair in self._partitions],
            "frozen": sorted(self._frozen),
            "refused": [],
        }

    def _settle(self) -> None:
        self._ways = {
            key: way
            for key, way in self._every_way()
            if way.pair not in self._partitions and way.link not in self._frozen
        }

    def _every_way(self) -> Iterator[tuple[bytes, Way]]:
        for client in self._clients:
            for node in self._nodes:
                link = client_link(client.region, node.name)
                yield client.raw + node.raw, self._way(link, client, node)
                yield node.raw + client.raw, self._way(link, node, client)
        writer = self._writer
        for node in self._nodes:
            link = replication_link(node.name)
            there, back = (TARGET, writer.raw), (SOURCE, self._meeting)
            late = self._late.get(node.name, 0.0)
            yield node.raw + self._meeting, self._way(link, node, writer, there)
            if node is not writer:
                yield writer.raw + node.raw, self._way(link, writer, node, back, late)

    def _way(
        self,
        link: str,
        source: Host,
        target: Host,
        change: tuple[int, bytes] | None = None,
        late: float = 0.0,
    ) -> Way:
        pair = frozenset((source.region, target.region))
        delay = self._latency[pair] / 2 + late
        return Way(link, pair, self._taps[target.name].send, delay, change)

    def _on_packets(self, sock: socket.socket, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                self._pass_on(sock.recv(2048))

    def _pass_on(self, frame: bytes) -> None:
        way = self._ways.get(frame[ADDRESSES])
        if way is None:
            return
        if way.change is not None:
            frame = readdressed(frame, *way.change)
        if way.delay:
            self._loop.call_at(monotonic() + way.delay, partial(_send, way, frame))
        else:
            _send(way, frame)


def _send(way: Way, frame: bytes) -> None:
    # A wire that is full loses packets, as wires do.
    with contextlib.suppress(OSError):
        way.send(frame)


def main() -> int:
    """Make the namespaces, say where they are, and route until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sharpen_timers()
    plan = read_plan()
    hosts = [*plan["clients"], *plan["nodes"]]
    try:
        become_root()
        spaces = make_spaces(
            [[address, *plan["more"].get(name, ())] for name, _, address in hosts]
        )
        taps = {host[0]: tap(number) for number, host in enumerate(hosts)}
    except (LabError, OSError) as failure:
        answer({"error": str(failure)})
        return 1
    loop = Loop()
    Commands(loop, Router(loop, plan, taps), 0)
    gc.freeze()
    here = f"/proc/{os.getpid()}"
    nets = {
        host[0]: f"{here}/fd/{space}" for host, space in zip(hosts, spaces, strict=True)
    }
    answer({"result": {"user": f"{here}/ns/user", "nets": nets}})
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
