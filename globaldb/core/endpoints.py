"""Names of Aurora's endpoints: what each stands for, and how instances are called.

SQL tells an instance's identifier and region, never its host. The host follows from a
pattern for each region, which an endpoint's own name gives away, or the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable  # noqa: TC003 - in the signature of a public name
from dataclasses import dataclass
from enum import Enum
from typing import Final


class EndpointKind(Enum):
    """What a name of Aurora or RDS leads to."""

    #: One server process.
    INSTANCE = "instance"
    #: The writer of a cluster, wherever it is now; in a secondary region, nothing.
    CLUSTER = "cluster"
    #: Any reader of a cluster, another with each look; without readers, the writer.
    READER = "reader"
    #: Some instances of a cluster.
    CUSTOM = "custom"
    #: The writer of a global database, in whichever region it is.
    GLOBAL = "global"
    #: A pooler, which chooses the server.
    PROXY = "proxy"
    #: A group of shards.
    LIMITLESS = "limitless"

    @property
    def stands_for_others(self) -> bool:
        """Whether instances with names of their own are behind it."""
        return self in _BEFORE_INSTANCES

    @property
    def names_writer(self) -> bool:
        """Whether it is meant to lead to the writer."""
        return self in (EndpointKind.CLUSTER, EndpointKind.GLOBAL)


_BEFORE_INSTANCES: Final = frozenset(
    (
        EndpointKind.CLUSTER,
        EndpointKind.READER,
        EndpointKind.CUSTOM,
        EndpointKind.GLOBAL,
    )
)
_KINDS: Final = {
    None: EndpointKind.INSTANCE,
    "cluster-": EndpointKind.CLUSTER,
    "cluster-ro-": EndpointKind.READER,
    "cluster-custom-": EndpointKind.CUSTOM,
    "global-": EndpointKind.GLOBAL,
    "proxy-": EndpointKind.PROXY,
    "shardgrp-": EndpointKind.LIMITLESS,
}
#: The region stands before ``rds`` or, in China and closed partitions, behind it.
_ENDPOINT: Final = re.compile(
    r"(?P<name>[a-z0-9-]+)\.(?:endpoint\.(?=proxy-))?"
    r"(?P<kind>cluster-ro-|cluster-custom-|cluster-|global-|proxy-|shardgrp-)?"
    r"(?P<account>[a-z0-9]+)\."
    r"(?P<domain>(?:(?P<before>[a-z0-9-]+)\.rds(?:-fips)?|rds(?:-fips)?\.(?P<behind>[a-z0-9-]+))"
    r"\.(?:amazonaws\.(?:com\.cn|com|au|eu|uk)|c2s\.ic\.gov|sc2s\.sgov\.gov))"
)
#: An identifier becomes part of a host: it is one label of a name, or nothing at all.
_INSTANCE_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})")
#: What the global endpoint has in the place of a region.
GLOBAL_LABEL: Final = "global"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name of Aurora, taken apart."""

    kind: EndpointKind
    #: What the name begins with: of an instance, its identifier.
    name: str
    #: None for the global endpoint, which is in none.
    region: str | None
    #: How instances of its region are called; None where the name does not tell.
    pattern: HostPattern | None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """How the instances of one region are reached; ``?`` stands for the identifier."""

    region: str
    host: str
    #: None: the port of the cluster.
    port: int | None = None

    def place(self, instance: str, default_port: int) -> tuple[str, int] | None:
        """Return host and port of *instance*; None for what is no identifier."""
        if not is_instance_id(instance):
            return None
        return self.host.replace("?", instance.lower()), self.port or default_port

    def fits(self, host: str, port: int) -> bool:
        """Whether this is how *host* and *port* are called."""
        before, _, after = self.host.lower().partition("?")
        name = host.lower().rstrip(".")
        between = name.removeprefix(before).removesuffix(after)
        return (
            name == f"{before}{between}{after}"
            and is_instance_id(between)
            and self.port in (None, port)
        )

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.region}@{self.host}{port}"


def is_instance_id(text: str) -> bool:
    """Whether *text* can be the identifier of an instance, and so part of a host."""
    return _INSTANCE_ID.fullmatch(text) is not None


def parse_endpoint(host: str) -> Endpoint | None:
    """Take the host name of an endpoint apart; None when it is not Aurora's."""
    found = _ENDPOINT.fullmatch(host.lower().removesuffix("."))
    if found is None:
        return None
    kind = _KINDS[found["kind"]]
    region = found["before"] or found["behind"]
    if region == GLOBAL_LABEL or kind is EndpointKind.GLOBAL:
        return Endpoint(EndpointKind.GLOBAL, found["name"], None, None)
    pattern = None
    if kind.stands_for_others or kind is EndpointKind.INSTANCE:
        pattern = HostPattern(region, f"?.{found['account']}.{found['domain']}")
    return Endpoint(kind, found["name"], region, pattern)


def region_of(host: str, port: int, patterns: Iterable[HostPattern]) -> str | None:
    """Return the region that *host* is in, as its name or one of *patterns* tells."""
    for pattern in patterns:
        if pattern.fits(host, port):
            return pattern.region
    endpoint = parse_endpoint(host)
    return None if endpoint is None else endpoint.region


def stands_for_others(host: str) -> bool:
    """Whether *host* is a name behind which there are instances with their own."""
    endpoint = parse_endpoint(host)
    return endpoint is not None and endpoint.kind.stands_for_others
