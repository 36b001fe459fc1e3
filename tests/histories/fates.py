"""What became of every write, as the application was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from histories.history import Event, Kind, Outcome, Write


class Fate(Enum):
    """How a write ended."""

    COMMITTED = "committed"
    #: It failed, or was rolled back: nobody may ever see it.
    UNDONE = "undone"
    #: `OutcomeUnknownError`: it may be there.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ending:
    """The fate of one write, and the times between which it was decided."""

    write: Write
    session: str
    fate: Fate
    began: float
    ended: float


class OpenTransaction:
    """The writes of one session's transaction that are not undone so far.

    Undone ones, by a failure or by going back to a savepoint, are dropped.
    """

    def __init__(self) -> None:
        self.active = False
        self._levels: list[list[Write]] = [[]]

    @property
    def writes(self) -> list[Write]:
        """What would be committed now."""
        return [write for level in self._levels for write in level]

    def take(self, event: Event) -> list[Write]:
        """Follow *event*; return the writes whose fate it decides."""
        match event.kind:
            case Kind.WRITE if isinstance(event.data, Write):
                return self._write(event.data, done=event.outcome is Outcome.DONE)
            case Kind.COMMIT:
                return self._end()
            case Kind.ROLLBACK | Kind.OPEN:
                self._end()
            case Kind.BEGIN:
                self.active = True
            case _:
                self._nest(event)
        return []

    def _write(self, write: Write, *, done: bool) -> list[Write]:
        if not self.active:
            return [write]
        if done:
            self._levels[-1].append(write)
        return []

    def _nest(self, event: Event) -> None:
        if event.kind is Kind.SAVEPOINT:
            self._levels.append([])
        elif event.kind in (Kind.RELEASE, Kind.ROLLBACK_TO) and len(self._levels) > 1:
            top = self._levels.pop()
            if event.kind is Kind.RELEASE and event.outcome is Outcome.DONE:
                self._levels[-1].extend(top)

    def _end(self) -> list[Write]:
        writes = self.writes
        self.active, self._levels = False, [[]]
        return writes


def fates(events: Iterable[Event]) -> dict[int, Ending]:
    """Return the ending of every write by its id; what was left open is undone."""
    found: dict[int, Ending] = {}
    transactions: dict[str, OpenTransaction] = {}
    for event in events:
        if event.kind is Kind.WRITE and isinstance(event.data, Write):
            # Until something better is known of it.
            found[event.data.id] = _ending(event, event.data, Fate.UNDONE)
        transaction = transactions.setdefault(event.session, OpenTransaction())
        for write in transaction.take(event):
            found[write.id] = _ending(event, write, _fate(event.outcome))
    return found


def _fate(outcome: Outcome) -> Fate:
    match outcome:
        case Outcome.DONE:
            return Fate.COMMITTED
        case Outcome.UNKNOWN:
            return Fate.UNKNOWN
        case Outcome.FAILED | Outcome.UNEXPECTED:
            return Fate.UNDONE


def _ending(event: Event, write: Write, fate: Fate) -> Ending:
    return Ending(write, event.session, fate, event.began, event.ended)
