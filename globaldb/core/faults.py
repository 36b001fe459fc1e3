"""Driver errors, classified: what happened, and so what may be done next."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Fault(Enum):
    """The verdict of a fault."""

    #: The statement is at fault, not the node: the application's to handle.
    STATEMENT = "statement"
    #: A reader refused a statement because it only reads. Nothing was executed.
    READ_ONLY = "read_only"
    #: Replay on the reader cancelled the statement. Nothing was executed.
    RECOVERY_CONFLICT = "recovery_conflict"
    #: The connection broke, or the server is going away. What was sent may have run.
    NODE_LOST = "node_lost"
    #: The server takes no (more) connections or statements now. Nothing was executed.
    UNAVAILABLE = "unavailable"


#: A standby's refusals: SQLSTATE and, where the code is used for other things too,
#: what the message must contain. Measured on PostgreSQL 15 to 18.
_READ_ONLY: Final[tuple[tuple[str, str], ...]] = (
    ("25006", ""),
    ("0A000", "cannot use serializable mode in a hot standby"),
    ("0A000", "cannot access temporary or unlogged relations during recovery"),
    ("0A000", "cannot set transaction read-write mode during recovery"),
    ("55000", "recovery is in progress"),
    ("XX000", "during recovery"),
)

#: A statement cancelled by replay, and a connection ended by it.
_RECOVERY: Final = frozenset(("40001", "57P01"))
_UNAVAILABLE: Final = frozenset(("57P03", "53300", "53400"))
_SHUTDOWN: Final = frozenset(("57P01", "57P02", "57P05", "25P03"))


def postgresql_fault(sqlstate: str | None, message: str, *, broken: bool) -> Fault:
    """Classify a PostgreSQL error.

    *broken* tells whether the connection can no longer be used. Errors without a
    SQLSTATE come from the client library: they mean the connection, if it broke,
    and a wrong use of the library otherwise.
    """
    if sqlstate in _RECOVERY and "conflict with recovery" in message:
        return Fault.RECOVERY_CONFLICT
    if broken or sqlstate in _SHUTDOWN or (sqlstate or "").startswith("08"):
        return Fault.NODE_LOST
    if sqlstate in _UNAVAILABLE:
        return Fault.UNAVAILABLE
    refused = any(sqlstate == code and text in message for code, text in _READ_ONLY)
    return Fault.READ_ONLY if refused else Fault.STATEMENT
