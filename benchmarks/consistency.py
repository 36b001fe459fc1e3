"""Reading one's own writes: what it costs at each lag, beside three simple ways.

``python benchmarks/consistency.py [--quick] [--rounds N] [--json FILE]`` starts a lab of
its own. For each lag of the readers and each pause between a write and the read after
it, the four ways take turns at the same time, in every region. Exits with 1 when a read
was stale, or globaldb's mean latency is more than 10 % above the best of the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import count, product
from pathlib import Path
from random import Random
from statistics import mean
from threading import Barrier, Thread
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, Final

import psycopg

import globaldb
from benchmarks.strategies import (
    SCHEMA,
    TABLE,
    AlwaysWait,
    AlwaysWriter,
    FixedWindow,
    Routed,
)
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WRITER: Final = "us-west-2"
#: Regions with a reader, and seconds of a round trip from there to the writer.
DISTANCES: Final = {"us-east-1": 0.020, "ap-southeast-2": 0.140, "ap-south-1": 0.220}
LAGS: Final = (0.0, 0.005, 0.020, 0.050, 0.100, 0.300)
PAUSES: Final = (0.0, 0.010, 0.050, 0.100, 0.200, 0.500)

OURS: Final = "globaldb"
PLAIN: Final = {
    "writer": AlwaysWriter,
    "2 s window": FixedWindow,
    "wait": AlwaysWait,
}
WAYS: Final = (OURS, *PLAIN)

#: What globaldb may cost beside the best of the others.
LIMIT: Final = 1.1

#: Writes and reads after each change of the lag that are not counted.
_WARM: Final = 12


@dataclass(slots=True)
class Cell:
    """One way, at one lag and pause, in one region."""

    latencies: list[float] = field(default_factory=list)
    local: int = 0
    stale: int = 0

    @property
    def mean(self) -> float:
        """Seconds that a read took on average."""
        return mean(self.latencies)

    @property
    def share(self) -> float:
        """The share of reads served within the region."""
        return self.local / len(self.latencies)


@dataclass(frozen=True, slots=True)
class Row:
    """One region, lag and pause: every way beside the others. Seconds."""

    region: str
    distance: float
    lag: float
    pause: float
    reads: int
    means: dict[str, float]
    local: dict[str, float]
    stale: dict[str, int]

    @property
    def ratio(self) -> float:
        """Mean of globaldb beside the best of the others."""
        return self.means[OURS] / min(self.means[way] for way in PLAIN)

    @property
    def kept(self) -> bool:
        """Whether the promise holds here."""
        return self.ratio <= LIMIT and not self.stale[OURS]

    def __str__(self) -> str:
        means = " ".join(f"{self.means[way] * 1000:10.2f}" for way in WAYS)
        stale = sum(self.stale.values())
        return (
            f"{self.distance * 1000:5.0f} {self.lag * 1000:5.0f} {self.pause * 1000:5.0f} "
            f"{means}  {self.local[OURS]:6.0%} {stale:5} {self.ratio:6.2f}  "
            f"{'ok' if self.kept else 'MISSED'}"
        )


HEADER: Final = (
    "milliseconds of: a round trip to the writer, the readers' lag, the pause between\n"
    "write and read; mean latency of a read in each way. Then globaldb's share of local\n"
    "reads, stale reads of all ways, globaldb beside the best of the others.\n"
    f"{'W':>5} {'lag':>5} {'pause':>5} "
    + " ".join(f"{way:>10}" for way in WAYS)
    + f"  {'local':>6} {'stale':>5} {'ratio':>6}"
)

Cells = dict[tuple[str, str, float, float], Cell]


class Sweep:
    """Runs every way in every region, a thread each, in step from lag to lag."""

    def __init__(
        self, lab: Lab, lags: Sequence[float], pauses: Sequence[float], rounds: int
    ) -> None:
        self._lab = lab
        self._lags, self._pauses, self._rounds = lags, pauses, rounds
        self._cells: Cells = {}
        self._problems: list[BaseException] = []
        self._barrier = Barrier(len(DISTANCES) * len(WAYS) + 1)

    def rows(self) -> Iterator[Row]:
        """Measure, and yield the rows of each lag when it is done."""
        numbers = count(1)
        with ExitStack() as stack:
            threads = []
            for region in DISTANCES:
                url = self._lab.url(region)
                cluster = stack.enter_context(globaldb.Cluster(url))
                for way in WAYS:
                    work = self._open(cluster, region, way, next(numbers))
                    stack.callback(work.close)
                    threads.append(Thread(target=self._run, args=(region, way, work)))
            for thread in threads:
                thread.start()
            for lag in self._lags:
                for region in DISTANCES:
                    self._lab.lag(region, lag)
                self._barrier.wait()
                self._barrier.wait()
                if self._problems:
                    raise self._problems[0]
                yield from self._rows_of(lag)
            for thread in threads:
                thread.join()

    def _open(self, cluster: globaldb.Cluster, region: str, way: str, row: int) -> Any:
        writer = self._lab.dsn(region, self._lab.writer().name)
        with psycopg.connect(writer, autocommit=True) as setup:
            setup.execute(f"INSERT INTO {TABLE} VALUES ({row:d}, 0)")
        if way == OURS:
            return Routed(cluster, row)
        reader = next(node.name for node in self._lab.nodes if node.region == region)
        return PLAIN[way](writer, self._lab.dsn(region, reader), row)

    def _run(self, region: str, way: str, work: Any) -> None:
        random = Random(f"{region} {way}")
        value = count(1)
        for lag in self._lags:
            self._barrier.wait()
            try:
                for _ in range(_WARM):
                    _cycle(work, next(value), 0.0, Cell(), random)
                for _ in range(self._rounds):
                    for pause in random.sample(self._pauses, len(self._pauses)):
                        key = region, way, lag, pause
                        cell = self._cells.setdefault(key, Cell())
                        _cycle(work, next(value), pause, cell, random)
            except BaseException as problem:  # noqa: BLE001 - raised by the main thread
                self._problems.append(problem)
            self._barrier.wait()

    def _rows_of(self, lag: float) -> Iterator[Row]:
        for (region, distance), pause in product(DISTANCES.items(), self._pauses):
            cells = {way: self._cells[region, way, lag, pause] for way in WAYS}
            yield Row(
                region,
                distance,
                lag,
                pause,
                self._rounds,
                {way: cell.mean for way, cell in cells.items()},
                {way: cell.share for way, cell in cells.items()},
                {way: cell.stale for way, cell in cells.items()},
            )


def _cycle(work: Any, value: int, pause: float, cell: Cell, random: Random) -> None:
    """Write, pause, read; then rest a little, so that the ways do not fall in step."""
    work.write(value)
    if pause:
        sleep(pause)
    started = perf_counter()
    found = work.read()
    cell.latencies.append(perf_counter() - started)
    cell.local += found.local
    cell.stale += found.value != value
    sleep(random.uniform(0.0, 0.02))


def spec() -> LabSpec:
    """Plan a writer, and three regions with a reader at growing distances."""
    return LabSpec(
        regions={WRITER: 0, **dict.fromkeys(DISTANCES, 1)},
        rtt={(WRITER, region): distance for region, distance in DISTANCES.items()},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few points, few rounds")
    parser.add_argument("--rounds", type=int, metavar="N", help="reads at each point")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    arguments = parser.parse_args()
    lags, pauses = LAGS, PAUSES
    if arguments.quick:
        lags, pauses = (0.0, 0.1), (0.0, 0.1)
    rounds = arguments.rounds or (4 if arguments.quick else 25)
    print(HEADER)
    found = []
    with Lab.start(spec()) as lab:
        _make_table(lab)
        for row in Sweep(lab, lags, pauses, rounds).rows():
            found.append(row)
            print(row, flush=True)
    if arguments.json:
        table = [asdict(row) | {"ratio": row.ratio, "kept": row.kept} for row in found]
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    missed = [row for row in found if not row.kept]
    if missed:
        print(f"\n{len(missed)} of {len(found)} points missed")
    return 1 if missed else 0


def _make_table(lab: Lab) -> None:
    with psycopg.connect(lab.dsn(WRITER, lab.writer().name), autocommit=True) as setup:
        for statement in SCHEMA:
            setup.execute(statement)


if __name__ == "__main__":
    sys.exit(main())
