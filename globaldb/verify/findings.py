"""What a check finds: promises that were broken, and by which operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.verify.history import Operation
    from globaldb.verify.index import Index


class Promise(Enum):
    """What is checked."""

    OWN_WRITES = "read your writes"
    MONOTONIC_READS = "monotonic reads"
    MONOTONIC_WRITES = "monotonic writes"
    HANDED_OVER = "tokens bring along what their session knew"
    FRESH = "a global read sees what was committed before it"
    STALENESS = "an eventual read is no older than max_staleness"
    COMMITTED = "only committed data is seen"
    ITSELF = "a transaction sees its own writes"
    UPGRADE = "what a transaction read was current when it wrote"
    LOST = "no acknowledged write is lost"
    TWICE = "no write is done twice"
    REFUSED = "a write that failed was not applied"
    SAID_LOST = "nothing is said to be lost without a failover"
    ENDS = "every statement ends"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, and the operations that contradict each other, in order."""

    promise: Promise
    what: str
    operations: tuple[Operation, ...]


@dataclass(slots=True)
class Findings:
    """Broken promises; and apart from them what an unplanned failover has lost."""

    index: Index
    violations: list[Violation] = field(default_factory=list)
    lost: list[Violation] = field(default_factory=list)

    def report(self, promise: Promise, what: str, *operations: Operation) -> bool:
        """Note a contradiction; return whether a failover excuses it."""
        return self._note(
            Violation(promise, what, operations),
            min(each.began for each in operations),
            max(each.ended for each in operations),
        )

    def missing(self, promise: Promise, what: str, *operations: Operation) -> bool:
        """Note what is not there in the end, after everything."""
        began = min((each.began for each in operations), default=float("-inf"))
        return self._note(Violation(promise, what, operations), began, float("inf"))

    def _note(self, violation: Violation, start: float, end: float) -> bool:
        excused = self.index.may_have_lost(start, end)
        (self.lost if excused else self.violations).append(violation)
        return excused
