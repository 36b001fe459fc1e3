"""What happened: every operation of every session, with its times and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

#: Reads in these modes promise something about earlier writes and reads.
MONOTONE: Final = frozenset(("session", "global"))


class Kind(Enum):
    """What an operation did, as far as the promises are concerned."""

    WRITE = "write"
    READ = "read"
    BEGIN = "begin"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "rollback to"
    RELEASE = "release"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    #: The session's knowledge was put on the board, or taken from there.
    TOKEN = "token"
    OBSERVE = "observe"
    #: A new connection: it knows nothing yet.
    OPEN = "open"
    #: A setting, a fault: nothing that data depends on.
    OTHER = "other"


class Outcome(Enum):
    """What the application was told."""

    DONE = "done"
    #: An error that says that nothing was applied.
    FAILED = "failed"
    #: `OutcomeUnknownError`.
    UNKNOWN = "unknown"
    #: An error that nothing in the program explains.
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Write:
    """An id appended to the list, or put into register *key* as its next version."""

    id: int
    key: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """The ids in the list, or the version of register *key* and the id in it."""

    ids: tuple[int, ...] = ()
    key: int | None = None
    version: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement ran, as ``last_route`` says."""

    role: str
    region: str = ""
    reason: str = ""
    verdict: str = ""

    def __str__(self) -> str:
        return f"{self.role} {self.region} ({self.reason})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One operation. Times are monotonic seconds around the call.

    *mode* is the session's consistency, ``off`` for None. *data* is what was written
    or read; *label* names a token.
    """

    session: str
    kind: Kind
    began: float
    ended: float
    text: str = ""
    region: str = ""
    mode: str = "session"
    outcome: Outcome = Outcome.DONE
    data: Write | Read | None = None
    label: str = ""
    place: Place | None = None
    error: str = ""

    @property
    def answer(self) -> str:
        """What the application was told, in a few words."""
        if self.outcome is not Outcome.DONE:
            return f"{self.outcome.value}: {self.error}"
        match self.data:
            case Read(key=None, ids=ids):
                return f"ids {' '.join(map(str, ids)) or '(none)'}"
            case Read(version=version, value=value):
                return f"version {version} = {value}"
            case Write(version=int(version)):
                return f"version {version}"
            case _:
                return ""


@dataclass(slots=True)
class History:
    """Every event, in the order of completion, and what the writer held in the end.

    *registers* maps a key to its last version and the id in it. *home* is the
    writer's region.
    """

    events: list[Event] = field(default_factory=list)
    ids: tuple[int, ...] = ()
    registers: dict[int, tuple[int, int]] = field(default_factory=dict)
    home: str = ""

    def __str__(self) -> str:
        """Return a table of it all, in the order in which operations began."""
        rows = [("ms", "who", "mode", "operation", "where", "answer")]
        start = min((event.began for event in self.events), default=0.0)
        for event in sorted(self.events, key=lambda each: each.began):
            began, ended = event.began - start, event.ended - start
            rows.append(
                (
                    f"{began * 1000:7.1f} -{ended * 1000:7.1f}",
                    f"{event.session} {event.region}".strip(),
                    event.mode,
                    event.text or event.kind.value,
                    str(event.place or ""),
                    event.answer,
                )
            )
        final = [f"in the end: ids {' '.join(map(str, sorted(self.ids))) or '(none)'}"]
        for key, (version, value) in sorted(self.registers.items()):
            final.append(f"in the end: register {key} version {version} = {value}")
        return "\n".join([*_table(rows), *final])


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
