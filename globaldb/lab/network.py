"""All links of a lab together: latencies, partitions and faults by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.errors import LabSpecError
from globaldb.lab.link import Address, Cut, Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from globaldb.lab.loop import Loop

CLIENT: Final = "client"
REPLICATION: Final = "replication"
REPLY: Final = "reply"
REQUEST: Final = "request"


def client_link(region: str, node: str) -> str:
    """Name the link that clients in *region* use to reach *node*."""
    return f"{CLIENT}/{region}/{node}"


def replication_link(node: str) -> str:
    """Name the link over which *node* follows the writer."""
    return f"{REPLICATION}/{node}"


class Network:
    """The links between regions and nodes, as they are now."""

    def __init__(self, loop: Loop, plan: Mapping[str, Any]) -> None:
        self._latency = {frozenset((a, b)): float(s) for a, b, s in plan["rtt"]}
        self._partitions: set[frozenset[str]] = set()
        self._frozen: set[str] = set()
        self._refused: set[str] = set()
        self._down: set[str] = set()
        self._links: dict[str, Link] = {}
        for each in plan["links"]:
            link = Link(
                loop,
                name=each["name"],
                near=each["near"],
                far=each["far"],
                listen=_address(each["listen"]),
                rewrites=each.get("rewrites", False),
            )
            link.target = _address(each["target"])
            self._links[link.name] = link
        self._apply(self._links.values())

    def latency(self, a: str, b: str, seconds: float) -> None:
        """Make the round trip between *a* and *b* last *seconds* from now on."""
        self._latency[frozenset((a, b))] = seconds
        self._apply(self._links.values())

    def partition(self, a: str, b: str) -> None:
        """Hold everything between *a* and *b*."""
        self._partitions.add(frozenset((a, b)))
        self._apply(self._links.values())

    def freeze(self, link: str) -> None:
        """Hold everything on one link."""
        self._frozen.add(self._named(link).name)
        self._apply([self._links[link]])

    def thaw(self, link: str) -> None:
        """Let what was frozen go on."""
        self._frozen.discard(self._named(link).name)
        self._apply([self._links[link]])

    def refuse(self, link: str) -> None:
        """Refuse connects on one link; open connections live on."""
        self._refused.add(self._named(link).name)
        self._apply([self._links[link]])

    def cut(self, link: str, when: str, containing: str) -> None:
        """Break the next connection of *link* whose request fits."""
        self._named(link).cut = Cut(when, containing.encode())

    def heal(self) -> None:
        """Undo every partition and every fault of a link; latencies stay."""
        self._partitions.clear()
        self._frozen.clear()
        self._refused.clear()
        for link in self._links.values():
            link.cut = None
        self._apply(self._links.values())

    def down(self, node: str) -> None:
        """Refuse connects to *node* from everywhere."""
        self._down.add(node)
        self._apply(self._links.values())

    def up(self, node: str) -> None:
        """Accept connects to *node* again."""
        self._down.discard(node)
        self._apply(self._links.values())

    def writer(self, region: str, host: str, port: int) -> None:
        """Lead replication to another writer; what follows the old one is reset."""
        for link in self._links.values():
            if link.name.startswith(f"{REPLICATION}/"):
                link.target = (host, port)
                link.far = region
                link.reset_connections()
        self._apply(self._links.values())

    def hold_back(self, node: str, seconds: float) -> None:
        """Have the log that *node* receives arrive *seconds* later than its way takes."""
        self._links[replication_link(node)].hold_back(seconds)

    def severed(self) -> list[str]:
        """Return the nodes that cannot reach the writer now."""
        return [
            name.rpartition("/")[2]
            for name, link in self._links.items()
            if name.startswith(f"{REPLICATION}/") and link.held
        ]

    def counters(self) -> dict[str, Any]:
        """Return the traffic of every link, by its name."""
        return {
            name: {
                "connects": link.accepted,
                "near": link.near,
                "far": link.far,
                "traffic": [each.to_json() for each in link.traffic()],
            }
            for name, link in self._links.items()
        }

    def reset_counters(self) -> None:
        """Count from nothing again."""
        for link in self._links.values():
            link.reset_counters()

    def state(self) -> dict[str, Any]:
        """Return latencies and faults as they are."""
        return {
            "latency": [
                [*(sorted(pair) * 2)[:2], seconds]
                for pair, seconds in self._latency.items()
            ],
            "partitions": [(sorted(pair) * 2)[:2] for pair in self._partitions],
            "frozen": sorted(self._frozen),
            "refused": sorted(self._refused),
        }

    def _named(self, name: str) -> Link:
        if name not in self._links:
            raise LabSpecError(f"no link {name!r}: a direct lab has none to its nodes")
        return self._links[name]

    def _apply(self, links: Iterable[Link]) -> None:
        for link in links:
            pair = frozenset((link.near, link.far))
            link.set_one_way(self._latency[pair] / 2)
            held = pair in self._partitions or link.name in self._frozen
            if held != link.held:
                link.hold(held=held)
            node = link.name.rpartition("/")[2]
            client = link.name.startswith(f"{CLIENT}/")
            if link.name in self._refused or (client and node in self._down):
                link.refuse_connects()
            else:
                link.accept_connects()


def _address(pair: list[Any]) -> Address:
    host, port = pair
    return str(host), int(port)
