"""A transaction on a reader meets a statement that needs the writer.

Some of these a reader refuses by itself, as any read-only transaction would; others
(advisory locks, functions nobody knows) it would run, unnoticed by everybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from globaldb.core.routing import READS, needs_writer, refuse_write
from globaldb.core.transaction import TransactionState
from globaldb.core.trip import Trip
from globaldb.errors import ReadOnlyError
from globaldb.runtime.flow import transaction as tx

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
    if session.on_writer or transaction.state not in _RUNNING:
        return
    if not needs_writer(statement):
        session.moored = session.moored or statement.verdict not in READS
        return
    if lease is None:
        return
    if session.moored or transaction.has_savepoints:
        refuse(session, statement)
    refuse_write(session.intent, session.cluster.topology)
    mode = transaction.mode
    if transaction.state is TransactionState.OPEN:
        if await _keeps_a_snapshot(session, lease):
            refuse(session, statement)
        with session.moving():
            await tx.commit(session)
            tx.begin(session, mode)


async def _keeps_a_snapshot(session: Session, lease: Lease[Any]) -> bool:
    """Ask the reader, which alone knows its defaults; yes fails the transaction."""
    reply = await session.shell.travel(
        lease.connection, _READ_COMMITTED, Trip(), session.deadline()
    )
    if reply.error is not None:
        session.transaction.failed()
    return reply.error is not None


def refuse(session: Session, statement: Statement) -> NoReturn:
    """Raise for a statement that must not run where the transaction is."""
    where = session.node.name if session.node is not None else "a reader"
    raise ReadOnlyError(
        f"this transaction runs on {where}, which only reads, and the statement "
        f"({statement.command}: {statement.reason}) needs the writer. It was not "
        "sent. Run it first in the transaction, or start the transaction without "
        "READ ONLY, or inside using(route='writer')"
    )
