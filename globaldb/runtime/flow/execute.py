"""One statement of the application, from its verdict to its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.faults import FaultVerdict, Sent
from globaldb.core.idiom import may_commit
from globaldb.core.routing import READS, Fence, Route, Target, decide, refuse_write
from globaldb.core.statement import (
    Begin,
    Commit,
    Execute,
    Prepare,
    PrepareTransaction,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
    SetTransaction,
    Statement,
    Verdict,
)
from globaldb.core.topology import Role
from globaldb.core.transaction import TransactionMode, TransactionState
from globaldb.core.trip import LinkStatus
from globaldb.errors import InternalError
from globaldb.runtime import events
from globaldb.runtime.flow import transaction as tx, upgrade
from globaldb.runtime.flow.causality import learn
from globaldb.runtime.flow.faults import (
    raise_fault,
    raise_lost,
    raise_unknown,
    verdict_of,
)
from globaldb.runtime.flow.forwarding import (
    know_writer,
    native_target,
    noted,
    refuse_unsupported,
)
from globaldb.runtime.flow.gone import leave_demoted, refuse_gone
from globaldb.runtime.flow.leave import leave_if_needed
from globaldb.runtime.flow.native import before_native, run_natively
from globaldb.runtime.flow.newest import needs_newest, read_newest
from globaldb.runtime.flow.outcome import worth_two_trips
from globaldb.runtime.flow.read import find_reader, read
from globaldb.runtime.flow.reading import follow
from globaldb.runtime.flow.remains import left_behind
from globaldb.runtime.flow.requirement import bring_up_to_date
from globaldb.runtime.flow.resolved import write_in_two_trips
from globaldb.runtime.flow.send import company, send
from globaldb.runtime.flow.settings import is_setting, make_setting
from globaldb.runtime.flow.shared import share
from globaldb.runtime.flow.touch import reads_of
from globaldb.runtime.flow.write import refuse_foreign, write

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session


async def execute(session: Session, work: Work) -> None:
    """Execute *work* where it belongs; its cursor holds the answer afterwards."""
    session.refuse_closed()
    # What ends a transaction decides nothing, and may change the session's own wishes.
    if work.statement.hints and type(work.statement.action) not in _HANDLERS:
        with session.using(**dict(work.statement.hints)):
            await _observed(session, work)
    else:
        await _observed(session, work)
    if session.shared is not None:
        await share(session)


async def _observed(session: Session, work: Work) -> None:
    if not events.each_statement():
        await _execute(session, work)
        return
    started, problem = monotonic(), None
    try:
        await _execute(session, work)
    except Exception as error:
        problem = error
        raise
    finally:
        events.statement(session, work, monotonic() - started, problem)


async def _execute(session: Session, work: Work) -> None:
    # Whatever happens now, the next read decides anew; a plain read warms it again.
    session.hot = None
    session.work = work
    try:
        await _handle(session, work)
    finally:
        session.work = None
        floors = session.books.tables
        if floors is not None and not session.transaction.active:
            floors.ended()


async def _handle(session: Session, work: Work) -> None:
    statement = work.statement
    await know_writer(session, statement)
    refuse_unsupported(session, statement, work.source)
    handle = _HANDLERS.get(type(statement.action))
    if statement.multiple:
        handle = None
    if handle is not None and await handle(session, work, statement.action):
        return
    if isinstance(statement.action, Execute):
        work.statement = _prepared(session, statement, statement.action)
    if _opaque_state(statement):
        # What it leaves behind nobody can make again elsewhere.
        work.statement = replace(statement, verdict=Verdict.PIN)
    await _begin_or_commit(session, statement)
    if is_setting(statement) and not statement.multiple:
        await make_setting(session, work, run)
    else:
        await run(session, work)


async def _begin_or_commit(session: Session, statement: Statement) -> None:
    """Bring the transaction into the state in which a server runs *statement*."""
    if session.idiom.commits_first(statement):
        # Where one is open at the writer, the server itself commits: but not before
        # it has understood the statement.
        begun = session.transaction.state in _ON_SERVER and session.on_writer
        if session.transaction.active and not begun:
            await tx.commit(session)
    elif session.idiom.begins(statement):
        begin_if_needed(session)


def _opaque_state(statement: Statement) -> bool:
    return statement.verdict is Verdict.SESSION and statement.action is None


def begin_if_needed(session: Session) -> None:
    """Outside autocommit every statement is in a transaction, as PEP 249 says."""
    if not session.autocommit and not session.transaction.active:
        tx.begin(session, TransactionMode())


def refuse_unforwarded(session: Session, work: Work) -> None:
    """Refuse a write on a connection to the writer that was kept for other reasons."""
    writes = work.statement.verdict in (Verdict.WRITE, Verdict.PIN)
    if session.consistency is None and writes and session.on_writer:
        refuse_write(session.intent, session.cluster.topology)


async def run(session: Session, work: Work) -> None:
    """Run *work* on the lease held, or choose a node for it."""
    if session.journal is not None:
        await upgrade.next_statement(session, work)
        _finished(session, work)
        return
    await before_native(session, work)
    await leave_if_needed(session, work.statement)
    if session.lease is not None:
        if not await _beside_lease(session, work):
            await _on_lease(session, work)
        return
    if session.transaction.state is TransactionState.FAILED:
        raise InternalError(
            "the transaction is over at the server (its connection was lost, or it "
            "had to start over): roll back, then try again"
        )
    await bring_up_to_date(session)
    if session.transaction.active:
        await upgrade.first_statement(session, work)
        _finished(session, work)
    else:
        await _alone(session, work)


async def _alone(session: Session, work: Work) -> None:
    """Choose a node for *work*, which is in no transaction, and run it there."""
    native = native_target(session, work.statement, work.source)
    if native is not None and await run_natively(session, work, native):
        return
    decision = decide(
        work.statement,
        session.intent,
        session.books,
        session.cluster.topology,
        reads_of(session, work),
    )
    if decision.target is Target.READER:
        await read(session, work, decision)
    elif needs_newest(decision):
        await read_newest(session, work, decision)
    elif worth_two_trips(session, work.statement):
        finished = partial(_finished, session, work)
        await write_in_two_trips(session, work, decision.reason, finished)
    else:
        await write(session, work, decision.reason)


async def _beside_lease(session: Session, work: Work) -> bool:
    """Read at a reader although the session holds a connection to the writer.

    Only where nothing but temporary tables lives there, and *work* names none. Answers
    False where no reader is known to be fresh enough.
    """
    if not free_of_lease(session, work.statement, work.source):
        return False
    learn(session)
    topology, reads = session.cluster.topology, reads_of(session, work)
    decision = decide(work.statement, session.intent, session.books, topology, reads)
    if decision.target is not Target.READER:
        return False
    place = await find_reader(session, decision, [])
    if isinstance(place, str) or not place.caught_up:
        return False
    await read(session, work, decision, otherwise=_where_it_lives)
    return True


def free_of_lease(session: Session, statement: Statement, sql: str | bytes) -> bool:
    """Whether nothing that lives on the lease has a part in a read."""
    if session.transaction.active or session.pinned_whole or not session.on_writer:
        return False
    return not (
        not statement.plain
        or statement.command == "EXECUTE"
        or session.temporary.named_in(sql)
        or session.cluster.knowledge.runs_functions(sql)
    )


async def _where_it_lives(
    session: Session, work: Work, _reason: str, *, tried: tuple[str, ...] = ()
) -> None:
    """Run on the lease after all what readers gave up: it is the session's writer."""
    await _on_lease(session, work)
    if session.route is not None:
        session.route = replace(session.route, tried=tried)


