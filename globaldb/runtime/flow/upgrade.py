"""A transaction that has only read so far runs at a reader, until its first write.

Then it goes on at the writer: BEGIN, everything it has done so far, and the write, in
one round trip. What it had read is compared with what the writer has now; where that
is different, the transaction is rolled back and fails as a serialization failure does.
See docs/decisions/0019-transactions-that-read-first.md.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from globaldb.core.consistency import Consistency
from globaldb.core.faults import READ_ELSEWHERE
from globaldb.core.idiom import may_commit
from globaldb.core.journal import Journal
from globaldb.core.routing import READS, Fence, Route, refuse_write
from globaldb.core.settings import after_rollback
from globaldb.core.shapes import Trail
from globaldb.core.topology import Role
from globaldb.core.transaction import TransactionState
from globaldb.core.trip import LinkStatus, Trip
from globaldb.runtime import events
from globaldb.runtime.flow import transaction as tx
from globaldb.runtime.flow.faults import fault_of, raise_unwanted, wanted
from globaldb.runtime.flow.fence import place_at
from globaldb.runtime.flow.placement import READS_SO_FAR, place
from globaldb.runtime.flow.reading import is_kept, why_not
from globaldb.runtime.flow.seek import borrow_writer
from globaldb.runtime.flow.send import company, send

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.position import Position
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

_MOVED = "transaction_moved"

_APART = "and nothing was applied; run it again from its start, or "
_REMAINS = (
    "but for what it has written to tables whose engine knows no transactions: look "
    "before you repeat it, and "
)

#: Seconds that a reader may take to end what was read there: else it is hung up on.
_FAREWELL = 0.5


async def first_statement(session: Session, work: Work) -> None:
    """Place a transaction, and run its first statement there."""
    if session.may_read_first:
        session.trail = Trail()
    placed = await place(session, work.statement, work.source, work.deadline)
    reason, node, lease = placed
    if reason != READS_SO_FAR:
        await tx.first_statement(session, work, placed)
        return
    session.applied_before = lease.connection.settings
    session.keep(lease, node)
    ordered = session.consistency is Consistency.SESSION
    session.journal = Journal(
        session.verifies, session.books.floor if ordered else None
    )
    await next_statement(session, work)


async def next_statement(session: Session, work: Work) -> None:
    """Run a statement of a transaction that has only read so far."""
    lease, node, journal = _held(session)
    if session.transaction.state is not TransactionState.FAILED and (
        _wants_the_writer(session)
        or not _still_fresh(session, node, journal)
        or why_not(session, work.statement, work.source) is not None
    ):
        await move(session, work)
        return
    pending = session.transaction.unsent
    trip = company(session, lease.connection, work.statement, capture=False)
    reply = await send(session, lease, work.call, trip, work.deadline)
    if _gives_up(session, lease, reply):
        session.cluster.suspect(node.name)
        await move(session, work)
        return
    if reply.prepared:
        journal.note(*pending)
    tx.take_in(session, node, lease, reply)
    if not _noted(session, journal, work):
        await move(session, work)
        return
    fence = _fence(session, node, journal)
    session.route = _route(work.statement, node, READS_SO_FAR, fence)


def _still_fresh(session: Session, node: Node, journal: Journal) -> bool:
    """Whether the reader has what has been required since, by a token for instance."""
    intent, books = session.intent, session.books
    if intent.consistency is not Consistency.SESSION:
        bound = intent.staleness_bound
        if intent.max_staleness is None:
            return True
        return bound is not None and _has(session, node, bound)
    if books.needs_writer(session.cluster.topology.epoch) is not None:
        return False
    floor = books.floor
    if journal.required is not floor:
        if not _has(session, node, floor):
            return False
        journal.required = floor
    return True


def _wants_the_writer(session: Session) -> bool:
    """Whether other wishes are in force than when the transaction began."""
    if session.route_option == "writer" or not session.may_read_first:
        return True
    return session.consistency is Consistency.GLOBAL


def _fence(session: Session, node: Node, journal: Journal) -> Fence:
    """Return what it rests on that the reader is fresh enough."""
    if session.consistency is not Consistency.SESSION or journal.required is None:
        return Fence.NONE
    place = place_at(session, node, journal.required)
    return Fence.BOUNDED if isinstance(place, str) else place.fence


def _has(session: Session, node: Node, required: Position | None) -> bool:
    place = place_at(session, node, required)
    return not isinstance(place, str) and place.caught_up


def _held(session: Session) -> tuple[Lease[Any], Node, Journal]:
    lease, node, journal = session.lease, session.node, session.journal
    assert lease is not None  # noqa: S101 - a journal is kept beside its reader
    assert node is not None  # noqa: S101 - as above
    assert journal is not None  # noqa: S101 - the caller looked
    return lease, node, journal


def _gives_up(session: Session, lease: Lease[Any], reply: Reply) -> bool:
    """Whether the reader, and not the statement, is to blame for an error."""
    if reply.error is None or not wanted(reply):
        return False
    if session.transaction.state is TransactionState.FAILED:
        # It cannot go on elsewhere.
        return False
    return fault_of(session, reply.error, lease.connection) in READ_ELSEWHERE


def _noted(session: Session, journal: Journal, work: Work) -> bool:
    """Keep what is needed to do it again; False where the answer does not serve."""
    if is_kept(work.statement):
        journal.again(work.recording(ordered=False, compared=False))
        return True
    if not (journal.verified and session.verifies and _is_data(work)):
        return True
    look = session.cluster.knowledge.looks.lookup(work.source).repeatable
    recording = work.recording(ordered=look.ordered, compared=True)
    if look.most is not None and recording.rows >= look.most:
        # Which of more rows these are is anybody's choice.
        return False
    if not journal.fits(recording):
        return False
    journal.read(recording)
    return True


def _is_data(work: Work) -> bool:
    """Whether an answer tells of data: not of plans, nor of a connection's state."""
    return work.statement.plain and work.statement.command != "EXPLAIN"


