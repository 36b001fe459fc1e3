"""The transaction a session is in, and what of it the server has not been told yet.

BEGIN, SAVEPOINT and RELEASE are not sent by themselves: they travel in front of the
next statement, so that they cost no round trip. What never needed a statement is
never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from globaldb.core.idiom import POSTGRESQL
from globaldb.errors import InterfaceError

if TYPE_CHECKING:
    from globaldb.core.idiom import Idiom
    from globaldb.core.outcome import Trace


class TransactionState(Enum):
    """Where a transaction stands, as the session knows it."""

    IDLE = "idle"
    #: BEGIN was asked for and has not been sent.
    BEGUN = "begun"
    OPEN = "open"
    #: The server refuses everything but a rollback.
    FAILED = "failed"


class TransactionEvent(Enum):
    """What can happen to a transaction."""

    BEGIN = "begin"
    SENT = "sent"
    STATEMENT_FAILED = "statement failed"
    ROLLED_BACK_TO = "rolled back to a savepoint"
    MOVED = "moved to another connection"
    ENDED = "ended"


S = TransactionState
E = TransactionEvent

TRANSITIONS: Final[dict[TransactionState, dict[TransactionEvent, TransactionState]]] = {
    S.IDLE: {E.BEGIN: S.BEGUN, E.ENDED: S.IDLE},
    S.BEGUN: {
        E.SENT: S.OPEN,
        E.ROLLED_BACK_TO: S.BEGUN,
        E.MOVED: S.BEGUN,
        E.ENDED: S.IDLE,
    },
    S.OPEN: {
        E.SENT: S.OPEN,
        E.MOVED: S.BEGUN,
        E.STATEMENT_FAILED: S.FAILED,
        E.ROLLED_BACK_TO: S.OPEN,
        E.ENDED: S.IDLE,
    },
    S.FAILED: {
        E.STATEMENT_FAILED: S.FAILED,
        E.ROLLED_BACK_TO: S.OPEN,
        E.ENDED: S.IDLE,
    },
}


@dataclass(frozen=True, slots=True)
class TransactionMode:
    """The modes a transaction was begun with; None means the session's default."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    #: It reads what there is when it is begun (MySQL's WITH CONSISTENT SNAPSHOT).
    snapshot: bool = False

    def over(self, default: TransactionMode) -> TransactionMode:
        """Return these modes, with those of *default* where nothing was said."""
        return TransactionMode(
            default.isolation if self.isolation is None else self.isolation,
            default.read_only if self.read_only is None else self.read_only,
            default.deferrable if self.deferrable is None else self.deferrable,
            self.snapshot,
        )

    @property
    def sql(self) -> str:
        """The BEGIN statement that asks for these modes."""
        parts = ["BEGIN"]
        if self.isolation is not None:
            parts.append(f"ISOLATION LEVEL {self.isolation.upper()}")
        if self.read_only is not None:
            parts.append("READ ONLY" if self.read_only else "READ WRITE")
        if self.deferrable is not None:
            parts.append("DEFERRABLE" if self.deferrable else "NOT DEFERRABLE")
        return " ".join(parts)

    @property
    def serializable(self) -> bool:
        """Whether a hot standby would refuse it, read only or not."""
        return self.isolation is not None and self.isolation.upper() == "SERIALIZABLE"


@dataclass(frozen=True, slots=True)
class _Pending:
    sql: str
    #: The savepoint it sets, or releases.
    savepoint: str | None = None
    release: str | None = None


