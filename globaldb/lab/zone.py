"""What the names of a lab mean to clients in one region, at one time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.lab.endpoints import Endpoints

#: Seconds that an answer may be kept, as Aurora has it.
TTL: Final = 5


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is the writer, and which nodes are down: what names change with."""

    writer: str
    down: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """One node: its region, and the address that leads there from where we look."""

    node: str
    region: str
    host: str
    port: int


@dataclass
class Zone:
    """The names as a client in one region sees them, without their final dots.

    A reader endpoint leads to another reader each time, so asking changes it.
    """

    endpoints: Endpoints
    places: Sequence[Place]
    roles: Roles
    _turn: int = field(default=0, init=False)
    _fixed: dict[str, dict[str, list[str]]] = field(init=False)

    def __post_init__(self) -> None:
        self._fixed = {}
        ends = self.endpoints
        for place in self.places:
            host = ends.host(place.node, place.region)
            for name in (ends.instance(place.node, place.region), host):
                self._fixed[name] = {"A": [place.host]}
            for service in (ends.service(), ends.service(place.region)):
                spots = self._fixed.setdefault(service, {"SRV": []})
                spots["SRV"].append(f"0 1 {place.port} {host}.")

    def answer(self, name: str, kind: str) -> list[dns.rrset.RRset] | None:
        """Return the records of *kind* that *name* has, after the aliases to them.

        None says that there is no such name.
        """
        chain: list[dns.rrset.RRset] = []
        while (alias := self._alias(name)) is not None:
            chain.append(_records(name, "CNAME", [f"{alias}."]))
            if kind == "CNAME":
                return chain
            name = alias
        found = self._fixed.get(name)
        if found is None:
            return None
        return [*chain, _records(name, kind, found[kind])] if kind in found else chain

    def _alias(self, name: str) -> str | None:
        ends = self.endpoints
        [writer] = [each for each in self.places if each.node == self.roles.writer]
        if name == ends.global_writer:
            return ends.writer(writer.region)
        if name == ends.writer(writer.region):
            return ends.instance(writer.node, writer.region)
        here = [each for each in self.places if name == ends.reader(each.region)]
        if not here:
            return None
        up = [each for each in here if each.node not in self.roles.down] or here
        readers = [each for each in up if each is not writer] or up
        self._turn += 1
        reader = readers[self._turn % len(readers)]
        return ends.instance(reader.node, reader.region)


def _records(name: str, kind: str, values: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(f"{name}.", TTL, "IN", kind, values)
