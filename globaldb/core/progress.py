"""Where the writer said it was, and when: what ages of positions are counted from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final, NamedTuple

from globaldb.core.position import Lsn

#: Answers kept one by one; of older ones there are ever fewer, the older the fewer.
_NEWEST: Final = 256

_value = attrgetter("value")
_asked_at = attrgetter("asked_at")


class Told(NamedTuple):
    """One answer of the writer. Times are monotonic seconds."""

    #: The position is at least as new as this.
    asked_at: float
    #: Everything up to the position was committed by then.
    answered_at: float
    value: int
    #: A transaction of this process had just been committed there, so that the answer
    #: came about when the commit did.
    commit: bool


class Ages(NamedTuple):
    """What a look at a reader tells of how long commits take to become visible."""

    #: A commit of this age was there.
    present: float | None
    #: One of this age was missing.
    absent: float | None


class Progress:
    """The writer's answers, newest last, on its newest timeline.

    Both grow in it: an answer that another one has overtaken is not kept.
    Not safe for threads by itself.
    """

    def __init__(self) -> None:
        self.timeline = 0
        self._told: list[Told] = []

    def note(
        self, lsn: Lsn, *, asked_at: float, answered_at: float, commit: bool = False
    ) -> None:
        """Take in an answer of the writer."""
        if lsn.timeline > self.timeline:
            self.timeline = lsn.timeline
            self._told = []
        elif lsn.timeline < self.timeline:
            return
        told = self._told
        if told:
            if lsn.value < told[-1].value:
                return
            # What lies further on covers all that the one before it does.
            asked_at = max(asked_at, told[-1].asked_at)
        told.append(Told(asked_at, answered_at, lsn.value, commit))
        if len(told) > 2 * _NEWEST:
            self._told = told[:-_NEWEST:2] + told[-_NEWEST:]

    def since(self, moment: float) -> Lsn | None:
        """Return a position that covers all that was committed before *moment*.

        The oldest one that is known to; None when the writer was not asked since.
        """
        index = bisect_left(self._told, moment, key=_asked_at)
        if index == len(self._told):
            return None
        return Lsn(self._told[index].value, self.timeline)

    def first(self, lsn: Lsn) -> Told | None:
        """Return how the writer was first heard to be at *lsn* or behind it."""
        if lsn.timeline != self.timeline:
            return None
        index = bisect_left(self._told, lsn.value, key=_value)
        return self._told[index] if index < len(self._told) else None

    def ages(self, replayed: Lsn, asked_at: float) -> Ages:
        """Compare with what a reader, asked at *asked_at*, had replayed."""
        if replayed.timeline != self.timeline:
            return Ages(None, None)
        index = bisect_right(self._told, replayed.value, key=_value)
        absent = None
        if index < len(self._told):
            absent = asked_at - self._told[index].answered_at
        present = next(
            (
                asked_at - told.answered_at
                for told in self._told[max(index - 8, 0) : index][::-1]
                if told.commit
            ),
            None,
        )
        return Ages(present, absent if absent is not None and absent > 0 else None)
