"""A write outside a transaction, given one of its own: two round trips instead of one.

When the answer to its COMMIT is lost, the database can be asked what became of it; when
the answer to the write itself is lost, nothing was applied. See
docs/decisions/0022-outcome-of-a-lost-commit.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.transaction import TransactionMode
from globaldb.runtime.flow import transaction as tx
from globaldb.runtime.flow.placement import Placed
from globaldb.runtime.flow.seek import borrow_writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session


async def write_in_two_trips(
    session: Session, work: Work, reason: str, finished: Callable[[], None]
) -> None:
    """Run *work* on the writer between a BEGIN and a COMMIT of its own.

    *finished* does what comes behind a statement, while its connection is held.
    """
    session.cluster.catalog.needed(reason)
    node, lease = await borrow_writer(session, work.deadline)
    # The modes of the application's transactions are not those of statements alone.
    session.transaction.begin(TransactionMode())
    session.settings.begin()
    session.moored = False
    try:
        await tx.first_statement(session, work, Placed(reason, node, lease))
        finished()
    except BaseException:
        await _undo(session)
        raise
    if session.transaction.active:
        await tx.commit(session)


async def _undo(session: Session) -> None:
    """End what has failed; why it failed is what the application has to hear."""
    if not session.transaction.active:
        return
    try:
        await tx.rollback(session)
    except Exception:  # noqa: BLE001 - what comes first has failed already
        session.drop_lease()
