"""The connection that a session holds is gone, or of no use: said once, and precisely."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from globaldb.core.lending import Outcome
from globaldb.errors import NodeLostError
from globaldb.runtime.flow.faults import lost

if TYPE_CHECKING:
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session


def refuse_gone(session: Session) -> None:
    """Raise `NodeLostError` when the connection held has hung up, or was given up."""
    lease, node = session.lease, session.node
    if lease is None or node is None or not lease.connection.hung_up():
        return
    if not session.transaction.active:
        session.cluster.suspect(node.name)
        _lose_what_lives(session, f"the connection to {node.name} is lost")
    session.cluster.suspect(node.name)
    session.transaction_lost()
    raise lost(
        session,
        f"the transaction was lost with its connection to {node.name}, and rolled back "
        "by the server",
    )


def leave_demoted(session: Session, node: Node) -> NoReturn:
    """Let go of a connection to *node*, which has refused as a reader does.

    Whatever lives there, nothing can be written beside it any more.
    """
    session.cluster.demoted(node.name)
    _lose_what_lives(session, f"{node.name} is lost as the writer")


def _lose_what_lives(session: Session, why: str) -> NoReturn:
    session.release(Outcome.DISCARD)
    raise NodeLostError(
        f"{why}, and so is what lived on this session's connection to it: temporary "
        "tables, cursors, locks, LISTEN. Nothing was executed; make them again, then "
        "try again"
    )
