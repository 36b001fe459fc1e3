"""Where the nodes come from: those that are named, and where others are found."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from globaldb.config.address import (
    HOST_NAME,
    REGION,
    NodeAddress,
    checked_host,
    checked_port,
    parse_node,
    split_place,
)
from globaldb.config.options import NODE_SOURCES
from globaldb.config.passfile import SOCKET_FOLDERS
from globaldb.core.endpoints import (
    GLOBAL_LABEL,
    EndpointKind,
    HostPattern,
    parse_endpoint,
    region_of,
)
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.config.resolve import Gathered
    from globaldb.config.sources import Layer

DEFAULT_PORTS: Final = {"postgresql": 5432, "mysql": 3306}
PATTERN_FORM: Final = (
    "REGION@HOST or REGION@HOST:PORT with one ? for the instance's identifier, for "
    "example us-west-2@?.xyz.us-west-2.rds.amazonaws.com"
)
_DNS_PORT: Final = 53


def find_nodes(found: Gathered) -> tuple[NodeAddress, ...]:
    """Return the nodes that the strongest layer with any source of them names.

    None where that source is asked when the cluster is first used.
    """
    port = default_port(found)
    source, layer = node_source(found.layers)
    if source == "cluster":
        source, layer = node_source((found.cluster,))
        if source is None:
            raise ConfigurationError(
                f"cluster {found.value('cluster')!r} in globaldb.toml lists no nodes; "
                "give it node = ['REGION@HOST:PORT', ...]"
            )
    if source in ("global_cluster", "srv"):
        return ()
    patterns = given_patterns(found)
    if source == "node":
        named = tuple(parse_node(n, port) for n in layer["node"].value)
        return distinct(tuple(placed(node, patterns) for node in named))
    host = layer["host"].value if source else default_host(found.engine, port)
    return (placed(NodeAddress(None, checked_host(host), port), patterns),)


def default_port(found: Gathered) -> int:
    """Return the port of a node that names none."""
    port: int = found.value("port") or DEFAULT_PORTS[found.engine]
    return port


def placed(node: NodeAddress, patterns: Iterable[HostPattern]) -> NodeAddress:
    """Return *node* with the region that its name tells, unless it has one."""
    if node.region is not None or node.is_socket:
        return node
    return replace(node, region=region_of(node.host, node.port, patterns))


def node_source(layers: Iterable[Layer]) -> tuple[str | None, Layer]:
    """Return which option of the strongest layer names the nodes, and that layer."""
    for layer in layers:
        here = [name for name in NODE_SOURCES if name in layer]
        if len(here) > 1:
            both = " and ".join(f"{name} ({layer[name].source})" for name in here)
            raise ConfigurationError(
                f"the nodes are given in {len(here)} ways: {both}; choose one"
            )
        if here:
            return here[0], layer
    return None, {}


def distinct(nodes: tuple[NodeAddress, ...]) -> tuple[NodeAddress, ...]:
    """Return *nodes*; `ConfigurationError` when two are the same server."""
    seen: set[tuple[str, int]] = set()
    for node in nodes:
        place = (node.host.lower(), node.port)
        if place in seen:
            raise ConfigurationError(f"node {node} is listed twice")
        seen.add(place)
    return nodes


def default_host(
    engine: str, port: int, folders: Iterable[str] = SOCKET_FOLDERS
) -> str:
    """Return the host when nobody names one: the local socket if there is one."""
    if engine == "postgresql":
        for folder in folders:
            if Path(folder, f".s.PGSQL.{port}").exists():
                return folder
    return "localhost"


def find_discovery(found: Gathered, nodes: Iterable[NodeAddress]) -> dict[str, Any]:
    """Return what is to be known for finding nodes beside those that are named."""
    if found.value("discover_replicas") and found.engine != "postgresql":
        raise ConfigurationError(
            f"discover_replicas ({found.source('discover_replicas')}) is for "
            f"PostgreSQL; the engine is {found.engine}"
        )
    source, layer = node_source(found.layers)
    if source == "cluster":
        source, layer = node_source((found.cluster,))
    named = {n: layer[n].value for n in ("global_cluster", "srv") if n == source}
    srv = named.get("srv")
    return {
        "default_port": default_port(found),
        "global_cluster": named.get("global_cluster"),
        "srv": None if srv is None else service_name(srv, found.engine),
        "host_pattern": all_patterns(found, nodes),
        "dns_server": name_server(found),
    }


def service_name(name: str, engine: str) -> str:
    """Return the name under which the SRV records are: ``_postgresql._tcp.NAME``."""
    if not HOST_NAME.fullmatch(name):
        raise ConfigurationError(f"srv is {name!r}, which is no name in the DNS")
    return name if name.startswith("_") else f"_{engine}._tcp.{name}"


def given_patterns(found: Gathered) -> tuple[HostPattern, ...]:
    """Return the patterns as given; `ConfigurationError` for two of a region."""
    patterns = tuple(parse_pattern(p) for p in found.value("host_pattern") or ())
    regions = [pattern.region for pattern in patterns]
    for region in regions:
        if regions.count(region) > 1:
            raise ConfigurationError(
                f"host_pattern ({found.source('host_pattern')}) names region {region} "
                "twice"
            )
    return patterns


def all_patterns(
    found: Gathered, nodes: Iterable[NodeAddress]
) -> tuple[HostPattern, ...]:
    """Return the patterns given, and those that names of Aurora's endpoints tell."""
    known = {pattern.region: pattern for pattern in given_patterns(found)}
    for node in nodes:
        endpoint = parse_endpoint(node.host)
        if endpoint is not None and endpoint.pattern is not None:
            known.setdefault(endpoint.pattern.region, endpoint.pattern)
    return tuple(known.values())


