"""What lending connections is spoken of in: limits, leases, waiters, plans, counters."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.errors import OperationalError

C = TypeVar("C")

_SECRET: Final = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token)\s*[=:]\s*|://[^:@/\s]*:)('[^']*'|[^\s@]+)"
)


class Outcome(enum.Enum):
    """What the borrower says about a connection it gives back."""

    REUSE = enum.auto()  # as good as new
    CLEAN = enum.auto()  # usable after session state is wiped
    DISCARD = enum.auto()  # broken, or in a state nobody knows


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How large one pool may grow and how long things may last (seconds)."""

    min_size: int = 0
    max_size: int = 10
    #: Age at which a connection is replaced, shortened by up to 10 % by chance so
    #: that connections opened together do not end together.
    max_lifetime: float = 3600.0
    #: A connection unused for this long is closed while more than *min_size* exist.
    max_idle: float = 600.0
    #: Longest wait for a connection when the caller brings no deadline.
    wait: float = 5.0
    #: Waiters allowed at a time; 0 allows any number.
    max_waiting: int = 0
    #: Longest time for opening one connection.
    connect: float = 5.0
    #: First pause after a failed open; it doubles up to *max_backoff*.
    backoff: float = 0.1
    max_backoff: float = 2.0

    def __post_init__(self) -> None:
        if not (0 <= self.min_size <= self.max_size and self.max_size >= 1):
            raise ConfigurationError(
                f"pool sizes must satisfy 0 <= min_size <= max_size and max_size >= 1,"
                f" got min_size={self.min_size}, max_size={self.max_size}"
            )
        for name in ("max_lifetime", "max_idle", "connect", "backoff", "max_backoff"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"pool limit {name} must be more than 0 s,"
                    f" got {getattr(self, name)}"
                )
        if not (self.wait >= 0 and self.max_waiting >= 0):
            raise ConfigurationError(
                f"pool limits wait and max_waiting must not be negative,"
                f" got wait={self.wait}, max_waiting={self.max_waiting}"
            )


@dataclass(frozen=True, slots=True)
class PoolStats:
    """One pool at one instant: a row of ``SHOW POOLS``."""

    name: str
    busy: int  # lent, or being cleaned after a loan
    connecting: int
    idle: int
    waiting: int
    created: int
    borrowed: int
    borrow_time_us: int  # total time borrowers waited
    returned: int
    closed: int
    abandoned: int  # left to the parent process by a fork
    errors: int  # failed opens and failed cleanings
    generation: int  # grows with each drain


class Lease(Generic[C]):
    """A physical connection on loan, with what the pool's books know about it."""

    __slots__ = ("connection", "expires_at", "generation", "idle_since", "opened_at")

    def __init__(
        self, connection: C, *, opened_at: float, expires_at: float, generation: int
    ) -> None:
        self.connection: Final = connection
        self.opened_at: Final = opened_at
        self.expires_at: Final = expires_at
        self.generation: Final = generation
        self.idle_since = opened_at

    def __repr__(self) -> str:
        return f"<Lease of {self.connection!r}, generation {self.generation}>"


class Waiter(Generic[C]):
    """One borrower in the queue; it is answered with a lease or an error, once."""

    __slots__ = ("error", "lease", "since", "wake")

    def __init__(self, wake: Callable[[], None], *, since: float) -> None:
        #: Called by whoever carries out the plan, never by the books.
        self.wake: Final = wake
        self.since: Final = since
        self.lease: Lease[C] | None = None
        self.error: OperationalError | None = None


@dataclass(slots=True)
class Plan(Generic[C]):
    """Work decided under the lock, to be done after it."""

    close: list[C] = field(default_factory=list)
    clean: list[Lease[C]] = field(default_factory=list)
    wake: list[Waiter[C]] = field(default_factory=list)
    #: How many connections to open, on behalf of which generation.
    opens: int = 0
    generation: int = 0


def summary(error: BaseException) -> str:
    """Return the first line of *error*, without what looks like a password."""
    text = _SECRET.sub(r"\1***", str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {text}"
