"""One session of a program: carries its steps out, and notes what came of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

from psycopg import errors as pgerrors

import globaldb
from histories.history import Event, History, Kind, Outcome, Place, Read, Write
from histories.program import (
    APPENDS,
    LIST,
    PUTS,
    REGISTER,
    Append,
    Hear,
    Leaf,
    Look,
    Mode,
    Nested,
    Put,
    Reopen,
    Script,
    Setting,
    Step,
    Tell,
    Transact,
    Using,
)
from histories.styles import Style, style_of

#: Errors that two sessions can give each other, and what a failed transaction says.
_CONFLICTS = (
    pgerrors.LockNotAvailable,
    pgerrors.DeadlockDetected,
    pgerrors.InFailedSqlTransaction,
    # What a transaction had read at a reader is different at the writer.
    pgerrors.SerializationFailure,
)
#: What is said to statements of a transaction that had to start over.
_OVER = "is over at the server"
#: Errors of a connection that was cut, and of the transaction that was on it.
_LOSSES = (globaldb.OperationalError, globaldb.InternalError)


@dataclass(slots=True)
class Run:
    """What the sessions of one run share. *cuts*: connections may break in it."""

    number: int
    clusters: Mapping[str, Any]
    cuts: bool
    history: History
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    labels: Iterator[int] = field(default_factory=lambda: count(1))
    #: The last token of each session, by its number, with its label.
    board: dict[int, tuple[str, str]] = field(default_factory=dict)


class Player:
    """Plays the script of one session, a step at a time."""

    def __init__(self, number: int, script: Script, run: Run) -> None:
        self.number = number
        self.name = f"s{number}"
        self._run = run
        self._script = script
        self.mode = script.mode
        self._region = script.region
        self._wished_region: str | None = None
        self._read_only = False
        self.connection: Any = None

    def play(self) -> Iterator[None]:
        """Carry out the script; yields between its operations."""
        try:
            self._open(self._region)
            for step in self._script.steps:
                yield from self._step(step)
        finally:
            if self.connection is not None:
                self.connection.close()

    def do(
        self,
        kind: Kind,
        text: str,
        act: Callable[[], Write | Read | None],
        *,
        data: Write | Read | None = None,
        label: str = "",
    ) -> bool:
        """Carry out one operation and note it; return whether it succeeded.

        *data* is what a write that fails was going to write.
        """
        outcome, error, place = Outcome.DONE, "", None
        began = monotonic()
        try:
            data = act() or data
        except Exception as problem:  # noqa: BLE001 - judged, and shown by the checker
            outcome = self._judge(problem)
            error = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
        ended = monotonic()
        if kind in (Kind.READ, Kind.WRITE) and outcome is Outcome.DONE:
            place = _place(self.connection.last_route)
        event = Event(
            session=self.name,
            kind=kind,
            began=began,
            ended=ended,
            text=text,
            region=self._wished_region or self._region,
            mode=self.mode,
            outcome=outcome,
            data=data,
            label=label,
            place=place,
            error=error,
        )
        self._run.history.events.append(event)
        return outcome is Outcome.DONE

    def execute(self, sql: str, key: int | None = None, number: int = 0) -> Any:
        """Execute *sql* with this run's values; return its cursor."""
        values = {"run": self._run.number, "id": number, "key": key}
        return self.connection.execute(sql, values if "%(" in sql else None)

    def _judge(self, problem: Exception) -> Outcome:
        if isinstance(problem, globaldb.OutcomeUnknownError):
            return Outcome.UNKNOWN
        if isinstance(problem, _CONFLICTS):
            return Outcome.FAILED
        if isinstance(problem, globaldb.InternalError) and _OVER in str(problem):
            return Outcome.FAILED
        if isinstance(problem, pgerrors.ReadOnlySqlTransaction):
            refused = self.mode == "off" or self._read_only
            return Outcome.FAILED if refused else Outcome.UNEXPECTED
        if self._run.cuts and isinstance(problem, _LOSSES):
            return Outcome.FAILED
        return Outcome.UNEXPECTED

    # Steps. Each yields after every operation.

    def _step(self, step: Step) -> Iterator[None]:
        match step:
            case Append() | Put() | Look() | Setting():
                self._leaf(step)
            case Transact():
                yield from self._transact(step)
            case Using():
                yield from self._using(step)
            case Mode():
                self._set_mode(step)
            case Tell():
                self._tell()
            case Hear(number):
                self._hear(number)
            case Reopen(region):
                self._reopen(region)
        yield

    def _leaf(self, step: Leaf) -> bool:
        match step:
            case Append(form):
                return self._append(form)
            case Put(form, key):
                return self._put(form, key)
            case Look(key, stream):
                return self._look(key, stream=stream)
            case Setting(sql):
                return self.do(Kind.OTHER, sql, lambda: _nothing(self.execute(sql)))
            case _:
                raise AssertionError(f"{step} is no statement")

    def _append(self, form: str) -> bool:
        write = Write(next(self._run.ids))

        def act() -> Write:
            self._insert(form, write.id)
            return write

        return self.do(Kind.WRITE, f"append {write.id} ({form})", act, data=write)

    def _insert(self, form: str, number: int) -> None:
        sql = APPENDS[form]
        if form == "many":
            self.connection.cursor().executemany(sql, [(self._run.number, number)])
        elif form == "copy":
            with self.connection.cursor().copy(sql) as copy:
                copy.write_row((self._run.number, number))
        else:
            cursor = self.execute(sql, number=number)
            assert cursor.rowcount == 1, f"{cursor.rowcount} rows inserted"
            assert form == "insert" or cursor.fetchall() == [(number,)]

    def _put(self, form: str, key: int) -> bool:
        number = next(self._run.ids)

        def act() -> Write:
            [(version,)] = self.execute(PUTS[form], key, number).fetchall()
            return Write(number, key, version)

        text = f"put {number} in register {key} ({form})"
        return self.do(Kind.WRITE, text, act, data=Write(number, key))

    def _look(self, key: int | None, *, stream: bool) -> bool:
        def rows() -> list[Any]:
            sql = LIST if key is None else REGISTER
            if stream:
                values = {"run": self._run.number, "key": key}
                return list(self.connection.cursor().stream(sql, values))
            return list(self.execute(sql, key))

        def act() -> Read:
            if key is None:
                return Read(tuple(sorted(number for (number,) in rows())))
            [(version, value)] = rows() or [(0, 0)]
            return Read((), key, version, value)

        text = "list" if key is None else f"register {key}"
        return self.do(Kind.READ, f"stream {text}" if stream else text, act)

    def _transact(self, step: Transact) -> Iterator[None]:
        """Run a transaction; when something fails in it, it is undone."""
        style = style_of(step.style, self.connection, read_only=step.read_only)
        self._read_only = step.read_only
        read_only = ", read only" if step.read_only else ""
        text = f"begin ({step.style}{read_only})"
        if self.do(Kind.BEGIN, text, style.enter):
            good = yield from self._inside(step.steps, style)
            if step.undo or not good:
                self.do(Kind.ROLLBACK, "rollback", style.undo)
            else:
                # The answer to COMMIT in a failed transaction is ROLLBACK.
                failed = self.connection.info.transaction_status.name == "INERROR"
                kind = Kind.ROLLBACK if failed else Kind.COMMIT
                self.do(kind, "commit", style.keep)
        style.leave()
        self._read_only = False

    def _inside(
        self, steps: tuple[Leaf | Nested, ...], style: Style
    ) -> Generator[None, None, bool]:
        for step in steps:
            yield
            if not isinstance(step, Nested):
                if not self._leaf(step):
                    return False
                continue
            self.do(Kind.SAVEPOINT, "savepoint", style.enter)
            good = yield from self._inside(step.steps, style)
            if step.undo or not good:
                kept = self.do(Kind.ROLLBACK_TO, "rollback to savepoint", style.undo)
            else:
                kept = self.do(Kind.RELEASE, "release savepoint", style.keep)
            if not kept:
                return False
        return True

    def _using(self, step: Using) -> Iterator[None]:
        options: dict[str, str | None] = {}
        if step.region is not None:
            options["region"] = self._wished_region = step.region
        if step.route is not None:
            options["route"] = step.route
        before = self.mode
        if step.mode is not None:
            options["consistency"] = self.mode = step.mode
        words = ", ".join(f"{name}={value}" for name, value in options.items())
        with self.connection.using(**options):
            self.do(Kind.OTHER, f"using({words})", lambda: None)
            for each in step.steps:
                self._leaf(each)
                yield
        self.mode, self._wished_region = before, None

    def _set_mode(self, step: Mode) -> None:
        self.mode = step.mode
        if step.sql:
            sql = f"SET apg_write_forward.consistency_mode = '{step.mode}'"
            self.do(Kind.OTHER, sql, lambda: _nothing(self.execute(sql)))
            return

        def act() -> None:
            self.connection.consistency = step.mode

        self.do(Kind.OTHER, f"consistency = {step.mode}", act)

    def _tell(self) -> tuple[str, str] | None:
        label = f"t{next(self._run.labels)}"
        tokens: list[str] = []

        def act() -> None:
            tokens.append(self.connection.token)

        if not self.do(Kind.TOKEN, f"token {label}", act, label=label):
            return None
        self._run.board[self.number] = (label, tokens[0])
        return self._run.board[self.number]

    def _hear(self, number: int) -> None:
        if number in self._run.board:
            self._observe(*self._run.board[number])

    def _observe(self, label: str, token: str) -> None:
        def act() -> None:
            self.connection.observe(token)

        self.do(Kind.OBSERVE, f"observe {label}", act, label=label)

    def _reopen(self, region: str) -> None:
        told = self._tell()
        self.connection.close()
        self._open(region)
        if told is not None:
            self._observe(*told)

    def _open(self, region: str) -> None:
        self._region = region

        def act() -> None:
            self.connection = self._run.clusters[region].connect()
            self.connection.consistency = self.mode

        self.do(Kind.OPEN, "connect", act)


def _nothing(_: Any) -> None:
    """Stand for an answer that does not matter."""


def _place(route: Any) -> Place | None:
    if route is None:
        return None
    region = route.region or ""
    return Place(route.role.value, region, route.reason, route.verdict)
