"""A lab whose writer moves, and the applications that live through it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.lab import Lab, LabNode

#: Where the applications are; the writer goes to and fro between the two others.
REGION: Final = "ap-south-1"
PLACES: Final = ("us-west-2", "ap-southeast-2")
FAULTS: Final = ("switchover", "failover")

#: Seconds that a client runs before the fault, and after its first write behind it.
_BEFORE: Final = 4.0
_AFTER: Final = 1.0
_LIMIT: Final = 90.0
#: Seconds over which background queries are counted, at rest and after a fault.
_COUNTED: Final = 10

_SCHEMA: Final = (
    "DROP TABLE IF EXISTS beats",
    "DROP TABLE IF EXISTS labels",
    "CREATE TABLE beats (client varchar(20), n int, node varchar(40))",
    "CREATE TABLE labels (id int PRIMARY KEY, label varchar(20))",
    "INSERT INTO labels VALUES (1, 'one')",
)
_STATE: Final = {
    "postgresql": "SELECT pg_is_in_recovery()",
    "mariadb": "SELECT @@global.read_only",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """One fault as one client saw it. Seconds count from the new writer's first."""

    fault: str
    client: str
    #: Until the first write that the new writer carried out was acknowledged.
    writing: float
    #: The errors that its writes raised, by their class.
    errors: dict[str, int]
    reads: int
    reads_failed: int
    acknowledged: int
    #: Writes that were acknowledged and are not there.
    lost: int
    #: Writes that are there more than once.
    twice: int
    #: Writes that failed, with an error that does not say that it is unsure, and exist.
    hidden: int
    #: How long no write was acknowledged.
    gap: float

    def __str__(self) -> str:
        errors = ", ".join(f"{n} {name}" for name, n in self.errors.items()) or "none"
        return (
            f"{self.fault:10} {self.client:8} writes again after {self.writing:6.3f} s"
            f" (gap {self.gap:6.3f} s), errors: {errors};"
            f" {self.reads_failed} of {self.reads} reads failed;"
            f" lost {self.lost}, twice {self.twice}, hidden {self.hidden}"
        )


@dataclass(frozen=True, slots=True)
class Background:
    """What one client alone asks of the writers far away beside its application's."""

    client: str
    #: Queries a second, at first and at rest.
    early: float
    steady: float
    #: Queries in each second without a writer, at the node that will be the next.
    seconds: list[int]
    #: Queries a second at the new writer, in the seconds after a failover.
    after: float

    def __str__(self) -> str:
        return (
            f"{self.client:8} asks the writer {self.early:.2f} times a second at first,"
            f" {self.steady:.2f} at rest; the next writer, while there is none,"
            f" {self.seconds}; the new one {self.after:.2f}"
        )


