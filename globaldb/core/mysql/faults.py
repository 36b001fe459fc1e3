"""What the numbers of MySQL, MariaDB and PyMySQL say has happened."""

from __future__ import annotations

from typing import Final

from globaldb.core.faults import Fault

#: Of 1290, which is used for other options too, the message must say which.
_READ_ONLY_OPTIONS: Final = ("read-only", "read_only")
_PREVENTED: Final = 1290

_NUMBERS: Final[dict[Fault, tuple[int, ...]]] = {
    # KILL QUERY, and the server's own limits (MySQL, MariaDB).
    Fault.CANCELLED: (1317, 3024, 1969),
    # Deadlocks, also of XA; a record that changed since MariaDB's snapshot; group
    # replication; Aurora's limit for transactions.
    Fault.ROLLED_BACK: (1213, 1614, 1020, 3101, 63952),
    # 1792 is not one: the application itself has begun the transaction READ ONLY.
    Fault.READ_ONLY: (1836,),
    # Of the client library; then a server's farewells: shutdown, aborted connection,
    # network, killed (MariaDB, MySQL), idle for too long.
    Fault.NODE_LOST: (
        *(2006, 2012, 2013, 2026, 2055),
        *(1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031),
    ),
    # No connection; offline mode; not ready.
    Fault.UNAVAILABLE: (2002, 2003, 2005, 3032, 3168),
    # Too many connections, of all (1040 also at a writer that writes are forwarded to)
    # or of one user; no thread for another one.
    Fault.CAPACITY: (1040, 1135, 1203, 1226),
    # Aurora's write forwarding has lost its writer.
    Fault.OUTCOME_UNKNOWN: (63976,),
}
#: What Aurora says of writes it forwards, under numbers that nobody has told.
_FORWARDING: Final = (
    "Forwarded connection on Writer terminated",
    "Failed to send write forwarding request",
)
_FAULTS: Final = {number: fault for fault, all_ in _NUMBERS.items() for number in all_}

#: What is said instead of a connection. Numbers that mean the same on an open one are
#: not repeated here.
_OPENING_NUMBERS: Final[dict[Fault, tuple[int, ...]]] = {
    # Wrong user or password; password expired.
    Fault.CREDENTIALS: (1045, 1698, 1862),
    # The database; the host, blocked or not allowed; a plugin that is not there, or
    # wants TLS; no TLS where one side wants it; the account locked (MySQL, MariaDB).
    Fault.REFUSED: (1044, 1049, 1129, 1130, 2059, 2061, 2026, 3159, 3118, 4151),
    Fault.NODE_LOST: (2002, 2003, 2005),
}
_OPENING: Final = {
    number: fault for fault, all_ in _OPENING_NUMBERS.items() for number in all_
}


def mysql_refuses_writes(args: tuple[object, ...]) -> bool:
    """Whether an error's number and text are those of a reader that refuses a write."""
    if len(args) < 2:
        return False
    number, text = args[:2]
    if number == _PREVENTED:
        return any(option in str(text) for option in _READ_ONLY_OPTIONS)
    return number in _NUMBERS[Fault.READ_ONLY]


def mysql_fault(number: int | None, message: str, *, broken: bool) -> Fault:
    """Classify what a connection to MySQL or MariaDB raised.

    *broken* tells whether the connection can no longer be used. Errors without a
    number come from the client library, as for `postgresql_fault`. PyMySQL gives
    numbers beyond 32767 a sign, which does not matter here.
    """
    if broken:
        return Fault.NODE_LOST
    if mysql_refuses_writes((number, message)):
        return Fault.READ_ONLY
    if message.startswith(_FORWARDING):
        return Fault.OUTCOME_UNKNOWN
    return _FAULTS.get(_unsigned(number), Fault.STATEMENT)


def mysql_opening_fault(number: int | None, message: str) -> Fault:
    """Classify why no connection was made.

    What no server has said is `Fault.NODE_LOST`.
    """
    if "CERTIFICATE_VERIFY_FAILED" in message:
        return Fault.REFUSED
    known = _unsigned(number)
    return _OPENING.get(known) or _FAULTS.get(known, Fault.NODE_LOST)


def _unsigned(number: int | None) -> int:
    return 0 if number is None else number & 0xFFFF
