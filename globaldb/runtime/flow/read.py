"""Reads: at the nearest reader that is fresh enough, else at the writer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from globaldb.core.consistency import Consistency
from globaldb.core.faults import Fault
from globaldb.core.routing import NEAREST_READER, Decision, Fence, Route
from globaldb.core.statement import Execute
from globaldb.core.topology import Role
from globaldb.core.trip import LinkStatus
from globaldb.errors import Error, NoNodeAvailableError, PoolTimeoutError
from globaldb.runtime import events
from globaldb.runtime.flow.capture import leave_reader, position_of, wait_for
from globaldb.runtime.flow.faults import fault_of, raise_fault, raise_unwanted, wanted
from globaldb.runtime.flow.send import company, send, settle
from globaldb.runtime.flow.write import write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from globaldb.core.lending import Lease
    from globaldb.core.position import Position
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: What a node may do to a read without the statement being at fault: it is repeated
#: elsewhere.
_ELSEWHERE = (Fault.RECOVERY_CONFLICT, Fault.NODE_LOST, Fault.UNAVAILABLE)


class Hot(NamedTuple):
    """A decision for reads that stays right until something about it changes.

    The cursor's short path uses it: same topology version, and a session that has
    not asked for anything else (whatever does, sets ``session.hot`` to None).
    """

    version: int
    node: Node
    route: Route


@dataclass(frozen=True, slots=True)
class Place:
    """A reader, and what it must have replayed before it may answer."""

    node: Node
    required: Position | None

    @property
    def caught_up(self) -> bool:
        """Whether the node is already known to have replayed that."""
        if self.required is None:
            return True
        known, lsn = self.node.replayed, self.required.lsn
        return known is not None and lsn is not None and known.covers(lsn)


@dataclass(slots=True)
class _Attempts:
    """One read on its way: what was decided, and which nodes gave it up."""

    work: Work
    decision: Decision
    tried: list[str]
    #: Runs the read where nothing but the writer will do.
    otherwise: Callable[..., Awaitable[None]]
    waited: float = 0.0


async def read(
    session: Session,
    work: Work,
    decision: Decision,
    *,
    otherwise: Callable[..., Awaitable[None]] = write,
) -> None:
    """Serve a read as *decision* says, repeating elsewhere what a node gave up.

    *otherwise* is how it runs at the writer, when no reader will do.
    """
    attempts = _Attempts(work, decision, [], otherwise)
    while True:
        place = await find_reader(session, decision, attempts.tried)
        if isinstance(place, str):
            await otherwise(session, work, place, tried=tuple(attempts.tried))
            return
        if await _read_at(session, attempts, place):
            return


async def find_reader(
    session: Session, decision: Decision, tried: list[str]
) -> Place | str:
    """Choose a reader, or say by a reason code why only the writer will do."""
    node = _nearest(session, tried)
    if node is None:
        return "no_reader"
    if node.state.role is not Role.READER:
        return "writer_is_nearest"
    required = decision.required
    if session.consistency in (None, Consistency.EVENTUAL):
        return Place(node, required)
    books = session.books
    if books.read_node == node.name and node.doubted_at >= books.read_ended_at:
        # It may have restarted since, and be older than what it showed.
        return "last_reader_gone"
    if books.read_node not in (None, node.name):
        # Monotonic reads: the new node must have what the old one may have shown.
        if not await leave_reader(session):
            return "last_reader_gone"
        required = session.books.floor
    return Place(node, required)


def _nearest(session: Session, tried: list[str]) -> Node | None:
    cluster = session.cluster
    region = session.region_option
    stay = session.books.read_node
    if stay is not None:
        near = cluster.near(region=region, without=tried)
        if any(state.name == stay for state in near):
            return cluster.nodes[stay]
    return cluster.pick(region=region, without=tried)


async def _read_at(session: Session, attempts: _Attempts, place: Place) -> bool:
    """Read at *place*; False when another node has to be tried."""
    node = place.node
    try:
        lease = await session.shell.borrow(node, attempts.work.deadline)
    except PoolTimeoutError:
        raise
    except Error:
        _give_up(session, node, attempts)
        return False
    try:
        guard = not place.caught_up
        reply = await _ask(session, attempts, lease, guard=guard)
        if guard and _reached(place, reply):
            _learn(session, place)
        elif guard:
            raise_unwanted(reply)
            if reply.status is LinkStatus.LOST:
                _give_up(session, node, attempts)
                return False
            # Whatever it answered, it answered too early.
            if not await _worth_waiting(session, attempts, lease, place):
                tried = tuple(attempts.tried)
                await attempts.otherwise(
                    session, attempts.work, "reader_behind", tried=tried
                )
                return True
            reply = await _ask(session, attempts, lease, guard=False)
        return await _judge(session, attempts, lease, place, reply)
    finally:
        if session.lease is not lease:
            session.hand_back(lease, node)


async def _ask(
    session: Session, attempts: _Attempts, lease: Lease[Any], *, guard: bool
) -> Reply:
    work = attempts.work
    trip = company(session, lease.connection, work.statement, capture=False)
    trip = replace(trip, guard=guard) if guard else trip
    return await send(session, lease, work.call, trip, work.deadline)


def _reached(place: Place, reply: Reply) -> bool:
    """Whether the reader had replayed what is required before it answered."""
    position = position_of(place.node, reply.replayed)
    if position is None or place.required is None or place.required.lsn is None:
        return False
    return position.covers(place.required.lsn)


def _learn(session: Session, place: Place) -> None:
    """Take note that a reader had caught up at the first look."""
    if session.books.floor != place.required:
        return
    age = monotonic() - session.books.floor_at
    known = place.node.catch_up
    if known is not None and age < known:
        # Nothing older is learnt from: how long it took is then not known.
        place.node.caught_up_after(age)


async def _worth_waiting(
    session: Session, attempts: _Attempts, lease: Lease[Any], place: Place
) -> bool:
    """Wait for the reader as long as that is expected to beat asking the writer."""
    required = place.required
    if required is None:
        return True
    writer = session.cluster.topology.writer
    price = writer.latency if writer is not None else None
    node = place.node
    started = monotonic()
    if price is not None and node.catch_up is not None:
        expected = node.catch_up - (started - session.books.floor_at)
        if expected + (node.state.latency or 0.0) > price:
            return False
    longest = price if price is not None else session.cluster.config.fence_wait
    reached = await wait_for(session, node, lease, required, started + longest)
    attempts.waited += monotonic() - started
    return reached


async def _judge(
    session: Session,
    attempts: _Attempts,
    lease: Lease[Any],
    place: Place,
    reply: Reply,
) -> bool:
    """Take the reader's answer, or decide who else is to be asked."""
    node, work = place.node, attempts.work
    session.route = _route(attempts, place)
    if reply.error is not None:
        fault = fault_of(session, reply.error, lease.connection)
        if fault is Fault.READ_ONLY:
            tried = (*attempts.tried, node.name)
            await attempts.otherwise(session, work, "refused_by_reader", tried=tried)
            remember(session, work.source, node, reply.error)
            return True
        if fault in _ELSEWHERE and wanted(reply):
            _give_up(session, node, attempts)
            return False
        settle(session, lease, node, reply)
        raise_fault(reply.error)
    settle(session, lease, node, reply)
    if work.on_success is not None:
        work.on_success(lease.connection)
    session.books.read(node.name, monotonic())
    _warm(session, attempts, node)
    return True