async def _on_lease(session: Session, work: Work) -> None:
    """Run *work* on the connection the session holds."""
    lease, node = session.lease, session.node
    assert lease is not None  # noqa: S101 - the caller looked
    assert node is not None  # noqa: S101 - kept together with the lease
    transaction = session.transaction
    inside = transaction.active
    if not inside:
        refuse_gone(session)
    refuse_unforwarded(session, work)
    if transaction.state is not TransactionState.FAILED:
        refuse_foreign(session, work.statement, lease)
    if transaction.state is TransactionState.BEGUN:
        session.applied_before = lease.connection.settings
    commits = session.idiom.commits_first(work.statement)
    capture = session.on_writer and (not inside or commits)
    trip = company(session, lease.connection, work.statement, capture=capture)
    reply = await send(session, lease, work.call, trip, work.deadline)
    if transaction.state is not TransactionState.FAILED:
        session.failed(work.statement, reply)
    if not inside and not reply.done:
        _raise_if_lost(session, work, node, lease, reply)
    if capture and reply.position is None and reply.sent:
        session.books.lost_position()
    defining = session.defining
    script = may_commit(work.statement, session.idiom)
    # What has been prepared stays, whatever becomes of its connection.
    script |= isinstance(work.statement.action, PrepareTransaction)
    tx.take_in(session, node, lease, reply, script=script)
    _succeeded(session, work)
    if isinstance(work.statement.action, PrepareTransaction):
        session.cluster.catalog.prepared(work.statement.action.gid, defining)
    session.route = Route(
        role=node.state.role,
        node=node.name,
        region=node.region,
        reason="transaction" if inside else "pinned",
        verdict=work.statement.verdict.value,
        statement=work.statement.reason,
        fence=Fence.EXACT if node.state.role is Role.WRITER else Fence.NONE,
    )
    _release_if_over(session)


def _raise_if_lost(
    session: Session, work: Work, node: Node, lease: Lease[Any], reply: Reply
) -> None:
    """Say what it means that the connection, or its answer, was lost; else go on."""
    writes = work.statement.verdict not in READS
    link = lease.connection
    verdict = verdict_of(session, reply, link, Sent.STATEMENT, writes=writes)
    if reply.status is LinkStatus.LOST:
        session.cluster.suspect(node.name)
        session.release()
    if verdict is FaultVerdict.UNKNOWN:
        raise_unknown(session, node, reply, "the statement")
    if reply.status is LinkStatus.LOST:
        raise_lost(session, node, reply, "the statement ran")
    if verdict is FaultVerdict.WRITER and link.standby and session.on_writer:
        leave_demoted(session, node)


