"""Positions of MySQL and MariaDB: sets of global transaction identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

from globaldb.errors import DataError

#: Runs of numbers from one source that are required apart. Where there are more, what
#: lies between is required too: a writer leaves no number out.
_MOST_RUNS: Final = 16

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_RUN: Final = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?\Z")
_TAG: Final = re.compile(r"[a-z_][a-z0-9_]{0,31}\Z")
_TRIPLE: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})\Z")

#: Numbers from the first to the last, both included.
Run = tuple[int, int]
Runs = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class GtidSet:
    """MySQL's set of executed transactions: numbers, by the server they came from.

    A source is a server's UUID, with ``:tag`` behind it for tagged transactions. Sets
    of two writers can be compared whatever has happened in between, so *timeline* only
    tells in which reign a set was taken; 0 where that is not known.
    """

    sources: tuple[tuple[str, Runs], ...] = ()
    timeline: int = 0

    @classmethod
    def of(cls, sources: dict[str, list[Run]], timeline: int = 0) -> GtidSet:
        """Return the set of all numbers in *sources*, in any order."""
        joined = ((name, _joined(runs)) for name, runs in sorted(sources.items()))
        return cls(tuple(item for item in joined if item[1]), timeline)

    @classmethod
    def parse(cls, text: str, timeline: int = 0) -> GtidSet:
        """Read MySQL's ``uuid:1-5:7, uuid:tag:1`` form; raise `DataError` otherwise."""
        sources: dict[str, list[Run]] = {}
        for part in filter(None, (part.strip() for part in text.lower().split(","))):
            uuid, *rest = (piece.strip() for piece in part.split(":"))
            if not _UUID.match(uuid) or not rest:
                raise DataError(f"{part[:80]!r} is not a GTID set like 'UUID:1-5'")
            source = uuid
            for piece in rest:
                run = _RUN.match(piece)
                if run is not None:
                    first = int(run[1])
                    sources.setdefault(source, []).append((first, int(run[2] or first)))
                elif _TAG.match(piece):
                    source = f"{uuid}:{piece}"
                else:
                    raise DataError(f"{piece[:80]!r} is no part of a GTID set")
        return cls.of(sources, timeline)

    def covers(self, other: object) -> bool:
        """Whether every transaction of *other* is in this set."""
        if not isinstance(other, GtidSet):
            return False
        if self.sources == other.sources:
            return True
        mine = dict(self.sources)
        return all(
            any(
                first <= run[0] and run[1] <= last for first, last in mine.get(name, ())
            )
            for name, runs in other.sources
            for run in runs
        )

    def merge(self, other: object) -> GtidSet:
        """Return the transactions of both.

        Raises `DataError` for a position of another kind.
        """
        if not isinstance(other, GtidSet):
            raise DataError(f"{self} and {other} are not of one database")
        timeline = max(self.timeline, other.timeline)
        if self.covers(other):
            return self.on(timeline)
        if other.covers(self):
            return other.on(timeline)
        sources: dict[str, list[Run]] = {}
        for name, runs in (*self.sources, *other.sources):
            sources.setdefault(name, []).extend(runs)
        return GtidSet.of(sources, timeline)

    def simplified(self) -> GtidSet:
        """Return a set of few runs that covers this one, for what is required."""
        many = any(len(runs) > _MOST_RUNS for _, runs in self.sources)
        return self.closed() if many else self

    def closed(self) -> GtidSet:
        """Return the set with everything between its runs."""
        return replace(
            self,
            sources=tuple(
                (name, ((runs[0][0], runs[-1][1]),)) for name, runs in self.sources
            ),
        )

    def on(self, timeline: int) -> GtidSet:
        """Return the same set, taken in reign *timeline*."""
        return self if timeline == self.timeline else replace(self, timeline=timeline)

    @property
    def size(self) -> int:
        """How many transactions are in it."""
        return sum(last - first + 1 for _, runs in self.sources for first, last in runs)

    def last(self, server: str) -> int:
        """Return the last number that *server* has given out, 0 if none is known.

        *server* is a UUID, or the number of a MariaDB server in sets of its kind.
        """
        return max(
            (runs[-1][1] for name, runs in self.sources if _is_of(name, server)),
            default=0,
        )

    def __bool__(self) -> bool:
        return bool(self.sources)

    def __str__(self) -> str:
        return ",".join(
            ":".join((name, *(_written(run) for run in runs)))
            for name, runs in self.sources
        )


