"""The name server seen from the supervisor: its plan, its process, its faults."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.errors import LabSpecError
from globaldb.lab.space import as_pair
from globaldb.lab.spec import check_region, check_seconds, listed
from globaldb.lab.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.server import Server
    from globaldb.lab.space import Space
    from globaldb.lab.spec import LabSpec

#: What a view can have; see `View.fail`.
FAULTS: Final = ("drop", "servfail", "nxdomain", "delay", "stale")
#: DNS may be late by an hour, no more: some day it must be right.
_MAX_LAG: Final = 3600.0


class Names:
    """A running name server, and the roles that its answers follow."""

    def __init__(
        self,
        name: str,
        spec: LabSpec,
        book: AddressBook,
        log: Path,
        spaces: Mapping[str, Space | None],
    ) -> None:
        if find_spec("dns") is None:
            raise LabSpecError(
                "the lab's name server needs dnspython: pip install 'globaldb[lab]'"
            )
        self._spec = spec
        self._writer = spec.nodes[0].name
        self._down: set[str] = set()
        module = "globaldb.lab.nameserver"
        self._worker = Worker(
            "the name server", module, plan=plan(name, spec, book, spaces), log=log
        )

    def wait_ready(self) -> None:
        """Wait until every view answers."""
        self._worker.wait_ready()

    def lead_to(self, writer: Server) -> None:
        """Have the writer's names lead to *writer*."""
        self._writer = writer.name
        self._tell()

    def set_down(self, server: Server, *, down: bool) -> None:
        """Leave *server* out of the reader endpoint, or take it in again."""
        (self._down.add if down else self._down.discard)(server.name)
        self._tell()

    def fail(self, kind: str, region: str | None, seconds: float) -> None:
        """Have the fault *kind* in *region*, or everywhere."""
        if kind not in FAULTS:
            raise LabSpecError(f"DNS fault {kind!r}: use {listed(FAULTS)}")
        check_seconds("delay of DNS", seconds)
        regions = list(self._spec.regions)
        if region is not None:
            regions = [check_region(region, regions)]
        self._worker.command("fail", kind, regions, seconds)

    def lag(self, seconds: float) -> None:
        """Have changes show *seconds* after they happened."""
        check_seconds("lag of DNS", seconds, most=_MAX_LAG)
        self._worker.command("lag", seconds)

    def heal(self) -> None:
        """Undo every fault."""
        self._worker.command("fail", "", list(self._spec.regions), 0.0)

    def state(self) -> dict[str, Any]:
        """Return `dns_faults` by region, and `dns_lag`."""
        found: dict[str, Any] = self._worker.command("state")
        return found

    def stop(self) -> None:
        """End the name server."""
        self._worker.stop()

    def _tell(self) -> None:
        self._worker.command("roles", self._writer, sorted(self._down))


def plan(
    name: str, spec: LabSpec, book: AddressBook, spaces: Mapping[str, Space | None]
) -> dict[str, Any]:
    """Return what the name server of the lab called *name* needs to know.

    *spaces* are the network namespaces of regions, if they have any.
    """
    nodes = spec.nodes
    rows = book.clients if not spec.direct else [book.servers] * len(spec.regions)
    return {
        "endpoints": {"lab": name, "engine": spec.engine},
        "writer": nodes[0].name,
        "views": [
            {
                "region": region,
                "listen": listen,
                "space": as_pair(spaces[region]),
                "places": [
                    (node.name, node.region, *address)
                    for node, address in zip(nodes, row, strict=True)
                ],
            }
            for region, listen, row in zip(spec.regions, book.names, rows, strict=True)
        ],
    }
