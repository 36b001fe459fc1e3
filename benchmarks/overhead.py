"""What routing costs on this side of the wire, beside plain psycopg to the same node.

``python benchmarks/overhead.py [--quick] [--json FILE]`` starts a lab without proxies
between clients and nodes. Ratios are what counts; the times are this machine's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import psycopg

import globaldb
from benchmarks.pairs import Pair, after, block, compare
from globaldb.lab import Lab, LabSpec
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.pairs import Block

REGION: Final = "ap-south-1"
WRITER_REGION: Final = "us-west-2"
THREADS: Final = 8
FETCHED: Final = 10_000
#: Plain connections are weighed by fewer: the servers allow a hundred.
RAW_CONNECTIONS: Final = 50
ONE: Final = "SELECT id, label FROM carts WHERE id = %s"
MANY: Final = "SELECT id, label FROM carts WHERE id <= %s"
SCHEMA: Final = (
    "CREATE TABLE carts (id bigint PRIMARY KEY, label text)",
    f"INSERT INTO carts SELECT n, 'cart-' || n FROM generate_series(1, {FETCHED}) n",
    "ANALYZE carts",
)
_ANALYZED: Final = "SELECT sum(reltuples) FROM pg_class WHERE relname = 'carts'"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: enough to be still, or just enough to run."""

    blocks: int
    calls: int
    processes: int
    sessions: int


