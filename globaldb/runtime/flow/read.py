"""Reads: at the nearest reader that is fresh enough, else at the writer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from globaldb.core.consistency import Consistency
from globaldb.core.failover import pause
from globaldb.core.faults import READ_ELSEWHERE, Fault
from globaldb.core.routing import NEAREST_READER, Decision, Route
from globaldb.core.selection import less_loaded
from globaldb.core.statement import Execute
from globaldb.core.topology import Role
from globaldb.core.trip import LinkStatus
from globaldb.errors import Error, NoNodeAvailableError, PoolTimeoutError
from globaldb.runtime import events
from globaldb.runtime.flow.capture import leave_reader, wait_for
from globaldb.runtime.flow.faults import fault_of, raise_fault, raise_unwanted, wanted
from globaldb.runtime.flow.fence import Place, place_at, reached
from globaldb.runtime.flow.patience import patience
from globaldb.runtime.flow.send import company, send, settle
from globaldb.runtime.flow.wait import Wait
from globaldb.runtime.flow.write import write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from globaldb.core.fence import Question
    from globaldb.core.lending import Lease
    from globaldb.core.position import Position
    from globaldb.core.topology import NodeState
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: The reason code of reads at the writer because there is no other node.
_NO_READER = "no_reader"

#: Seconds beyond its trips that a read may take to be asked in vain.
_LIGHT = 0.001


class Hot(NamedTuple):
    """A decision for reads that stays right until something about it changes.

    The cursor's short path uses it: same topology version, the same piece of work in
    which nobody has told of more, and a session that has not asked for anything else
    (whatever does, sets ``session.hot`` to None).
    """

    version: int
    node: Node
    route: Route
    #: What the session has learnt last of the piece of work it is in.
    latest: object


@dataclass(slots=True)
class _Attempts:
    """One read on its way: what was decided, and which nodes gave it up."""

    work: Work
    decision: Decision
    tried: list[str]
    #: Runs the read where nothing but the writer will do.
    otherwise: Callable[..., Awaitable[None]]
    #: The wait for the reader tried last, if it was not known to have caught up.
    wait: Wait | None = None
    #: Until when it waits for any node (monotonic seconds), and how often it did.
    until: float | None = None
    rounds: int = 1


class _Outcome(Enum):
    """What became of a read at one reader."""

    SERVED = "served"
    #: The node gave it up: another one has to be tried.
    GIVEN_UP = "given up"
    #: It is not worth waiting for.
    BEHIND = "behind"


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
        floor = session.books.floor
        place = await find_reader(session, decision, attempts.tried)
        decision = with_what_was_left(session, decision, floor)
        if isinstance(place, str):
            if place == _NO_READER and await _somebody_came(session, attempts):
                continue
            await otherwise(session, work, place, tried=tuple(attempts.tried))
            return
        outcome = await _read_at(session, attempts, place)
        if outcome is _Outcome.BEHIND:
            await _read_elsewhere(session, attempts, place)
        if outcome is not _Outcome.GIVEN_UP:
            return


async def _somebody_came(session: Session, attempts: _Attempts) -> bool:
    """Wait for a node while there is not even a writer; True to choose once more.

    One that gave the read up may serve it a moment later: nothing else will.
    """
    cluster = session.cluster
    attempts.until = attempts.until or patience(session, attempts.work.deadline)
    remaining = attempts.until - monotonic()
    if cluster.topology.writer is not None or remaining <= 0:
        return False
    seconds = pause(attempts.rounds, cluster.random.uniform(0.5, 1.0))
    await session.shell.sleep(min(seconds, remaining))
    await session.shell.await_any(attempts.until)
    attempts.tried.clear()
    attempts.rounds += 1
    return True


async def find_reader(
    session: Session, decision: Decision, tried: list[str]
) -> Place | str:
    """Choose a reader, or say by a reason code why only the writer will do."""
    node = _nearest(session, decision.required, tried)
    if node is None:
        return _NO_READER
    if node.state.role is not Role.READER:
        return "writer_is_nearest"
    required = decision.required
    if session.consistency in (None, Consistency.EVENTUAL):
        return place_at(session, node, required)
    books = session.books
    if books.read_node == node.name and node.doubted_at >= books.read_ended_at:
        # It may have restarted since, and be older than what it showed.
        return "last_reader_gone"
    if books.read_node not in (None, node.name):
        # Monotonic reads: the new node must have what the old one may have shown.
        if not await leave_reader(session) or books.apart is not None:
            return "last_reader_gone"
        required = _joined(required, books.requirement(decision.reads))
    return place_at(session, node, required)


def with_what_was_left(
    session: Session, decision: Decision, floor: Position | None
) -> Decision:
    """Add to *decision* what leaving a reader has added to *floor* meanwhile.

    The node that was chosen then may give the read up, and the next one must have it,
    too.
    """
    books = session.books
    if books.floor is floor:
        return decision
    required = _joined(decision.required, books.requirement(decision.reads))
    return replace(decision, required=required)


def _joined(required: Position | None, floor: Position | None) -> Position | None:
    if required is None or floor is None:
        return required or floor
    return required.merge(floor)


def _nearest(
    session: Session, required: Position | None, tried: list[str]
) -> Node | None:
    cluster, books = session.cluster, session.books
    near = cluster.near(region=session.region_option, without=tried)
    stay, arrivals = books.read_node, cluster.nearby.arrivals
    moving, books.chosen_after = books.chosen_after != arrivals, arrivals
    if moving or not any(state.name == stay for state in near):
        # Also when a node has come (back): else it would stand idle.
        stay = None
    if required is not None and len(near) > 1:
        return _soonest(session, required, near, stay)
    if stay is not None:
        return cluster.node(stay)
    return cluster.pick(region=session.region_option, without=tried)


def _soonest(
    session: Session, required: Position, near: Sequence[NodeState], stay: str | None
) -> Node:
    """Choose the reader that is expected to answer first.

    A session stays where it is if that is as good: what it has seen there would have
    to be known before it leaves.
    """
    node_of = session.cluster.node

    def has_it(state: NodeState) -> bool:
        place = place_at(session, node_of(state.name), required)
        return isinstance(place, Place) and place.caught_up

    ready = [state for state in near if has_it(state)]
    if any(state.name == stay for state in ready):
        return node_of(stay or "")
    if ready:
        sample = session.cluster.random.sample
        return node_of(less_loaded(ready, lambda name: node_of(name).load, sample).name)

    def cost(state: NodeState) -> tuple[float, int]:
        node = node_of(state.name)
        leaving = 0.0 if stay in (None, state.name) else node.trip or 0.0
        wait = Wait(session, node, required, None)
        return wait.outlook.cost + leaving, node.load

    return node_of(min(near, key=cost).name)


async def _read_at(session: Session, attempts: _Attempts, place: Place) -> _Outcome:
    """Read at *place*, once it has caught up."""
    node, work = place.node, attempts.work
    if place.required is not None and not place.caught_up:
        attempts.wait = Wait(session, node, place.required, work.deadline)
        if not attempts.wait.worth_a_look:
            return _Outcome.BEHIND
    try:
        lease = await session.shell.borrow(node, work.deadline)
    except PoolTimeoutError:
        raise
    except Error:
        return _give_up(session, node, attempts)
    try:
        if attempts.wait is None:
            reply = await _ask(session, attempts, lease)
        else:
            found = await _ask_in_time(session, attempts, lease, place, attempts.wait)
            if found is None:
                return _Outcome.BEHIND
            reply = found
        return await _judge(session, attempts, lease, place, reply)
    finally:
        if session.lease is not lease:
            session.hand_back(lease, node)


async def _ask_in_time(
    session: Session, attempts: _Attempts, lease: Lease[Any], place: Place, wait: Wait
) -> Reply | None:
    """Ask until the answer is late enough; None when the writer had better be asked.

    The read goes along with each look, so that the look that finds the reader caught
    up brings the answer. Only a read that takes its time waits until it is.
    """
    light = 2 * (wait.node.trip or 0.0) + _LIGHT
    while True:
        asked_at = monotonic()
        question = place.question(wait.patience)
        reply = await _ask(session, attempts, lease, question)
        if question is None or reached(session, place, reply, asked_at):
            wait.found(asked_at)
            return reply
        # Whatever it answered, it answered too early.
        raise_unwanted(reply)
        if reply.status is LinkStatus.LOST:
            return reply
        took = monotonic() - asked_at
        if not await wait.again(asked_at):
            return None
        if took > light and place.required is not None:
            if not await wait_for(session, lease, place, wait):
                return None
            return await _ask(session, attempts, lease)


async def _read_elsewhere(session: Session, attempts: _Attempts, place: Place) -> None:
    """Ask the writer, because it is expected to answer sooner than *place*."""
    wait = attempts.wait
    tried = tuple(attempts.tried)
    if wait is not None:
        wait.give_up()
    await attempts.otherwise(session, attempts.work, "reader_behind", tried=tried)
    if wait is not None and session.route is not None:
        session.route = replace(
            session.route,
            waited=wait.waited,
            estimate=wait.outlook.expected,
            alternatives=((place.node.name, wait.outlook.cost),),
        )


async def _ask(
    session: Session,
    attempts: _Attempts,
    lease: Lease[Any],
    guard: Question | None = None,
) -> Reply:
    work = attempts.work
    trip = company(session, lease.connection, work.statement, capture=False)
    trip = replace(trip, guard=guard)
    return await send(session, lease, work.call, trip, work.deadline)


async def _judge(
    session: Session,
    attempts: _Attempts,
    lease: Lease[Any],
    place: Place,
    reply: Reply,
) -> _Outcome:
    """Take the reader's answer, or decide who else is to be asked."""
    node, work = place.node, attempts.work
    session.route = _route(session, attempts, place)
    if reply.error is not None:
        fault = fault_of(session, reply.error, lease.connection)
        if fault is Fault.READ_ONLY:
            tried = (*attempts.tried, node.name)
            await attempts.otherwise(session, work, "refused_by_reader", tried=tried)
            remember(session, work.source, node, reply.error)
            return _Outcome.SERVED
        if fault in READ_ELSEWHERE and wanted(reply):
            return _give_up(session, node, attempts)
        settle(session, lease, node, reply)
        raise_fault(reply.error)
    settle(session, lease, node, reply)
    if work.on_success is not None:
        work.on_success(lease.connection)
    session.books.read(node.name, monotonic())
    _warm(session, attempts, node)
    return _Outcome.SERVED


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


