"""What a lab consists of: regions, nodes and the round-trip times between them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from globaldb.lab.errors import LabSpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENGINES: Final = ("postgresql", "mysql", "mariadb")
#: How clients and nodes are joined: by links of ours, or by packets between kernels.
LINKS: Final = "links"
NETNS: Final = "netns"
NETS: Final = (LINKS, NETNS)
#: Readers in each region; the first region has the writer as well.
DEFAULT_REGIONS: Final[Mapping[str, int]] = {
    "us-west-2": 1,
    "ap-south-1": 1,
    "ap-southeast-2": 1,
}
#: Round-trip times in seconds, as measured between these regions of AWS.
DEFAULT_RTT: Final[Mapping[tuple[str, str], float]] = {
    ("us-west-2", "ap-south-1"): 0.220,
    ("us-west-2", "ap-southeast-2"): 0.140,
    ("ap-south-1", "ap-southeast-2"): 0.150,
}
#: Seconds within a region, and between two regions of which nothing is known.
LOCAL_RTT: Final = 0.0005
REMOTE_RTT: Final = 0.150

MAX_READERS: Final = 20
MAX_NODES: Final = 60
MAX_RTT: Final = 10.0
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_SETTING: Final = re.compile(r"[a-z_][a-z0-9_.]*\Z")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One server of the plan: its name, its region, and its number from 1."""

    name: str
    region: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """The plan of a lab. Anything impossible is a `LabSpecError` at once.

    *regions* maps each region to its number of readers; the first one has the
    writer too. A region with none is a place for clients only. *rtt* holds seconds
    per pair of regions, in either order; what it leaves out has the default.
    *direct* leaves the proxy out between clients and nodes. *settings* go into every
    server's configuration. *single_address* uses 127.0.0.1 alone, one port a link.
    *net* is "links", or "netns": a network namespace for each node, and for the clients
    of each region, which run there by `Lab.exec`.
    *aurora* gives the servers what Aurora's answer of instances and roles; "strict",
    of PostgreSQL only, takes from them the positions that Aurora's refuse to tell.
    """

    regions: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_REGIONS))
    rtt: Mapping[tuple[str, str], float] = field(default_factory=dict)
    direct: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    engine: str = "postgresql"
    name: str | None = None
    single_address: bool = False
    net: str = LINKS
    aurora: bool | Literal["strict"] = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise LabSpecError(f"engine {self.engine!r}: the lab has {listed(ENGINES)}")
        if self.name is not None:
            check_name("lab name", self.name)
        _check_regions(self.regions)
        _check_aurora(self)
        _check_net(self)
        for (a, b), seconds in self.rtt.items():
            check_region(a, self.regions)
            check_region(b, self.regions)
            check_seconds(f"round trip {a}/{b}", seconds)
        for setting in self.settings:
            if not _SETTING.match(setting):
                raise LabSpecError(f"{setting!r} is not the name of a server setting")

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """Every node in order; the first one starts as the writer."""
        names = [
            (f"{region}-{index + 1}", region)
            for position, (region, readers) in enumerate(self.regions.items())
            for index in range(readers + (position == 0))
        ]
        return tuple(NodeSpec(n, r, i) for i, (n, r) in enumerate(names, start=1))

    def round_trip(self, a: str, b: str) -> float:
        """Seconds from *a* to *b* and back."""
        for table in (self.rtt, DEFAULT_RTT):
            for pair in ((a, b), (b, a)):
                if pair in table:
                    return table[pair]
        return LOCAL_RTT if a == b else REMOTE_RTT

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return {
            "regions": dict(self.regions),
            "rtt": [[a, b, seconds] for (a, b), seconds in self.rtt.items()],
            "direct": self.direct,
            "settings": dict(self.settings),
            "engine": self.engine,
            "name": self.name,
            "single_address": self.single_address,
            "net": self.net,
            "aurora": self.aurora,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabSpec:
        """Return the plan that `to_json` wrote."""
        rtt = {(a, b): seconds for a, b, seconds in data["rtt"]}
        return cls(**{**data, "rtt": rtt})


def check_region(region: str, regions: Iterable[str]) -> str:
    """Return *region*, or say which ones there are."""
    known = list(regions)
    if region not in known:
        raise LabSpecError(f"no region {region!r} in this lab; it has {listed(known)}")
    return region


def check_seconds(what: str, seconds: float, *, most: float = MAX_RTT) -> float:
    """Return *seconds* if they lie between nothing and *most*."""
    if not (math.isfinite(seconds) and 0 <= seconds <= most):
        raise LabSpecError(f"{what}: {seconds} is not between 0 and {most:g} seconds")
    return float(seconds)


def check_name(what: str, name: str) -> str:
    """Return *name* if it can be part of a URL and of a path."""
    if not _NAME.match(name):
        raise LabSpecError(
            f"{what} {name!r}: use up to 31 lower-case letters, digits and hyphens, "
            "a letter first"
        )
    return name


def listed(names: Iterable[str]) -> str:
    """Return *names* as a sentence has them."""
    return ", ".join(names) or "none"


def _check_net(spec: LabSpec) -> None:
    if spec.net not in NETS:
        raise LabSpecError(f"net {spec.net!r}: the lab has {listed(NETS)}")
    if spec.net == LINKS:
        return
    if spec.direct or spec.single_address:
        raise LabSpecError("net 'netns' goes with neither direct nor single_address")
    if spec.aurora and spec.engine != "postgresql":
        raise LabSpecError(
            f"aurora on {spec.engine} needs the proxy, which net 'netns' leaves out"
        )


def _check_aurora(spec: LabSpec) -> None:
    if not spec.aurora or spec.engine == "postgresql":
        return
    if spec.aurora == "strict":
        raise LabSpecError(f"aurora='strict' is for postgresql, not {spec.engine}")
    if spec.direct:
        raise LabSpecError(
            f"aurora on {spec.engine} needs the proxy, which direct leaves out: names "
            "are rewritten on their way"
        )


def _check_regions(regions: Mapping[str, int]) -> None:
    if not regions:
        raise LabSpecError("a lab needs at least one region, such as us-west-2=1")
    for region, readers in regions.items():
        check_name("region", region)
        if not 0 <= readers <= MAX_READERS:
            raise LabSpecError(
                f"region {region}: {readers} readers; use 0 to {MAX_READERS}"
            )
    total = 1 + sum(regions.values())
    if total > MAX_NODES:
        raise LabSpecError(f"{total} nodes; a lab has at most {MAX_NODES}")