def _finished(session: Session, work: Work) -> None:
    """Do what comes behind a statement of a transaction."""
    _succeeded(session, work)
    _release_if_over(session)


def _release_if_over(session: Session) -> None:
    """Let go of a lease whose transaction was ended by a script."""
    if not session.transaction.active:
        session.release()


def _succeeded(session: Session, work: Work) -> None:
    """Do what was to be done on success, while the connection is still held."""
    lease = session.lease
    if lease is not None and work.on_success is not None:
        work.on_success(lease.connection)
    session.defined(left_behind(session, work))
    noted(session, work.statement)
    follow(session, work.statement, work.source)


def _prepared(session: Session, statement: Statement, action: Execute) -> Statement:
    """EXECUTE is what its body is; a name the session does not know is a write."""
    sql = session.settings.prepared(action.name)
    # Looked at anew: what its body calls may have changed since.
    prepare = None if sql is None else session.cluster.lookup(sql).action
    if sql is None or not isinstance(prepare, Prepare):
        return Statement(Verdict.WRITE, "unknown_prepared_statement", statement.command)
    body = prepare.body
    if body.verdict in READS and session.cluster.knowledge.refused(sql):
        return Statement(Verdict.WRITE, "learned", statement.command, alone=body.alone)
    return Statement(body.verdict, body.reason, statement.command, alone=body.alone)


# Statements about the transaction. Each handler answers whether it dealt with it.


async def _begin(session: Session, work: Work, action: Begin) -> bool:
    if session.transaction.active and session.idiom.begins_anew:
        await tx.commit(session)
    if session.transaction.active:
        return session.transaction.state is TransactionState.BEGUN and _ack(
            work, "BEGIN"
        )
    snapshot = work.statement.reason == "consistent_snapshot"
    mode = TransactionMode(
        action.isolation, action.read_only, action.deferrable, snapshot
    )
    session.transaction.tables_locked = False
    tx.begin(session, mode)
    if snapshot:
        await bring_up_to_date(session)
        await tx.begin_now(session, work.deadline)
    return _ack(work, "BEGIN")


async def _commit(session: Session, work: Work, action: Commit) -> bool:
    mode = session.transaction.mode
    was_active = session.transaction.active
    failed = session.transaction.state is TransactionState.FAILED
    await tx.commit(session)
    if action.chain and was_active:
        tx.begin(session, mode)
    return _ack(work, "ROLLBACK" if failed else "COMMIT")


async def _rollback(session: Session, work: Work, action: Rollback) -> bool:
    mode = session.transaction.mode
    was_active = session.transaction.active
    await tx.rollback(session)
    if action.chain and was_active:
        tx.begin(session, mode)
    return _ack(work, "ROLLBACK")


async def _savepoint(session: Session, work: Work, action: Savepoint) -> bool:
    begin_if_needed(session)
    transaction = session.transaction
    if not transaction.active or transaction.state is TransactionState.FAILED:
        return False
    tx.savepoint(session, action.name)
    return _ack(work, "SAVEPOINT")


async def _release(session: Session, work: Work, action: Release) -> bool:
    transaction = session.transaction
    if transaction.state is TransactionState.FAILED:
        return False
    if not transaction.has_savepoint(action.name):
        return False
    tx.release(session, action.name)
    return _ack(work, "RELEASE")


async def _rollback_to(session: Session, work: Work, action: RollbackTo) -> bool:
    if not session.transaction.has_savepoint(action.name):
        return False
    await tx.rollback_to(session, action.name)
    return _ack(work, "ROLLBACK")


async def _set_transaction(
    session: Session, work: Work, action: SetTransaction
) -> bool:
    mode = TransactionMode(action.isolation, action.read_only, action.deferrable)
    if session.idiom.begins_anew:
        if session.transaction.state in _ON_SERVER:
            # It says so itself, unless it knows better.
            return False
        if not session.transaction.active:
            session.next_mode = mode
            return _ack(work, "SET")
    begin_if_needed(session)
    return session.transaction.narrow(mode) and _ack(work, "SET")


def _ack(work: Work, tag: str) -> bool:
    work.acknowledge(tag)
    return True


_Handler = Callable[["Session", "Work", Any], Awaitable[bool]]

#: States of a transaction that a server has begun.
_ON_SERVER = (TransactionState.OPEN, TransactionState.FAILED)

_HANDLERS: dict[Any, _Handler] = {
    Begin: _begin,
    Commit: _commit,
    Rollback: _rollback,
    Savepoint: _savepoint,
    Release: _release,
    RollbackTo: _rollback_to,
    SetTransaction: _set_transaction,
}

__all__ = ["begin_if_needed", "execute", "raise_fault", "run"]