@dataclass(frozen=True, slots=True)
class MariadbGtid:
    """MariaDB's position: the last transaction of each replication domain.

    Within a domain every transaction has a higher number than those before it,
    whichever server wrote it. *timeline* as for `GtidSet`.
    """

    #: Domain, server, number.
    domains: tuple[tuple[int, int, int], ...] = ()
    timeline: int = 0

    @classmethod
    def parse(cls, text: str, timeline: int = 0) -> MariadbGtid:
        """Read MariaDB's ``0-1-100,2-1-7`` form; raise `DataError` otherwise."""
        return cls.of(_triples(text), timeline)

    @classmethod
    def of(cls, triples: list[tuple[int, int, int]], timeline: int = 0) -> MariadbGtid:
        """Return the position that has reached each of *triples*."""
        ordered = sorted(triples, key=itemgetter(0))
        last = (
            max(group, key=itemgetter(2))
            for _, group in groupby(ordered, itemgetter(0))
        )
        return cls(tuple(last), timeline)

    def covers(self, other: object) -> bool:
        """Whether everything at *other* is also at this position."""
        if not isinstance(other, MariadbGtid):
            return False
        mine = {domain: number for domain, _, number in self.domains}
        return all(mine.get(domain, 0) >= number for domain, _, number in other.domains)

    def merge(self, other: object) -> MariadbGtid:
        """Return what is at or behind both.

        Raises `DataError` for a position of another kind.
        """
        if not isinstance(other, MariadbGtid):
            raise DataError(f"{self} and {other} are not of one database")
        timeline = max(self.timeline, other.timeline)
        return MariadbGtid.of([*self.domains, *other.domains], timeline)

    def simplified(self) -> MariadbGtid:
        """Return the position itself: it is short."""
        return self

    def on(self, timeline: int) -> MariadbGtid:
        """Return the same position, taken in reign *timeline*."""
        return self if timeline == self.timeline else replace(self, timeline=timeline)

    @property
    def size(self) -> int:
        """A number that grows with every transaction."""
        return sum(number for _, _, number in self.domains)

    def history(self) -> GtidSet:
        """Return the transactions that a server which has them must have noted."""
        return binlog_state(str(self))

    def __bool__(self) -> bool:
        return bool(self.domains)

    def __str__(self) -> str:
        return ",".join("-".join(map(str, triple)) for triple in self.domains)


def binlog_state(text: str) -> GtidSet:
    """Read MariaDB's ``gtid_binlog_state``: the last number of each server.

    The sources are called ``domain-server``. Raises `DataError` for anything else.
    """
    sources: dict[str, list[Run]] = {}
    for domain, server, number in _triples(text):
        sources.setdefault(f"{domain}-{server}", []).append((1, number))
    return GtidSet.of(sources)


def _triples(text: str) -> list[tuple[int, int, int]]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        triple = _TRIPLE.match(part)
        if triple is None:
            raise DataError(f"{part[:80]!r} is not a GTID like '0-1-100'")
        found.append((int(triple[1]), int(triple[2]), int(triple[3])))
    return found


def _is_of(source: str, server: str) -> bool:
    uuid = source.partition(":")[0]
    return uuid == server or uuid.endswith(f"-{server}")


def _joined(runs: list[Run]) -> Runs:
    """Return *runs* in order, with those that meet made one."""
    joined: list[Run] = []
    for first, last in sorted(runs):
        if last < max(first, 1):
            raise DataError(f"{first}-{last} is no run of transaction numbers")
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)


def _written(run: Run) -> str:
    first, last = run
    return str(first) if first == last else f"{first}-{last}"