def parse_pattern(text: str) -> HostPattern:
    """Read ``REGION@HOST[:PORT]`` with one ``?``; `ConfigurationError` for others.

    The message quotes no more than the host, as for a node.
    """
    region, at, place = text.strip().partition("@")
    if not at:
        raise ConfigurationError(
            f"a host_pattern names no region; it is {PATTERN_FORM}"
        )
    if not REGION.fullmatch(region):
        raise ConfigurationError(
            f"the region of a host_pattern is not a name; a pattern is {PATTERN_FORM}"
        )
    if region == GLOBAL_LABEL:
        raise ConfigurationError(
            f"a host_pattern is for region {region!r}, which is none: the writer of a "
            "global database is in one of the others"
        )
    host, port = split_place(place)
    problem = _problem_of(host, region)
    if problem is not None:
        raise ConfigurationError(
            f"the host_pattern for {region} {problem}; a pattern is {PATTERN_FORM}"
        )
    return HostPattern(region, host, None if port is None else checked_port(port))


def _problem_of(host: str, region: str) -> str | None:
    """Return what is wrong with *host* as a pattern for *region*."""
    marks = host.count("?")
    if not HOST_NAME.fullmatch(host.replace("?", "x")):
        return "has no host" if not host else "has a host that is no name"
    if marks != 1:
        return f"is {host!r}, which has {marks or 'no'} ?"
    endpoint = parse_endpoint(host.replace("?", "x"))
    if endpoint is None:
        return None
    if endpoint.pattern is None or endpoint.kind is not EndpointKind.INSTANCE:
        told = (
            "" if endpoint.pattern is None else f": theirs is {endpoint.pattern.host}"
        )
        return f"is {host!r}, which no instance is called{told}"
    if endpoint.region != region:
        return f"is {host!r}, which is in {endpoint.region}"
    return None


def name_server(found: Gathered) -> tuple[str, int] | None:
    """Return address and port of the name server to ask; None for the system's."""
    text = found.value("dns_server")
    if text is None:
        return None
    host, port = split_place(text)
    try:
        ip_address(host)
    except ValueError:
        raise ConfigurationError(
            f"dns_server ({found.source('dns_server')}) must be the address of a name "
            "server, for example 10.0.0.2 or 10.0.0.2:53"
        ) from None
    return host, _DNS_PORT if port is None else checked_port(port)
