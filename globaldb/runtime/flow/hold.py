"""A connection held while the driver itself talks on it: COPY, stream(), executemany.

COPY and stream() cannot share a trip with anything, so what has to stand before them
(settings, BEGIN) pays for a trip of its own. executemany() can, when that is BEGIN.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from globaldb.core.faults import Fault
from globaldb.core.lending import Outcome
from globaldb.core.routing import READS, Fence, Route, Target, decide
from globaldb.core.statement import Defines, Verdict
from globaldb.core.topology import Role
from globaldb.core.transaction import TransactionState
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.errors import InternalError
from globaldb.runtime.flow import transaction as tx, upgrade
from globaldb.runtime.flow.execute import begin_if_needed, refuse_unforwarded
from globaldb.runtime.flow.faults import (
    fault_of,
    raise_fault,
    raise_lost,
    raise_unknown,
)
from globaldb.runtime.flow.forwarding import leave_forwarder, refuse_kind
from globaldb.runtime.flow.gone import refuse_gone
from globaldb.runtime.flow.leave import leave_if_needed
from globaldb.runtime.flow.outcome import NUMBER, numbers, traces
from globaldb.runtime.flow.placement import fresh_reader, place
from globaldb.runtime.flow.requirement import bring_up_to_date
from globaldb.runtime.flow.seek import borrow_writer
from globaldb.runtime.flow.send import company, may_draw, send, settle
from globaldb.runtime.flow.shared import share
from globaldb.runtime.flow.touch import touch

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session


async def hold(
    session: Session,
    work: Work,
    *,
    begin: bool = True,
    along: list[str] | None = None,
) -> Any:
    """Place *work*, send what must stand before it, and return the connection.

    The caller talks on it as it likes, then calls `settle_hold`. One that can send
    something in front of its own brings *along*: what is put in there is still to be
    sent, and first.
    """
    session.refuse_closed()
    if begin:
        begin_if_needed(session)
    _refuse_failed(session)
    await _settle_down(session, work)
    reason = "transaction" if session.transaction.active else "pinned"
    await bring_up_to_date(session)
    if session.lease is None:
        with session.using(**dict(work.statement.hints)):
            reason, chosen, borrowed = await _place(session, work)
        session.applied_before = borrowed.connection.settings
        session.keep(borrowed, chosen)
    else:
        refuse_gone(session)
        refuse_unforwarded(session, work)
    lease, held = session.lease, session.node
    assert lease is not None  # noqa: S101 - kept just above
    assert held is not None  # noqa: S101 - kept just above
    session.route = _route(work, held, reason)
    link = lease.connection
    link.face = session.face
    may_draw(session, link, work)
    link.last_session = session.id
    # What is said on it is for psycopg to know: it may touch any table.
    touch(session, None)
    trip = company(session, link, None, capture=False)
    if along is not None and _may_travel_along(session, trip):
        along.extend(trip.before)
        # From here on only the server's word counts for what became of it.
        session.transaction.sent()
    elif trip.before:
        reply = await _ahead(session, work, lease, trip)
        if session.transaction.active:
            tx.take_in(session, held, lease, reply)
            # What comes now is not covered by what was told.
            traces(session, link, None)
        elif reply.error is not None:
            session.release(Outcome.DISCARD)
            raise_fault(reply.error)
    session.shell.busy = link
    return link


async def _ahead(session: Session, work: Work, lease: Lease[Any], trip: Trip) -> Reply:
    """Send what must stand before *work* in a trip of its own.

    It brings the transaction's number back, where *work* could not be asked for it.
    """
    call = None
    if numbers(session, lease.connection, work.statement):
        call, trip = NUMBER, replace(trip, trace=True)
    return await send(session, lease, call, trip, work.deadline)


def _refuse_failed(session: Session) -> None:
    """Refuse what could not run any more anywhere."""
    if session.transaction.state is TransactionState.FAILED and session.lease is None:
        raise InternalError(
            "the transaction is over at the server (its connection was lost, or it "
            "had to start over): roll back, then try again"
        )


async def _settle_down(session: Session, work: Work) -> None:
    """Have a transaction where what nobody can repeat may run."""
    failed = session.transaction.state is TransactionState.FAILED
    if session.journal is not None and not failed:
        await upgrade.move(session, None)
    refuse_kind(session, work.statement)
    leave_forwarder(session, work.statement, None)
    await leave_if_needed(session, work.statement)
    session.moored = True


def _may_travel_along(session: Session, trip: Trip) -> bool:
    """Whether it is BEGIN alone (and SAVEPOINT), which the writer does not refuse.

    Settings may be refused, and the books must learn which of them.
    """
    pending = session.transaction.pending
    return bool(pending) and trip.before == pending and session.on_writer


async def settle_hold(
    session: Session,
    work: Work,
    *,
    failed: bool,
    failure: Exception | None = None,
) -> None:
    """Bring the books up to what happened on the connection held, and let go.

    What was written has no position yet: the next read at the writer takes one.
    When the *failure* was that the connection is lost, raises what that means.
    """
    lease, node = session.lease, session.node
    if lease is None or node is None:
        return
    link = lease.connection
    session.shell.ended(link)
    if failure and fault_of(session, failure, link) is Fault.OUTCOME_UNKNOWN:
        # What it has left open, if anything, is to end with the connection.
        session.cluster.driver.close(link)
    status = link.link_status
    reply = Reply(status=status, sent=True, done=not failed, error=failure)
    inside = session.transaction.active
    session.will_define(work.statement)
    defining = session.defining
    settle(session, lease, node, reply)
    if not session.transaction.active:
        # Some of it may have been committed before the rest failed.
        session.certainly_defined(defining)
        session.defining = Defines.NOTHING
    session.failed(work.statement, reply)
    if work.statement.verdict is Verdict.PIN and not failed and session.on_writer:
        session.pinned_whole = True
    if session.transaction.active and status is not LinkStatus.LOST:
        return
    session.account()
    session.release()
    if session.shared is not None and not failed:
        await share(session)
    if failure is not None and status is LinkStatus.LOST:
        _raise_broken(session, work, node, reply, inside=inside)


def _raise_broken(
    session: Session, work: Work, node: Node, reply: Reply, *, inside: bool
) -> NoReturn:
    """Say what the loss of a connection means for what was under way on it."""
    session.cluster.suspect(node.name)
    # A pipeline may have had a COMMIT of its own in it.
    whole = work.statement.reason == "pipeline"
    if work.statement.verdict not in READS and (whole or not inside):
        raise_unknown(session, node, reply, "the statement")
    raise_lost(session, node, reply, "it could have been applied")


async def _place(session: Session, work: Work) -> tuple[str, Node, Lease[Any]]:
    if session.transaction.active:
        return await place(session, work.statement, None, work.deadline)
    decision = decide(
        work.statement, session.intent, session.books, session.cluster.topology
    )
    if decision.target is Target.READER:
        return await fresh_reader(session, decision, work.deadline)
    node, lease = await borrow_writer(session, work.deadline)
    return decision.reason, node, lease


def _route(work: Work, node: Node, reason: str) -> Route:
    return Route(
        role=node.state.role,
        node=node.name,
        region=node.region,
        reason=reason,
        verdict=work.statement.verdict.value,
        statement=work.statement.reason,
        fence=Fence.EXACT if node.state.role is Role.WRITER else Fence.NONE,
    )
