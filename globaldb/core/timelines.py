"""Promotions: what became of a position of an older timeline on a newer one.

A promotion begins a new timeline at some place of the older one: what had reached the
promoted node by then goes on under the same number, the rest is gone. Where that place
is nobody tells a client exactly, but it can be enclosed. See docs/decisions/0017.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field of a dataclass
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from globaldb.core.gtid import GtidSet, MariadbGtid
from globaldb.core.position import Lsn
from globaldb.core.topology import NodeState, Role, Sample

if TYPE_CHECKING:
    from globaldb.core.position import LogPosition


class Fate(Enum):
    """What became of a position when the timeline it is on was left."""

    #: It is on the newer timeline too, under the same number.
    SURVIVES = "survives"
    #: The newer timeline began before it.
    LOST = "lost"
    #: Nobody saw enough of the promotion to tell.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a timeline began, between two positions of the one before it."""

    #: The promoted node had replayed this much of the timeline numbered one less,
    #: while it was still a reader of it. None when nobody saw it as that: then its
    #: parent may have been any older timeline.
    lower: int | None = None
    #: The timeline began at or before this; None when it is not known.
    upper: int | None = None

    def narrowed(self, other: Fork) -> Fork:
        """Return what the same node's answers tell together: each of them is true."""
        return Fork(
            max(_known(self.lower, other.lower), default=None),
            min(_known(self.upper, other.upper), default=None),
        )

    def widened(self, other: Fork) -> Fork:
        """Return what two nodes' answers tell together.

        Both were promoted to the same number, from different places perhaps: only
        what both say is certain.
        """
        return Fork(
            min(_known(self.lower, other.lower), default=None),
            max(_known(self.upper, other.upper), default=None),
        )

    def fate(self, value: int) -> Fate:
        """Tell what became of position *value* of the timeline before."""
        if self.upper is not None:
            if value > max(self.upper, self.lower or 0):
                return Fate.LOST
            if self.lower is not None and self.lower > self.upper:
                # The node was made anew in between, or there were two.
                return Fate.UNKNOWN
        if self.lower is None or value > self.lower:
            return Fate.UNKNOWN
        return Fate.SURVIVES

    def __str__(self) -> str:
        if self.upper is None:
            return "not known"
        if self.lower is None:
            return f"at or before {_place(self.upper)}"
        return f"between {_place(self.lower)} and {_place(self.upper)}"


@dataclass(frozen=True, slots=True)
class Timelines:
    """Every promotion that this process has heard of."""

    #: What each node has told of the beginning of each timeline.
    told: Mapping[tuple[int, str], Fork] = field(
        default_factory=lambda: MappingProxyType({})
    )
    #: Where positions name servers: what each writer had when it was first heard as one.
    histories: Mapping[int, GtidSet] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def observe(
        self, before: NodeState, sample: Sample, replayed: LogPosition | None = None
    ) -> Timelines:
        """Return what is known after a node answered with *sample*.

        *before* is what was believed of that node, *replayed* how far it was known to
        have replayed. A node that was a reader of one timeline and is the writer of
        the next was promoted from what it had replayed.
        """
        if sample.role is not Role.WRITER:
            return self
        timeline = sample.position.timeline
        if sample.history is not None:
            return self._began(timeline, sample.history)
        lower = None
        if before.role is Role.READER:
            seen = [
                log.value
                for log in (before.position, replayed)
                if isinstance(log, Lsn) and log.timeline == timeline - 1
            ]
            lower = max(seen, default=None)
        upper = None if sample.forked_before is None else sample.forked_before.value
        key = timeline, before.name
        known = self.told.get(key, Fork())
        fork = known.narrowed(Fork(lower, upper))
        if sample.forked_at is not None and fork.lower is not None:
            place = sample.forked_at.value
            fork = fork.narrowed(Fork(place, place))
        if fork == known:
            return self
        told = MappingProxyType({**self.told, key: fork})
        return replace(self, told=told)

    def _began(self, timeline: int, history: GtidSet) -> Timelines:
        """Remember what a writer had when it was first heard as one."""
        if not timeline or timeline in self.histories:
            return self
        histories = MappingProxyType({**self.histories, timeline: history})
        return replace(self, histories=histories)

    def fork(self, timeline: int) -> Fork:
        """Return what is known of the beginning of *timeline*."""
        found = Fork()
        for (number, _), fork in self.told.items():
            if number == timeline:
                found = found.widened(fork)
        return found

    def fate(self, log: LogPosition, epoch: int) -> Fate:
        """Tell what became of *log* on the timeline *epoch*."""
        if not isinstance(log, Lsn):
            return self._fate_of_gtids(log, epoch)
        return self._fate_of_lsn(log, epoch)

    def _fate_of_gtids(self, log: GtidSet | MariadbGtid, epoch: int) -> Fate:
        """Tell whether the writer of *epoch* had *log* when it became the writer.

        A position of a reign from which nothing is lost says so by being there.
        """
        history = self.histories.get(epoch)
        if history is None:
            return Fate.UNKNOWN
        there = history.covers(log if isinstance(log, GtidSet) else log.history())
        return Fate.SURVIVES if there else Fate.LOST

    def _fate_of_lsn(self, lsn: Lsn, epoch: int) -> Fate:
        if not 0 < lsn.timeline <= epoch:
            return Fate.UNKNOWN
        if lsn.timeline == epoch:
            return Fate.SURVIVES
        if self.fork(epoch).fate(lsn.value) is Fate.LOST:
            # Whatever lies between: from there on everything is on timeline *epoch*.
            return Fate.LOST
        fates = set()
        for timeline in range(lsn.timeline + 1, epoch + 1):
            fork = self.fork(timeline)
            if fork.lower is None:
                return Fate.UNKNOWN
            fates.add(fork.fate(lsn.value))
        worst = (Fate.LOST, Fate.UNKNOWN, Fate.SURVIVES)
        return next(fate for fate in worst if fate in fates)

    def shared(self, log: LogPosition, timeline: int) -> LogPosition:
        """Return *log* as a position of the older *timeline* if it is on that too.

        A reader that follows a promotion may go on naming the older timeline for
        minutes; what both have it can be asked for all the same.
        """
        if not isinstance(log, Lsn) or not 0 < timeline < log.timeline:
            return log
        older = log.on(timeline)
        survives = self.fate(older, log.timeline) is Fate.SURVIVES
        return older if survives else log


def _known(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]


def _place(value: int) -> str:
    return f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"