FULL: Final = Scale(blocks=200, calls=200, processes=40, sessions=1000)
QUICK: Final = Scale(blocks=5, calls=20, processes=3, sessions=100)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should stay within; every bound that is given counts."""

    ratio: float | None = None
    #: In the unit of the figure.
    added: float | None = None

    def reached(self, figure: Figure) -> bool:
        """Whether *figure* is within every bound."""
        return (self.ratio is None or figure.ratio <= self.ratio) and (
            self.added is None or figure.added <= self.added
        )

    def text(self, unit: str) -> str:
        """Return the bounds as the table shows them."""
        parts = [] if self.ratio is None else [f"{self.ratio:g} x"]
        if self.added is not None:
            parts.append(f"+{self.added:g} {unit}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table, in *unit*."""

    name: str
    unit: str
    raw: float
    routed: float
    ratio: float
    added: float
    goal: Goal = Goal()

    @classmethod
    def of(cls, name: str, pair: Pair, goal: Goal, unit: str = "us") -> Figure:
        """Make a figure of measured seconds."""
        factor = {"us": 1e6, "ms": 1e3}[unit]
        return cls(
            name,
            unit,
            pair.raw * factor,
            pair.routed * factor,
            pair.ratio,
            pair.added * factor,
            goal,
        )

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, or nothing where there is no goal."""
        if self.goal == Goal():
            return ""
        return "ok" if self.goal.reached(self) else "MISSED"

    def __str__(self) -> str:
        return (
            f"{self.name:44} {self.raw:10.2f} {self.routed:10.2f} {self.unit:3}"
            f"{self.ratio:8.3f} x {self.added:+9.2f}   {self.goal.text(self.unit):16}"
            f"{self.verdict}"
        )


def header(driver: str) -> str:
    """Return the line above a table of figures beside *driver*."""
    return (
        f"{'figure (medians)':44} {driver:>10} {'globaldb':>10} {'':3}"
        f"{'ratio':>10} {'added':>9}   {'goal':16}"
    )


READ_GOAL: Final = Goal(ratio=1.05, added=8.0)
FETCH_GOAL: Final = Goal(ratio=1.01)
CONNECT_GOAL: Final = Goal(ratio=0.05)
_IMPORT_GOAL: Final = Goal(added=40.0)


class Bench:
    """A lab, a warm cluster, and the node both drivers are compared on."""

    def __init__(self, lab: Lab, scale: Scale, random: Random) -> None:
        self.scale = scale
        self._random = random
        # Without delays between regions the writer is as near as the reader, and would
        # share the reads: both drivers are to use the same server.
        self.url = re.sub(f"&node={WRITER_REGION}@[^&]*", "", lab.url(REGION))
        self.cluster = globaldb.Cluster(self.url)
        with psycopg.connect(lab.dsn(REGION, lab.writer().name)) as writer:
            for statement in SCHEMA:
                writer.execute(statement)
        node = next(each for each in lab.nodes if each.region == REGION)
        self.dsn = lab.dsn(REGION, node.name)
        _await_rows(self.dsn)

    def raw(self, **options: Any) -> Any:
        """Open a plain connection to the node."""
        return psycopg.connect(self.dsn, **options)

    def routed(self, *, autocommit: bool) -> Any:
        """Open a routed connection."""
        connection = self.cluster.connect()
        connection.autocommit = autocommit
        return connection

    def compare(self, raw: Block, routed: Block, *, divide: int = 1) -> Pair:
        """Compare two blocks, with fewer of them where each is long."""
        blocks = max(5, self.scale.blocks // divide)
        return compare(raw, routed, blocks=blocks, random=self._random)


def _await_rows(dsn: str) -> None:
    """Return once the reader shows the table and all that came after it."""
    with psycopg.connect(dsn, autocommit=True) as reader:
        wait_until(
            lambda: reader.execute(_ANALYZED).fetchone() == (FETCHED,),
            limit=20.0,
            what="the reader does not show the table",
        )


# Reads.


def _autocommit(connection: Any, sql: str, parameters: tuple[int]) -> Any:
    return lambda: connection.execute(sql, parameters).fetchall()


def _transaction(connection: Any, sql: str, parameters: tuple[int]) -> Any:
    def call() -> None:
        connection.execute(sql, parameters).fetchall()
        connection.commit()

    return call


def reads(bench: Bench) -> Iterator[Figure]:
    """Routed local reads, one row and a thousand."""
    for rows, sql, divide in ((1, ONE, 1), (1000, MANY, 10)):
        for where, autocommit in (("autocommit", True), ("transaction", False)):
            for threads in (1, THREADS):
                name = f"{rows} row{'s' * (rows > 1)}, {where}, {threads} thread"
                yield _read(
                    bench,
                    name + "s" * (threads > 1),
                    sql,
                    (rows,),
                    autocommit=autocommit,
                    threads=threads,
                    calls=max(4, bench.scale.calls // divide),
                )


def _read(
    bench: Bench,
    name: str,
    sql: str,
    parameters: tuple[int],
    *,
    autocommit: bool,
    threads: int,
    calls: int,
) -> Figure:
    make = _autocommit if autocommit else _transaction
    raw = [bench.raw(autocommit=autocommit) for _ in range(threads)]
    routed = [bench.routed(autocommit=autocommit) for _ in range(threads)]
    for connection in (*raw, *routed):
        connection.read_only = None if autocommit else True
    with ThreadPoolExecutor(threads) as crew:
        pair = bench.compare(
            crowd(crew, [make(each, sql, parameters) for each in raw], calls),
            crowd(crew, [make(each, sql, parameters) for each in routed], calls),
            divide=1 if threads == 1 else 4,
        )
    served = routed[0].last_route
    assert served.region == REGION, f"{name} was served elsewhere: {served}"
    for connection in (*raw, *routed):
        connection.close()
    return Figure.of(name, pair, READ_GOAL)


def crowd(
    crew: ThreadPoolExecutor, calls_of: list[Callable[[], object]], calls: int
) -> Block:
    """Make a block in which every thread makes *calls* calls of its own."""
    if len(calls_of) == 1:
        return block(calls_of[0], calls)
    blocks = [block(call, calls) for call in calls_of]

    def run() -> float:
        started = perf_counter()
        for done in [crew.submit(each) for each in blocks]:
            done.result()
        return (perf_counter() - started) / (calls * len(blocks))

    return run


# Rows.


def _fetchone(cursor: Any) -> None:
    while cursor.fetchone() is not None:
        pass


def _iterate(cursor: Any) -> None:
    deque(cursor, maxlen=0)


def _fetchall(cursor: Any) -> None:
    cursor.fetchall()


def fetches(bench: Bench) -> Iterator[Figure]:
    """Fetch the rows of a result that is here already."""
    raw, routed = bench.raw(autocommit=True), bench.routed(autocommit=True)
    ways = (("fetchone", _fetchone), ("iteration", _iterate), ("fetchall", _fetchall))
    for name, fetch in ways:
        blocks = []
        for cursor in (raw.cursor(), routed.cursor()):
            prepare = partial(cursor.execute, MANY, (FETCHED,))
            blocks.append(after(prepare, partial(fetch, cursor)))
        pair = bench.compare(*blocks)
        yield Figure.of(f"a row by {name}", pair.per(FETCHED), FETCH_GOAL)
    raw.close()
    routed.close()


# Connections, imports, memory.


def connects(bench: Bench) -> Iterator[Figure]:
    """Open and close a connection of a warm cluster."""
    calls = max(2, bench.scale.calls // 20)
    raw = block(lambda: bench.raw().close(), calls)
    ways = (
        ("cluster.connect(), close()", lambda: bench.cluster.connect().close()),
        ("globaldb.connect(url), close()", lambda: globaldb.connect(bench.url).close()),
    )
    for name, way in ways:
        pair = bench.compare(raw, block(way, calls * 10), divide=4)
        yield Figure.of(name, pair, CONNECT_GOAL)


def imports(bench: Bench) -> Iterator[Figure]:
    """Whole processes: one that imports against one that does not."""

    def process(code: str) -> Block:
        command = [sys.executable, "-c", code]
        return block(lambda: subprocess.run(command, check=True), 1)

    routed = process("import globaldb")
    for name, code, goal in (
        ("import globaldb, beside an empty process", "pass", _IMPORT_GOAL),
        ("import globaldb, beside import psycopg", "import psycopg", Goal()),
    ):
        divide = max(1, bench.scale.blocks // bench.scale.processes)
        pair = bench.compare(process(code), routed, divide=divide)
        yield Figure.of(name, pair, goal, "ms")


def memory(bench: Bench) -> Iterator[Figure]:
    """Weigh an idle connection in this process; a plain one has no pool."""
    raw = _weigh("raw", bench.dsn, min(RAW_CONNECTIONS, bench.scale.sessions))
    routed = _weigh("routed", bench.url, bench.scale.sessions)
    count = bench.scale.sessions
    for how, name in (("resident", "RSS"), ("traced", "tracemalloc")):
        a, b = raw[how] / 1024, routed[how] / 1024
        yield Figure(
            f"memory an idle session of {count}, {name}", "KiB", a, b, b / a, b - a
        )


def _weigh(which: str, url: str, count: int) -> dict[str, float]:
    script = Path(__file__).with_name("memory.py")
    done = subprocess.run(
        [sys.executable, script, which, url, str(count)],
        check=True,
        capture_output=True,
        text=True,
    )
    weights: dict[str, float] = json.loads(done.stdout)
    return weights


PARTS: Final = {
    "reads": reads,
    "fetches": fetches,
    "connects": connects,
    "imports": imports,
    "memory": memory,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    parser.add_argument(
        "--only", metavar="PART", choices=PARTS, help=f"one of {', '.join(PARTS)}"
    )
    arguments = parser.parse_args()
    # The cluster that connect() shares outlives the lab, and would say so.
    logging.getLogger("globaldb").addHandler(logging.NullHandler())
    parts = [PARTS[arguments.only]] if arguments.only else list(PARTS.values())
    figures: list[Figure] = []
    spec = LabSpec(direct=True, regions={WRITER_REGION: 0, REGION: 1})
    with Lab.start(spec) as lab:
        bench = Bench(lab, QUICK if arguments.quick else FULL, Random(1))
        print(header("psycopg"))
        for part in parts:
            for figure in part(bench):
                figures.append(figure)
                print(figure, flush=True)
        bench.cluster.close()
    missed = [figure.name for figure in figures if figure.verdict == "MISSED"]
    print(f"\n{len(missed)} goals missed{': ' if missed else ''}{'; '.join(missed)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(_report(figures), indent=1) + "\n")
    return 0


def _report(figures: list[Figure]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "psycopg": psycopg.__version__,
        "implementation": psycopg.pq.__impl__,
        "cores": os.cpu_count(),
        "figures": [asdict(each) | {"verdict": each.verdict} for each in figures],
    }


if __name__ == "__main__":
    sys.exit(main())