def remember(
    session: Session, source: str | bytes, node: Node, error: BaseException
) -> None:
    """Learn that statements like this one need the writer.

    Not from a refusal that the session has asked for: the writer, where the statement
    has just succeeded, would have given it too.
    """
    cluster = session.cluster
    # What comes behind the first line shows statements, with their values.
    problem = str(error).partition("\n")[0]
    action = cluster.lookup(source).action
    if isinstance(action, Execute):
        source = session.settings.prepared(action.name) or source
    cluster.knowledge.learn(source, problem, node.name, monotonic())
    cluster.catalog.missed()


def _give_up(session: Session, node: Node, attempts: _Attempts) -> None:
    attempts.tried.append(node.name)
    session.cluster.suspect(node.name)
    if len(attempts.tried) > len(session.cluster.nodes):
        raise NoNodeAvailableError(
            f"no node served the read; tried {', '.join(attempts.tried)}"
        )


def _route(attempts: _Attempts, place: Place) -> Route:
    statement = attempts.work.statement
    return Route(
        role=Role.READER,
        node=place.node.name,
        region=place.node.region,
        reason=attempts.decision.reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=Fence.NONE if place.required is None else Fence.EXACT,
        required=None if place.required is None else str(place.required),
        waited=attempts.waited,
        tried=tuple(attempts.tried),
    )


def _warm(session: Session, attempts: _Attempts, node: Node) -> None:
    """Remember the decision for the next plain read of this session.

    Only a decision about plain reads: where a setting or the connection's own answer
    was served says nothing about them.
    """
    if attempts.decision.reason != NEAREST_READER or attempts.waited:
        return
    if events.each_statement():
        return
    if session.transaction.active or not session.autocommit:
        return
    if session.has_options or session.lease is not None or session.route is None:
        return
    version = session.cluster.topology.version
    session.hot = Hot(version, node, session.route)
