"""Fences: a reader asked, the best way it has, whether it has reached a position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.consistency import Consistency
from globaldb.core.fence import (
    AT_MOST,
    MARGIN,
    Answer,
    Means,
    Question,
    means_for,
    passed,
)
from globaldb.core.routing import Fence
from globaldb.core.trip import Trip
from globaldb.runtime import events
from globaldb.runtime.flow.faults import fault_of

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.position import LogPosition, Position
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """A reader, what it must have reached before it may answer, and how to find out."""

    node: Node
    required: Position | None
    means: Means = Means.LSN
    #: The safe lag window has passed since the position was taken.
    waited: bool = False

    @property
    def caught_up(self) -> bool:
        """Whether the node is already known to have reached that."""
        required, node = self.required, self.node
        if required is None:
            return True
        if self.means.by_log:
            known, log = node.replayed, required.log
            return known is not None and log is not None and known.covers(log)
        if self.means is Means.LAG:
            return required.moment is not None and node.moment >= required.moment
        return False

    @property
    def fence(self) -> Fence:
        """What it proves that the node may answer."""
        if self.required is None:
            return Fence.NONE
        return Fence.EXACT if self.means.exact else Fence.BOUNDED

    def question(self, patience: float = 0.0) -> Question | None:
        """Return what has to be asked in front of a read; None if nothing has to.

        A server that can may wait for *patience* seconds by itself.
        """
        if self.required is None or self.caught_up:
            return None
        return Question(self.means, self.required, patience)


def place_at(session: Session, node: Node, required: Position | None) -> Place | str:
    """Choose the fence for a read at *node*, or say why only the writer will do."""
    if required is None:
        return Place(node, None)
    cluster = session.cluster
    if required.xids is not None and required.reign != cluster.reign:
        # Numbers of transactions that were lost with a writer are given out again.
        means = means_for(replace(required, xids=None), node.facts.now)
    else:
        means = means_for(required, node.facts.now)
    waited = _window_passed(session, required)
    if not means.by_log:
        # It cannot be asked for that, nor is anything learnt from it there.
        required = replace(required, log=None)
    elif required.log is not None and node.state.position is not None:
        timeline = node.state.position.timeline
        shared = cluster.timelines.shared(required.log, timeline)
        required = replace(required, log=shared)
    if means.exact:
        return Place(node, required, means)
    if session.consistency is Consistency.GLOBAL:
        return "global_read"
    if means is Means.WINDOW and not waited:
        ordered = session.consistency is Consistency.SESSION
        return "safe_lag_window" if ordered else "max_staleness"
    return Place(node, required, means, waited)


def _window_passed(session: Session, required: Position) -> bool:
    """Whether the safe lag window has passed since the session raised its floor.

    By table, since it raised that of what is read.
    """
    books, now = session.books, monotonic()
    window = session.cluster.config.safe_lag_window
    if required != books.floor:
        raised_at = None
        if books.tables is not None:
            raised_at = books.tables.raised_at(required)
        return raised_at is not None and now - raised_at >= window
    if books.raised_at is None:
        # By a token, or by what another reader had: nobody knows how old that is.
        books.raised_at = now
    return now - books.raised_at >= window


def reached(session: Session, place: Place, reply: Reply, asked_at: float) -> bool:
    """Whether the reader had reached what is required when it was asked.

    *asked_at* is when the question was sent (monotonic seconds). What it has told of
    itself is remembered for others.
    """
    node, required = place.node, place.required
    if reply.guard_problem is not None:
        node.facts.refused(place.means)
        events.fence_refused(node, place.means, reply.guard_problem)
        session.cluster.monitor.hurry(node.name)
        return False
    if required is None:
        return True
    log = required.log
    if log is not None and place.means.by_log:
        # A server that waits by itself knows nothing of timelines.
        position = node.showed(log if reply.reached else reply.replayed)
        return position is not None and position.covers(log)
    if place.means is Means.XID:
        return bool(reply.reached)
    answer = Answer(_moment(session, node, reply, asked_at), reply.horizon)
    if answer.moment is not None:
        node.moment = max(node.moment, answer.moment)
    return passed(required, answer, node.facts.now, waited=place.waited)


def _moment(
    session: Session, node: Node, reply: Reply, asked_at: float
) -> float | None:
    """Return the moment a reader has passed, on the writer's clock."""
    moment, lag = reply.last_commit, reply.lag
    if lag is not None:
        if not node.facts.now.reports_lag:
            # What is still on its way is in no replica's own account of its lag.
            lag = max(lag, session.cluster.config.safe_lag_window)
        clock = session.cluster.heard.clock_at(asked_at)
        moment = None if clock is None else clock - lag
    return None if moment is None else moment - MARGIN


async def look(
    session: Session, place: Place, lease: Lease[Any], patience: float = 0.0
) -> bool | None:
    """Ask a reader by itself whether it has reached what *place* requires.

    None when it cannot tell: there is no point in asking it again.
    """
    question = place.question(patience)
    if question is None:
        return True
    asked_at = monotonic()
    reply = await _ask(session, lease, question)
    if reply.error is not None:
        return None
    has = reached(session, place, reply, asked_at)
    return None if reply.guard_problem is not None else has


async def shown(session: Session, node: Node, lease: Lease[Any]) -> LogPosition | None:
    """Ask a reader for a position that is no earlier than anything it has shown.

    None when it cannot or will not tell. A PostgreSQL server that has been promoted
    meanwhile, as its connection knows then, tells where its own writes began.
    """
    sampled = node.state.position
    if sampled is None or not any(means.by_log for means in node.facts.now.means):
        return None
    reply = await _ask(session, lease, AT_MOST)
    if reply.error is not None or reply.guard_problem is not None:
        return None
    return None if reply.replayed is None else reply.replayed.on(sampled.timeline)


async def _ask(session: Session, lease: Lease[Any], question: Question) -> Reply:
    link = lease.connection
    reply = await session.shell.travel(
        link, None, Trip(guard=question), session.deadline()
    )
    if reply.error is not None:
        fault_of(session, reply.error, link)
    return reply