async def move(session: Session, work: Work | None) -> None:
    """Go on at the writer, there run *work* if any, and verify what was read.

    Raises a serialization failure when the writer has another answer to what the
    transaction has read; the transaction is rolled back then.
    """
    lease, reader, journal = _held(session)
    if work is not None and work.statement.verdict not in READS:
        refuse_write(session.intent, session.cluster.topology)
    session.journal = None
    deadline = session.deadline() if work is None else work.deadline
    try:
        await _leave(session, lease, reader, deadline)
        done = (*journal.done, *session.transaction.move())
        reply, node, lease = await _arrive(session, work, done, deadline)
    except BaseException:
        # Whatever the application does next, this transaction is not to go on.
        session.drop_lease()
        session.transaction.start_over()
        raise
    if session.trail is not None and journal.done:
        session.trail.upgraded = True
    if reply.changed is not None and reply.status is not LinkStatus.LOST:
        await _start_over(session, reader, reply)
    if work is None:
        tx.take_in(session, node, lease, reply)
        return
    session.failed(work.statement, reply)
    session.route = _route(work.statement, node, _MOVED, Fence.EXACT)
    script = may_commit(work.statement, session.idiom)
    tx.take_in(session, node, lease, reply, script=script)
    tx.pin_what_was_written(session)


async def _leave(
    session: Session, lease: Lease[Any], reader: Node, deadline: float | None
) -> None:
    """End the transaction at the reader; what it has shown stays accounted for."""
    session.lease = session.node = None
    session.books.read(reader.name, monotonic())
    link = lease.connection
    try:
        if link.link_status in (LinkStatus.OPEN, LinkStatus.FAILED):
            attempted = link.settings
            patience = monotonic() + _FAREWELL
            if deadline is not None:
                patience = min(patience, deadline)
            trip = Trip(alone=True, expendable=True)
            await session.shell.travel(link, b"ROLLBACK", trip, patience)
            link.settings = after_rollback(
                session.applied_before, attempted, session.idiom
            )
    finally:
        session.hand_back(lease, reader)


async def _arrive(
    session: Session, work: Work | None, done: tuple[Any, ...], deadline: float | None
) -> tuple[Reply, Node, Lease[Any]]:
    """Begin at the writer; once more where that was not its fault."""
    statement = None if work is None else work.statement
    once = statement is not None and (statement.multiple or statement.alone)
    while True:
        node, lease = await borrow_writer(session, deadline)
        tx.keep(session, statement, node, lease)
        trip = company(session, lease.connection, statement, capture=False)
        trip = replace(trip, repeats=done)
        call = None if work is None else work.call
        reply = await send(session, lease, call, trip, deadline)
        if once or not tx.may_begin_again(session, statement, reply):
            return reply, node, lease
        session.drop_lease()
        once = True


async def _start_over(session: Session, reader: Node, reply: Reply) -> NoReturn:
    """Roll back, take the writer's position along, and say what has changed.

    With that position the next attempt reads nothing that is as old.
    """
    lease, node = session.lease, session.node
    assert lease is not None  # noqa: S101 - the caller has just arrived there
    assert node is not None  # noqa: S101 - as above
    patience = monotonic() + session.cluster.config.connect_timeout
    trip, link = Trip(capture=True, alone=True), lease.connection
    try:
        after = await session.shell.travel(link, b"ROLLBACK", trip, patience)
        remains = after.remains
        link.settings = after_rollback(
            session.applied_before, link.settings, session.idiom
        )
        if after.position is not None:
            session.books.captured(after.position, monotonic(), whole=True)
    finally:
        session.transaction.start_over()
        session.release()
    raise_unwanted(reply)
    if session.trail is not None:
        session.trail.changed = session.trail.wrote = True
    events.transaction_changed(session, reader, node)
    # Then nobody is told to repeat it.
    session.transaction.divided |= remains
    raise session.cluster.driver.serialization_failure(
        f"this transaction has read at {reader.name} what is different at the writer "
        f"{node.name} now, where it was to go on: {reply.changed}. It was rolled back "
        f"{_REMAINS if remains else _APART}begin it with a write or inside "
        "using(route='writer')"
    )


def _route(statement: Any, node: Node, reason: str, fence: Fence) -> Route:
    state = node.state
    return Route(
        role=Role.READER if reason == READS_SO_FAR else Role.WRITER,
        node=node.name,
        region=state.region,
        reason=reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=fence,
    )
