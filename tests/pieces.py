"""Connections for pieces of work, each of which could be anybody's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from promises import cluster, one
from requests_site import COUNT, NEARBY

import globaldb
from globaldb.lab import Lab

Connection = Any


@pytest.fixture(scope="module")
def process(far_behind: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(far_behind, token_secret="s", **NEARBY) as found:
        yield found


@pytest.fixture
def connect(
    process: globaldb.Cluster, empty: Lab
) -> Iterator[Callable[..., Connection]]:
    """Opens connections, each of which could be anybody's."""
    opened: list[Connection] = []

    def connect(found: globaldb.Cluster = process) -> Connection:
        opened.append(found.connect())
        return opened[-1]

    yield connect
    for conn in opened:
        conn.close()


@pytest.fixture
def writer(connect: Callable[..., Connection]) -> Connection:
    return connect()


@pytest.fixture
def other(connect: Callable[..., Connection]) -> Connection:
    return connect()


def put(conn: Connection) -> None:
    conn.execute("INSERT INTO r_t VALUES (1)")


def count(conn: Connection) -> int:
    return int(one(conn.execute(COUNT))[0])
