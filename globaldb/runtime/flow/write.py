"""Writes: on the writer, exactly once, with the position in the same round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from globaldb.core.faults import FaultVerdict, Sent
from globaldb.core.routing import READS, Fence, Route
from globaldb.core.statement import Verdict
from globaldb.core.topology import Role
from globaldb.core.trip import LinkStatus
from globaldb.errors import ProgrammingError
from globaldb.runtime.flow.faults import (
    raise_of_writer,
    raise_unknown,
    verdict_of,
    wanted,
)
from globaldb.runtime.flow.remains import left_behind
from globaldb.runtime.flow.seek import Seek
from globaldb.runtime.flow.send import company, send, settle

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.statement import Statement
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: What certainly was not executed, or only reads, is sent again.
_AGAIN = (FaultVerdict.RECONNECT, FaultVerdict.ELSEWHERE)


async def write(
    session: Session, work: Work, reason: str, *, tried: tuple[str, ...] = ()
) -> None:
    """Run *work* on the writer, outside a transaction.

    Repeated only when it certainly was not executed: the connection broke before
    anything was sent, a standby refused it, or it only reads.
    """
    seek = Seek(session, work.deadline)
    while True:
        session.cluster.catalog.needed(reason)
        node, lease = await seek.borrow()
        session.route = _route(work.statement, node, reason, tried)
        try:
            refuse_foreign(session, work.statement, lease)
            capture = worth_capturing(session, work.statement)
            trip = company(session, lease.connection, work.statement, capture=capture)
            reply = await send(session, lease, work.call, trip, work.deadline)
            session.failed(work.statement, reply)
            if _done(session, work, node, lease, reply, last=seek.over):
                if work.on_success is not None:
                    work.on_success(lease.connection)
                _keep_if_pinned(session, work, lease, node)
                return
        except BaseException:
            if lease.connection.link_status is LinkStatus.IDLE:
                # What it has left lives on this connection.
                _keep_what_is_pinned(session, lease, node)
            raise
        finally:
            if session.lease is not lease:
                session.hand_back(lease, node)
        tried = (*tried, node.name)


def _done(
    session: Session,
    work: Work,
    node: Node,
    lease: Lease[Any],
    reply: Reply,
    *,
    last: bool,
) -> bool:
    """Take the reply in: True when it is over, False when it may be tried again."""
    if reply.error is None:
        reads = work.statement.verdict in READS and not session.transaction.active
        settle(session, lease, node, reply, reads=reads)
        if reply.position is None and worth_capturing(session, work.statement):
            session.books.lost_position()
        session.hot = None
        return True
    link, writes = lease.connection, work.statement.verdict not in READS
    verdict = verdict_of(session, reply, link, Sent.STATEMENT, writes=writes)
    if reply.status is LinkStatus.LOST:
        session.cluster.suspect(node.name)
    if verdict is FaultVerdict.UNKNOWN:
        raise_unknown(session, node, reply, "the statement")
    if verdict in _AGAIN and not last and wanted(reply):
        return False
    if verdict is FaultVerdict.WRITER and link.standby and not last:
        # It was promoted over: nothing was executed, the writer is elsewhere.
        session.cluster.demoted(node.name)
        return False
    settle(session, lease, node, reply)
    if reply.sent and reply.position is None:
        # What failed has told of what the writer holds, and half of it may stay.
        session.books.lost_position()
    return raise_of_writer(session, node, link, reply.error)


def worth_capturing(session: Session, statement: Statement) -> bool:
    """Whether anybody could need the position: a lone node has no readers."""
    return not session.cluster.alone or statement.verdict not in READS


def refuse_foreign(session: Session, statement: Statement, lease: Lease[Any]) -> None:
    """Refuse to answer currval() from a connection somebody else has used since."""
    if statement.verdict is not Verdict.SAME_CONNECTION or statement.action:
        return
    # Settings and prepared statements were replayed: any connection knows them.
    if statement.command != "SELECT" or statement.reason != "sequence":
        return
    session.pin_writes = True
    link = lease.connection
    if link.last_session != session.id or session.wrote_on is not link:
        raise ProgrammingError(
            f"{statement.reason}: the connection that ran this session's previous "
            "statement has served another session since, so its answer would not be "
            "yours. From now on this session keeps its connection; use RETURNING, or "
            "run both statements in one transaction"
        )


def _keep_if_pinned(
    session: Session, work: Work, lease: Lease[Any], node: Node
) -> None:
    session.defined(left_behind(session, work))
    if session.pin_writes and work.statement.verdict is Verdict.WRITE:
        session.pinned_whole = True
    _keep_what_is_pinned(session, lease, node)


def _keep_what_is_pinned(session: Session, lease: Lease[Any], node: Node) -> None:
    if session.pinned and session.lease is None:
        session.applied_before = lease.connection.settings
        session.keep(lease, node)


def _route(
    statement: Statement, node: Node, reason: str, tried: tuple[str, ...]
) -> Route:
    return Route(
        role=Role.WRITER,
        node=node.name,
        region=node.region,
        reason=reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=Fence.EXACT if statement.verdict in READS else Fence.NONE,
        tried=tried,
    )
