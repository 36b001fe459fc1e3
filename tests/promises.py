"""Checks of the promises, for tests that break the world and tests that break the code.

Each raises `BrokenPromiseError` with the history that breaks it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from itertools import pairwise
from typing import Any

import psycopg

import globaldb
from globaldb.lab import Lab

HOME, FAR = "us-west-2", "ap-south-1"
WRITER, READER = "us-west-2-1", "ap-south-1-1"


class BrokenPromiseError(AssertionError):
    """A history that must not be."""


class Outcome(Enum):
    """What the application was told of a write."""

    APPLIED = "applied"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def outcome_of(write: Callable[[], object]) -> Outcome:
    """Run a write and return what it reported."""
    try:
        write()
    except (globaldb.OutcomeUnknownError, KeyboardInterrupt):
        return Outcome.UNKNOWN
    except globaldb.Error:
        return Outcome.REFUSED
    return Outcome.APPLIED


def exactly_once(reported: Mapping[int, Outcome], found: Mapping[int, int]) -> None:
    """Compare what was reported of each key with how often the database has it."""
    allowed = {
        Outcome.APPLIED: {1},
        Outcome.REFUSED: {0},
        Outcome.UNKNOWN: {0, 1},
    }
    wrong = {
        key: (outcome.value, found.get(key, 0))
        for key, outcome in reported.items()
        if found.get(key, 0) not in allowed[outcome]
    }
    strange = found.keys() - reported.keys()
    if wrong or strange:
        raise BrokenPromiseError(f"(reported, rows) by key: {wrong}; {strange=}")


def monotonic_reads(seen: Iterable[int]) -> None:
    """Check that a counter which only grows was never seen to shrink."""
    history = list(seen)
    for before, after in pairwise(history):
        if after < before:
            raise BrokenPromiseError(f"{after} after {before} in {history}")


def reads_own_writes(
    write: Callable[[int], object],
    read: Callable[[], Iterable[int]],
    keys: Iterable[int],
) -> None:
    """Write each key and read at once: every key so far must be there."""
    written: set[int] = set()
    for key in keys:
        write(key)
        written.add(key)
        missing = written - set(read())
        if missing:
            raise BrokenPromiseError(f"{missing} of {written} not seen after the write")


@contextmanager
def cluster(lab: Lab, region: str = FAR, **options: Any) -> Iterator[globaldb.Cluster]:
    """A cluster as an application in *region* has it, whose monitor keeps quiet.

    Every node was asked once, and one for the catalog, so that the next decision is
    not one of haste.
    """
    options = {"autocommit": True, "probe_interval": 60, **options}
    with globaldb.Cluster(lab.url(region), **options) as found:
        found.connect().close()
        until(lambda: all(node.reachable for node in found.topology.nodes.values()))
        until(lambda: found.runtime.catalog.present)
        yield found


@contextmanager
def admin(lab: Lab, node: str = WRITER) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's own connection, from next to the node."""
    region = next(each.region for each in lab.nodes if each.name == node)
    dsn = lab.dsn(region, node, superuser=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def table(lab: Lab, name: str, columns: str = "n int") -> None:
    """Make an empty table, and wait until every reader has it."""
    with admin(lab, lab.writer().name) as writer:
        writer.execute(f"DROP TABLE IF EXISTS {name}")
        writer.execute(f"CREATE TABLE {name} ({columns})")
        writer.execute(f"ALTER TABLE {name} OWNER TO app")
    caught_up(lab)


def caught_up(lab: Lab) -> None:
    """Wait until every reader has replayed what the writer has now."""
    home = lab.writer().name
    with admin(lab, home) as writer:
        [position] = one(writer.execute("SELECT pg_current_wal_flush_lsn()"))
    for node in lab.nodes:
        if node.name != home:
            _await_replay(lab, node.name, position)


def _await_replay(lab: Lab, node: str, position: str) -> None:
    query = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
    with admin(lab, node) as reader:
        until(lambda: one(reader.execute(query)) == (True,))


def counts(lab: Lab, name: str) -> dict[int, int]:
    """How often the writer has each key."""
    with admin(lab, lab.writer().name) as writer:
        found = writer.execute(f"SELECT n, count(*) FROM {name} GROUP BY n")
        return {int(key): int(rows) for key, rows in found.fetchall()}


def one(cursor: Any) -> tuple[Any, ...]:
    """The only row of a result."""
    [row] = cursor.fetchall()
    return tuple(row)


def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    """Wait for something that must become true."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not within {limit} s"
        time.sleep(0.002)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check that the block took no longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"took {took:.2f} s of {seconds} s"
