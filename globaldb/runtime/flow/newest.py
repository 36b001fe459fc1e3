"""Reads that must know where the writer is now: one alone asks it, several share.

A read that no other accompanies goes to the writer itself, one wide-area round trip.
While one is under way, the others learn the writer's position together, and read at a
reader that has reached it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.consistency import Consistency
from globaldb.core.routing import NEAREST_READER, Decision, Target
from globaldb.core.topology import Role
from globaldb.runtime.flow.read import read
from globaldb.runtime.flow.write import write

if TYPE_CHECKING:
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: Why a decision was for the writer that a position of now would change.
_FOR_FRESHNESS: Final = frozenset(("global_read", "max_staleness"))

_SHARED: Final = "global_read_shared"


def needs_newest(decision: Decision) -> bool:
    """Whether a reader could serve, were it known where the writer is now."""
    return decision.reason in _FOR_FRESHNESS


async def read_newest(session: Session, work: Work, decision: Decision) -> None:
    """Serve a read outside a transaction whose *decision* `needs_newest`."""
    sharing = session.cluster.freshness
    if not _may_share(session):
        await write(session, work, decision.reason)
    elif sharing.go_alone():
        try:
            await write(session, work, decision.reason)
        finally:
            sharing.came_back()
    else:
        found = await as_of_now(session, decision, work.deadline)
        if found.target is Target.READER:
            await read(session, work, found)
        else:
            await write(session, work, found.reason)


async def as_of_now(
    session: Session, decision: Decision, deadline: float | None
) -> Decision:
    """Learn where the writer is, together with others, and decide for a reader.

    Returns *decision* as it is where that changes nothing, or cannot be learnt.
    """
    if not needs_newest(decision) or not _may_share(session):
        return decision
    newest = await session.shell.newest(deadline)
    if newest is None or newest.position.log is None:
        return decision
    if session.consistency is not Consistency.GLOBAL:
        return replace(
            decision,
            target=Target.READER,
            reason=NEAREST_READER,
            required=newest.position,
        )
    # The session's own writes count even where they are not durable yet.
    required = newest.position.after(session.books.floor)
    return replace(decision, target=Target.READER, reason=_SHARED, required=required)


def _may_share(session: Session) -> bool:
    """Whether a reader is near, and the writer's positions are exact."""
    cluster = session.cluster
    near, topology = cluster.near(region=session.region_option), cluster.topology
    writer = topology.writer
    if not near or near[0].role is not Role.READER or writer is None:
        return False
    if not writer.position:
        return False
    return not session.books.needs_writer(topology.epoch)
