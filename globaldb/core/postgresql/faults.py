"""What PostgreSQL's SQLSTATEs and libpq's texts say has happened."""

from __future__ import annotations

from typing import Final

from globaldb.core.faults import Fault

#: How the SQLSTATE begins, what the message contains, and what that is; the first that
#: matches wins. Measured on PostgreSQL 15 to 18.
_FAULTS: Final[tuple[tuple[str, str, Fault], ...]] = (
    # Whatever the server itself says of a conflict with replay has a code that means
    # something else, too.
    ("40001", "conflict with recovery", Fault.RECOVERY_CONFLICT),
    ("40P01", "conflict with recovery", Fault.RECOVERY_CONFLICT),
    ("57P01", "conflict with recovery", Fault.RECOVERY_CONFLICT),
    # It would be violated again.
    ("40002", "", Fault.STATEMENT),
    ("40003", "", Fault.OUTCOME_UNKNOWN),
    ("40", "", Fault.ROLLED_BACK),
    ("08007", "", Fault.OUTCOME_UNKNOWN),
    ("08", "", Fault.NODE_LOST),
    ("57014", "", Fault.CANCELLED),
    ("57P03", "", Fault.UNAVAILABLE),
    ("57P", "", Fault.NODE_LOST),
    ("25P03", "", Fault.NODE_LOST),
    ("25P04", "", Fault.NODE_LOST),
    # A standby's refusals.
    ("25006", "", Fault.READ_ONLY),
    ("0A000", "cannot use serializable mode in a hot standby", Fault.READ_ONLY),
    (
        "0A000",
        "cannot access temporary or unlogged relations during recovery",
        Fault.READ_ONLY,
    ),
    (
        "0A000",
        "cannot set transaction read-write mode during recovery",
        Fault.READ_ONLY,
    ),
    ("55000", "recovery is in progress", Fault.READ_ONLY),
    ("XX000", "during recovery", Fault.READ_ONLY),
    # The rest of class 53 (memory, disk, temporary files) is what a statement takes:
    # asked elsewhere, it would take it there.
    ("53300", "", Fault.CAPACITY),
    # Files that are not there are those that a statement has named.
    ("58P01", "", Fault.STATEMENT),
    ("58", "", Fault.UNAVAILABLE),
    ("28000", "no pg_hba.conf entry", Fault.REFUSED),
    ("28000", "pg_hba.conf rejects connection", Fault.REFUSED),
    ("28000", "is not permitted to log in", Fault.REFUSED),
    ("28", "", Fault.CREDENTIALS),
    ("3D000", "", Fault.REFUSED),
)

#: What libpq's text contains when no connection was made: it has no SQLSTATE.
_OPENING: Final[tuple[tuple[str, Fault], ...]] = (
    ("authentication failed for user", Fault.CREDENTIALS),
    ("no password supplied", Fault.CREDENTIALS),
    ("no pg_hba.conf entry", Fault.REFUSED),
    ("pg_hba.conf rejects connection", Fault.REFUSED),
    ("is not permitted to log in", Fault.REFUSED),
    ("permission denied for database", Fault.REFUSED),
    ("is not currently accepting connections", Fault.REFUSED),
    ("SSL was required", Fault.REFUSED),
    ("certificate verify failed", Fault.REFUSED),
    ("does not match host name", Fault.REFUSED),
    ("too many clients already", Fault.CAPACITY),
    ("remaining connection slots are reserved", Fault.CAPACITY),
    ("too many connections for", Fault.CAPACITY),
    ("the database system is ", Fault.UNAVAILABLE),
)


def postgresql_fault(sqlstate: str | None, message: str, *, broken: bool) -> Fault:
    """Classify what a connection raised.

    *broken* tells whether the connection can no longer be used. Errors without a
    SQLSTATE come from the client library: they mean the connection, if it broke,
    and a wrong use of the library otherwise.
    """
    code = sqlstate or ""
    found = next(
        (
            fault
            for prefix, text, fault in _FAULTS
            if code.startswith(prefix) and text in message
        ),
        Fault.STATEMENT,
    )
    if broken and found is not Fault.RECOVERY_CONFLICT:
        return Fault.NODE_LOST
    return found


def postgresql_opening_fault(message: str) -> Fault:
    """Classify why no connection was made, by libpq's or psycopg's *message*.

    What no server has said is `Fault.NODE_LOST`.
    """
    for text, fault in _OPENING:
        if text in message:
            return fault
    if "does not exist" in message:
        what = Fault.CREDENTIALS if 'role "' in message else Fault.REFUSED
        return what if "FATAL" in message else Fault.NODE_LOST
    return Fault.NODE_LOST
