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


#: A MySQL or MariaDB reader's refusals, by number and what the message must contain:
#: the number is used for other options too. 1792 is not one: the application itself
#: has begun the transaction READ ONLY.
_MYSQL_READ_ONLY: Final[tuple[tuple[int, str], ...]] = (
    (1290, "read-only"),
    (1290, "read_only"),
    (1836, ""),
)
#: Client errors 2006, 2013 and 2055, and a server's farewells: shutdown, aborted
#: connection, killed (MariaDB, MySQL), idle for too long.
_MYSQL_LOST: Final = frozenset((2006, 2013, 2055, 1053, 1152, 1184, 1927, 3169, 4031))
#: Too many connections, of all or of one user; none that could be made.
_MYSQL_UNAVAILABLE: Final = frozenset((1040, 1203, 1226, 2002, 2003, 3032, 3168))


def mysql_refuses_writes(args: tuple[object, ...]) -> bool:
    """Whether an error's number and text are those of a reader that refuses a write."""
    if len(args) < 2:
        return False
    code, text = args[:2]
    return any(
        code == number and part in str(text) for number, part in _MYSQL_READ_ONLY
    )


def mysql_fault(number: int | None, message: str, *, broken: bool) -> Fault:
    """Classify an error of MySQL or MariaDB, *number* without a sign.

    *broken* tells whether the connection can no longer be used. Errors without a
    number come from the client library, as for `postgresql_fault`.
    """
    if broken or number in _MYSQL_LOST:
        return Fault.NODE_LOST
    if number in _MYSQL_UNAVAILABLE:
        return Fault.UNAVAILABLE
    refused = mysql_refuses_writes((number, message))
    return Fault.READ_ONLY if refused else Fault.STATEMENT
