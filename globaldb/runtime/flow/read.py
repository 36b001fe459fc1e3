"""Reads: at the nearest reader that is fresh enough, else at the writer."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from globaldb.core.consistency import Consistency
from globaldb.core.faults import Fault
from globaldb.core.routing import NEAREST_READER, Decision, Fence, Route
from globaldb.core.topology import Role
from globaldb.core.trip import LinkStatus, Reply, Trip
from globaldb.errors import Error, NoNodeAvailableError, PoolTimeoutError
from globaldb.runtime.flow.capture import leave_reader, position_of, wait_for
from globaldb.runtime.flow.faults import fault_of, raise_fault
from globaldb.runtime.flow.send import company, send, settle
from globaldb.runtime.flow.write import write

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.position import Lsn
    from globaldb.core.statement import Statement
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session


class Hot(NamedTuple):
    """A decision for reads that stays right until something about it changes.

    The cursor's short path uses it: same topology version, and a session that has
    not asked for anything else (whatever does, sets ``session.hot`` to None).
    """

    version: int
    node: Node
    route: Route


@dataclass(frozen=True, slots=True)
class _Place:
    """A reader, and what it must have replayed before it may answer."""

    node: Node
    required: Lsn | None

    @property
    def caught_up(self) -> bool:
        """Whether the node is already known to have replayed that."""
        if self.required is None:
            return True
        known = self.node.replayed
        return known is not None and known.covers(self.required)


async def read(session: Session, work: Work, decision: Decision) -> None:
    """Serve a read as *decision* says, repeating elsewhere what a node gave up."""
    tried: list[str] = []
    while True:
        place = await find_reader(session, decision, tried)
        if isinstance(place, str):
            await write(session, work, place, tried=tuple(tried))
            return
        if await _read_at(session, work, place, decision, tried):
            return


async def find_reader(
    session: Session, decision: Decision, tried: list[str]
) -> _Place | str:
    """Choose a reader, or say by a reason code why only the writer will do."""
    node = _nearest(session, tried)
    if node is None:
        return "no_reader"
    if node.state.role is not Role.READER:
        return "writer_is_nearest"
    required = decision.required
    if decision.required is not None or session.books.read_node is not None:
        monotone = session.consistency not in (None, Consistency.EVENTUAL)
        if monotone and session.books.read_node not in (None, node.name):
            if not await leave_reader(session):
                return "last_reader_gone"
            required = session.books.floor
    return _Place(node, required)


def _nearest(session: Session, tried: list[str]) -> Node | None:
    cluster = session.cluster
    stay = session.books.read_node
    near = cluster.near(region=session.region_option, without=tried)
    if stay is not None and any(state.name == stay for state in near):
        return cluster.nodes[stay]
    return cluster.pick(region=session.region_option, without=tried)


async def _read_at(
    session: Session, work: Work, place: _Place, decision: Decision, tried: list[str]
) -> bool:
    """Read at *place*; False when another node has to be tried."""
    node = place.node
    try:
        lease = await session.shell.borrow(node, work.deadline)
    except PoolTimeoutError:
        raise
    except Error:
        _leave(session, node, tried)
        return False
    started = monotonic()
    fresh = place.caught_up
    try:
        reply = await _ask(session, work, lease, guard=not fresh)
        if not fresh and not _reached(node, place, reply):
            if reply.error is not None and reply.status is LinkStatus.LOST:
                _leave(session, node, tried)
                return False
            if not await _worth_waiting(session, lease, place):
                await write(session, work, "reader_behind", tried=tuple(tried))
                return True
            started_again = monotonic()
            reply = await _ask(session, work, lease, guard=False)
            waited = started_again - started
        else:
            waited = 0.0
        return await _judge(session, work, lease, place, reply, decision, waited, tried)
    finally:
        if session.lease is not lease:
            session.hand_back(lease, node)


async def _ask(
    session: Session, work: Work, lease: Lease[Any], *, guard: bool
) -> Reply:
    trip = company(session, lease.connection, work.statement, capture=False)
    if guard:
        trip = Trip(True, trip.before, trip.capture, trip.alone, trip.script)
    return await send(session, lease, work.call, trip, work.deadline)


def _reached(node: Node, place: _Place, reply: Reply) -> bool:
    position = position_of(node, reply.replayed)
    if position is None or place.required is None:
        return False
    return position.covers(place.required)


async def _worth_waiting(session: Session, lease: Lease[Any], place: _Place) -> bool:
    """Wait for the reader as long as that is expected to beat asking the writer."""
    if place.required is None:
        return True
    topology = session.cluster.topology
    writer = topology.writer
    price = writer.latency if writer is not None and writer.latency else None
    node = place.node
    now = monotonic()
    if price is not None and node.catch_up is not None:
        expected = node.catch_up - (now - session.books.floor_at)
        if expected + (node.state.latency or 0.0) > price:
            return False
    longest = price if price is not None else session.cluster.config.fence_wait
    return await wait_for(session, node, lease, place.required, now + longest)


async def _judge(
    session: Session,
    work: Work,
    lease: Lease[Any],
    place: _Place,
    reply: Reply,
    decision: Decision,
    waited: float,
    tried: list[str],
) -> bool:
    node = place.node
    session.route = route_of(work.statement, place, decision, waited, tuple(tried))
    if reply.error is not None:
        fault = fault_of(session, reply.error, lease.connection)
        if fault is Fault.READ_ONLY:
            session.cluster.suspect(node.name)
            await write(session, work, "refused_by_reader", tried=(*tried, node.name))
            return True
        if fault in (Fault.RECOVERY_CONFLICT, Fault.NODE_LOST, Fault.UNAVAILABLE):
            _leave(session, node, tried)
            return False
        settle(session, lease, node, reply)
        raise_fault(reply.error)
    settle(session, lease, node, reply)
    if work.on_success is not None:
        work.on_success(lease.connection)
    session.books.read(node.name, monotonic())
    _warm(session, place, decision, waited)
    return True


def _leave(session: Session, node: Node, tried: list[str]) -> None:
    tried.append(node.name)
    session.cluster.suspect(node.name)
    if len(tried) > len(session.cluster.nodes):
        raise NoNodeAvailableError(f"no node served the read; tried {', '.join(tried)}")


def route_of(
    statement: Statement,
    place: _Place,
    decision: Decision,
    waited: float,
    tried: tuple[str, ...],
) -> Route:
    """Describe where a read was served."""
    return Route(
        role=Role.READER,
        node=place.node.name,
        region=place.node.region,
        reason=decision.reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=Fence.NONE if place.required is None else Fence.EXACT,
        required=None if place.required is None else str(place.required),
        waited=waited,
        tried=tried,
    )


def _warm(session: Session, place: _Place, decision: Decision, waited: float) -> None:
    """Remember the decision for the next plain read of this session.

    Only a decision about plain reads: where a setting or the connection's own answer
    was served says nothing about them.
    """
    if decision.reason != NEAREST_READER:
        return
    if session.transaction.active or not session.autocommit or waited:
        return
    if session.region_option is not None or session.timeout is not None:
        return
    if session.lease is None and session.route is not None:
        version = session.cluster.topology.version
        session.hot = Hot(version, place.node, session.route)


__all__ = ["Hot", "find_reader", "read", "route_of"]
