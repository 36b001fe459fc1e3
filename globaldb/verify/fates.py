"""What became of every write, as the application was told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from globaldb.verify.history import Kind, Operation, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Fate(Enum):
    """How a write ended."""

    COMMITTED = "committed"
    #: It failed, or was rolled back: nobody may ever see it.
    UNDONE = "undone"
    #: It may be there.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Write:
    """A write and its fate: nobody sees it before *began*, all know it at *ended*.

    Both are times of the statement, or of the COMMIT of its transaction.
    """

    operation: Operation
    fate: Fate
    began: float
    ended: float


_FATES: Final = {
    Outcome.DONE: Fate.COMMITTED,
    Outcome.FAILED: Fate.UNDONE,
    Outcome.UNKNOWN: Fate.UNKNOWN,
    Outcome.HUNG: Fate.UNKNOWN,
}


def writes(operations: Iterable[Operation]) -> list[Write]:
    """Return every write with its fate; each session's operations come in order.

    A transaction that was never committed is undone.
    """
    found: list[Write] = []
    pending: dict[int, list[Operation]] = {}
    for operation in operations:
        match operation.kind:
            case Kind.WRITE if operation.transaction:
                pending.setdefault(operation.session, []).append(operation)
            case Kind.WRITE:
                found.append(_decided(operation, operation))
            case Kind.COMMIT | Kind.ROLLBACK:
                found += _end(pending.pop(operation.session, []), operation)
            case _:
                pass
    for left in pending.values():
        found += (_undone(each) for each in left)
    return found


def _end(left: list[Operation], end: Operation) -> Iterator[Write]:
    """Decide the writes of a session's transactions, of which *end* ends the last."""
    for operation in left:
        committed = (
            end.kind is Kind.COMMIT
            and operation.transaction == end.transaction
            and operation.outcome is Outcome.DONE
        )
        yield _decided(operation, end) if committed else _undone(operation)


def _decided(operation: Operation, by: Operation) -> Write:
    return Write(operation, _FATES[by.outcome], by.began, by.ended)


def _undone(operation: Operation) -> Write:
    return Write(operation, Fate.UNDONE, operation.began, operation.ended)
