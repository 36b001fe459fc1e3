"""Clusters that find their nodes, on labs that have Aurora's surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
import pymysql
from lab_fixtures import engines
from promises import FAR, HOME, READER, WRITER, until

import globaldb
from globaldb.lab import Lab, LabSpec

SECOND: Final = "us-west-2-2"
NODES: Final = {WRITER, SECOND, READER}
#: Aurora is PostgreSQL or MySQL.
AURORA: Final = [engine for engine in ("postgresql", "mysql") if engine in engines()]
#: Where the instances are noted that the servers tell of.
NOTED: Final = {
    "postgresql": "lab.instances",
    "mysql": "information_aurora.instances",
}


def near_aurora(engine: str) -> LabSpec:
    """Two regions near each other: it is not distance that these tests are about."""
    near = {(HOME, FAR): 0.01}
    return LabSpec(engine=engine, aurora=True, regions={HOME: 1, FAR: 1}, rtt=near)


@contextmanager
def broken(lab: Lab) -> Iterator[None]:
    """Put *lab* right in the end: all nodes there, all names known, the writer home."""
    try:
        yield
    finally:
        lab.restore()
        if lab.writer().name != WRITER:
            lab.switchover(WRITER)


def found_by(lab: Lab, *more: str, patterns: bool = True) -> str:
    """The URL of a client in `FAR` that names no node yet; *more* is ``name=value``."""
    head, _, node = lab.url(FAR).partition("&node=")
    host, port = lab.dns(FAR)
    off = "sslmode=disable" if lab.spec.engine == "postgresql" else "ssl_mode=disabled"
    parts = [head, off, f"dns_server={host}:{port}", f"port={node.rpartition(':')[2]}"]
    if patterns:
        ends, regions = lab.endpoints, lab.spec.regions
        parts += [f"host_pattern={each}@{ends.pattern(each)}" for each in regions]
    return "&".join([*parts, *more])


@contextmanager
def finding(lab: Lab, *more: str, **given: Any) -> Iterator[globaldb.Cluster]:
    """A cluster that is looking for its nodes, with a session open."""
    url = found_by(lab, *more, **given)
    with globaldb.Cluster(url, autocommit=True) as cluster, cluster.connect():
        yield cluster


def instance(lab: Lab, node: str) -> str:
    region = next(each.region for each in lab.nodes if each.name == node)
    return "host=" + lab.endpoints.instance(node, region)


def names(cluster: globaldb.Cluster) -> list[str]:
    """The first label of every node's host, and those that do not answer."""
    return sorted(
        name.rpartition("@")[2].partition(".")[0] + ("" if state.reachable else "?")
        for name, state in cluster.topology.nodes.items()
    )


def complete(cluster: globaldb.Cluster) -> bool:
    return set(names(cluster)) == NODES and len(cluster.topology.nodes) == len(NODES)


def writer(cluster: globaldb.Cluster) -> str:
    state = cluster.topology.writer
    return "" if state is None else state.name


def note(lab: Lab, *statements: str) -> None:
    """Change what the servers tell of each other."""
    connect: Any = psycopg.connect
    if lab.spec.engine != "postgresql":
        connect = pymysql.connect
    with closing(connect(**superuser(lab), autocommit=True)) as connection:
        for statement in statements:
            connection.cursor().execute(statement.format(NOTED[lab.spec.engine], HOME))


def superuser(lab: Lab) -> dict[str, Any]:
    home = lab.writer()
    return dict(lab.options(home.region, home.name, superuser=True))


def made(node: str, region: str) -> str:
    return (
        "INSERT INTO {} (node, server_id, aws_region)"
        f" VALUES ('{node}', '{node}', '{region}')"
    )


def look_again(cluster: globaldb.Cluster) -> None:
    """Wait until Aurora's tables were read once more."""
    before = surveyed_at(cluster)
    cluster.runtime.discovery.hurry()
    until(lambda: surveyed_at(cluster) > before)


def surveyed_at(cluster: globaldb.Cluster) -> float:
    latest = cluster.runtime.discovery._membership.latest.get("aurora")
    return 0.0 if latest is None else latest.at


def failures(cluster: globaldb.Cluster, source: str) -> int:
    return cluster.runtime.discovery._watches[source]._failures


def hurried(cluster: globaldb.Cluster, condition: Callable[[], bool]) -> None:
    """Wait for *condition* with a look as soon as one may be taken."""

    def looked() -> bool:
        cluster.runtime.discovery.hurry()
        return condition()

    # Twelve looks, it may be, of a machine that has other things to do.
    until(looked, 30)
