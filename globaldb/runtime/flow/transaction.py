"""Transactions: begun with their first statement, ended with their position."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from globaldb.core.consistency import Consistency
from globaldb.core.faults import Fault, FaultVerdict, Sent, verdict
from globaldb.core.idiom import may_commit, outlives
from globaldb.core.lending import Outcome
from globaldb.core.outcome import Fate
from globaldb.core.routing import Fence, Route
from globaldb.core.settings import after_rollback
from globaldb.core.statement import Statement, Verdict
from globaldb.core.topology import Role
from globaldb.core.transaction import TransactionMode, TransactionState
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.runtime import events
from globaldb.runtime.flow.faults import (
    fault_of,
    lost,
    raise_demoted,
    raise_fault,
    raise_lost,
    raise_of_writer,
    raise_rolled_back,
    raise_unknown,
    verdict_of,
    wanted,
)
from globaldb.runtime.flow.forwarding import refuse_kind, settings_for
from globaldb.runtime.flow.outcome import ROLLED_BACK, become
from globaldb.runtime.flow.placement import ON_READER, Placed, place
from globaldb.runtime.flow.send import company, send, settle
from globaldb.runtime.flow.shared import share
from globaldb.runtime.flow.write import refuse_foreign

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session


_SAVEPOINT: Final = Statement(Verdict.TRANSACTION, "savepoint", "SAVEPOINT")


def begin(session: Session, mode: TransactionMode) -> None:
    """Start a transaction in the books; the server hears of it later."""
    # What is not pinned any more has lost its locks.
    session.transaction.tables_locked &= session.pinned_whole
    asked, session.next_mode = mode.over(session.next_mode), TransactionMode()
    session.transaction.begin(asked.over(session.mode))
    session.settings.begin()
    session.moored = False
    session.hot = None


async def begin_now(session: Session, deadline: float | None) -> None:
    """Have a server begin the transaction without waiting for its first statement."""
    _, node, lease = await place(session, None, None, deadline)
    keep(session, None, node, lease)
    trip = company(session, lease.connection, None, capture=False)
    reply = await send(session, lease, None, trip, deadline)
    take_in(session, node, lease, reply)


async def first_statement(session: Session, work: Work, placed: Placed) -> None:
    """Run the first statement of a transaction where it was *placed*, behind BEGIN."""
    reason, node, lease = placed
    reply = await _run(session, work, node, lease)
    if _try_again(session, work, reply, reason):
        session.drop_lease()
        reason, node, lease = await place(
            session, work.statement, work.source, work.deadline
        )
        reply = await _run(session, work, node, lease)
    session.route = _route(session, work, node, reason)
    script = may_commit(work.statement, session.idiom)
    take_in(session, node, lease, reply, script=script)
    pin_what_was_written(session)


def pin_what_was_written(session: Session) -> None:
    """Keep the writer's connection for a session that asks for currval()."""
    if session.pin_writes and session.on_writer:
        session.pinned_whole = True


def _try_again(session: Session, work: Work, reply: Reply, reason: str) -> bool:
    """Whether a first statement that failed may be run again elsewhere.

    Nothing of a transaction survives its connection, unless its text held a COMMIT.
    """
    if work.statement.multiple or work.statement.alone:
        return False
    at_reader = reason in ON_READER
    return may_begin_again(session, work.statement, reply, at_reader=at_reader)


def may_begin_again(
    session: Session,
    statement: Statement | None,
    reply: Reply,
    *,
    at_reader: bool = False,
) -> bool:
    """Whether what has just failed to begin on the lease held may begin elsewhere."""
    lease, node = session.lease, session.node
    if reply.error is None or lease is None or node is None:
        return False
    fault = fault_of(session, reply.error, lease.connection)
    if fault is Fault.READ_ONLY:
        if at_reader or not lease.connection.standby:
            return False
        session.cluster.demoted(node.name)
        return True
    if statement is not None and outlives(statement, session.idiom):
        alone = Sent.STATEMENT if reply.sent else Sent.NOTHING
        if verdict(fault, alone, writes=True) is FaultVerdict.UNKNOWN:
            return False
    again = verdict(fault, Sent.FIRST, writes=True) is FaultVerdict.ELSEWHERE
    return again and wanted(reply)


def keep(
    session: Session, statement: Statement | None, node: Node, lease: Lease[Any]
) -> None:
    """Hold *lease* for the transaction that begins on it with *statement*."""
    session.applied_before = lease.connection.settings
    if statement is not None:
        try:
            refuse_foreign(session, statement, lease)
        except BaseException:
            session.hand_back(lease, node)
            raise
    session.keep(lease, node)


