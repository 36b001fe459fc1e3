"""Nodes from the standbys that PostgreSQL's writer sees, where that is asked for.

What the writer sees is the address that a standby comes from: behind a router it is
not its own, and its port is nowhere told. So these are hints, off by default, tried by
asking whoever answers there. Whoever may copy the database can be seen there, and is
told the login only after proving to be a server that is trusted.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.config.address import NodeAddress
from globaldb.config.remarks import PROVING
from globaldb.core.lending import Outcome
from globaldb.core.membership import Finding, Member
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.names import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.core.membership import Place
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.discovery.names import Names
    from globaldb.runtime.node import Node

#: Seconds between two looks: the writer may be far, and has other things to do.
_QUIET: Final = 30.0


class Replicas:
    """The standbys of the writer of *cluster*. *names*: who tells hosts, if asked."""

    name: Final = "replicas"
    pause: Final = _QUIET
    urgent: Final = True
    adds: Final = True

    def __init__(self, cluster: ClusterRuntime, names: Names | None) -> None:
        self._cluster = cluster
        self._names = names

    def look(self, deadline: float) -> Finding | None:
        """Ask the writer; None while none is known, or it tells of no standby.

        Each standby has the place of the node that it is, where its address is that
        of a node, and else the port of the writer. Raises `NoNodeAvailableError` where
        none may be told the login.
        """
        writer = self._cluster.topology.writer
        if writer is None:
            return None
        node = self._cluster.node(writer.name)
        known = self._addresses(deadline)
        members, problems = [], []
        for address in self._ask(node, deadline):
            place = known.get(address, (address, node.address.port))
            if ip_address(address).is_loopback and not node.address.stays_here:
                # Seen from its own machine, a standby tells nothing to others.
                continue
            if address in known or self._is_proven(*place):
                members.append(Member(address, None, place))
            else:
                problems.append(
                    f"standby {address} is left out: with the sslmode given it need "
                    "not prove who it is. Have it verified, or name it with node="
                )
        if problems and not members:
            raise NoNodeAvailableError(problems[0])
        if not members:
            return None
        return Finding(
            self.name,
            tuple(members),
            complete=True,
            at=monotonic(),
            problems=tuple(problems),
        )

    def _is_proven(self, host: str, port: int) -> bool:
        """Whether nobody else can be at *host* than who is to be there."""
        node = NodeAddress(None, host, port)
        mode = self._cluster.config.tls_for(node).get("sslmode")
        return node.stays_here or mode in PROVING

    def _ask(self, node: Node, deadline: float) -> tuple[str, ...]:
        lease = node.pool.checkout(deadline)
        outcome = Outcome.DISCARD
        try:
            seen = self._cluster.driver.standbys(lease.connection, deadline)
            outcome = Outcome.REUSE
        finally:
            node.pool.checkin(lease, outcome)
        return seen

    def _addresses(self, deadline: float) -> dict[str, Place]:
        """Return the place of every node by each of its addresses."""
        found: dict[str, Place] = {}
        for node in self._cluster.nodes.values():
            for address in self._resolved(node.address, deadline):
                found[address] = (node.address.host, node.address.port)
        return found

    def _resolved(self, node: NodeAddress, deadline: float) -> Iterable[str]:
        if not is_name(node.host):
            return [node.host]
        with suppress(OSError, NoNodeAvailableError):
            if self._names is not None:
                return self._names.trail(node.host, deadline).addresses
            told = socket.getaddrinfo(node.host, None, type=socket.SOCK_STREAM)
            return {str(place[0]) for *_, place in told}
        return []
