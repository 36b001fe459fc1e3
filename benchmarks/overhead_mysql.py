"""What routing costs on this side of the wire, beside plain PyMySQL to the same node.

``python benchmarks/overhead_mysql.py [--engine mysql] [--quick] [--json FILE]`` starts a
lab without proxies between clients and nodes. Ratios are what counts; the times are this
machine's.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pymysql

import globaldb
from benchmarks.overhead import (
    CONNECT_GOAL,
    FETCH_GOAL,
    FULL,
    MANY,
    ONE,
    QUICK,
    READ_GOAL,
    REGION,
    THREADS,
    WRITER_REGION,
    Figure,
    Scale,
    crowd,
    header,
)
from benchmarks.pairs import Pair, after, block, compare
from globaldb.lab import Lab, LabSpec
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.pairs import Block

#: Fewer than for psycopg, whose rows are read in C.
FETCHED: Final = 2_000
ENGINES: Final = ("mariadb", "mysql")


class Bench:
    """A lab, a warm cluster, and the node both drivers are compared on."""

    def __init__(self, lab: Lab, scale: Scale) -> None:
        self.scale = scale
        self._random = Random(1)
        # Without delays between regions the writer is as near as the reader, and would
        # share the reads: both drivers are to use the same server.
        self.url = re.sub(f"&node={WRITER_REGION}@[^&]*", "", lab.url(REGION))
        self.cluster = globaldb.Cluster(self.url)
        node = next(each for each in lab.nodes if each.region == REGION)
        self._options = lab.options(REGION, node.name)
        _fill(lab.options(REGION, lab.writer().name))
        with self.raw() as reader:
            wait_until(
                lambda: _rows(reader) == FETCHED,
                limit=20.0,
                what="the reader does not show the table",
            )

    def raw(self) -> Any:
        """Open a plain connection to the node."""
        return pymysql.connect(**self._options, autocommit=True)

    def routed(self) -> Any:
        """Open a routed connection."""
        connection = self.cluster.connect()
        connection.autocommit(True)  # noqa: FBT003 - as PyMySQL has it
        return connection

    def compare(self, raw: Block, routed: Block, *, divide: int = 1) -> Pair:
        """Compare two blocks, with fewer of them where each is long."""
        blocks = max(5, self.scale.blocks // divide)
        return compare(raw, routed, blocks=blocks, random=self._random)


def _fill(options: dict[str, Any]) -> None:
    with pymysql.connect(**options, autocommit=True) as writer, writer.cursor() as each:
        each.execute("CREATE TABLE carts (id bigint PRIMARY KEY, label varchar(40))")
        each.executemany(
            "INSERT INTO carts VALUES (%s, %s)",
            [(number, f"cart-{number}") for number in range(1, FETCHED + 1)],
        )


def _rows(connection: Any) -> int:
    """Count the rows there are; none while the table has not arrived."""
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT count(*) FROM carts")
        except pymysql.err.ProgrammingError:
            return 0
        [count] = cursor.fetchone()
        return int(count)


def _autocommit(connection: Any, sql: str, parameters: tuple[int]) -> Any:
    def call() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            cursor.fetchall()

    return call


def _transaction(connection: Any, sql: str, parameters: tuple[int]) -> Any:
    def call() -> None:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION READ ONLY")
            cursor.execute(sql, parameters)
            cursor.fetchall()
        connection.commit()

    return call


def reads(bench: Bench) -> Iterator[Figure]:
    """Routed local reads, one row and a thousand."""
    for rows, sql, divide in ((1, ONE, 1), (1000, MANY, 10)):
        for where, make in (("autocommit", _autocommit), ("transaction", _transaction)):
            for threads in (1, THREADS):
                name = f"{rows} row{'s' * (rows > 1)}, {where}, {threads} thread"
                calls = max(4, bench.scale.calls // divide)
                pair = _read(
                    bench, partial(make, sql=sql, parameters=(rows,)), threads, calls
                )
                yield Figure.of(name + "s" * (threads > 1), pair, READ_GOAL)


def _read(bench: Bench, make: Callable[[Any], Any], threads: int, calls: int) -> Pair:
    raw = [bench.raw() for _ in range(threads)]
    routed = [bench.routed() for _ in range(threads)]
    with ThreadPoolExecutor(threads) as crew:
        pair = bench.compare(
            crowd(crew, [make(each) for each in raw], calls),
            crowd(crew, [make(each) for each in routed], calls),
            divide=1 if threads == 1 else 4,
        )
    served = routed[0].last_route
    assert served.region == REGION, f"served elsewhere: {served}"
    for connection in (*raw, *routed):
        connection.close()
    return pair


def fetches(bench: Bench) -> Iterator[Figure]:
    """Fetch the rows of a result that is here already."""
    raw, routed = bench.raw(), bench.routed()
    ways = (("fetchone", _fetchone), ("fetchall", lambda cursor: cursor.fetchall()))
    for name, fetch in ways:
        blocks = []
        for cursor in (raw.cursor(), routed.cursor()):
            prepare = partial(cursor.execute, MANY, (FETCHED,))
            blocks.append(after(prepare, partial(fetch, cursor)))
        pair = bench.compare(*blocks, divide=2)
        yield Figure.of(f"a row by {name}", pair.per(FETCHED), FETCH_GOAL)
    raw.close()
    routed.close()


def _fetchone(cursor: Any) -> None:
    while cursor.fetchone() is not None:
        pass


def connects(bench: Bench) -> Iterator[Figure]:
    """Open and close a connection of a warm cluster."""
    calls = max(2, bench.scale.calls // 20)
    raw = block(lambda: bench.raw().close(), calls)
    ours = block(lambda: bench.cluster.connect().close(), calls * 10)
    pair = bench.compare(raw, ours, divide=4)
    yield Figure.of("cluster.connect(), close()", pair, CONNECT_GOAL)


PARTS: Final = {"reads": reads, "fetches": fetches, "connects": connects}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it as JSON")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    arguments = parser.parse_args()
    logging.getLogger("globaldb").addHandler(logging.NullHandler())
    parts = [PARTS[arguments.only]] if arguments.only else list(PARTS.values())
    figures: list[Figure] = []
    spec = LabSpec(
        direct=True, regions={WRITER_REGION: 0, REGION: 1}, engine=arguments.engine
    )
    with Lab.start(spec) as lab:
        bench = Bench(lab, QUICK if arguments.quick else FULL)
        print(header("PyMySQL"))
        for part in parts:
            for figure in part(bench):
                figures.append(figure)
                print(figure, flush=True)
        bench.cluster.close()
    missed = [figure.name for figure in figures if figure.verdict == "MISSED"]
    print(f"\n{len(missed)} goals missed{': ' if missed else ''}{'; '.join(missed)}")
    if arguments.json:
        table = [asdict(each) | {"verdict": each.verdict} for each in figures]
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