class Process:
    """A running application and what it has told so far."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.kind = str(plan["kind"])
        self.told: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.failover_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            text=True,
        )
        self._send(json.dumps(plan) + "\n")
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def wait_ready(self) -> None:
        """Wait until it has read and written once."""
        wait_until(
            lambda: bool(self.told) or self._process.poll() is not None,
            limit=_LIMIT,
            what=f"{self.kind} does not connect",
        )
        if not self.told:
            raise RuntimeError(f"{self.kind} ended before it began")

    def calls(self, call: str) -> list[dict[str, Any]]:
        """Return what it has told of its writes, or of its reads."""
        return [each for each in list(self.told) if each["call"] == call]

    def stop(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _send(self, text: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def _listen(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as lines:
                for line in lines:
                    self.told.append(json.loads(line))


class Stage:
    """The lab, its tables, and faults with everybody watching."""

    def __init__(self, lab: Lab, kinds: list[str], *, quick: bool = False) -> None:
        self.kinds = kinds
        self._before = 0.5 if quick else _BEFORE
        self._counted = 1 if quick else _COUNTED
        self._lab = lab
        self._engine = lab.spec.engine
        self._setup()

    def _setup(self) -> None:
        writer = self._lab.writer()
        self._execute(writer, *_SCHEMA)
        if self._engine == "postgresql":
            self._execute(
                writer,
                "GRANT ALL ON beats, labels TO app",
                # The wrapper makes addresses of identifiers: the last number will do.
                *(
                    f"UPDATE lab.instances SET server_id = '{n}' WHERE node = '{e.name}'"
                    for n, e in enumerate(self._lab.nodes, start=1)
                ),
            )
        sleep(1.0)

    def move(self, fault: str) -> list[Moved]:
        """Move the writer while every client writes and reads."""
        with ExitStack() as stack:
            clients = [self._start(stack, kind) for kind in self.kinds]
            sleep(self._before)
            target = self._target()
            began, ready = self._fault(fault, target)
            for client in clients:
                wait_until(
                    partial(_writes_at, client, target.name),
                    limit=_LIMIT,
                    what=f"{client.kind} does not write at {target.name}",
                )
            sleep(_AFTER)
            for client in clients:
                client.stop()
            rows = self._rows(target)
            found = [
                _moved(fault, each, (began, ready), target.name, rows[each.kind])
                for each in clients
            ]
        self._execute(target, "DELETE FROM beats")
        self._lab.restore()
        return found

    def background(self, kind: str, settle: float) -> Background:
        """Count what a client of *kind* alone asks of the writer, and of the next one.

        The writer is dead for a while before the next one is promoted.
        """
        with ExitStack() as stack:
            client = self._start(stack, kind)
            writer, target = self._lab.writer(), self._target()
            asked = partial(self._asked, client, writer)
            early = _rate(asked, self._counted)
            sleep(settle)
            steady = _rate(asked, self._counted)
            self._lab.kill(writer.name)
            seconds = _each_second(partial(self._asked, client, target), self._counted)
            self._fault("failover", target)
            wait_until(
                partial(_writes_at, client, target.name),
                limit=_LIMIT,
                what=f"{kind} does not write at {target.name}",
            )
            after = _rate(partial(self._asked, client, target), self._counted)
        self._execute(self._lab.writer(), "DELETE FROM beats")
        self._lab.restore()
        return Background(kind, early, steady, seconds, after)

    def _start(self, stack: ExitStack, kind: str) -> Process:
        process = Process(self._plan(kind))
        stack.callback(process.stop)
        process.wait_ready()
        return process

    def _plan(self, kind: str) -> dict[str, Any]:
        lab = self._lab
        plan = {"kind": kind, "engine": self._engine, "url": lab.url(REGION)}
        if kind == "wrapper":
            reader = next(each for each in lab.nodes if each.region == REGION)
            spot = lab.options(REGION, reader.name)
            host, port = str(spot["host"]), spot["port"]
            pattern = f"{host.rpartition('.')[0]}.?:{port}"
            regions = dict.fromkeys(each.region for each in lab.nodes)
            plan["writer"] = lab.dsn(REGION, lab.writer().name)
            plan["reader"] = lab.dsn(REGION, reader.name)
            plan["pattern"] = pattern
            plan["patterns"] = ",".join(f"{region}:{pattern}" for region in regions)
        return plan

    def _target(self) -> LabNode:
        place = PLACES[self._lab.writer().region == PLACES[0]]
        return next(each for each in self._lab.nodes if each.region == place)

    def _fault(self, fault: str, target: LabNode) -> tuple[float, float]:
        """Make *target* the writer; return when that began, and when it could write."""
        with ExitStack() as stack:
            ask = self._asker(stack, target)
            ready: list[float] = []
            watcher = threading.Thread(target=_watch, args=(ask, ready))
            began = monotonic()
            watcher.start()
            getattr(self._lab, fault)(target.name)
            watcher.join()
        return began, ready[0]

    def _asker(self, stack: ExitStack, node: LabNode) -> Callable[[], bool]:
        """Return what asks *node* itself, without any delay, whether it only reads."""
        connection = stack.enter_context(self._connect(node))
        cursor = connection.cursor()

        def only_reads() -> bool:
            cursor.execute(_STATE[self._engine])
            [(state,)] = cursor.fetchall()
            return bool(state)

        return only_reads

    def _rows(self, node: LabNode) -> dict[str, Counter[int]]:
        with self._connect(node) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT client, n FROM beats")
            found = {kind: Counter[int]() for kind in self.kinds}
            for kind, number in cursor.fetchall():
                found[kind][number] += 1
            return found

    def _execute(self, node: LabNode, *statements: str) -> None:
        with self._connect(node) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _connect(self, node: LabNode) -> Any:
        options = self._lab.options(node.region, node.name, superuser=True)
        options |= {"host": node.host, "port": node.port, "autocommit": True}
        if self._engine == "postgresql":
            import psycopg

            return psycopg.connect(**options)
        import pymysql

        return pymysql.connect(**options)

    def _asked(self, client: Process, node: LabNode) -> int:
        """Return how often *node* was asked, not by the application: a trip a write."""
        trips = sum(
            link.round_trips
            for link in self._lab.counters()
            if link.client_region == REGION and link.node == node.name
        )
        return trips - sum(e["node"] == node.name for e in client.calls("write"))


def _rate(count: Callable[[], int], seconds: int) -> float:
    before = count()
    sleep(seconds)
    return (count() - before) / seconds


def _each_second(count: Callable[[], int], seconds: int) -> list[int]:
    began, marks = monotonic(), [count()]
    for second in range(1, seconds + 1):
        sleep(max(0.0, began + second - monotonic()))
        marks.append(count())
    return [after - before for before, after in pairwise(marks)]


def _watch(only_reads: Callable[[], bool], ready: list[float]) -> None:
    while only_reads():
        sleep(0.002)
    ready.append(monotonic())


def _writes_at(client: Process, node: str) -> bool:
    return any(each["node"] == node for each in client.calls("write"))


def _moved(
    fault: str,
    client: Process,
    times: tuple[float, float],
    node: str,
    rows: Counter[int],
) -> Moved:
    began, ready = times
    writes, reads = client.calls("write"), client.calls("read")
    done = [each for each in writes if each["error"] is None]
    failed = [each for each in writes if each["error"] is not None]
    first = next(each["ended"] for each in done if each["node"] == node)
    before = (each["ended"] for each in done if each["node"] != node)
    last = max(before, default=began)
    during = [each for each in reads if began <= each["ended"] <= first + _AFTER]
    return Moved(
        fault=fault,
        client=client.kind,
        writing=first - ready,
        errors=dict(Counter(each["error"] for each in failed)),
        reads=len(during),
        reads_failed=sum(each["error"] is not None for each in during),
        acknowledged=len(done),
        lost=sum(rows[each["number"]] == 0 for each in done),
        twice=sum(count > 1 for count in rows.values()),
        hidden=sum(
            rows[each["number"]] > 0 and each["error"] not in _UNSURE for each in failed
        ),
        gap=first - last,
    )


#: Errors that say that the write may have happened.
_UNSURE: Final = {"OutcomeUnknownError", "TransactionResolutionUnknownError"}
