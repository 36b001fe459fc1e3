"""Positions outside of a write: a session's token, and a reader asked how far it is."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.faults import Fault
from globaldb.core.position import Lsn, Position
from globaldb.core.topology import Role
from globaldb.core.trip import Trip
from globaldb.errors import Error
from globaldb.runtime.flow.faults import fault_of, raise_of_writer
from globaldb.runtime.flow.fence import look, shown
from globaldb.runtime.flow.patience import patience

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.flow.fence import Place
    from globaldb.runtime.flow.wait import Wait
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session


async def current_position(session: Session) -> Position | None:
    """Return the position that covers everything the session wrote or read so far.

    Costs nothing when it is known; otherwise one look at the reader last read from,
    or one round trip to the writer.
    """
    books = session.books
    session.hot = None
    if not books.position_unknown and books.read_node is not None:
        await leave_reader(session)
    apart = books.apart is not None
    if books.position_unknown or books.read_node is not None or apart:
        await capture_at_writer(session)
    return books.floor


async def capture_at_writer(session: Session) -> None:
    """Ask the writer where it is: that covers everything before."""
    deadline = session.deadline()
    until = patience(session, deadline)
    for last in (False, True):
        node = await session.shell.await_writer(until)
        if await _captured_at(session, node, deadline, last=last):
            return


async def _captured_at(
    session: Session, node: Node, deadline: float | None, *, last: bool
) -> bool:
    """Ask *node*; False when it is not the writer any more, and another one may be."""
    held = session.lease if session.node is node else None
    if session.transaction.active:
        held = None
    lease = held or await session.shell.borrow(node, deadline)
    link = lease.connection
    try:
        reply = await session.shell.travel(link, None, Trip(capture=True), deadline)
    finally:
        if lease is not held:
            session.hand_back(lease, node)
    error = reply.error or reply.position_problem
    if error is not None:
        fault = fault_of(session, error, link)
        if last or fault is not Fault.READ_ONLY or not link.standby:
            raise_of_writer(session, node, link, error)
        session.cluster.demoted(node.name)
        return False
    if reply.position is not None:
        session.books.captured(reply.position, monotonic(), whole=True)
        node.wrote(reply.position, reply.asked_at)
    return True


async def leave_reader(session: Session) -> bool:
    """Require, of every other node, what the last reader may have shown.

    Returns False when that reader can no longer tell: then only the writer will do.
    """
    books = session.books
    node = session.cluster.find(books.read_node or "")
    if node is None or node.doubted_at >= books.read_ended_at:
        # It may be older now than what it showed.
        return False
    state = node.state
    position, sampled_at = state.position, state.sampled_at
    if not position or sampled_at is None or state.role is not Role.READER:
        # It does not say how far it is. As the writer it says what is on its disk, and
        # shows what is not there yet, too.
        return False
    if books.left(Position(position, read=True), sampled_at):
        return True
    return state.reachable and not node.silent and await _leave_by_asking(session, node)


async def _leave_by_asking(session: Session, node: Node) -> bool:
    """Ask the last reader for what it may have shown; False when it cannot tell."""
    books = session.books
    try:
        lease = await session.shell.borrow(node, session.deadline())
    except Error:
        # It is gone, or has no connection to spare: the writer knows as much.
        session.cluster.suspect(node.name)
        return False
    link, asked_at = lease.connection, monotonic()
    try:
        answer = await shown(session, node, lease)
        if isinstance(answer, Lsn) and not link.standby:
            await _leave_promoted(session, node, lease)
            return False
    finally:
        session.hand_back(lease, node)
    return answer is not None and books.left(Position(answer, read=True), asked_at)


async def _leave_promoted(session: Session, node: Node, lease: Lease[Any]) -> None:
    """Require what the last reader has now that it is the writer.

    Nobody here has heard of that yet: the writer that is believed in may be the old one,
    which knows nothing of what the session has seen.
    """
    cluster, asked_at = session.cluster, monotonic()
    trip = Trip(capture=True)
    reply = await session.shell.travel(lease.connection, None, trip, session.deadline())
    cluster.suspect(node.name)
    log = None if reply.position is None else reply.position.log
    if reply.error is not None or reply.position_problem is not None or log is None:
        return
    cluster.learn(log.timeline)
    session.books.left(Position(log), asked_at)


async def wait_for(
    session: Session, lease: Lease[Any], place: Place, wait: Wait
) -> bool:
    """Wait until *place* has reached what it must have, while it is worth it."""
    while True:
        asked_at = monotonic()
        there = await look(session, place, lease, wait.patience)
        if there is None:
            return False
        if there:
            wait.found(asked_at)
            return True
        if not await wait.again(asked_at):
            return False
