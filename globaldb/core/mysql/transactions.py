"""Transaction control of MySQL and MariaDB, parsed into actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.modes import access_mode
from globaldb.core.statement import (
    Action,
    Begin,
    Commit,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
    SetTransaction,
    Statement,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.lexer.reader import TokenReader


def control(command: str, reason: str, action: Action) -> Statement:
    """Return a statement of transaction control."""
    return Statement(Verdict.TRANSACTION, reason, command, action, alone=True)


def begin(reader: TokenReader) -> Statement | None:
    """BEGIN [WORK]; with NOT ATOMIC it is a block of MariaDB and not this."""
    reader.next()
    reader.accept("work")
    return control("BEGIN", "begin", Begin()) if reader.done else None


def start(reader: TokenReader) -> Statement | None:
    """START TRANSACTION, or START of what replicates."""
    reader.next()
    if not reader.accept("transaction"):
        return Statement(Verdict.WRITE, "administration", "START", alone=True)
    asked, snapshot = SetTransaction(), False
    while not reader.done:
        if reader.accept("with", "consistent", "snapshot"):
            snapshot = True
        elif (flagged := access_mode(reader, asked)) is not None:
            asked = flagged
        elif not reader.accept(","):
            return None
    # The snapshot is of the node where it is taken.
    reason = "consistent_snapshot" if snapshot else "begin"
    return control("START", reason, Begin(read_only=asked.read_only))


def commit(reader: TokenReader) -> Statement | None:
    """COMMIT [WORK] [AND [NO] CHAIN] [[NO] RELEASE]."""
    reader.next()
    chain = _chain(reader)
    return None if chain is None else control("COMMIT", "commit", Commit(chain))


def rollback(reader: TokenReader) -> Statement | None:
    """ROLLBACK, and ROLLBACK TO a savepoint."""
    reader.next()
    reader.accept("work")
    if reader.accept("to"):
        reader.accept("savepoint")
        return _named(reader, "ROLLBACK", "rollback_to", RollbackTo)
    chain = _chain(reader)
    return None if chain is None else control("ROLLBACK", "rollback", Rollback(chain))


def _chain(reader: TokenReader) -> bool | None:
    """Return whether a transaction follows; ``None`` if it is something else."""
    reader.accept("work")
    chain = reader.accept("and", "chain")
    if not chain:
        reader.accept("and", "no", "chain")
    if not reader.accept("no", "release"):
        # The session would be over: that is the application's to say with close().
        reader.accept("release")
    return chain if reader.done else None


def savepoint(reader: TokenReader) -> Statement | None:
    """SAVEPOINT."""
    reader.next()
    return _named(reader, "SAVEPOINT", "savepoint", Savepoint)


def release(reader: TokenReader) -> Statement | None:
    """RELEASE SAVEPOINT."""
    reader.next()
    if not reader.accept("savepoint"):
        return None
    return _named(reader, "RELEASE", "release", Release)


def _named(
    reader: TokenReader, command: str, reason: str, make: Callable[[str], Action]
) -> Statement | None:
    name = reader.identifier()
    if name is None or not reader.done:
        return None
    return control(command, reason, make(name.lower()))
