"""What a failed trip means: repeat, go elsewhere, or say precisely what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from globaldb.core.faults import Fault, FaultVerdict, Sent, verdict
from globaldb.core.trip import LinkStatus
from globaldb.errors import (
    DeadlineExceededError,
    NodeLostError,
    NoNodeAvailableError,
    OperationalError,
    OutcomeUnknownError,
)
from globaldb.runtime import events

if TYPE_CHECKING:
    from globaldb.core.trip import Reply
    from globaldb.runtime.node import Node
    from globaldb.runtime.session import Session

#: What PostgreSQL answers to a cancel, and to its own statement_timeout; MySQL to KILL.
_QUERY_CANCELED = ("57014", "70100")
#: What is to be known of a transaction that was divided.
DIVIDED: Final = (
    "an earlier part of the transaction was committed, or may have been, by a "
    "definition, a procedure or a script: look before you repeat it"
)


def fault_of(session: Session, error: BaseException, link: Any) -> Fault:
    """Classify *error* of *link*."""
    return session.cluster.driver.fault(error, link)


def verdict_of(
    session: Session, reply: Reply, link: Any, sent: Sent, *, writes: bool
) -> FaultVerdict:
    """Say what may be done after the failure that *reply* tells of.

    *sent* is what was under way; *writes*, whether it may have written.
    """
    if reply.error is None:
        return FaultVerdict.RAISE
    if not reply.sent:
        sent = Sent.NOTHING if sent is Sent.STATEMENT else Sent.INSIDE
    return verdict(fault_of(session, reply.error, link), sent, writes=writes)


def raise_fault(error: BaseException) -> NoReturn:
    """Raise the database's own error as it is."""
    raise error


def wanted(reply: Reply) -> bool:
    """Whether an answer is still wanted: nobody, and no deadline, has cancelled it."""
    if isinstance(reply.error, DeadlineExceededError):
        return False
    return getattr(reply.error, "sqlstate", None) not in _QUERY_CANCELED


def raise_unwanted(reply: Reply) -> None:
    """Raise what came back to a statement that was cancelled; else do nothing."""
    if reply.error is not None and not wanted(reply):
        raise_fault(reply.error)


def raise_of_writer(
    session: Session, node: Node, link: Any, error: BaseException
) -> NoReturn:
    """Raise the *error* that *node*, taken for the writer, has answered with.

    What it refused because it has become a standby is no fault of the statement.
    """
    if not link.standby or fault_of(session, error, link) is not Fault.READ_ONLY:
        raise error
    raise_demoted(session, node, error)


def raise_demoted(session: Session, node: Node, error: BaseException) -> NoReturn:
    """Raise for *node*, which has refused as a standby does and was the writer."""
    session.cluster.demoted(node.name)
    raise NoNodeAvailableError(
        f"{node.name} was taken for the writer and is a standby now: {_text(error)}. "
        "Nothing was applied; try again when the failover is over"
    ) from error


def lost(session: Session, what: str) -> OperationalError:
    """Return the error of a transaction that is gone, because of *what*."""
    if session.transaction.divided:
        return OutcomeUnknownError(f"{what}. What was open is undone, but {DIVIDED}")
    return NodeLostError(f"{what}. Nothing was applied; it is safe to try again")


def raise_lost(session: Session, node: Node, reply: Reply, what: str) -> NoReturn:
    """Raise for a connection that broke before *what* could have been applied."""
    cause = reply.error
    problem = f"the connection to {node.name} was lost"
    if reply.status is not LinkStatus.LOST:
        problem = f"{node.name} gave up"
    raise lost(session, f"{problem} before {what}: {_text(cause)}") from cause


def raise_rolled_back(session: Session, node: Node, reply: Reply) -> NoReturn:
    """Raise for a COMMIT of which the database says that nothing came."""
    cause = reply.error
    raise lost(
        session,
        f"the connection to {node.name} was lost after COMMIT had been sent: "
        f"{_text(cause)}. The database says that the transaction was rolled back",
    ) from cause


def raise_unknown(
    session: Session, node: Node, reply: Reply, what: str, *, why: str = ""
) -> NoReturn:
    """Raise for a connection that broke after *what* had been sent.

    *why* is the reason for which the database could not tell, where it was asked.
    """
    cause = reply.error
    session.books.lost_position()
    events.outcome_unknown(session, node, what)
    problem = f"the connection to {node.name} was lost after {what} had been sent"
    if reply.status is not LinkStatus.LOST:
        problem = f"{node.name} does not know what became of {what}"
    asked = f"; the database cannot tell: {why}" if why else ""
    raise OutcomeUnknownError(
        f"{problem}: {_text(cause)}. It may have been applied{asked}; look before you "
        "repeat it"
    ) from cause


def _text(error: BaseException | None) -> str:
    if error is None:
        return "no reason given"
    # A sentence goes on behind it.
    return " ".join(str(error).split()).rstrip(".")