def _give_up(session: Session, node: Node, attempts: _Attempts) -> _Outcome:
    attempts.tried.append(node.name)
    attempts.wait = None
    session.cluster.suspect(node.name)
    if len(attempts.tried) > len(session.cluster.nodes):
        raise NoNodeAvailableError(
            f"no node served the read; tried {', '.join(attempts.tried)}"
        )
    return _Outcome.GIVEN_UP


def _route(session: Session, attempts: _Attempts, place: Place) -> Route:
    statement, wait = attempts.work.statement, attempts.wait
    return Route(
        role=Role.READER,
        node=place.node.name,
        region=place.node.region,
        reason=attempts.decision.reason,
        verdict=statement.verdict.value,
        statement=statement.reason,
        fence=place.fence,
        required=None if place.required is None else str(place.required),
        waited=0.0 if wait is None else wait.waited,
        estimate=None if wait is None else wait.outlook.expected,
        alternatives=() if wait is None else _writer_instead(session, wait),
        tried=tuple(attempts.tried),
    )


def _writer_instead(session: Session, wait: Wait) -> tuple[tuple[str, float], ...]:
    writer = session.cluster.topology.writer
    return () if writer is None else ((writer.name, wait.price),)


def _warm(session: Session, attempts: _Attempts, node: Node) -> None:
    """Remember the decision for the next plain read of this session.

    Only a decision about plain reads: where a setting or the connection's own answer
    was served says nothing about them.
    """
    if attempts.decision.reason != NEAREST_READER:
        return
    if events.each_statement():
        return
    if session.transaction.active or not session.autocommit:
        return
    if session.has_options or session.lease is not None or session.route is None:
        return
    if not _holds_for_every_table(session, node):
        return
    route = session.route
    if attempts.wait is not None:
        # The next one will not wait: it is known by then that the node has caught up.
        route = replace(route, waited=0.0, estimate=None, alternatives=())
    version = session.cluster.topology.version
    session.hot = Hot(version, node, route, session.part.latest)


def _holds_for_every_table(session: Session, node: Node) -> bool:
    """Whether a read of other tables would have gone to *node* as well."""
    books = session.books
    if books.tables is None:
        return True
    place = place_at(session, node, books.floor)
    return not books.position_unknown and isinstance(place, Place) and place.caught_up
