"""What sessions may rely on, read by read: nothing is missed, nothing goes back.

A session knows the latest version it has met of each key, and a moment: having seen a
write that began then, it has seen everything that was acknowledged before, because the
writer puts all commits in one order and readers repeat them in that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from globaldb.errors import CausalityLostError
from globaldb.verify.findings import Findings, Promise
from globaldb.verify.history import Kind, Operation, Outcome

if TYPE_CHECKING:
    from globaldb.verify.fates import Write
    from globaldb.verify.index import Index

#: Reads in these modes promise something about earlier writes and reads.
MONOTONE: Final = frozenset(("session", "global"))


@dataclass(slots=True)
class _Knowledge:
    """What a session may never miss again."""

    #: For each key the operation that met its latest version.
    met: dict[str, Operation] = field(default_factory=dict)
    #: Everything acknowledged before this is known, as *shown* tells.
    moment: float = float("-inf")
    shown: Operation | None = None

    def meet(self, operation: Operation) -> None:
        known = self.met.get(operation.key)
        if known is None or known.version < operation.version:
            self.met[operation.key] = operation

    def reach(self, moment: float, shown: Operation) -> None:
        if moment > self.moment:
            self.moment, self.shown = moment, shown

    def merge(self, other: _Knowledge) -> None:
        for operation in other.met.values():
            self.meet(operation)
        if other.shown is not None:
            self.reach(other.moment, other.shown)

    def copy(self) -> _Knowledge:
        return _Knowledge(dict(self.met), self.moment, self.shown)


@dataclass(slots=True)
class _Session:
    """One session on its way through the history."""

    knowledge: _Knowledge = field(default_factory=_Knowledge)
    transaction: int = 0
    #: What its open transaction has written by key, and read before that.
    wrote: dict[str, Operation] = field(default_factory=dict)
    first_write: Operation | None = None
    #: The first of its operations that was not at a reader: a read may be it, too.
    left: Operation | None = None
    read: list[Operation] = field(default_factory=list)

    def enter(self, transaction: int) -> None:
        """Go on in *transaction*, 0 for none; another one begins with nothing."""
        if transaction != self.transaction:
            self.transaction = transaction
            self.wrote, self.read = {}, []
            self.first_write = self.left = None


class Sessions:
    """Goes through operations in the order of their ends, and judges each."""

    def __init__(
        self,
        index: Index,
        findings: Findings,
        *,
        upgrades: bool,
        max_staleness: float | None,
    ) -> None:
        self._index = index
        self._report = findings.report
        self._upgrades = upgrades
        self._max_staleness = max_staleness
        self._sessions: dict[int, _Session] = {}
        self._tokens: dict[int, _Knowledge] = {}

    def take(self, operation: Operation) -> None:
        """Judge the next *operation*."""
        session = self._sessions.get(operation.session)
        if session is None:
            session = self._sessions[operation.session] = _Session()
        session.enter(operation.transaction)
        if operation.outcome is Outcome.DONE:
            if session.left is None and not _at_reader(operation):
                session.left = operation
            self._done(session, operation)
        else:
            self._failed(operation)
        if operation.kind in (Kind.COMMIT, Kind.ROLLBACK):
            session.enter(0)

    def _failed(self, operation: Operation) -> None:
        if operation.outcome is Outcome.HUNG:
            self._report(Promise.ENDS, "it has not returned", operation)
        elif operation.error.startswith(
            CausalityLostError.__name__
        ) and not self._index.may_have_lost(float("-inf"), operation.ended):
            self._report(Promise.SAID_LOST, operation.error, operation)

    def _done(self, session: _Session, operation: Operation) -> None:
        match operation.kind:
            case Kind.READ:
                self._read(session, operation)
            case Kind.WRITE:
                self._write(session, operation)
            case Kind.COMMIT:
                self._commit(session, operation)
            case Kind.TOKEN:
                self._tokens[operation.value] = session.knowledge.copy()
            case Kind.OBSERVE:
                session.knowledge.merge(self._tokens[operation.value])
            case Kind.ROLLBACK:
                pass

    def _write(self, session: _Session, operation: Operation) -> None:
        if not operation.transaction:
            self._wrote(session, operation, operation)
            return
        session.wrote[operation.key] = operation
        session.first_write = session.first_write or operation

    def _commit(self, session: _Session, commit: Operation) -> None:
        if session.first_write is None:
            return
        if self._upgrades:
            for read in session.read:
                self._current(read, session.left or commit, session.first_write)
        for operation in session.wrote.values():
            self._wrote(session, operation, commit)

    def _wrote(self, session: _Session, operation: Operation, by: Operation) -> None:
        session.knowledge.meet(operation)
        session.knowledge.reach(by.began, operation)

    def _current(self, read: Operation, left: Operation, write: Operation) -> None:
        """Check what a transaction has read before its first *write*.

        On the writer it was current when it was read, as it is on one server. What a
        reader has given must still have been current when the transaction *left* it.
        """
        at, moment = (left, left.began) if _at_reader(read) else (read, read.due_from)
        due = self._index.due(read.key, moment, at.ended)
        if due is not None and read.version < due.operation.version:
            what = f"it read {_version(read)}, and {_version(due.operation)} was there"
            self._report(Promise.UPGRADE, what, due.operation, read, write)

    def _read(self, session: _Session, read: Operation) -> None:
        own = session.wrote.get(read.key)
        if own is not None:
            if (read.version, read.value) != (own.version, own.value):
                what = f"it wrote {_version(own)} and read {_version(read)}"
                self._report(Promise.ITSELF, what, own, read)
            return
        if read.transaction and session.first_write is None:
            session.read.append(read)
        if read.mode in MONOTONE:
            self._monotone(session.knowledge, read)
            if read.mode == "global":
                self._fresh(read, read.due_from, Promise.FRESH)
        elif self._max_staleness is not None:
            moment = read.due_from - self._max_staleness
            self._fresh(read, moment, Promise.STALENESS)

    def _monotone(self, knowledge: _Knowledge, read: Operation) -> None:
        known = knowledge.met.get(read.key)
        if known is not None and read.version < known.version:
            what = f"{_version(known)} was known, and {_version(read)} was read"
            if self._report(_missed(known, read), what, known, read):
                # Lost in a failover: from now on this is what there is.
                knowledge.met[read.key] = read
        else:
            self._in_order(knowledge, read)
            knowledge.meet(read)
        maker = self._index.maker(read)
        if maker is not None:
            knowledge.reach(maker.began, read)

    def _in_order(self, knowledge: _Knowledge, read: Operation) -> None:
        """Check *read* against what was acknowledged before something it has seen."""
        shown = knowledge.shown
        due = self._index.due(read.key, knowledge.moment, read.ended)
        if shown is None or due is None or read.version >= due.operation.version:
            return
        later = self._index.maker(shown)
        what = (
            f"{_version(shown)} was known, which began after {_version(due.operation)} "
            f"was acknowledged, and {_version(read)} was read"
        )
        self._report(_order(due, later, read, shown), what, due.operation, shown, read)

    def _fresh(self, read: Operation, moment: float, promise: Promise) -> None:
        """Check that *read* has seen what was acknowledged before *moment*."""
        due = self._index.due(read.key, moment, read.ended)
        if due is not None and read.version < due.operation.version:
            what = f"{_version(due.operation)} was there, and {_version(read)} was read"
            self._report(promise, what, due.operation, read)


def _at_reader(operation: Operation) -> bool:
    return operation.place is not None and operation.place.role == "reader"


def _missed(known: Operation, read: Operation) -> Promise:
    if known.session != read.session:
        return Promise.HANDED_OVER
    own = known.kind is Kind.WRITE
    return Promise.OWN_WRITES if own else Promise.MONOTONIC_READS


def _order(
    missed: Write, later: Write | None, read: Operation, shown: Operation
) -> Promise:
    """Return which promise is broken by seeing *later* and not what was before it."""
    if later is not None and later.operation.session == missed.operation.session:
        return Promise.MONOTONIC_WRITES
    if shown.session != read.session:
        return Promise.HANDED_OVER
    return Promise.MONOTONIC_READS


def _version(operation: Operation) -> str:
    return f"{operation.key} version {operation.version}"
