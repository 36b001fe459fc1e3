"""Where the writer is now: one question for all the reads that must know it.

An answer serves every read that arrived before its question was sent, as Raft's
ReadIndex does. At most one question is under way and one more waits, so what the
writer has to answer does not grow with the number of readers. There is no thread for
it: one of those who wait asks.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.lending import Outcome
from globaldb.errors import DeadlineExceededError, Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.position import Position
    from globaldb.runtime.cluster import ClusterRuntime

#: How often a read waits for a question that fails before it goes its own way.
_ATTEMPTS: Final = 2

#: Seconds that a question may last beyond its own deadline before it counts as lost.
_GRACE: Final = 1.0


class Newest(NamedTuple):
    """A position of the writer, and when it was known (monotonic seconds)."""

    position: Position
    known_at: float


class _Question:
    """One question to the writer: who waits for it holds it."""

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.over = False
        self.answer: Newest | None = None


class Freshness:
    """Shares the questions of one cluster. Safe for threads.

    ``ask(deadline)`` puts one and returns the answer, or None when there is none; it
    lasts at most *longest* seconds.
    """

    def __init__(
        self, ask: Callable[[float], Newest | None], *, longest: float
    ) -> None:
        self._ask: Final = ask
        self._longest: Final = longest
        self._changed = threading.Condition()
        self._asking: _Question | None = None
        self._next: _Question | None = None
        self._alone_until = float("-inf")

    def go_alone(self) -> bool:
        """Whether a read had better go to the writer itself: nobody else does now.

        Call `came_back` afterwards.
        """
        now = monotonic()
        with self._changed:
            if self._asking is not None or now < self._alone_until:
                return False
            # Should it never come back, others go alone some time.
            self._alone_until = now + self._longest
            return True

    def came_back(self) -> None:
        """Let the next read go alone."""
        self._alone_until = float("-inf")

    def newest(self, deadline: float | None) -> Newest | None:
        """Return a position that covers all that was committed before this call.

        None when the writer could not be asked. Raises `DeadlineExceededError` when
        *deadline* (monotonic seconds) passes first.
        """
        began = monotonic()
        for _ in range(_ATTEMPTS):
            question = self._join(began, deadline)
            if not question.over:
                self._put(question, deadline)
            if question.answer is not None:
                return question.answer
        return None

    def _join(self, began: float, deadline: float | None) -> _Question:
        """Wait for a question put after *began*; the caller's to put if not over."""
        with self._changed:
            question = self._asking
            if question is None or question.asked_at < began:
                question = self._next = self._next or _Question()
            while not question.over:
                if self._free and self._next is question:
                    self._take_over(question)
                    break
                self._wait(deadline)
            return question

    @property
    def _free(self) -> bool:
        return self._asking is None

    def _take_over(self, question: _Question) -> None:
        question.asked_at = monotonic()
        self._asking, self._next = question, None

    def _wait(self, deadline: float | None) -> None:
        """Wait for a change; a question that its asker has left behind is dropped."""
        now = monotonic()
        if deadline is not None and now >= deadline:
            raise DeadlineExceededError(
                "the statement's deadline passed while it waited for the writer's "
                "position. Nothing was sent; allow more time, or read in session mode"
            )
        asking = self._asking
        lost_at = now if asking is None else asking.asked_at + self._longest + _GRACE
        if asking is not None and now >= lost_at:
            self._end(asking)
            return
        until = lost_at if deadline is None else min(lost_at, deadline)
        self._changed.wait(max(until - now, 0.001))

    def _put(self, question: _Question, deadline: float | None) -> None:
        """Ask, no longer than the asker has time: those who wait with it ask anew."""
        until = monotonic() + self._longest
        if deadline is not None:
            until = min(until, deadline)
        try:
            question.answer = self._ask(until)
        finally:
            with self._changed:
                self._end(question)

    def _end(self, question: _Question) -> None:
        question.over = True
        if self._asking is question:
            self._asking = None
        self._changed.notify_all()


def ask_writer(cluster: ClusterRuntime, deadline: float) -> Newest | None:
    """Ask the writer where it is, over one connection of its pool.

    None when it cannot be asked, or is not the writer any more.
    """
    try:
        node = cluster.awaiting.writer(deadline)
        lease = node.pool.checkout(deadline)
    except Error:
        return None
    outcome = Outcome.DISCARD
    try:
        sample = cluster.driver.sample(lease.connection, deadline)
        outcome = Outcome.REUSE
    except Exception:  # noqa: BLE001 - the read goes to the writer, and is told there
        cluster.suspect(node.name)
        return None
    finally:
        node.pool.checkin(lease, outcome)
    known_at = monotonic()
    cluster.observe(node.name, sample)
    writer = cluster.topology.writer
    if writer is None or writer.name != node.name:
        return None
    return Newest(sample.reached, known_at)
