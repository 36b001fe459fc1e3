"""What a session requires, brought up to date before a statement of it is placed."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from globaldb.core.consistency import Consistency
from globaldb.core.position import Lsn, Position
from globaldb.errors import CausalityLostError
from globaldb.runtime.flow import causality
from globaldb.runtime.flow.patience import patience
from globaldb.runtime.flow.shared import look_up, publish
from globaldb.runtime.session_key import current_block

if TYPE_CHECKING:
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.session import Session

_ORDERED = (Consistency.SESSION, Consistency.GLOBAL)


async def bring_up_to_date(session: Session) -> None:
    """Take in what has happened elsewhere since the session's last statement.

    Raises `CausalityLostError`, once, when what it requires was lost in a failover.
    """
    if session.lease is not None:
        return
    causality.learn(session)
    if session.consistency not in _ORDERED:
        return
    if session.shared is not None and session.consistency is Consistency.SESSION:
        await look_up(session, session.shared)
    books, cluster = session.books, session.cluster
    if cluster.topology.writer is None and books.outdated(cluster.topology.epoch):
        # A token has told of the promotion: the new writer knows when it was.
        await session.shell.await_writer(patience(session, session.deadline()))
    await follow_promotion(session)


async def follow_promotion(session: Session) -> None:
    """Restate what the session requires if the writer was promoted over it.

    To be asked before anything is sent, and again when a new writer was waited for.
    Raises `CausalityLostError`, once, for what was lost.
    """
    if session.lease is not None or session.consistency not in _ORDERED:
        return
    books, cluster = session.books, session.cluster
    epoch = cluster.topology.epoch
    if not books.outdated(epoch):
        return
    floor_at = books.floor_at
    lost = books.promoted(cluster.timelines, epoch)
    session.hot = None
    if lost is not None:
        causality.lost(session)
        await _tell_others(session)
        raise CausalityLostError(_what_was_lost(cluster, lost, floor_at))


async def _tell_others(session: Session) -> None:
    """Have the user told once: put what was lost out of the store's memory."""
    shared, block, cluster = session.shared, current_block(), session.cluster
    epoch = cluster.topology.epoch
    began = cluster.timelines.fork(epoch).upper
    if shared is not None and block is not None and began is not None:
        await publish(session, shared, block, Position(Lsn(began, epoch)))


def _what_was_lost(cluster: ClusterRuntime, lost: Position, floor_at: float) -> str:
    lsn, epoch, writer = lost.log, cluster.topology.epoch, cluster.topology.writer
    timeline = 0 if lsn is None else lsn.timeline
    age = f", {monotonic() - floor_at:.1f} s ago" if floor_at else ""
    return (
        "a failover has lost what this session had written or seen: it was at position "
        f"{lost}, on timeline {timeline}{age}, and the database goes on at "
        f"{writer.name if writer else 'a writer not yet known'} on timeline {epoch}, "
        f"which left that one {cluster.timelines.fork(timeline + 1)}. The session goes "
        "on from what is there now: look for what is missing, and do it again"
    )
