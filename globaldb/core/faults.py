"""Driver errors, classified: what happened, and so what may be done next.

What an engine's codes mean stands in its own table: `globaldb.core.postgresql.faults`
and `globaldb.core.mysql.faults`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Fault(Enum):
    """What an error says has happened."""

    #: The statement is at fault, not the node: the application's to handle.
    STATEMENT = "statement"
    #: Somebody ended the statement: its answer is not wanted.
    CANCELLED = "cancelled"
    #: The transaction met another one, and was rolled back.
    ROLLED_BACK = "rolled_back"
    #: A reader refused a statement because it only reads. Nothing was executed.
    READ_ONLY = "read_only"
    #: Replay on the reader cancelled the statement. Nothing was executed.
    RECOVERY_CONFLICT = "recovery_conflict"
    #: The connection broke, or the server is going away. What was sent may have run.
    NODE_LOST = "node_lost"
    #: The server takes no connections or statements now. Nothing was executed.
    UNAVAILABLE = "unavailable"
    #: The server is well, and takes no more connections. Nothing was executed.
    CAPACITY = "capacity"
    #: The server does not accept who we say we are.
    CREDENTIALS = "credentials"
    #: The server lets nobody in who asks as we do, whoever it is.
    REFUSED = "refused"
    #: The server itself does not know what became of the statement.
    OUTCOME_UNKNOWN = "outcome_unknown"


class Sent(Enum):
    """What was under way when an error came."""

    #: Nothing was sent, and no transaction was open.
    NOTHING = "nothing"
    #: A statement that is its own transaction.
    STATEMENT = "statement"
    #: The first statement of a transaction, behind BEGIN.
    FIRST = "first"
    #: A later statement of a transaction.
    INSIDE = "inside"
    COMMIT = "commit"


class FaultVerdict(Enum):
    """What may be done next."""

    #: Raise the error as it is.
    RAISE = "raise"
    #: Raise it as it is: nothing of it was applied, and the same may be tried again.
    RETRY = "retry"
    #: Raise it, or try once more with credentials fetched anew.
    LOGIN = "login"
    #: Do it again at another node.
    ELSEWHERE = "elsewhere"
    #: Do it again over another connection.
    RECONNECT = "reconnect"
    #: Find out who the writer is, and do it there.
    WRITER = "writer"
    #: Find out who the writer is, and raise `NoNodeAvailableError`.
    DEMOTED = "demoted"
    #: Raise `NodeLostError`.
    LOST = "lost"
    #: Ask the database what became of it, or raise `OutcomeUnknownError`.
    UNKNOWN = "unknown"


def _row(words: str) -> tuple[FaultVerdict, ...]:
    return tuple(FaultVerdict(word) for word in words.split())


#: Reads and writes of each kind of `Sent` in turn; `_COLUMN` says where they stand.
_VERDICTS: Final[dict[Fault, tuple[FaultVerdict, ...]]] = {
    Fault.STATEMENT: _row("raise raise raise raise raise raise raise raise"),
    Fault.CANCELLED: _row("raise raise raise raise raise raise raise raise"),
    Fault.ROLLED_BACK: _row("retry retry retry retry retry retry retry retry"),
    Fault.READ_ONLY: _row("writer writer writer writer writer demoted demoted demoted"),
    Fault.RECOVERY_CONFLICT: _row(
        "elsewhere reconnect elsewhere unknown elsewhere lost lost unknown"
    ),
    Fault.NODE_LOST: _row(
        "elsewhere reconnect elsewhere unknown elsewhere lost lost unknown"
    ),
    Fault.UNAVAILABLE: _row(
        "elsewhere retry elsewhere retry elsewhere retry retry unknown"
    ),
    Fault.CAPACITY: _row(
        "elsewhere retry elsewhere retry elsewhere retry retry unknown"
    ),
    Fault.CREDENTIALS: _row("login login raise raise raise raise raise raise"),
    Fault.REFUSED: _row("raise raise raise raise raise raise raise raise"),
    Fault.OUTCOME_UNKNOWN: _row(
        "elsewhere reconnect elsewhere unknown lost lost lost unknown"
    ),
}

#: By what was sent, the columns of what reads and of what may write.
_COLUMN: Final[dict[Sent, tuple[int, int]]] = {
    Sent.NOTHING: (0, 1),
    Sent.STATEMENT: (2, 3),
    Sent.FIRST: (4, 4),
    Sent.INSIDE: (5, 5),
    Sent.COMMIT: (6, 7),
}


def verdict(fault: Fault, sent: Sent, *, writes: bool) -> FaultVerdict:
    """Return what may be done after *fault*.

    *writes* tells whether the statement, or for `Sent.COMMIT` the transaction, may
    have written.
    """
    return _VERDICTS[fault][_COLUMN[sent][writes]]


#: What a read may meet at a node without the statement being at fault.
READ_ELSEWHERE: Final = frozenset(
    fault
    for fault in Fault
    if verdict(fault, Sent.STATEMENT, writes=False)
    in (FaultVerdict.ELSEWHERE, FaultVerdict.WRITER)
)

#: Nothing was applied, and the node is well: the same may succeed the next time.
RETRYABLE: Final = frozenset(
    fault
    for fault in Fault
    if verdict(fault, Sent.INSIDE, writes=True) is FaultVerdict.RETRY
)

#: Faults of an opening that no other attempt will be spared.
HOPELESS: Final = frozenset((Fault.CREDENTIALS, Fault.REFUSED))

#: Faults of an opening that only a server which is well can tell of.
WELL: Final = HOPELESS | {Fault.CAPACITY}
