"""The router seen from the supervisor: its plan, its process, the namespaces it made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.addresses import AddressBook
from globaldb.lab.errors import LabSpecError
from globaldb.lab.links import Links, pairs
from globaldb.lab.space import Space
from globaldb.lab.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.link import Address
    from globaldb.lab.spec import LabSpec

#: Where nodes find the writer.
_MEETING: Final = "10.77.0.1"
_NAMES: Final = 253
_CLIENTS: Final = 254
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
#: What takes a link that is a process's own.
_NOT_HERE: Final = frozenset({"counters", "cut", "refuse", "reset_counters"})


class Roads(Links):
    """A running router process, in the place of a proxy."""

    def __init__(self, spec: LabSpec, log: Path) -> None:
        self._spec = spec
        self._user = ""
        self._nets: dict[str, str] = {}
        self._worker = Worker(
            "the router", "globaldb.lab.router", plan=plan(spec), log=log
        )

    def wait_ready(self) -> None:
        """Wait until every host has its namespace; `LabError` if it cannot have one."""
        found = self._worker.wait_ready()
        self._user, self._nets = found["user"], found["nets"]

    def space(self, host: str) -> Space | None:
        """Return the namespace of a node, or of the clients in a region."""
        return Space(self._user, self._nets[host])

    def command(self, do: str, *arguments: Any) -> Any:
        """Have the router do something, and return its answer."""
        if do in _NOT_HERE:
            raise LabSpecError(
                f"a lab in network namespaces cannot {do.replace('_', ' ')}: only the "
                "links of --net=links look into what they carry"
            )
        return super().command(do, *arguments)


def address_book(spec: LabSpec) -> AddressBook:
    """Return the addresses of a lab in namespaces, where nobody else has any."""
    port = _PORTS[spec.engine]
    regions = list(spec.regions)
    servers: tuple[Address, ...] = tuple(
        (f"10.77.{regions.index(node.region) + 1}.{node.number}", port)
        for node in spec.nodes
    )
    return AddressBook(
        servers=servers,
        replication=((_MEETING, port),) * len(servers),
        clients=(servers,) * len(regions),
        names=tuple((f"10.77.{n}.{_NAMES}", 53) for n in range(1, len(regions) + 1)),
    )


def plan(spec: LabSpec) -> dict[str, Any]:
    """Return what the router needs to know. At first nothing takes any time."""
    book = address_book(spec)
    regions = list(enumerate(spec.regions, start=1))
    return {
        "rtt": [[a, b, 0.0] for a, b in pairs(spec)],
        "meeting": _MEETING,
        "clients": [(name, name, f"10.77.{n}.{_CLIENTS}") for n, name in regions],
        "nodes": [
            (node.name, node.region, book.servers[node.number - 1][0])
            for node in spec.nodes
        ],
        # Name servers are at home with the clients that ask them.
        "more": {name: [book.names[n - 1][0]] for n, name in regions},
    }
