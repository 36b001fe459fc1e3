"""Where the writer said it was, and when: what ages of positions are counted from."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.gtid import GtidSet

if TYPE_CHECKING:
    from globaldb.core.position import LogPosition

#: Answers kept one by one; of older ones there are ever fewer, the older the fewer.
_NEWEST: Final = 256

_asked_at = attrgetter("asked_at")


class Told(NamedTuple):
    """One answer of the writer. Times are monotonic seconds."""

    #: The position is at least as new as this.
    asked_at: float
    #: Everything up to the position was committed by then.
    answered_at: float
    #: It has everything that was committed before the question.
    position: LogPosition
    #: Where a transaction of this process had just been committed, so that the answer
    #: came about when the commit did: its own position.
    commit: LogPosition | None


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
        self,
        log: LogPosition,
        *,
        asked_at: float,
        answered_at: float,
        commit: bool = False,
    ) -> None:
        """Take in an answer of the writer."""
        if log.timeline > self.timeline:
            self.timeline = log.timeline
            self._told = []
        elif log.timeline < self.timeline:
            return
        told, whole = self._told, log
        if isinstance(log, GtidSet) and commit:
            if not told:
                # Its own transaction alone: nobody knows yet what else there is.
                return
            # Numbers are given out in the order of commits, none is left out.
            whole = log.merge(told[-1].position).closed()
        if told:
            if told[-1].position.covers(whole) and not whole.covers(told[-1].position):
                return
            # What lies further on covers all that the one before it does.
            asked_at = max(asked_at, told[-1].asked_at)
        told.append(Told(asked_at, answered_at, whole, log if commit else None))
        if len(told) > 2 * _NEWEST:
            self._told = told[:-_NEWEST:2] + told[-_NEWEST:]

    def since(self, moment: float) -> LogPosition | None:
        """Return a position that covers all that was committed before *moment*.

        The oldest one that is known to; None when the writer was not asked since.
        """
        index = bisect_left(self._told, moment, key=_asked_at)
        if index == len(self._told):
            return None
        return self._told[index].position

    def first(self, log: LogPosition) -> Told | None:
        """Return how the writer was first heard to be at *log* or behind it."""
        if log.timeline != self.timeline:
            return None

        def there(told: Told) -> bool:
            return told.position.covers(log)

        index = bisect_left(self._told, True, key=there)  # noqa: FBT003 - what is looked for
        return self._told[index] if index < len(self._told) else None

    def ages(self, replayed: LogPosition, asked_at: float) -> Ages:
        """Compare with what a reader, asked at *asked_at*, had replayed."""
        if replayed.timeline != self.timeline:
            return Ages(None, None)

        def ahead(told: Told) -> bool:
            return not replayed.covers(told.position)

        index = bisect_left(self._told, True, key=ahead)  # noqa: FBT003 - what is looked for
        absent = None
        if index < len(self._told):
            absent = asked_at - self._told[index].answered_at
        present = next(
            (
                asked_at - told.answered_at
                for told in self._told[max(index - 8, 0) : index][::-1]
                if told.commit is not None
            ),
            None,
        )
        return Ages(present, absent if absent is not None and absent > 0 else None)
