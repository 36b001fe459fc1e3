"""What the writer was heard to say of where it is: its log positions and its clock."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from globaldb.core.position import Position
from globaldb.core.progress import Progress, Told

if TYPE_CHECKING:
    from globaldb.core.position import LogPosition
    from globaldb.core.topology import Sample


class Heard:
    """When the writer of one cluster was asked, and what it said. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress = Progress()
        #: What its clock showed last, when it was asked, and when that was heard.
        self._clock: tuple[float, float, float] | None = None
        self._tells_log = True

    def sampled(self, sample: Sample) -> None:
        """Take in what the writer answered to a probe."""
        self._tells_log = sample.reached.log is not None
        if sample.clock is not None:
            self._clock = sample.clock, sample.asked_at, monotonic()
        self.told(sample.reached, sample.asked_at)

    def told(self, position: Position, asked_at: float) -> None:
        """Take in where the writer said it was when asked at *asked_at*."""
        log, commit = position.log, position.xids is not None
        if log is not None and log.timeline:
            now = monotonic()
            with self._lock:
                self._progress.note(
                    log, asked_at=asked_at, answered_at=now, commit=commit
                )

    def since(self, moment: float) -> Position | None:
        """Return a position that covers everything committed before *moment*.

        The oldest one the writer gave when asked after *moment* (monotonic seconds);
        None when it was not asked since.
        """
        with self._lock:
            log = self._progress.since(moment)
        if log is not None:
            return Position(log)
        if self._clock is None or self._tells_log:
            return None
        clock, asked_at, _ = self._clock
        return Position(moment=clock + moment - asked_at)

    def first(self, log: LogPosition) -> Told | None:
        """Return how the writer was first heard to be at *log*, or behind it.

        None when nothing that this process heard of it covers that.
        """
        with self._lock:
            return self._progress.first(log)

    def ages(self, sample: Sample) -> tuple[float | None, float | None]:
        """Return the ages of the newest commit that a reader had, and of the next one."""
        with self._lock:
            return self._progress.ages(sample.position, sample.asked_at)

    def clock_at(self, moment: float) -> float | None:
        """Return the least that the writer's clock showed at *moment* (monotonic).

        Seconds since 1970; None while it has not told.
        """
        if self._clock is None:
            return None
        clock, _, heard_at = self._clock
        return clock + moment - heard_at

    def forget_after_fork(self) -> None:
        """Begin afresh in a forked child: who held the lock may not be there."""
        self._lock = threading.Lock()
