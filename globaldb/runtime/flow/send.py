"""One statement to one connection, and the session's books brought up to date."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.routing import READS
from globaldb.core.settings import Settings, after_rollback, replay
from globaldb.core.statement import Verdict
from globaldb.core.transaction import TransactionMode, TransactionState
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.runtime import events
from globaldb.runtime.flow.forwarding import settings_for
from globaldb.runtime.flow.outcome import traces
from globaldb.runtime.flow.touch import announce

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.statement import Statement
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: Reasons of statements that are more than a read, and draw from no sequence.
_DRAW_NOTHING: Final = frozenset(("advisory_lock", "listen", "locking_clause"))


def company(
    session: Session, link: Any, statement: Statement | None, *, capture: bool
) -> Trip:
    """Tell what has to travel with *statement* to *link*."""
    before = replay(link.settings, settings_for(session, link), session.idiom)
    if link.begins_by_itself and not session.transaction.active:
        before = ("SET autocommit = 1", *before)
    alone = statement is not None and statement.alone
    script = statement is not None and statement.multiple
    if statement is not None and statement.reason == "opaque_body":
        session.untidy = link if session.idiom.begins_anew else None
    return Trip(
        before=(*before, *session.transaction.pending),
        capture=capture and not script,
        trace=traces(session, link, statement),
        alone=alone,
        script=script,
    )


async def send(
    session: Session,
    lease: Lease[Any],
    call: Any,
    trip: Trip,
    deadline: float | None,
) -> Reply:
    """Send *call*; what cannot stand beside it goes ahead in trips of its own."""
    link = lease.connection
    link.face = session.face
    may_draw(session, link, session.work)
    link.last_session = session.id
    announce(session, link, call)
    _renew(session, link)
    try:
        if trip.guard and (trip.alone or trip.script):
            ahead = await session.shell.travel(
                link, None, Trip(guard=trip.guard), deadline
            )
            if ahead.error is not None:
                return ahead
            trip = replace(trip, guard=None)
            reply = await _with_company(session, link, call, trip, deadline)
            _tell(ahead, reply)
            return reply
        return await _with_company(session, link, call, trip, deadline)
    except BaseException:
        _interrupted(session, link)
        raise


def may_draw(session: Session, link: Any, work: Work | None) -> None:
    """Take note of where the session may have drawn from a sequence last."""
    if session.wrote_on is link and link.last_session != session.id:
        # What currval() tells there is somebody else's by now.
        session.wrote_on = None
    if link.standby or (work is not None and _draws_nothing(work.statement)):
        return
    session.wrote_on = link


def _draws_nothing(statement: Statement) -> bool:
    if statement.verdict is Verdict.SAME_CONNECTION:
        # A cursor may draw with each row.
        return statement.command in {"SELECT", "SHOW"}
    return (
        statement.verdict in READS
        or statement.verdict is Verdict.SESSION
        or statement.reason in _DRAW_NOTHING
    )


def _renew(session: Session, link: Any) -> None:
    """Drop the plans that are older than a definition made on another connection.

    On one connection the ALTER would have made the driver drop them, too. Outside a
    transaction a refused plan is made anew; inside one it would be an error.
    """
    definitions = session.cluster.catalog.changes
    if link.definitions != definitions:
        link.definitions = definitions
        link.renew_statements()


def _tell(ahead: Reply, reply: Reply) -> None:
    """Have *reply* tell what the reader was asked in a trip of its own."""
    reply.replayed, reply.reached, reply.lag = ahead.replayed, ahead.reached, ahead.lag
    reply.last_commit, reply.horizon = ahead.last_commit, ahead.horizon
    reply.guard_problem = ahead.guard_problem


async def _with_company(
    session: Session, link: Any, call: Any, trip: Trip, deadline: float | None
) -> Reply:
    attempted = settings_for(session, link)
    changes = _ahead(session, link, call, trip)
    if changes:
        ahead = await session.shell.travel(link, None, Trip(before=changes), deadline)
        _applied(session, link, ahead, attempted)
        if ahead.error is not None:
            return _never_left(ahead)
        session.applied_before = link.settings
        trip = replace(trip, before=trip.before[len(changes) :])
        if call is None and trip.plain:
            return ahead
    if (trip.before or trip.repeats) and (trip.alone or trip.script):
        ahead = await session.shell.travel(
            link, None, Trip(before=trip.before, repeats=trip.repeats), deadline
        )
        _applied(session, link, ahead, attempted)
        if ahead.error is not None or ahead.changed is not None:
            return _never_left(ahead)
        _note_begun(session, ahead)
        trip = replace(trip, before=(), repeats=())
    reply = await session.shell.travel(link, call, trip, deadline)
    if trip.before:
        _applied(session, link, reply, attempted)
    return reply


def _interrupted(session: Session, link: Any) -> None:
    """Take note of an interruption: what was sent may have run, its commit too."""
    link.spoiled = True
    session.books.lost_position()
    status = link.link_status
    _sync_transaction(session, status, committed=False)
    if status is LinkStatus.LOST and session.lease is not None:
        if session.transaction.active:
            session.transaction_lost()
        else:
            # Still busy, perhaps: a pinned session shall be told what it has lost.
            session.cluster.driver.close(link)


def _never_left(ahead: Reply) -> Reply:
    """Say that the statement, which stood behind this trip, was not sent."""
    if ahead.status is LinkStatus.LOST:
        ahead.sent = False
    return ahead


def _ahead(session: Session, link: Any, call: Any, trip: Trip) -> tuple[str, ...]:
    """Return the settings to replay if some of them must not share the trip.

    What only acts on later transactions: the statement would still begin as the last
    borrower of the connection wanted it. And the encoding: parameters are encoded
    before anything is sent.
    """
    pending = session.transaction.pending
    changes = trip.before[: len(trip.before) - len(pending)]
    later = any("default_transaction_" in sql for sql in changes)
    if call is not None and _encoding(link.settings) != _encoding(
        session.settings.current
    ):
        later = True
    unsent = session.transaction.state in (
        TransactionState.IDLE,
        TransactionState.BEGUN,
    )
    return changes if later and unsent else ()


def _encoding(settings: Settings) -> str | None:
    return dict(settings).get("client_encoding")


def _applied(session: Session, link: Any, reply: Reply, attempted: Settings) -> None:
    """Count settings as applied only when the unit they stood in succeeded."""
    if reply.error is None or (reply.prepared and session.transaction.active):
        link.settings = attempted
    elif reply.prepared:
        link.settings = after_rollback(link.settings, attempted, session.idiom)
    elif reply.sent and reply.status is LinkStatus.IDLE:
        # Whatever could not be done or undone here, the next borrower need not
        # stumble over it as well.
        session.cluster.driver.close(link)


def _note_begun(session: Session, reply: Reply) -> None:
    if reply.status is LinkStatus.OPEN and session.transaction.pending:
        session.transaction.sent()


def settle(
    session: Session,
    lease: Lease[Any],
    node: Node,
    reply: Reply,
    *,
    reads: bool = False,
) -> None:
    """Bring the transaction's books up to what the server said, and let go.

    *reads* says that the statement was a read, outside a transaction.
    """
    if reply.sent and reply.status is not LinkStatus.LOST:
        node.answered += 1
    if session.lease is None and reply.status in (LinkStatus.OPEN, LinkStatus.FAILED):
        session.keep(lease, node)
    done = reply.error is None
    left = done or reply.sent or reply.prepared
    _sync_transaction(session, reply.status, committed=done, left=left)
    if reply.trace is not None and session.transaction.active:
        session.transaction.trace = reply.trace
    if reply.position_problem is not None:
        events.position_missing(session, node, reply)
    if reply.position is not None:
        books = session.books
        take = books.read_at_writer if reads else books.captured
        take(reply.position, monotonic())
        node.wrote(reply.position, reply.asked_at)


def _sync_transaction(
    session: Session, status: LinkStatus, *, committed: bool, left: bool = True
) -> None:
    """Bring the transaction's books up to *status*.

    What the client refused to send has not *left*, nor what was to go with it.
    """
    transaction = session.transaction
    if status in (LinkStatus.OPEN, LinkStatus.FAILED):
        if not transaction.active:
            # A script, or a statement the client does not parse, began one.
            transaction.begin(TransactionMode())
            session.settings.begin()
        begun = transaction.state is TransactionState.BEGUN
        if begun or (left and transaction.pending):
            transaction.sent()
        if status is LinkStatus.FAILED:
            transaction.failed()
    elif transaction.state in (TransactionState.OPEN, TransactionState.FAILED) or (
        # Begun and ended in one trip: PREPARE TRANSACTION.
        transaction.state is TransactionState.BEGUN and committed
    ):
        if status is LinkStatus.LOST:
            transaction.lost()
        else:
            # The statement itself ended the transaction (a script, a procedure), and
            # nobody asked for a position behind it.
            session.end_transaction(committed=committed)
            session.books.lost_position()
