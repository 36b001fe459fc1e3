"""Transaction control of PostgreSQL, parsed into actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.lexer.postgresql import literal
from globaldb.core.modes import modes
from globaldb.core.statement import (
    Action,
    Begin,
    Commit,
    CommitPrepared,
    PrepareTransaction,
    Release,
    Rollback,
    RollbackPrepared,
    RollbackTo,
    Savepoint,
    SetCharacteristics,
    SetTransaction,
    Statement,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.lexer.reader import TokenReader


def control(
    command: str, reason: str, action: Action, verdict: Verdict = Verdict.TRANSACTION
) -> Statement:
    """Return a statement of transaction control, which always travels alone."""
    return Statement(verdict, reason, command, action, alone=True)


def begin(reader: TokenReader) -> Statement | None:
    """BEGIN and START TRANSACTION."""
    command = reader.word().upper()
    if not reader.accept("start", "transaction"):
        reader.accept("begin")
        if not reader.accept("work"):
            reader.accept("transaction")
    asked = modes(reader)
    if asked is None:
        return None
    action = Begin(asked.isolation, asked.read_only, asked.deferrable)
    return control(command, "begin", action)


def commit(reader: TokenReader) -> Statement | None:
    """COMMIT, END and COMMIT PREPARED."""
    command = reader.word().upper()
    reader.next()
    if command == "COMMIT" and reader.accept("prepared"):
        return _prepared(reader, command, "commit_prepared", CommitPrepared)
    chain = _chain(reader)
    return None if chain is None else control(command, "commit", Commit(chain))


def rollback(reader: TokenReader) -> Statement | None:
    """ROLLBACK, ABORT, ROLLBACK TO and ROLLBACK PREPARED."""
    command = reader.word().upper()
    reader.next()
    if command == "ROLLBACK" and reader.accept("prepared"):
        return _prepared(reader, command, "rollback_prepared", RollbackPrepared)
    if (
        reader.accept("to")
        or reader.accept("work", "to")
        or (reader.accept("transaction", "to"))
    ):
        return _named(reader, command, "rollback_to", RollbackTo)
    chain = _chain(reader)
    return None if chain is None else control(command, "rollback", Rollback(chain))


def _chain(reader: TokenReader) -> bool | None:
    if not reader.accept("work"):
        reader.accept("transaction")
    chain = reader.accept("and", "chain")
    if not chain:
        reader.accept("and", "no", "chain")
    return chain if reader.done else None


def savepoint(reader: TokenReader) -> Statement | None:
    """SAVEPOINT."""
    reader.next()
    return _named(reader, "SAVEPOINT", "savepoint", Savepoint)


def release(reader: TokenReader) -> Statement | None:
    """RELEASE [SAVEPOINT]."""
    reader.next()
    return _named(reader, "RELEASE", "release", Release)


def _named(
    reader: TokenReader, command: str, reason: str, make: Callable[[str], Action]
) -> Statement | None:
    if reader.word() == "savepoint" and len(reader.rest()) > 1:
        reader.next()
    name = reader.identifier()
    if name is None or not reader.done:
        return None
    return control(command, reason, make(name))


def prepare_transaction(reader: TokenReader) -> Statement | None:
    """PREPARE TRANSACTION; the two words are read already."""
    return _prepared(
        reader,
        "PREPARE",
        "prepare_transaction",
        PrepareTransaction,
        Verdict.TRANSACTION,
    )


def _prepared(
    reader: TokenReader,
    command: str,
    reason: str,
    make: Callable[[str], Action],
    verdict: Verdict = Verdict.WRITE,
) -> Statement | None:
    token = reader.next()
    gid = None if token is None else literal(token)
    if gid is None or not reader.done:
        return None
    return control(command, reason, make(gid), verdict)


def set_transaction(reader: TokenReader, command: str) -> Statement | None:
    """SET TRANSACTION; the words are read already."""
    if reader.accept("snapshot"):
        # A snapshot was exported by a transaction of one node: the writer's.
        return control(command, "set_transaction", SetTransaction())
    asked = modes(reader)
    return None if asked is None else control(command, "set_transaction", asked)


def set_characteristics(reader: TokenReader, command: str) -> Statement | None:
    """SET SESSION CHARACTERISTICS AS TRANSACTION; the words are read already."""
    asked = modes(reader)
    if asked is None:
        return None
    action = SetCharacteristics(asked.isolation, asked.read_only, asked.deferrable)
    return Statement(Verdict.SESSION, "set_characteristics", command, action)
