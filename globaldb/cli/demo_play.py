"""The demo carried out on a lab: every statement really runs, every trip is counted."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import globaldb
from globaldb.cli.demo_story import (
    LAG,
    READER_SIDE,
    WRITER_SIDE,
    Answer,
    Look,
    Step,
)
from globaldb.core.consistency import Consistency
from globaldb.lab import LabError
from globaldb.lab.waiting import wait_until
from globaldb.verify.dialect import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from globaldb.cli.demo_story import Operation
    from globaldb.core.routing import Route
    from globaldb.lab import Lab

#: Each operation is done so often; the middle time counts, and the most trips.
_TIMES: Final = 2
#: Seconds between probes while trips are counted: probes make trips too.
_NO_PROBES: Final = 600.0
#: Connections per node opened beforehand: one may be busy with a probe.
_WARM: Final = 2
#: Seconds that the lab may need until all is as a chapter wants it.
_READY: Final = 10.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step of the walkthrough, and what came of it. *seconds* is its duration."""

    step: Step
    region: str
    answer: Answer
    ok: bool
    seconds: float
    route: Route | None


@dataclass(frozen=True, slots=True)
class LookResult:
    """A read in one mode: whether it saw the write, and what it cost in seconds."""

    look: Look
    saw: bool
    ok: bool
    seconds: float
    route: Route | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operation took: seconds, and round trips to other regions."""

    seconds: float
    round_trips: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operation through the plain driver to the writer, and through globaldb."""

    operation: str
    plain: Cost
    routed: Cost
    most: int
    route: Route | None

    @property
    def ok(self) -> bool:
        """Whether globaldb made no more round trips than it promises."""
        return self.routed.round_trips <= self.most


#: Whatever a chapter yields.
Result: TypeAlias = StepResult | LookResult | Comparison


@dataclass(frozen=True, slots=True)
class Stage:
    """The lab, and the two regions between which the demo plays."""

    lab: Lab
    writer_region: str
    reader_region: str

    @property
    def driver(self) -> str:
        """The driver that globaldb is compared with."""
        return "psycopg" if self._postgresql else "PyMySQL"

    @property
    def _postgresql(self) -> bool:
        return self.lab.spec.engine == "postgresql"

    def plain(self, region: str) -> Any:
        """Connect from *region* to the writer with the plain driver."""
        options = {
            **self.lab.options(region, self.lab.writer().name),
            "autocommit": True,
        }
        if self._postgresql:
            import psycopg

            # Preparing a statement would cost it a trip more, once.
            return psycopg.connect(**options, prepare_threshold=None)
        import pymysql

        return pymysql.connect(**options)

    def region(self, side: str) -> str:
        """Return the region of a side of the story."""
        return self.writer_region if side == WRITER_SIDE else self.reader_region


def walk(stage: Stage, steps: Sequence[Step]) -> Iterator[StepResult]:
    """Carry out *steps*; each side is one session, the reader's without a mode."""
    with ExitStack() as stack:
        sessions: dict[str, Any] = {}
        for step in steps:
            region = stage.region(step.side)
            if step.side not in sessions:
                mode = None if step.side == READER_SIDE else Consistency.SESSION
                cluster = _cluster(stack, stage, region, consistency=mode)
                sessions[step.side] = stack.enter_context(closing(cluster.connect()))
            yield _walk(sessions[step.side], step, region)


def _cluster(
    stack: ExitStack, stage: Stage, region: str, **options: Any
) -> globaldb.Cluster:
    """Connect from *region*, and wait until its pools are warm."""
    options = {"autocommit": True, "pool_min_size": _WARM, **options}
    cluster = stack.enter_context(globaldb.Cluster(stage.lab.url(region), **options))
    with closing(cluster.connect()) as connection:
        wait_until(
            lambda: (
                all(s.reachable for s in cluster.topology.nodes.values())
                and all(
                    pool["idle"] + pool["busy"] >= _WARM for pool in _pools(connection)
                )
            ),
            limit=_READY,
            what=f"the nodes do not answer in {region}, or its pools do not fill",
        )
    return cluster


def _pools(connection: Any) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW POOLS")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, pool, strict=True)) for pool in cursor.fetchall()]


