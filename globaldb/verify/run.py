"""A run: tables are made, sessions work in several processes, the rest is read."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import globaldb
from globaldb.errors import OperationalError
from globaldb.verify.history import History
from globaldb.verify.worker import PATIENCE, Worker, main

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from globaldb.verify.faults import Breaker
    from globaldb.verify.history import Operation
    from globaldb.verify.plan import Plan

#: Hears how many operations there are so far, and how many seconds are left.
Report = Callable[[int, float], None]

#: Seconds that a process has for starting, and for handing over what it has noted.
_GRACE: Final = 60.0
_TICK: Final = 0.5


def perform(
    plan: Plan,
    seconds: float,
    *,
    operations: int | None = None,
    breaker: Breaker | None = None,
    report: Report = lambda _operations, _left: None,
) -> History:
    """Carry *plan* out for so many seconds and return what happened.

    It ends earlier when there are so many *operations*, or with Ctrl-C. *breaker* begins
    when all is ready, and ends with the sessions. Makes a schema of its own, and removes
    it. Raises `NoNodeAvailableError` when the database is not there.
    """
    region, url = next(iter(plan.urls.items()))
    tables = plan.tables
    with ExitStack() as stack:
        options = {**plan.cluster_options(region), "consistency": "session"}
        cluster = stack.enter_context(globaldb.Cluster(url, **options))
        connection = stack.enter_context(cluster.connect())
        tables.create(connection)
        stack.callback(tables.drop, connection)
        tables.fill(connection)
        _await_readers(plan)
        goal = _Goal(monotonic() + seconds, operations, report)
        with breaker or nullcontext():
            found = _operations(plan, goal)
        final = tables.final(connection)
    return History(found, final, breaker.happened if breaker else ())


def _await_readers(plan: Plan) -> None:
    for region, url in plan.urls.items():
        with (
            globaldb.Cluster(url, **plan.cluster_options(region)) as cluster,
            cluster.connect() as connection,
        ):
            plan.tables.await_in(connection)


@dataclass(frozen=True, slots=True)
class _Goal:
    """When a run ends: at a moment, or when there are so many operations."""

    until: float
    operations: int | None
    report: Report

    def ahead(self, operations: int) -> bool:
        """Say how far the run is; return whether it goes on."""
        self.report(operations, self.until - monotonic())
        return self.operations is None or operations < self.operations


def _operations(plan: Plan, goal: _Goal) -> list[Operation]:
    if plan.processes == 1:
        return Worker(plan, 0).work(goal.until, goal.ahead)
    return _Workers(plan, goal).work()


class _Workers:
    """Processes that work, and the pipes to them."""

    def __init__(self, plan: Plan, goal: _Goal) -> None:
        self._goal = goal
        self._progress: dict[int, int] = {}
        self._found: dict[int, list[Operation]] = {}
        # What other threads of this process hold must not be copied half-way.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        for number in range(plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=main, args=(plan, number, goal.until, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def work(self) -> list[Operation]:
        """Wait for everything that the processes have noted."""
        try:
            while len(self._found) < len(self._pipes):
                self._hear()
        except BaseException:
            for process in self._processes:
                process.kill()
            raise
        finally:
            for process in self._processes:
                process.join(_GRACE)
        return [operation for each in self._found.values() for operation in each]

    def _hear(self) -> None:
        try:
            for number, pipe in enumerate(self._pipes):
                while number not in self._found and pipe.poll(_TICK):
                    self._take(number, pipe)
            if not self._goal.ahead(sum(self._progress.values())):
                self._end()
        except KeyboardInterrupt:
            self._end()
        if monotonic() > self._goal.until + PATIENCE + _GRACE:
            raise OperationalError("a process of the verification did not end")

    def _take(self, number: int, pipe: Connection) -> None:
        try:
            message = pipe.recv()
        except EOFError:
            raise OperationalError("a process of the verification was killed") from None
        if isinstance(message, str):
            raise OperationalError(f"a session met what is no database's:\n{message}")
        if isinstance(message, int):
            self._progress[number] = message
        else:
            self._found[number] = message
            self._progress[number] = len(message)

    def _end(self) -> None:
        """Have every process that still works end early."""
        for number, pipe in enumerate(self._pipes):
            if number not in self._found:
                with suppress(OSError):
                    pipe.send("enough")
