"""Positions outside of a write: a session's token, and a reader asked how far it is."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.position import Lsn, Position
from globaldb.core.trip import Trip
from globaldb.runtime.flow.faults import fault_of, raise_fault

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session

#: Pauses between looks at a reader that has not caught up: the first ones are short,
#: because most waits are.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.02


async def current_position(session: Session) -> Position | None:
    """Return the position that covers everything the session wrote or read so far.

    Costs nothing when it is known; otherwise one look at the reader last read from,
    or one round trip to the writer.
    """
    books = session.books
    session.hot = None
    if not books.position_unknown and books.read_node is not None:
        await leave_reader(session)
    if books.position_unknown or books.read_node is not None:
        await capture_at_writer(session)
    return books.floor


async def capture_at_writer(session: Session) -> None:
    """Ask the writer where it is: that covers everything before."""
    deadline = session.deadline()
    connect = monotonic() + session.cluster.config.connect_timeout
    node = await session.shell.await_writer(connect)
    held = session.lease if session.node is node else None
    if session.transaction.active:
        held = None
    lease = held or await session.shell.borrow(node, deadline)
    try:
        reply = await session.shell.travel(
            lease.connection, None, Trip(capture=True), deadline
        )
    finally:
        if lease is not held:
            session.hand_back(lease, node)
    error = reply.error or reply.position_problem
    if error is not None:
        raise_fault(error)
    if reply.position is not None:
        session.books.captured(reply.position, monotonic())


async def leave_reader(session: Session) -> bool:
    """Require, of every other node, what the last reader may have shown.

    Returns False when that reader can no longer tell: then only the writer will do.
    """
    books = session.books
    node = session.cluster.nodes[books.read_node or ""]
    state = node.state
    position, sampled_at = state.position, state.sampled_at
    if position is None or sampled_at is None:
        return False
    if books.left(Position(position), sampled_at):
        return True
    if not state.reachable:
        return False
    lease = await session.shell.borrow(node, session.deadline())
    try:
        asked_at = monotonic()
        answer = await replayed(session, node, lease)
    finally:
        session.hand_back(lease, node)
    return answer is not None and books.left(Position(answer), asked_at)


async def replayed(session: Session, node: Node, lease: Lease[Any]) -> Lsn | None:
    """Ask a reader how far it has replayed; None when it cannot or will not tell."""
    reply = await session.shell.travel(
        lease.connection, None, Trip(guard=True), session.deadline()
    )
    if reply.error is not None:
        fault_of(session, reply.error, lease.connection)
        return None
    return position_of(node, reply.replayed)


def position_of(node: Node, value: int | None) -> Lsn | None:
    """Make a position of what a reader said; it grows what is known of the node.

    The timeline is that of the last probe. A reader moves to a newer timeline only
    where the two agree, so a number reached since then counts for the older one.
    """
    sampled = node.state.position
    if value is None or sampled is None:
        return None
    position = Lsn(value, sampled.timeline)
    node.saw(position)
    return position


async def wait_for(
    session: Session, node: Node, lease: Lease[Any], required: Position, until: float
) -> bool:
    """Wait until *node* has replayed *required*, no longer than *until*."""
    pause = _FIRST_PAUSE
    while True:
        position = await replayed(session, node, lease)
        if position is None or required.lsn is None:
            return False
        if position.covers(required.lsn):
            if session.books.floor == required:
                node.caught_up_after(monotonic() - session.books.floor_at)
            return True
        remaining = until - monotonic()
        if remaining <= 0:
            if session.books.floor == required:
                # It takes at least that long: the next one need not wait to learn it.
                node.caught_up_after(monotonic() - session.books.floor_at)
            return False
        await session.shell.sleep(min(pause, remaining))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
