"""A read-only transaction on a reader meets a statement that needs the writer.

Some of these a reader refuses by itself, as any read-only transaction would; others
(advisory locks, functions nobody knows) it would run, unnoticed by everybody else. And
a read may have to be fresher than the reader, because of what was asked for meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from globaldb.core.consistency import Consistency
from globaldb.core.routing import READS, keeps_a_snapshot, needs_writer, refuse_write
from globaldb.core.transaction import TransactionState
from globaldb.core.trip import Trip
from globaldb.errors import ReadOnlyError, StalenessError
from globaldb.runtime.flow import transaction as tx
from globaldb.runtime.flow.fence import place_at
from globaldb.runtime.flow.forwarding import at_forwarder

if TYPE_CHECKING:
    from globaldb.core.lending import Lease
    from globaldb.core.statement import Statement
    from globaldb.runtime.session import Session

#: Fails in any other isolation level.
_READ_COMMITTED: Final = (
    b"SELECT 1 / (current_setting('transaction_isolation') = 'read committed')::int"
)


_RUNNING: Final = (TransactionState.BEGUN, TransactionState.OPEN)


async def leave_if_needed(session: Session, statement: Statement) -> None:
    """Take the session off its reader if *statement* needs the writer.

    A READ COMMITTED transaction that has only read can go on at the writer: each of
    its statements sees a newer state anyway. Any other raises `ReadOnlyError`.
    """
    transaction = session.transaction
    lease = session.lease
    if session.on_writer or transaction.state not in _RUNNING or at_forwarder(session):
        return
    outrun = lease is not None and _outrun(session, statement)
    if not needs_writer(statement) and not outrun:
        session.moored = session.moored or statement.verdict not in READS
        return
    if lease is None:
        return
    refusing = _refuse_staleness if outrun else refuse
    if session.moored or transaction.has_savepoints:
        refusing(session, statement)
    if not outrun:
        refuse_write(session.intent, session.cluster.topology)
    mode = transaction.mode
    if transaction.state is TransactionState.OPEN:
        if await _keeps_a_snapshot(session, lease):
            refusing(session, statement)
        with session.moving():
            await tx.commit(session)
            tx.begin(session, mode)


def _outrun(session: Session, statement: Statement) -> bool:
    """Whether a read must be fresher than what the transaction began with.

    A token was observed, or a block asks for more. One that reads the same state
    throughout asked for an old one.
    """
    mode, node, books = session.transaction.mode, session.node, session.books
    default = session.settings.value_of("default_transaction_isolation")
    if statement.verdict not in READS or keeps_a_snapshot(mode.isolation, default):
        return False
    if session.route_option == "writer" or session.consistency is Consistency.GLOBAL:
        return True
    if session.consistency is not Consistency.SESSION or books.floor is session.met:
        return False
    if node is None or books.needs_writer(session.cluster.topology.epoch) is not None:
        return True
    place = place_at(session, node, books.floor)
    return isinstance(place, str) or not place.caught_up


async def _keeps_a_snapshot(session: Session, lease: Lease[Any]) -> bool:
    """Ask the reader, which alone knows its defaults; yes fails the transaction."""
    if session.idiom.keeps_snapshots:
        default = session.settings.value_of("default_transaction_isolation")
        asked = session.transaction.mode.isolation or default or ""
        return "read committed" not in asked.lower()
    reply = await session.shell.travel(
        lease.connection, _READ_COMMITTED, Trip(), session.deadline()
    )
    if reply.error is not None:
        session.transaction.failed()
    return reply.error is not None


def _refuse_staleness(session: Session, statement: Statement) -> NoReturn:
    """Raise for a read that would be older than what was asked for."""
    where = session.node.name if session.node is not None else "a reader"
    raise StalenessError(
        f"this transaction runs on {where}, which is not known to have what a token or "
        f"using() has asked for since it began, and it cannot go on elsewhere. The "
        f"statement ({statement.command}) was not sent. Ask for it before the "
        "transaction begins, or begin another one"
    )


def refuse(session: Session, statement: Statement) -> NoReturn:
    """Raise for a statement that must not run where the transaction is."""
    where = session.node.name if session.node is not None else "a reader"
    raise ReadOnlyError(
        f"this transaction runs on {where}, which only reads, and the statement "
        f"({statement.command}: {statement.reason}) needs the writer. It was not "
        "sent. Run it first in the transaction, or start the transaction without "
        "READ ONLY, or inside using(route='writer')"
    )
