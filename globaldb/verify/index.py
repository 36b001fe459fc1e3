"""What was written, so that a long history can be asked in about no time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from globaldb.verify.fates import Fate, Write, writes
from globaldb.verify.history import COUNTER, LIST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.verify.history import Disturbance, Operation


@dataclass(slots=True)
class _Frontier:
    """When each version of a key was acknowledged, and the latest one by then."""

    times: list[float] = field(default_factory=list)
    latest: list[Write] = field(default_factory=list)

    def add(self, write: Write) -> None:
        """Add the next *write* to be acknowledged."""
        newest = write
        if self.latest and _version(self.latest[-1]) > _version(write):
            newest = self.latest[-1]
        self.times.append(write.ended)
        self.latest.append(newest)

    def before(self, moment: float) -> Write | None:
        """Return the latest version acknowledged before *moment*."""
        place = bisect_left(self.times, moment)
        return self.latest[place - 1] if place else None


class Index:
    """Every write of a history by what it made, by when, and by its value.

    An unplanned failover begins a new epoch: what was written before it may be lost, so
    it requires nothing of what happens after it.
    """

    def __init__(
        self, operations: Sequence[Operation], disturbances: Sequence[Disturbance]
    ) -> None:
        self._losses = sorted(each for each in disturbances if each.loses)
        self._ends = sorted(each.ended for each in self._losses)
        self.writes = sorted(writes(operations), key=attrgetter("ended"))
        self._by_value: dict[tuple[str, int], Write] = {}
        self._by_version: dict[tuple[str, int], Write] = {}
        self._frontiers: dict[tuple[str, int], _Frontier] = defaultdict(_Frontier)
        self._begun: dict[str, list[float]] = defaultdict(list)
        self._first: dict[str, Operation] = {}
        for write in self.writes:
            self._add(write)
        for times in self._begun.values():
            times.sort()

    def _add(self, write: Write) -> None:
        made = write.operation
        self._first.setdefault(made.key, made)
        tag = (made.key, made.value)
        known = self._by_value.get(tag)
        # A row may be tried again under the same number.
        if known is None or known.fate is Fate.UNDONE:
            self._by_value[tag] = write
        if write.fate is Fate.UNDONE:
            return
        self._begun[made.key].append(made.began)
        if made.version:
            self._made(write)
        if write.fate is Fate.COMMITTED:
            self._frontiers[made.key, self._epoch(write.began)].add(write)

    def _made(self, write: Write) -> None:
        """Take *write* for what made its version, unless another one surely did.

        Of two that may have, the one that began first: less follows from having seen
        it.
        """
        number = (write.operation.key, write.operation.version)
        known = self._by_version.setdefault(number, write)
        if known.fate is Fate.UNKNOWN and (
            write.fate is Fate.COMMITTED or write.began < known.began
        ):
            self._by_version[number] = write

    def maker(self, seen: Operation) -> Write | None:
        """Return the write that made what was *seen* or written, if that is known."""
        if not (seen.version or seen.value):
            return None
        if seen.key.startswith(COUNTER):
            return self._by_version.get((seen.key, seen.version))
        value = seen.version if seen.key.startswith(LIST) else seen.value
        return self._by_value.get((seen.key, value))

    def first(self, key: str) -> Operation | None:
        """Return the first write of *key*."""
        return self._first.get(key)

    def due(self, key: str, before: float, until: float) -> Write | None:
        """Return the latest version of *key* acknowledged before a moment.

        None when a failover between that moment and *until* may have lost it.
        """
        if self.may_have_lost(before, until):
            return None
        frontier = self._frontiers.get((key, self._epoch(before)))
        return None if frontier is None else frontier.before(before)

    def begun(self, key: str, until: float) -> int:
        """Return how many writes of *key* may have been applied until a moment."""
        return bisect_right(self._begun.get(key, ()), until)

    def may_have_lost(self, start: float, end: float) -> bool:
        """Whether an unplanned failover happened between two moments."""
        return any(loss.ended > start and loss.began < end for loss in self._losses)

    def _epoch(self, moment: float) -> int:
        return bisect_right(self._ends, moment)


def _version(write: Write) -> int:
    return write.operation.version
