"""What became of a COMMIT that was sent and not answered: the database is asked.

See `globaldb.core.outcome` for what an answer means.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from globaldb.core.lending import Outcome
from globaldb.core.outcome import End, Fate, Inquiry, Judgement, Seen, judge
from globaldb.core.routing import forbids_readers
from globaldb.core.statement import Verdict
from globaldb.core.trip import LinkStatus, Trip
from globaldb.errors import Error
from globaldb.runtime import events

if TYPE_CHECKING:
    from globaldb.core.outcome import Told, Trace
    from globaldb.core.statement import Statement
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session

#: Seconds between two questions: at first, and at most.
_PAUSES: Final = (0.02, 0.4)
#: Seconds that one answer may take, a new connection included.
_ANSWER: Final = 3.0
#: Seconds for which a question is worth asking although the deadline has passed.
_GRACE: Final = 1.0
#: Seconds after which a backend that waits for its client's next word is ended: what
#: is still on its way may arrive by then.
_PATIENT: Final = 0.2
#: Seconds before the last question in which one that is at work is ended, too.
_LAST: Final = 1.0

#: What may be executed in a transaction as well as without.
_DATA: Final = frozenset(
    ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "WITH", "EXECUTE")
)
#: Statements behind which a question changes nothing: they have taken a snapshot
#: themselves. LOCK and SET have not, and SET TRANSACTION may still follow them.
_SNAPSHOTS: Final = _DATA | {"VALUES", "TABLE", "CREATE", "ALTER", "DROP", "TRUNCATE"}
#: Gives the transaction its number.
NUMBER: Final = b"SELECT pg_catalog.pg_current_xact_id()"
_WRITES: Final = (Verdict.WRITE, Verdict.PIN)


class _Found(NamedTuple):
    """What was found out, and what it rests on."""

    judgement: Judgement
    told: Told
    node: Node
    asked_at: float


ROLLED_BACK: Final = Judgement(Fate.ROLLED_BACK)


def traces(session: Session, link: Any, statement: Statement | None) -> bool:
    """Whether the transaction's id is asked for behind *statement*; notes that it writes.

    None stands for what the driver does by itself, which may be anything.
    """
    transaction = session.transaction
    if not transaction.active or not session.on_writer:
        return False
    if statement is not None and statement.verdict not in _WRITES:
        return False
    traced = (
        statement is not None
        and not (statement.alone or statement.multiple)
        and statement.command in _SNAPSHOTS
        and _may_ask(link)
    )
    transaction.writes(traced=traced)
    return traced


def numbers(session: Session, link: Any, statement: Statement) -> bool:
    """Whether a trip ahead of *statement* brings the transaction's number back.

    COPY has no room for a question. It takes a snapshot of its own, and a number.
    """
    writes = statement.command == "COPY" and statement.verdict in _WRITES
    inside = session.transaction.active and session.on_writer
    return writes and inside and _may_ask(link)


def _may_ask(link: Any) -> bool:
    """Whether a server was found to tell a transaction's number, and its own run."""
    return {"run", "xid"} <= (link.facts.writer_parts() or frozenset())


def worth_two_trips(session: Session, statement: Statement) -> bool:
    """Whether a write outside a transaction gets one of its own, to be asked for."""
    if not session.cluster.config.resolve_autocommit or session.idiom.begins_anew:
        return False
    together = not (statement.alone or statement.multiple)
    wanted = statement.verdict is Verdict.WRITE and statement.command in _DATA
    return together and wanted


async def become(session: Session, node: Node, reply: Reply) -> Judgement:
    """Find out what became of the open transaction: *node* has not answered its COMMIT.

    Waits for a writer as long as the statement's deadline or ``failover_wait`` allows; one
    that is still at it is asked again, as long as the deadline or ``connect_timeout``
    allows, and at last told to stop. What the session has written, or read beside it, is
    required from then on.
    """
    transaction, began = session.transaction, monotonic()
    if not transaction.wrote and session.forwarded is None:
        # Every answer was delivered. To a serializable one COMMIT says if they count.
        default = session.settings.value_of("default_transaction_isolation")
        doubtful = forbids_readers(transaction.mode.isolation, default)
        return ROLLED_BACK if doubtful else Judgement(Fate.COMMITTED)
    trace = transaction.trace
    if trace is None:
        return Judgement(Fate.UNKNOWN, "the transaction had not told its number")
    if reply.status is LinkStatus.LOST and not session.pinned:
        # The question may need its place in the pool.
        session.release()
    config = session.cluster.config
    if session.timeout is None:
        return await _learn(
            session, node, trace, began + config.failover_wait, config.connect_timeout
        )
    until = max(reply.asked_at + session.timeout, began + _GRACE)
    return await _learn(session, node, trace, until, inf)


async def _learn(
    session: Session, node: Node, trace: Trace, until: float, longest: float
) -> Judgement:
    """Ask until it is known or the time has come; *longest* of one that is still at it."""
    began, (pause, most) = monotonic(), _PAUSES
    judgement = Judgement(Fate.RUNNING, "no writer answered in time")
    while True:
        found = await _ask(session, node, Inquiry(trace, _end(began, until)), until)
        if found is not None:
            judgement = found.judgement
            if judgement.fate is not Fate.RUNNING:
                _note(session, found)
                return judgement
            until = min(until, monotonic() + longest)
            longest = inf
        if monotonic() + pause >= until:
            return Judgement(Fate.UNKNOWN, judgement.why)
        await session.shell.sleep(pause)
        pause = min(2 * pause, most)


def _end(began: float, until: float) -> End:
    now = monotonic()
    if now > until - _LAST:
        return End.BUSY
    return End.WAITING if now > began + _PATIENT else End.NO


async def _ask(
    session: Session, node: Node, inquiry: Inquiry, until: float
) -> _Found | None:
    """Ask whoever is the writer now; None when nobody could be asked."""
    try:
        writer = await session.shell.await_writer(until)
        # One that hangs must not keep another one from being asked.
        until = min(until, monotonic() + _ANSWER)
        lease = await session.shell.borrow(writer, until)
    except Error:
        return None
    except Exception:  # noqa: BLE001 - whatever a driver raises when it cannot connect
        session.cluster.suspect(node.name)
        return None
    link, outcome = lease.connection, Outcome.DISCARD
    try:
        if link.hung_up():
            return None
        trip = Trip(inquiry=inquiry, expendable=True)
        reply = await session.shell.travel(link, None, trip, until)
        if reply.told is None:
            session.cluster.suspect(writer.name)
            return None
        outcome = Outcome.REUSE
    finally:
        writer.pool.checkin(lease, outcome)
    trace, told = inquiry.trace, reply.told
    seen = Seen(
        same_node=writer.name == node.name,
        unbroken=lease.opened_at < trace.asked_at,
        flushed=node.facts.flushed.get(trace.run),
        fork=session.cluster.timelines.told.get((told.run.timeline, writer.name)),
    )
    return _Found(judge(trace, told, seen), told, writer, reply.asked_at)


def _note(session: Session, found: _Found) -> None:
    """Have the session require what it has written, or read beside it."""
    books, position = session.books, found.told.position
    events.outcome_learnt(session, found.node, found.judgement)
    if found.judgement.fate is Fate.UNKNOWN or position is None:
        return
    floor = None if books.floor is None else books.floor.log
    log = position.log
    if floor is not None and log is not None and floor.timeline != log.timeline:
        # What else is required has to be restated first.
        return
    books.captured(position, monotonic())
    found.node.wrote(position, found.asked_at)
