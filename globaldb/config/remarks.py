"""What is allowed but may surprise, in a sentence each, for logs and diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from globaldb.config import libpq, mysql
from globaldb.config.authentication import BUNDLE, uses_rds_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from globaldb.config.address import NodeAddress

PROVING = frozenset({"verify-ca", "verify-full"}) | mysql.PROVING


def about_region(region: str | None, nodes: Iterable[NodeAddress]) -> list[str]:
    """Remark that no node is in *region*; a node of unknown region might be."""
    regions = {node.region for node in nodes}
    if region is None or not regions or not regions.isdisjoint((region, None)):
        return []
    return [f"no node is in region {region}; the nearest will be used"]


def about_tls(
    nodes: Iterable[NodeAddress], driver: Mapping[str, Any], engine: str
) -> list[str]:
    """Remark where a server off this machine need not prove who it is."""
    if engine == "mysql":
        if driver.get("ssl") is not None:
            return []  # the application's own context: its own affair
        name, mode = "ssl_mode", mysql.tls_mode(driver, stays_here=False)
    else:
        name, mode = "sslmode", driver.get("sslmode", "verify-full")
    if mode in PROVING:
        return []
    return [
        f"node {node} need not prove who it is ({name}={mode})"
        for node in nodes
        if not node.stays_here
    ]


def about_rds(
    nodes: Iterable[NodeAddress],
    driver: Mapping[str, Any],
    *,
    bundle: str | None,
    world: str | None,
) -> list[str]:
    """Remark that a host of RDS is there and nothing says which certificates to trust.

    *world* is the global database whose instances will be nodes, if there is one.
    """
    given = [
        driver.get(name) for name in ("sslrootcert", "ssl", "ssl_ca", "ssl_capath")
    ]
    if bundle is not None or any(given):
        return []
    found = [f"node {node}" for node in nodes if uses_rds_certificate(node.host)]
    found += [] if world is None else [f"global database {world}"]
    return [
        f"{what} is one of Amazon RDS, whose certificates few machines know; "
        f"download {BUNDLE} and name it with rds_ca="
        for what in found[:1]
    ]


def about_variables(environ: Mapping[str, str]) -> list[str]:
    """Remark which of libpq's variables are set and have no effect here."""
    return [
        f"{variable} has no effect: {libpq.REFUSED[name]}"
        for variable, (name, _) in libpq.NEUTRALIZED.items()
        if environ.get(variable)
    ]