async def _run(session: Session, work: Work, node: Node, lease: Lease[Any]) -> Reply:
    keep(session, work.statement, node, lease)
    trip = company(session, lease.connection, work.statement, capture=False)
    reply = await send(session, lease, work.call, trip, work.deadline)
    session.failed(work.statement, reply)
    return reply


def take_in(
    session: Session,
    node: Node,
    lease: Lease[Any],
    reply: Reply,
    *,
    script: bool = False,
) -> None:
    """Update the books after a statement inside a transaction; raise its error.

    A *script*, which may commit by itself, may have done so before its connection was
    lost.
    """
    settle(session, lease, node, reply)
    transaction = session.transaction
    if not session.on_writer and reply.status is not LinkStatus.LOST:
        session.books.read(node.name, monotonic())
    if reply.error is None:
        return
    if (
        reply.status is LinkStatus.LOST
        or fault_of(session, reply.error, lease.connection) is Fault.OUTCOME_UNKNOWN
    ):
        _lost(session, node)
        if script and reply.sent:
            raise_unknown(session, node, reply, "the statement")
        raise_lost(session, node, reply, "the transaction was committed")
    if reply.status is LinkStatus.IDLE and transaction.state is TransactionState.BEGUN:
        # The application believes in a transaction that no server has begun. What
        # never left changes nothing; else it has failed, as any statement would.
        if reply.sent:
            transaction.lost()
        session.release()
    if session.on_writer:
        raise_of_writer(session, node, lease.connection, reply.error)
    raise_fault(reply.error)


def _lost(session: Session, node: Node) -> None:
    session.cluster.suspect(node.name)
    session.transaction_lost()


async def commit(session: Session) -> None:
    """Commit; on the writer the position comes back in the same round trip."""
    transaction = session.transaction
    if transaction.state in (TransactionState.IDLE, TransactionState.BEGUN):
        session.end_transaction(committed=True)
        return
    if transaction.rolled_back:
        # As a server answers COMMIT in a transaction that has failed.
        session.end_transaction(committed=False)
        return
    lease, node = session.lease, session.node
    if session.journal is not None and lease and lease.connection.hung_up():
        _read_and_gone(session)
        return
    if lease is None or node is None or lease.connection.hung_up():
        session.end_transaction(committed=False)
        session.account()
        session.release()
        raise lost(
            session,
            "the transaction was lost with its connection, and rolled back by the "
            "server",
        )
    writer = session.on_writer
    ok = transaction.state is TransactionState.OPEN
    trip = Trip(capture=writer, alone=not ok)
    deadline = session.deadline()
    try:
        reply = await session.shell.travel(lease.connection, b"COMMIT", trip, deadline)
    except BaseException:
        lease.connection.spoiled = True
        session.books.lost_position()
        session.certainly_defined(session.defining)
        _finish(session, lease, committed=False)
        raise
    if session.journal is not None and reply.status is LinkStatus.LOST:
        _read_and_gone(session)
        return
    await _committed(session, node, lease, reply, writer=writer, ok=ok)
    if session.shared is not None:
        await share(session)


def _read_and_gone(session: Session) -> None:
    """End a transaction that has only read, and whose reader has gone since.

    Every answer was delivered: nothing is lost.
    """
    session.end_transaction(committed=True)
    session.account()
    session.release(Outcome.DISCARD)


async def _committed(
    session: Session,
    node: Node,
    lease: Lease[Any],
    reply: Reply,
    *,
    writer: bool,
    ok: bool,
) -> None:
    _account(session, node, reply, writer=writer)
    wrote = writer or session.forwarded is not None
    done = reply.done and ok
    next_ = FaultVerdict.RAISE
    if not reply.done:
        # Before the connection is given back, and perhaps closed.
        link = lease.connection
        next_ = verdict_of(session, reply, link, Sent.COMMIT, writes=wrote)
    if next_ is FaultVerdict.UNKNOWN:
        await _undecided(session, node, lease, reply, ok=ok)
        return
    defining = session.defining
    _finish(session, lease, committed=done)
    if next_ is FaultVerdict.LOST:
        # Perhaps they are there.
        session.certainly_defined(defining)
    if reply.error is not None:
        _raise_of_commit(session, node, reply, next_)


def _account(session: Session, node: Node, reply: Reply, *, writer: bool) -> None:
    """Take in how far the session is with what it has committed, or read."""
    if reply.position_problem is not None:
        events.position_missing(session, node, reply)
    if reply.position is not None:
        session.books.captured(reply.position, monotonic())
        node.wrote(reply.position, reply.asked_at)
    elif writer:
        session.books.lost_position()
    else:
        session.books.read(node.name, monotonic())


