"""One round trip: what travels together to a node, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from globaldb.core.fence import Question
    from globaldb.core.outcome import Inquiry, Told, Trace
    from globaldb.core.position import LogPosition, Position


class LinkStatus(Enum):
    """What a physical connection is in after a trip."""

    IDLE = "idle"
    OPEN = "open"
    FAILED = "failed"
    #: It can no longer be used.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Trip:
    """What is sent along with a statement, in this order.

    ``guard``, the statement and ``capture`` end in Syncs of their own: the guard's
    snapshot is older than the statement's, and the position is taken after the
    statement's commit. ``before`` shares the statement's fate: when one of them
    fails the statement is not run.
    """

    #: Ask a reader how far it is.
    guard: Question | None = None
    #: Settings to replay, BEGIN, SAVEPOINT.
    before: tuple[str, ...] = ()
    #: What a transaction has done elsewhere, to be done again behind `before`: texts,
    #: and recordings of the driver's, whose answers are compared.
    repeats: tuple[Any, ...] = ()
    #: Ask the writer for its position afterwards.
    capture: bool = False
    #: Ask the writer, behind the statement and in its transaction, for the transaction's
    #: id, if it has one by then, and its place in the log.
    trace: bool = False
    #: Ask the writer what became of another connection's transaction, and nothing else.
    inquiry: Inquiry | None = None
    #: The statement tolerates nothing beside it (VACUUM, CALL): `before` is paid
    #: for with a trip of its own.
    alone: bool = False
    #: Several statements in one text: the simple protocol, no position behind it.
    script: bool = False
    #: Nobody's work is on the connection: when late, it is hung up on, not cancelled.
    expendable: bool = False

    @property
    def plain(self) -> bool:
        """Whether the statement travels by itself."""
        return not (
            self.guard is not None
            or self.before
            or self.repeats
            or self.capture
            or self.trace
        )


@dataclass(slots=True)
class Reply:
    """What came back, filled in as it arrives: a lost connection leaves the rest out.

    ``done`` is the one fact that must never be wrong: the statement's completion
    arrived, so it has succeeded whatever happened behind it.
    """

    status: LinkStatus = LinkStatus.IDLE
    #: Monotonic seconds just before anything was sent.
    asked_at: float = 0.0
    #: The bytes may have left for the server.
    sent: bool = False
    #: How far the reader had replayed. Its timeline is not told, and 0.
    replayed: LogPosition | None = None
    #: Whether it had reached what was asked for, where it was asked just that.
    reached: bool | None = None
    #: Seconds that it says it is behind the writer.
    lag: float | None = None
    #: When the last commit that it has replayed was made, on the writer's clock.
    last_commit: float | None = None
    #: No transaction of this number or above had ended there.
    horizon: int | None = None
    #: What the transaction can be asked for by later; None while it has no id.
    trace: Trace | None = None
    told: Told | None = None
    #: What was asked beside the statement is what failed.
    asked_in_vain: bool = False
    #: Why it did not say.
    guard_problem: Exception | None = None
    #: Everything in `before` was accepted.
    prepared: bool = False
    done: bool = False
    #: The first of `repeats` whose answer was not what it had been, as text.
    changed: str | None = None
    #: A rollback has left what takes no part in transactions.
    remains: bool = False
    #: Why the statement, or what stood before it, failed.
    error: Exception | None = None
    position: Position | None = None
    #: Why there is no position although the statement succeeded.
    position_problem: Exception | None = None
