"""The same calls on psycopg and on globaldb: what one answers, the other has to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

import globaldb
from globaldb.lab import Lab

HERE = "ap-south-1"
THERE = "us-west-2"

#: Near enough for many statements, far enough that no read strays to the writer.
_RTT = 0.01

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Side:
    """One way to connect: to the writer with psycopg, or from afar with globaldb."""

    name: str
    open: Callable[..., Any]

    @property
    def ours(self) -> bool:
        return self.name != "psycopg"

    def connect(self, *, autocommit: bool = False, **options: Any) -> Any:
        """Return a new connection, as psycopg.connect does with the same options."""
        connection = self.open(**options)
        connection.autocommit = autocommit
        return connection


@pytest.fixture
def near_lab(lab: Lab) -> Lab:
    """The lab, with the writer's region not so far away."""
    lab.latency(HERE, THERE, _RTT)
    return lab


@pytest.fixture(scope="module")
def cluster(shared_lab: Lab) -> Iterator[globaldb.Cluster]:
    """The lab as seen from a reader's region, for one module."""
    with globaldb.Cluster(
        shared_lab.url(HERE), latency_factor=1, latency_window=0.001
    ) as cluster:
        yield cluster


def ours(cluster: globaldb.Cluster, **options: Any) -> Any:
    return cluster.connect(**options)


def on_writer(cluster: globaldb.Cluster, **options: Any) -> Any:
    connection = cluster.connect(**options)
    # For its whole life; the attribute keeps the block from ending.
    connection.block = connection.using(route="writer")
    connection.block.__enter__()
    return connection


def theirs(lab: Lab, **options: Any) -> Any:
    writer = lab.nodes[0]
    return psycopg.connect(lab.dsn(writer.region, writer.name), **options)


def _side(name: str, lab: Lab, cluster: globaldb.Cluster) -> Side:
    opens: dict[str, Callable[..., Any]] = {
        "psycopg": lambda **options: theirs(lab, **options),
        "globaldb": lambda **options: ours(cluster, **options),
        "globaldb-writer": lambda **options: on_writer(cluster, **options),
    }
    return Side(name, opens[name])


@pytest.fixture(params=["psycopg", "globaldb"])
def side(
    request: pytest.FixtureRequest, near_lab: Lab, cluster: globaldb.Cluster
) -> Side:
    """Psycopg, then globaldb: the test holds for both or says nothing."""
    return _side(request.param, near_lab, cluster)


@pytest.fixture
def conn(side: Side) -> Iterator[Any]:
    """A connection outside autocommit, as PEP 249 has it."""
    with contextlib.closing(side.connect()) as connection:
        yield connection


@pytest.fixture(params=["psycopg", "globaldb", "globaldb-writer"])
def auto(
    request: pytest.FixtureRequest, near_lab: Lab, cluster: globaldb.Cluster
) -> Iterator[Any]:
    """A connection in autocommit: psycopg's, ours on a reader, ours on the writer."""
    side = _side(request.param, near_lab, cluster)
    with contextlib.closing(side.connect(autocommit=True)) as connection:
        yield connection


@pytest.fixture
def routed(near_lab: Lab, cluster: globaldb.Cluster) -> Iterator[Any]:
    """A globaldb connection in autocommit, for what psycopg has no word for."""
    with contextlib.closing(cluster.connect()) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def table() -> str:
    """A name that no other test has."""
    return f"contract_{next(_numbers)}"
