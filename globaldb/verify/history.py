"""What happened: every operation of every session, when, and what it was told.

The database holds keys. Each has versions 0, 1, 2, ..., every one made by one write, in
an order that the database itself decides; that is what lets a long history be checked
in about linear time. A register's version comes with a value that no other write uses;
a counter has its version alone; a list has rows that the only session which adds to it
numbers from 1: the last number is its version, how many rows there are its value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How the names of keys begin.
REGISTER: Final = "r"
COUNTER: Final = "c"
LIST: Final = "l"


class Kind(Enum):
    """What an operation did."""

    READ = "read"
    WRITE = "write"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    #: The session's token was taken, or somebody else's observed.
    TOKEN = "token"  # noqa: S105 - the name of an operation
    OBSERVE = "observe"


class Outcome(Enum):
    """What the application was told."""

    DONE = "done"
    #: An error that says that nothing was applied.
    FAILED = "failed"
    #: `OutcomeUnknownError`: it may have been applied.
    UNKNOWN = "unknown"
    #: It did not return.
    HUNG = "hung"


class Place(NamedTuple):
    """Where a statement ran, as ``last_route`` says."""

    role: str
    node: str
    region: str
    reason: str

    def __str__(self) -> str:
        return f"{self.role} {self.node}, {self.reason}"


class Operation(NamedTuple):
    """One statement, commit or token. Times are monotonic seconds around the call.

    *mode* is the promise it is judged by. *version* and *value* are what a read saw or
    a write made; a write that failed has made version 0. *value* numbers a token.
    *transaction* is 0 outside of one, and unique within its session. *since* is when
    the snapshot of a read was taken at the earliest, when that is before *began*.
    """

    session: int
    kind: Kind
    began: float
    ended: float
    region: str = ""
    mode: str = "session"
    key: str = ""
    version: int = 0
    value: int = 0
    outcome: Outcome = Outcome.DONE
    transaction: int = 0
    since: float | None = None
    place: Place | None = None
    #: Seconds spent waiting for a reader.
    waited: float = 0.0
    error: str = ""

    @property
    def due_from(self) -> float:
        """What was committed before this moment may be required of a read."""
        return self.began if self.since is None else self.since


class Disturbance(NamedTuple):
    """Something that was done to the database while it was used.

    *loses*: an unplanned failover, which may lose what was acknowledged.
    """

    began: float
    ended: float
    what: str
    loses: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """Every operation, and what the writer held in the end: version and value by key.

    Keys that it does not name were never written.
    """

    operations: Sequence[Operation]
    final: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    disturbances: Sequence[Disturbance] = ()
