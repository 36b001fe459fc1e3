"""Where a transaction runs: at the writer, or at a reader that is fresh enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from globaldb.core.consistency import Consistency
from globaldb.core.lending import Outcome
from globaldb.core.routing import (
    READS,
    Decision,
    Target,
    decide_read,
    forbids_readers,
    keeps_a_snapshot,
    needs_writer,
    refuse_write,
)
from globaldb.errors import Error, ReadOnlyError
from globaldb.runtime.flow.capture import wait_for
from globaldb.runtime.flow.forwarding import NATIVE, native_target, reads_only
from globaldb.runtime.flow.newest import as_of_now, needs_newest
from globaldb.runtime.flow.read import find_reader, with_what_was_left
from globaldb.runtime.flow.reading import why_not
from globaldb.runtime.flow.seek import borrow_writer
from globaldb.runtime.flow.wait import Wait

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.statement import Statement
    from globaldb.runtime.flow.fence import Place
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session


class Placed(NamedTuple):
    """A connection for a transaction, and why there."""

    reason: str
    node: Node
    lease: Lease[Any]


#: It runs at a reader until it writes.
READS_SO_FAR = "transaction_reads"
_READ_ONLY = "read_only_transaction"
_NO_FORWARDING = "no_write_forwarding"

#: Reasons for which a transaction runs on a reader, and cannot write anywhere else.
ON_READER = frozenset((_READ_ONLY, _NO_FORWARDING, NATIVE))


async def place(
    session: Session,
    statement: Statement | None,
    sql: str | bytes | None,
    deadline: float | None,
) -> Placed:
    """Choose where the transaction runs, and check a connection out there."""
    decision = transaction_target(session, statement, sql)
    if needs_newest(decision) and _may_learn_first(session):
        found = await as_of_now(session, decision, deadline)
        if found.target is Target.READER:
            decision = replace(found, reason=_READ_ONLY)
    if decision.target is Target.READER:
        return Placed(*await fresh_reader(session, decision, deadline))
    node, lease = await borrow_writer(session, deadline)
    return Placed(decision.reason, node, lease)


def _may_learn_first(session: Session) -> bool:
    """Whether one position of the writer, taken now, is enough for all its reads.

    Without a snapshot that lasts, each read in the mode global would need its own.
    """
    mode = session.transaction.mode
    default = session.settings.value_of("default_transaction_isolation")
    if not reads_only(session):
        return False
    return session.consistency is not Consistency.GLOBAL or keeps_a_snapshot(
        mode.isolation, default
    )


def transaction_target(
    session: Session, statement: Statement | None, sql: str | bytes | None
) -> Decision:
    """Decide who may serve the transaction that *statement* is about to open.

    Without its text *sql* nothing is known of what is going to be said in it.
    """
    intent = session.intent
    mode = session.transaction.mode
    default = session.settings.value_of("default_transaction_isolation")
    if forbids_readers(mode.isolation, default):
        return Decision(Target.WRITER, "serializable")
    if reads_only(session):
        return _read_only_target(session, statement)
    native = native_target(session, statement, sql)
    if native is not None:
        return native
    if intent.consistency is None:
        writing = statement is not None and statement.verdict not in READS
        try:
            refuse_write(intent, session.cluster.topology)
        except ReadOnlyError:
            if writing:
                raise
            return Decision(Target.READER, _NO_FORWARDING)
    elif statement is not None and sql is not None and session.may_read_first:
        return _reading_target(session, statement, sql)
    return Decision(Target.WRITER, "transaction")


def _read_only_target(session: Session, statement: Statement | None) -> Decision:
    intent = session.intent
    if statement is not None and needs_writer(statement):
        refuse_write(intent, session.cluster.topology)
        return Decision(Target.WRITER, statement.reason)
    decision = decide_read(intent, session.books, session.cluster.topology)
    if decision.target is Target.READER:
        return replace(decision, reason=_READ_ONLY)
    return decision


def _reading_target(
    session: Session, statement: Statement, sql: str | bytes
) -> Decision:
    """Decide for a transaction that has declared nothing, and may only read."""
    intent = session.intent
    if intent.consistency is Consistency.GLOBAL:
        # Each of its reads would need a position of its own.
        return Decision(Target.WRITER, "transaction")
    why = why_not(session, statement, sql)
    if why is not None:
        return Decision(Target.WRITER, why)
    decision = decide_read(intent, session.books, session.cluster.topology)
    if decision.target is Target.READER:
        return replace(decision, reason=READS_SO_FAR)
    return decision


async def fresh_reader(
    session: Session, decision: Decision, deadline: float | None
) -> tuple[str, Node, Lease[Any]]:
    """Check out a reader that is fresh enough before a snapshot is taken there.

    The writer takes its place when there is none; the reason comes with either.
    """
    tried: list[str] = []
    while True:
        floor = session.books.floor
        found = await find_reader(session, decision, tried)
        decision = with_what_was_left(session, decision, floor)
        if isinstance(found, str):
            return (found, *await borrow_writer(session, deadline))
        node = found.node
        try:
            lease = await session.shell.borrow(node, deadline)
        except Error:
            tried.append(node.name)
            session.cluster.suspect(node.name)
            continue
        fresh = found.caught_up
        if not fresh and found.required is not None:
            try:
                fresh = await _wait_at(session, lease, found, deadline)
            except BaseException:
                session.hand_back(lease, node)
                raise
        if not fresh:
            session.hand_back(lease, node)
            return ("reader_behind", *await borrow_writer(session, deadline))
        if not lease.connection.hung_up():
            return decision.reason, node, lease
        session.hand_back(lease, node, Outcome.DISCARD)


async def _wait_at(
    session: Session, lease: Lease[Any], place: Place, deadline: float | None
) -> bool:
    """Wait until the reader has caught up; False when the writer is the better way."""
    if place.required is None:
        return True
    wait = Wait(session, place.node, place.required, deadline)
    if wait.worth_a_look and await wait_for(session, lease, place, wait):
        return True
    wait.give_up()
    return False