class Transaction:
    """The books of one session's transaction. Decides what to send; sends nothing."""

    __slots__ = (
        "_idiom",
        "_pending",
        "_savepoints",
        "divided",
        "mode",
        "rolled_back",
        "state",
        "tables_locked",
        "trace",
        "wrote",
    )

    def __init__(self, idiom: Idiom = POSTGRESQL) -> None:
        self._idiom = idiom
        self.state = S.IDLE
        self.mode = TransactionMode()
        #: It failed, and was rolled back at the server before anybody asked for it.
        self.rolled_back = False
        #: A part of what the application takes for one transaction was committed, or
        #: may have been, before the application has ended it.
        self.divided = False
        #: What the writer can be asked for if the COMMIT is not answered.
        self.trace: Trace | None = None
        #: Something else than a read may have been executed in it.
        self.wrote = False
        #: LOCK TABLES is in force where it is to run, and outlives transactions.
        self.tables_locked = False
        self._pending: list[_Pending] = []
        self._savepoints: list[str] = []

    @property
    def active(self) -> bool:
        """Whether the session is inside a transaction, sent or not."""
        return self.state is not S.IDLE

    @property
    def pending(self) -> tuple[str, ...]:
        """Statements that must travel in front of the next one."""
        return tuple(item.sql for item in self._pending)

    def begin(self, mode: TransactionMode) -> None:
        """Ask for a transaction; nothing is sent until its first statement."""
        self._step(E.BEGIN)
        self.mode = mode
        self._pending = self._begin()
        self._savepoints = []

    @property
    def unsent(self) -> tuple[str, ...]:
        """What was asked for inside the transaction and has not been sent."""
        return tuple(
            item.sql
            for item in self._pending
            if item.savepoint is not None or item.release is not None
        )

    def move(self) -> tuple[str, ...]:
        """Begin anew on another connection, with the savepoints there are.

        Returns what was asked for and not sent: it comes behind what is done again.
        """
        unsent = self.unsent
        self._step(E.MOVED)
        self._pending = self._begin()
        return unsent

    def narrow(self, mode: TransactionMode) -> bool:
        """Change the modes of a transaction not sent yet (SET TRANSACTION).

        Returns False when it was sent already: then the server decides.
        """
        if self.state is not S.BEGUN or self._savepoints:
            return False
        self.mode = mode.over(self.mode)
        self._pending = self._begin()
        return True

    def sent(self) -> None:
        """Everything pending reached the server, which accepted it."""
        self._step(E.SENT)
        self._pending.clear()

    def writes(self, *, traced: bool) -> None:
        """Take note of a statement that may write.

        What was told of the transaction does not cover it, unless it is *traced*.
        """
        self.wrote = True
        if self.trace is not None and not traced:
            self.trace = self.trace.blurred()

    def failed(self) -> None:
        """Take note that a statement failed inside the transaction."""
        self._step(E.STATEMENT_FAILED)

    def lost(self) -> None:
        """Take note that its connection is gone: it must be rolled back.

        Its savepoints are gone too, sent or not: a rollback to one of them would
        seem to bring back a transaction that no server knows.
        """
        if self.state is S.BEGUN:
            self._step(E.SENT)
        if self.state is not S.IDLE:
            self._step(E.STATEMENT_FAILED)
        self._pending.clear()
        self._savepoints.clear()

    def start_over(self) -> None:
        """Take note that it failed, and that the server knows nothing of it any more."""
        self.lost()
        self.rolled_back = True

    @property
    def has_savepoints(self) -> bool:
        """Whether the transaction has savepoints, sent or not."""
        return bool(self._savepoints)

    def has_savepoint(self, name: str) -> bool:
        """Whether *name* is a savepoint of this transaction."""
        return name in self._savepoints

    def savepoint(self, name: str, sql: str) -> None:
        """Ask for a savepoint; it is sent with the next statement."""
        if self._idiom.begins_anew and name in self._savepoints:
            # It takes the place of the one before it.
            self._savepoints.remove(name)
            index = self._pending_savepoint(name)
            if index is not None:
                del self._pending[index]
        self._savepoints.append(name)
        self._pending.append(_Pending(sql, savepoint=name))

    def release(self, name: str, sql: str) -> None:
        """Release a savepoint: with the next statement, or never if never sent."""
        index = self._pending_savepoint(name)
        if index is None:
            # What is pending stands inside the savepoint and ends with it, but for
            # an inner one of the same name, which hides it.
            same = [item for item in self._pending if item.release == name]
            self._pending = [*same, _Pending(sql, release=name)]
        else:
            del self._pending[index:]
        while self._savepoints.pop() != name:
            pass

    def rollback_to(self, name: str) -> bool:
        """Roll back to savepoint *name*; return whether the server must be told.

        When the savepoint itself was not sent yet, nothing happened inside it.
        """
        while self._savepoints and self._savepoints[-1] != name:
            self._savepoints.pop()
        index = self._pending_savepoint(name)
        if index is not None:
            del self._pending[index + 1 :]
            self._step(E.ROLLED_BACK_TO)
            return False
        # What is pending stands behind the savepoint and would be undone at once, but
        # for the release of an inner one of the same name, which hides it.
        self._pending = [item for item in self._pending if item.release == name]
        return True

    def rolled_back_to(self) -> None:
        """Take note that the server rolled back to a savepoint and goes on."""
        self._step(E.ROLLED_BACK_TO)
        self._pending.clear()

    def end(self) -> None:
        """Take note that the transaction is over, one way or the other."""
        self._step(E.ENDED)
        self.rolled_back = False
        self.trace, self.wrote = None, False
        self._pending.clear()
        self._savepoints.clear()
        self.mode = TransactionMode()

    def _begin(self) -> list[_Pending]:
        begin = self._idiom.begin(self.mode, locked=self.tables_locked)
        return [_Pending(sql) for sql in begin]

    def _pending_savepoint(self, name: str) -> int | None:
        for index in range(len(self._pending) - 1, -1, -1):
            if self._pending[index].savepoint == name:
                return index
        return None

    def _step(self, event: TransactionEvent) -> None:
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise InterfaceError(
                f"{event.value} is not possible while the transaction is "
                f"{self.state.value}"
            )
        self.state = after