async def _undecided(
    session: Session, node: Node, lease: Lease[Any], reply: Reply, *, ok: bool
) -> None:
    """End a transaction whose COMMIT was not answered as it has ended at the server.

    Raises unless it is known to be committed, or had failed before: what a server
    answers to COMMIT then is that it rolled back.
    """
    session.cluster.suspect(node.name)
    defining, pinned, found = session.defining, session.pinned, ROLLED_BACK
    try:
        if ok:
            found = await become(session, node, reply)
    finally:
        committed = found.fate is Fate.COMMITTED
        if not committed:
            session.certainly_defined(defining)
        if committed and pinned:
            # The connection stays, to tell of what has gone with it.
            session.end_transaction(committed=True)
        else:
            _finish(session, lease, committed=committed)
    if found.fate is Fate.UNKNOWN:
        raise_unknown(session, node, reply, "COMMIT", why=found.why)
    if ok and not committed:
        raise_rolled_back(session, node, reply)


def _raise_of_commit(
    session: Session, node: Node, reply: Reply, next_: FaultVerdict
) -> NoReturn:
    """Raise what the failure of a COMMIT means."""
    assert reply.error is not None  # noqa: S101 - the caller looked
    if next_ is FaultVerdict.LOST:
        session.cluster.suspect(node.name)
        raise_lost(session, node, reply, "the transaction was committed")
    if next_ is FaultVerdict.DEMOTED:
        raise_demoted(session, node, reply.error)
    raise_fault(reply.error)


async def rollback(session: Session) -> None:
    """Roll back. What was read on the writer meanwhile is covered by its position."""
    transaction = session.transaction
    lease, node = session.lease, session.node
    sent = transaction.state in (TransactionState.OPEN, TransactionState.FAILED)
    if not sent or lease is None or node is None:
        session.end_transaction(committed=False)
        return
    # A server that loses the connection rolls back, too.
    trip = Trip(capture=session.on_writer, alone=True, expendable=True)
    longest = monotonic() + session.cluster.config.connect_timeout
    deadline = min(longest, session.deadline() or longest)
    try:
        reply = await session.shell.travel(
            lease.connection, b"ROLLBACK", trip, deadline
        )
        if reply.position is not None:
            session.books.captured(reply.position, monotonic())
        elif not session.on_writer:
            session.books.read(node.name, monotonic())
        else:
            session.books.lost_position()
    finally:
        _finish(session, lease, committed=False)
    # A connection lost now is no error: the server rolls back what it held.
    if reply.error is not None and reply.status is not LinkStatus.LOST:
        raise_fault(reply.error)


def savepoint(session: Session, name: str) -> None:
    """Set a savepoint; it is sent with the next statement."""
    refuse_kind(session, _SAVEPOINT)
    session.transaction.savepoint(name, session.idiom.savepoint(name))
    session.settings.savepoint(name)


def release(session: Session, name: str) -> None:
    """Release a savepoint; it is sent with the next statement, if it has to be."""
    session.transaction.release(name, session.idiom.release(name))
    session.settings.release(name)


async def rollback_to(session: Session, name: str) -> None:
    """Roll back to a savepoint."""
    sql = session.idiom.rollback_to(name)
    transaction = session.transaction
    lease, node = session.lease, session.node
    must_send = transaction.rollback_to(name)
    session.settings.rollback_to(name)
    if not must_send or lease is None or node is None:
        return
    reply = await session.shell.travel(
        lease.connection,
        sql.encode(),
        Trip(before=transaction.pending),
        session.deadline(),
    )
    # With a reader's connection nothing is lost: what is noted is done again elsewhere.
    moves = session.journal is not None and reply.status is LinkStatus.LOST
    if reply.error is None or moves:
        if session.journal is not None:
            session.journal.note(*transaction.unsent, sql)
        transaction.rolled_back_to()
        lease.connection.settings = settings_for(session, lease.connection)
        return
    take_in(session, node, lease, reply)


def _finish(session: Session, lease: Lease[Any], *, committed: bool) -> None:
    """Close the books of a transaction that is over on the server."""
    link = lease.connection
    attempted = link.settings
    session.end_transaction(committed=committed)
    if not committed:
        link.settings = after_rollback(session.applied_before, attempted, session.idiom)
    session.release()


def _route(session: Session, work: Work, node: Node, reason: str) -> Route:
    state = node.state
    return Route(
        role=state.role,
        node=node.name,
        region=node.region,
        reason=reason,
        verdict=work.statement.verdict.value,
        statement=work.statement.reason,
        fence=Fence.EXACT
        if state.role is Role.WRITER or session.consistency is Consistency.SESSION
        else Fence.NONE,
    )
