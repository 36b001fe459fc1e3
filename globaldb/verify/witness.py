"""A connection of which every statement is noted, with its answer and its times."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from globaldb.errors import Error, OutcomeUnknownError
from globaldb.verify.dialect import rows
from globaldb.verify.history import COUNTER, LIST, Kind, Operation, Outcome, Place

if TYPE_CHECKING:
    import threading
    from collections import deque
    from collections.abc import Callable, Iterator

    from globaldb.verify.dialect import Begin
    from globaldb.verify.plan import Plan

#: Seconds that a session rests after an error, so that an outage is not a busy loop.
REST: Final = 0.02
#: How much is kept of the text of an error.
_WORDS: Final = 300

_READ_REGISTER: Final = "SELECT version, value FROM @.registers AS r WHERE name = %s"
_READ_COUNTER: Final = "SELECT n, 0 FROM @.counters WHERE name = %s"
_READ_LIST: Final = (
    "SELECT coalesce(max(n), 0), count(*) FROM @.entries WHERE list = %s"
)


class Told(NamedTuple):
    """A token on the board, and a key that its session has just met."""

    number: int
    token: str
    key: str


@dataclass(slots=True)
class Company:
    """What the sessions of one process share. Their numbers begin after *first*."""

    plan: Plan
    clusters: dict[str, Any]
    board: deque[Told]
    stop: threading.Event
    first: int = 0
    sessions: Iterator[int] = field(init=False)
    values: Iterator[int] = field(init=False)
    tokens: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = count(self.first + 1)
        # A value is written once, by one session of all processes.
        self.values = count((self.first << 20) + 1)
        self.tokens = count(self.first + 1)


class Witness:
    """One session after the other: each `open` begins another one."""

    def __init__(self, company: Company, region: str, page: list[Operation]) -> None:
        self.region = region
        self.mode = company.plan.mode
        self.connection: Any = None
        self.session = 0
        #: How many operations have failed so far.
        self.failed = 0
        self._company = company
        self._page = page
        tables = company.plan.tables
        self._reads = {
            COUNTER: tables.sql(_READ_COUNTER),
            LIST: tables.sql(_READ_LIST),
        }
        self._read_register = tables.sql(_READ_REGISTER)
        self._dialect = dialect = tables.dialect
        self._write_register = tables.sql(dialect.write_register)
        self._count = tables.sql(dialect.count)
        self._append = tables.sql(dialect.append)
        self._places: dict[Place, Place] = {}
        self._transactions = count(1)
        self._transaction = 0
        #: In a transaction whose reads see one moment: that it is one, and since when.
        self._snapshot = False
        self._since: float | None = None
        #: What is under way: kind, key and since when.
        self._pending: tuple[Kind, str, float] | None = None

    @property
    def last(self) -> Operation:
        """The operation that was noted last."""
        return self._page[-1]

    @property
    def usable(self) -> bool:
        """Whether there is a connection that was not closed."""
        return self.connection is not None and not self._dialect.closed(self.connection)

    def hung(self, now: float) -> Operation | None:
        """Return what has not returned by *now*, if anything has not."""
        pending = self._pending
        if pending is None:
            return None
        return self._operation(*pending, now)._replace(outcome=Outcome.HUNG)

    def open(self) -> bool:
        """Open a connection, which is a new session; False when that fails."""
        try:
            self.connection = self._company.clusters[self.region].connect()
        except Error:
            return False
        self.session = next(self._company.sessions)
        return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(Error):
                connection.close()

    def read(self, key: str, alias: str = "r") -> bool:
        """Read a key; return whether it succeeded, as everything here does.

        A register has an *alias* there, of which each makes a statement of its own.
        """
        sql = self._reads.get(key[0])
        if sql is None:
            sql = self._read_register.replace(" AS r ", f" AS {alias} ")

        def act() -> tuple[int, int]:
            [(version, value)] = rows(self.connection, sql, (key,))
            return int(version), int(value)

        return self._attempt(Kind.READ, act, key)

    def write(self, key: str) -> bool:
        """Give a register another value, or a counter one more."""
        if key.startswith(COUNTER):
            return self._write(self._count, key, key)
        value = next(self._company.values)
        return self._write(self._write_register, key, value, key, value=value)

    def append(self, key: str, number: int) -> bool:
        """Add the row with a number to a list."""
        return self._write(self._append, key, key, number, value=number)

    def _write(self, sql: str, key: str, *values: object, value: int = 0) -> bool:
        def act() -> tuple[int, int]:
            version = self._dialect.write(self.connection, sql, values)
            return version, value

        return self._attempt(Kind.WRITE, act, key, value)

    @contextmanager
    def transaction(self, begin: Begin) -> Iterator[None]:
        """Have the statements inside in one transaction; `end` it inside, too."""
        self._transaction = next(self._transactions)
        self._snapshot = begin.snapshot
        try:
            # What this says when it fails, the next statement says too.
            with suppress(Error):
                for sql in begin.statements:
                    rows(self.connection, sql)
            yield
        finally:
            self._transaction, self._since, self._snapshot = 0, None, False

    def end(self, *, commit: bool) -> bool:
        """Commit or roll back; return whether it was committed."""
        kind, sql = (Kind.COMMIT, "COMMIT") if commit else (Kind.ROLLBACK, "ROLLBACK")

        def act() -> tuple[int, int]:
            rows(self.connection, sql)
            return 0, 0

        done = self._attempt(kind, act)
        if not self.usable or not self._dialect.idle(self.connection):
            self.close()
        return done and commit

    def tell(self, key: str) -> Told | None:
        """Put this session's token on the board, with a *key* that it knows."""
        number = next(self._company.tokens)
        tokens: list[str] = []

        def act() -> tuple[int, int]:
            tokens.append(self.connection.token)
            return 0, 0

        if not self._attempt(Kind.TOKEN, act, value=number):
            return None
        told = Told(number, tokens[0], key)
        self._company.board.append(told)
        return told

    def observe(self, told: Told) -> bool:
        """Observe a token."""

        def act() -> tuple[int, int]:
            self.connection.observe(told.token)
            return 0, 0

        return self._attempt(Kind.OBSERVE, act, value=told.number)

    def _attempt(
        self,
        kind: Kind,
        act: Callable[[], tuple[int, int]],
        key: str = "",
        value: int = 0,
    ) -> bool:
        """Carry out one operation and note it.

        *value* is what is written, or the number of a token: of what fails, too.
        """
        began = monotonic()
        self._pending = (kind, key, began)
        try:
            version, found = act()
        except Error as problem:
            noted = self._operation(kind, key, began, monotonic())
            self.failed += 1
            unknown = isinstance(problem, OutcomeUnknownError)
            text = " ".join(str(problem).split())[:_WORDS]
            self._page.append(
                noted._replace(
                    value=value,
                    outcome=Outcome.UNKNOWN if unknown else Outcome.FAILED,
                    error=f"{type(problem).__name__}: {text}",
                )
            )
            self._company.stop.wait(REST)
            return False
        else:
            noted = self._operation(kind, key, began, monotonic())
            place, waited = self._place()
            self._page.append(
                noted._replace(
                    version=version, value=value or found, place=place, waited=waited
                )
            )
            if self._snapshot and self._since is None:
                # Everything that follows sees what was there then.
                self._since = began
            return True
        finally:
            self._pending = None

    def _operation(self, kind: Kind, key: str, began: float, ended: float) -> Operation:
        return Operation(
            session=self.session,
            kind=kind,
            began=began,
            ended=ended,
            region=self.region,
            mode=self.mode,
            key=key,
            transaction=self._transaction,
            since=self._since,
        )

    def _place(self) -> tuple[Place | None, float]:
        route = self.connection.last_route
        if route is None:
            return None, 0.0
        region = route.region or ""
        place = Place(route.role.value, route.node or "", region, route.reason)
        return self._places.setdefault(place, place), route.waited