def _walk(connection: Any, step: Step, region: str) -> StepResult:
    started = monotonic()
    answers = [_ask(connection, step.sql)]

    def met_now() -> bool:
        answers.append(_ask(connection, step.sql))
        return step.met(answers[-1])

    if step.patience and not step.met(answers[0]):
        with suppress(LabError):
            wait_until(met_now, limit=step.patience, what=step.expected)
    seconds = monotonic() - started
    answer = answers[-1]
    placed = answer.error is None and step.routed
    route = connection.last_route if placed else None
    return StepResult(step, region, answer, step.met(answer), seconds, route)


def _ask(connection: Any, sql: str) -> Answer:
    try:
        return Answer(rows(connection, sql))
    except globaldb.Error as error:
        return Answer([], error)


def look_around(stage: Stage, looks: Sequence[Look]) -> Iterator[LookResult]:
    """Carry out *looks* while the readers of the reader region lag."""
    region = stage.reader_region
    with ExitStack() as stack:
        here = _cluster(stack, stage, region)
        there = _cluster(stack, stage, stage.writer_region)
        _create(here, "demo_looks (id integer PRIMARY KEY)")
        stage.lab.lag(region, LAG)
        stack.callback(stage.lab.lag, region, 0.0)
        for number, look in enumerate(looks):
            # Each look has a session of its own, which has seen nothing yet.
            own = stack.enter_context(closing(here.connect()))
            own.consistency = look.mode
            other = stack.enter_context(closing(there.connect()))
            yield _look(look, own, own if look.own else other, number)


def _look(look: Look, reader: Any, writer: Any, number: int) -> LookResult:
    rows(writer, "INSERT INTO demo_looks VALUES (%s)", (number,))
    started = monotonic()
    found = rows(reader, "SELECT id FROM demo_looks")
    seconds = monotonic() - started
    saw = (number,) in found
    ok = look.sees is None or look.sees == saw
    return LookResult(look, saw, ok, seconds, reader.last_route)


def _create(cluster: globaldb.Cluster, table: str) -> None:
    """Create *table*, and wait until the nearest reader has it."""
    name = table.partition(" ")[0]
    look = f"SELECT count(*) FROM {name}"  # noqa: S608 - a name of our own
    with closing(cluster.connect()) as connection:
        rows(connection, f"CREATE TABLE {table}")
        connection.consistency = "eventual"
        wait_until(
            lambda: _ask(connection, look).error is None,
            limit=_READY,
            what=f"the reader does not get {name}",
        )


def compare(
    stage: Stage, operations: Sequence[Operation], table: str
) -> Iterator[Comparison]:
    """Measure opening a connection, and *operations* on *table*, by both drivers."""
    region = stage.reader_region
    with ExitStack() as stack:
        cluster = _cluster(stack, stage, region, probe_interval=_NO_PROBES)
        _create(cluster, table)

        def plain() -> Any:
            return stack.enter_context(closing(stage.plain(region)))

        def routed() -> Any:
            return stack.enter_context(closing(cluster.connect()))

        theirs, ours = plain(), routed()
        plain_cost, routed_cost = _cost(stage, plain), _cost(stage, routed)
        yield Comparison("open a connection", plain_cost, routed_cost, 0, None)
        for each in operations:
            plain_cost = _cost(stage, partial(each.work, theirs))
            routed_cost = _cost(stage, partial(each.work, ours))
            yield Comparison(
                each.name, plain_cost, routed_cost, each.most, ours.last_route
            )


def _cost(stage: Stage, work: Callable[[], Any]) -> Cost:
    """Do *work* several times, after once for practice: pools are warm then."""
    work()
    seconds, trips = [], []
    for _ in range(_TIMES):
        before = _wide_area_trips(stage)
        started = monotonic()
        work()
        seconds.append(monotonic() - started)
        trips.append(_wide_area_trips(stage) - before)
    return Cost(median(seconds), max(trips))


def _wide_area_trips(stage: Stage) -> int:
    """Round trips from the reader region to others; a TCP connect is one too."""
    return sum(
        link.round_trips + link.connects
        for link in stage.lab.counters()
        if link.client_region == stage.reader_region and link.wide_area
    )
