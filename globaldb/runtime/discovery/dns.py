"""Names that lead to whichever server is the writer now, followed as they change."""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.endpoints import EndpointKind, parse_endpoint, stands_for_others
from globaldb.core.membership import Finding, Member
from globaldb.errors import NoNodeAvailableError
from globaldb.runtime.discovery.names import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from globaldb.config import NodeAddress
    from globaldb.core.endpoints import HostPattern
    from globaldb.runtime.discovery.names import Names, Trail

#: Seconds between two looks, whatever the records say of how long they hold.
_SHORTEST: Final = 1.0
_LONGEST: Final = 60.0
#: A name that led elsewhere in so many looks in a row is one that takes turns.
_RESTLESS: Final = 4


def followed(nodes: Iterable[NodeAddress]) -> tuple[NodeAddress, ...]:
    """Return those of *nodes* whose name may come to lead to another server.

    An instance's name never does, and a reader endpoint's does with each look.
    """
    found = []
    for node in nodes:
        endpoint = parse_endpoint(node.host)
        if is_name(node.host) and (endpoint is None or endpoint.kind.names_writer):
            found.append(node)
    return tuple(found)


class Aliases:
    """The names of *nodes*, each followed to where it leads.

    *moved* is called with the node whose name has come to lead elsewhere. What an
    endpoint of Aurora leads to is an instance with a name of its own. It is found if
    *patterns* tell of that name: the DNS alone is believed when it says where a name
    is, which a certificate proves, but not which other names are ours.
    """

    name: Final = "dns"
    urgent: Final = True

    def __init__(
        self,
        names: Names,
        nodes: Iterable[NodeAddress],
        moved: Callable[[NodeAddress, str], None],
        patterns: Iterable[HostPattern] = (),
    ) -> None:
        self._names = names
        self._nodes = tuple(nodes)
        self._moved = moved
        self._patterns = tuple(patterns)
        self.adds = any(parse_endpoint(node.host) for node in self._nodes)
        #: The instance that each leads to, where that has a name of its own.
        self.instances: dict[NodeAddress, str] = {}
        #: Those that lead to an endpoint of Aurora, by whatever name.
        self.stand_ins: frozenset[NodeAddress] = frozenset()
        self._trails: dict[NodeAddress, Trail] = {}
        #: In how many looks in a row each has come to lead elsewhere.
        self._moves: dict[NodeAddress, int] = {}
        self.pause = _SHORTEST

    def look(self, deadline: float) -> Finding | None:
        """Follow every name; raises what the last one did if none leads anywhere.

        What a name that is not answered for had led to stays known.
        """
        found: dict[NodeAddress, Trail] = {}
        problem: NoNodeAvailableError | None = None
        for left, node in zip(count(len(self._nodes), -1), self._nodes, strict=False):
            # One that is silent must leave time for the others.
            until = monotonic() + (deadline - monotonic()) / left
            try:
                found[node] = self._names.trail(node.host, until)
            except NoNodeAvailableError as error:
                # Not every name is in the DNS: the system has a table of hosts.
                if node in self._trails or parse_endpoint(node.host):
                    problem = error
        if problem is not None and not found:
            raise problem
        holds = min((trail.ttl for trail in found.values()), default=_LONGEST)
        self.pause = min(max(_SHORTEST, holds), _LONGEST)
        for node, trail in found.items():
            self._follow(node, trail)
        behind = {
            node: instance_behind(node, trail, self._patterns)
            for node, trail in self._trails.items()
        }
        members = tuple(member for member in behind.values() if member is not None)
        self.instances = {node: m.id for node, m in behind.items() if m is not None}
        self.stand_ins = frozenset(
            node
            for node, trail in self._trails.items()
            if any(map(stands_for_others, trail.names))
        )
        if not members:
            return None
        return Finding(self.name, members, complete=False, at=monotonic())

    def _follow(self, node: NodeAddress, trail: Trail) -> None:
        before = self._trails.get(node)
        self._trails[node] = trail
        changed = before is not None and elsewhere(before, trail)
        moves = self._moves[node] = changed * (self._moves.get(node, 0) + 1)
        if 0 < moves < _RESTLESS:
            self._moved(node, trail.end)


def elsewhere(before: Trail, now: Trail) -> bool:
    """Whether a name has come to lead to another server."""
    if before.end != now.end:
        return True
    # A name with several addresses is answered with any of them.
    return before.addresses.isdisjoint(now.addresses)


def instance_behind(
    node: NodeAddress, trail: Trail, patterns: Iterable[HostPattern] = ()
) -> Member | None:
    """Return the instance that *trail* leads to, if a name on it says that it is one.

    It has a place if one of *patterns* tells that instances are called so.
    """
    named = parse_endpoint(node.host)
    writer = named is not None and named.kind.names_writer
    for name in reversed(trail.names):
        endpoint = parse_endpoint(name)
        if endpoint is not None and endpoint.kind is EndpointKind.INSTANCE:
            known = any(pattern.fits(name, node.port) for pattern in patterns)
            place = (name, node.port) if known else None
            return Member(endpoint.name, endpoint.region, place, writer=writer)
    return None
