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
    nodes: Iterable[NodeAddress],
    driver: Mapping[str, Any],
    engine: str,
    *,
    bundle: str | None,
    world: str | None,
) -> list[str]:
    """Remark where a server off this machine need not prove who it is, or hardly can.

    *bundle* has the certificates of Amazon RDS, which few machines know; *world* is the
    global database whose instances will be nodes. None where there is none.
    """
    if engine == "mysql":
        if driver.get("ssl") is not None:
            return []  # the application's own context: its own affair
        name, mode = "ssl_mode", mysql.tls_mode(driver, stays_here=False)
    else:
        name, mode = "sslmode", driver.get("sslmode", "verify-full")
    away = [node for node in nodes if not node.stays_here]
    worlds = [] if world is None else [f"global database {world}"]
    if mode not in PROVING:
        weak = [*(f"node {node}" for node in away), *worlds]
        return [f"{what} need not prove who it is ({name}={mode})" for what in weak]
    if bundle or any(driver.get(o) for o in ("sslrootcert", "ssl_ca", "ssl_capath")):
        return []
    rds = [f"node {node}" for node in away if uses_rds_certificate(node.host)]
    return [
        f"{what} is one of Amazon RDS, whose certificates few machines know; "
        f"download {BUNDLE} and name it with rds_ca="
        for what in [*rds, *worlds][:1]
    ]


def about_variables(environ: Mapping[str, str]) -> list[str]:
    """Remark which of libpq's variables are set and have no effect here."""
    return [
        f"{variable} has no effect: {libpq.REFUSED[name]}"
        for variable, (name, _) in libpq.NEUTRALIZED.items()
        if environ.get(variable)
    ]
