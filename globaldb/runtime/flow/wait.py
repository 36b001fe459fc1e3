"""Waiting for a reader, as long as that is expected to be quicker than the writer."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.errors import DeadlineExceededError

if TYPE_CHECKING:
    from globaldb.core.catchup import Outlook
    from globaldb.core.position import Position
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session

#: Seconds between two looks, at least, beside the trip that a look takes.
_SHORTEST_PAUSE: Final = 0.0005


#: Trips to the writer that a transaction makes there which reads once: that, and its end.
_OF_TRANSACTION: Final = 2


def price(session: Session) -> float:
    """Seconds that it would take to have the answer of the writer instead.

    Without a writer there is no other way than to wait, for ``fence_wait``.
    """
    trip = _trip(session)
    if trip is None:
        return session.cluster.config.fence_wait
    return trip * _OF_TRANSACTION if session.transaction.active else trip


def _trip(session: Session) -> float | None:
    cluster = session.cluster
    writer = cluster.topology.writer
    return None if writer is None else cluster.node(writer.name).trip


class Wait:
    """One read and one reader: whether and when to look at it, when to give up.

    What its looks find is learnt, for the next read to know.
    """

    def __init__(
        self, session: Session, node: Node, required: Position, deadline: float | None
    ) -> None:
        self.node = node
        self.began = monotonic()
        self._session = session
        self._log = required.log
        self._deadline = deadline
        #: Seconds that the writer is expected to take instead.
        self.price = price(session)
        #: Seconds spent until the reader had caught up, or was given up.
        self.waited = 0.0
        told = None
        if required.log is not None:
            told = session.cluster.heard.first(required.log)
        #: A commit of this process: what becomes of it says how readers lag.
        self._commit = (
            told is not None
            and told.commit is not None
            and required.log is not None
            and required.log.covers(told.commit)
        )
        self._known_at = self.began if told is None else told.answered_at
        self._missing: float | None = None
        self._until = self.began
        self.outlook = self._weigh(self.began)

    @property
    def worth_a_look(self) -> bool:
        """Whether to ask the reader at all.

        A look at a reader nearby costs next to nothing, so it is left out only where
        it is known to be too early.
        """
        return not self._commit or self.outlook.cost < self.price

    @property
    def _waits(self) -> bool:
        return any(means.waits for means in self.node.facts.now.means)

    @property
    def patience(self) -> float:
        """Seconds for which a server that can wait by itself shall do so."""
        until = self._until
        if self._missing is None:
            until = self._limit(monotonic() + self.outlook.patience)
        return max(0.0, until - monotonic())

    def found(self, asked_at: float) -> None:
        """Learn that a look sent at *asked_at* has found the reader caught up."""
        took, trip = monotonic() - asked_at, self.node.trip or 0.0
        self.node.took(took)
        age, learnt = asked_at - self._known_at, self.node.catch_up
        if self._waits and took > 2 * trip:
            # The server itself has waited, and answered when it was there.
            self._missing = age if self._missing is None else self._missing
            age += took - trip
        if self._missing is not None:
            self.waited = age + self._known_at - self.began
        if not self._commit:
            return
        if self._missing is None:
            learnt.at_most(age, asked_at)
        else:
            learnt.reached(self._missing, age, asked_at)

    async def again(self, asked_at: float) -> bool:
        """Sleep until the next look; False when it is time to ask the writer.

        A look sent at *asked_at* has found the reader behind.
        """
        self.node.took(monotonic() - asked_at)
        if self._missing is None:
            self.outlook = self._weigh(asked_at, behind=True)
            self._until = self._limit(monotonic() + self.outlook.patience)
        self._missing = asked_at - self._known_at
        now = monotonic()
        remaining = self._until - now
        if remaining <= 0:
            self._refuse_late(now)
            return False
        pause = self.node.catch_up.pause(now - self._known_at, _SHORTEST_PAUSE)
        await self._session.shell.sleep(min(pause, remaining))
        return True

    def give_up(self) -> None:
        """Go elsewhere; the reader is watched, so that the next read knows more."""
        self.waited = monotonic() - self.began
        if self._commit and self._log is not None:
            missing, now = self._missing, monotonic()
            if missing is not None:
                self.node.catch_up.at_least(missing, now)
            self._session.cluster.lookout.watch(self.node, self._log, self._known_at)

    def _weigh(self, at: float, *, behind: bool = False) -> Outlook:
        return self.node.catch_up.outlook(
            max(at - self._known_at, 0.0),
            trip=self.node.trip or 0.0,
            otherwise=self.price,
            behind=behind,
        )

    def _refuse_late(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            raise DeadlineExceededError(
                f"the statement's deadline passed after {now - self.began:.3f} s of "
                f"waiting for {self.node.name} to have what the session wrote or saw. "
                "It was not answered; allow more time, or read in eventual mode"
            )

    def _limit(self, until: float) -> float:
        longest = self._session.cluster.config.fence_wait + (
            _trip(self._session) or 0.0
        )
        until = min(until, self.began + longest)
        return until if self._deadline is None else min(until, self._deadline)
