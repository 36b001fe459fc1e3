"""Promotions: what became of a position of an older timeline on a newer one.

A promotion begins a new timeline at some place of the older one: what had reached the
promoted node by then goes on under the same number, the rest is gone. Where that place
is nobody tells a client exactly, but it can be enclosed. See docs/decisions/0017.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field of a dataclass
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from globaldb.core.topology import NodeState, Role, Sample

if TYPE_CHECKING:
    from globaldb.core.position import Lsn


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

    def widened(self, lower: int | None, upper: int | None) -> Fork:
        """Return the fork after one more answer, which can only make it less certain.

        Two nodes that were promoted to the same number disagree; then neither the
        one's place nor the other's counts.
        """
        return Fork(
            min(_known(self.lower, lower), default=None),
            max(_known(self.upper, upper), default=None),
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
    """Every promotion that this process has heard of, by the timeline it began."""

    forks: Mapping[int, Fork] = field(default_factory=lambda: MappingProxyType({}))

    def observe(
        self, before: NodeState, sample: Sample, replayed: Lsn | None = None
    ) -> Timelines:
        """Return what is known after a node answered with *sample*.

        *before* is what was believed of that node, *replayed* how far it was known to
        have replayed. A node that was a reader of one timeline and is the writer of
        the next was promoted from what it had replayed.
        """
        if sample.role is not Role.WRITER:
            return self
        timeline = sample.position.timeline
        lower = None
        if before.role is Role.READER:
            seen = [
                lsn.value
                for lsn in (before.position, replayed)
                if lsn is not None and lsn.timeline == timeline - 1
            ]
            lower = max(seen, default=None)
        upper = None if sample.forked_before is None else sample.forked_before.value
        if lower is None and upper is None:
            return self
        known = self.forks.get(timeline, Fork())
        fork = known.widened(lower, upper)
        if fork == known:
            return self
        return Timelines(MappingProxyType({**self.forks, timeline: fork}))

    def fate(self, lsn: Lsn, epoch: int) -> Fate:
        """Tell what became of *lsn* on the timeline *epoch*."""
        if not 0 < lsn.timeline <= epoch:
            return Fate.UNKNOWN
        if lsn.timeline == epoch:
            return Fate.SURVIVES
        newest = self.forks.get(epoch)
        if newest is not None and newest.fate(lsn.value) is Fate.LOST:
            # Whatever lies between: from there on everything is on timeline *epoch*.
            return Fate.LOST
        fates = set()
        for timeline in range(lsn.timeline + 1, epoch + 1):
            fork = self.forks.get(timeline)
            if fork is None or fork.lower is None:
                return Fate.UNKNOWN
            fates.add(fork.fate(lsn.value))
        worst = (Fate.LOST, Fate.UNKNOWN, Fate.SURVIVES)
        return next(fate for fate in worst if fate in fates)

    def fork_after(self, timeline: int, epoch: int) -> str:
        """Say where what came after *timeline* left it, for a message."""
        fork = self.forks.get(timeline + 1) or self.forks.get(epoch) or Fork()
        return str(fork)


def _known(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]


def _place(value: int) -> str:
    return f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"
