"""A write left to a reader that forwards it by itself, outside a transaction."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.consistency import VARIABLES
from globaldb.core.faults import Fault, FaultVerdict, Sent
from globaldb.core.lending import Outcome
from globaldb.core.routing import READS, Decision, Fence, Route
from globaldb.core.topology import Role
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.errors import Error, NotSupportedError, PoolTimeoutError, ReadOnlyError
from globaldb.runtime.flow.faults import (
    fault_of,
    raise_fault,
    raise_unknown,
    verdict_of,
)
from globaldb.runtime.flow.forwarding import (
    NATIVE_OPTION,
    leave_forwarder,
    left_to_reader,
    noted,
    refuse_at_forwarder,
)
from globaldb.runtime.flow.read import read
from globaldb.runtime.flow.send import company, send, settle

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: Fails where the server does not know the mode.
_QUESTION: Final = {
    "postgresql": f"SHOW {VARIABLES['postgresql']}",
    "mysql": f"SELECT @@{VARIABLES['mysql']}",
}


async def before_native(session: Session, work: Work) -> None:
    """Make sure that *work* may run where the session is, and that readers forward.

    Raises `NotSupportedError` for a reader that cannot forward, `NotForwardedError`
    for what cannot be said in a transaction there; nothing was sent.
    """
    if session.forwarding != NATIVE_OPTION:
        return
    if left_to_reader(session):
        for state in session.cluster.near(region=session.region_option):
            node = session.cluster.node(state.name)
            if state.role is Role.READER and not node.forwards:
                await _look(session, node, work.deadline)
    refuse_at_forwarder(session, work.statement, work.source)
    leave_forwarder(session, work.statement, work.source)


async def _look(session: Session, node: Node, deadline: float | None) -> None:
    """Find out, once, whether *node* can forward."""
    engine = session.cluster.config.engine
    try:
        lease = await session.shell.borrow(node, deadline)
    except PoolTimeoutError:
        raise
    except Error:
        # Whoever needs it will find out.
        return
    question = _QUESTION[engine].encode()
    try:
        reply = await session.shell.travel(lease.connection, question, Trip(), deadline)
    finally:
        session.hand_back(lease, node)
    error = reply.error
    if error is None:
        node.forwards = True
    elif fault_of(session, error, lease.connection) is Fault.STATEMENT:
        raise NotSupportedError(
            f"{node.name} has no {VARIABLES[engine]}, so it cannot forward writes by "
            "itself: it is not Aurora, or one too old for that. Nothing of yours was "
            "sent. Use forwarding='driver' (the default) there, or 'strict'"
        ) from error


async def run_natively(session: Session, work: Work, decision: Decision) -> bool:
    """Run *work* at the nearest reader; False where that turns out not to be.

    A write is sent once. Raises `OutcomeUnknownError` when its answer was lost, and
    `ReadOnlyError` when the reader refuses to forward.
    """
    if work.statement.verdict in READS:
        await read(session, work, decision)
        return True
    borrowed = await _borrow(session, work.deadline)
    if borrowed is None:
        return False
    node, lease = borrowed
    try:
        trip = company(session, lease.connection, work.statement, capture=False)
        reply = await send(session, lease, work.call, trip, work.deadline)
        session.failed(work.statement, reply)
        session.route = _route(work, node, decision)
        if reply.error is not None:
            return _failed(session, node, lease, reply)
        session.keep(lease, node)
        settle(session, lease, node, reply)
        session.books.read(node.name, monotonic())
        noted(session, work.statement)
        if work.on_success is not None:
            work.on_success(lease.connection)
    finally:
        if session.lease is not lease:
            session.hand_back(lease, node)
    return True


async def _borrow(
    session: Session, deadline: float | None
) -> tuple[Node, Lease[Any]] | None:
    """Check out a connection to the nearest reader; None where there is none."""
    cluster = session.cluster
    near = cluster.near(region=session.region_option)
    stay = session.books.read_node
    if any(state.name == stay for state in near):
        node: Node | None = cluster.node(stay or "")
    else:
        node = cluster.pick(region=session.region_option)
    if node is None or node.state.role is not Role.READER:
        return None
    while True:
        try:
            lease = await session.shell.borrow(node, deadline)
        except PoolTimeoutError:
            raise
        except Error:
            cluster.suspect(node.name)
            return None
        if not lease.connection.hung_up():
            return node, lease
        session.hand_back(lease, node, Outcome.DISCARD)


def _failed(session: Session, node: Node, lease: Lease[Any], reply: Reply) -> bool:
    """Say what a failed write means; False when it never left."""
    error = reply.error
    assert error is not None  # noqa: S101 - the caller looked
    link = lease.connection
    verdict = verdict_of(session, reply, link, Sent.STATEMENT, writes=True)
    if reply.status is LinkStatus.LOST:
        session.cluster.suspect(node.name)
    if verdict is FaultVerdict.UNKNOWN:
        raise_unknown(session, node, reply, "the statement")
    if verdict is FaultVerdict.RECONNECT:
        return False
    if verdict is FaultVerdict.WRITER:
        raise ReadOnlyError(
            f"{node.name} has not forwarded the statement: {error}. Write forwarding "
            "is not enabled on its cluster. Nothing was applied; enable it there, or "
            "use forwarding='driver'"
        ) from error
    settle(session, lease, node, reply)
    return raise_fault(error)


def _route(work: Work, node: Node, decision: Decision) -> Route:
    return Route(
        role=Role.READER,
        node=node.name,
        region=node.region,
        reason=decision.reason,
        verdict=work.statement.verdict.value,
        statement=work.statement.reason,
        fence=Fence.NONE,
    )
