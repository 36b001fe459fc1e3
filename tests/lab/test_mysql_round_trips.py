"""Wide-area round trips on MySQL and MariaDB, as the lab's proxy counts them.

Promise 6 for PyMySQL. Each operation runs several times on one connection: each time
it costs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest
from mysql_family import (
    admin,
    caught_up,
    each_engine,
    rows,
    run,
    seen_everywhere,
    table,
    value,
)
from promises import FAR, HOME

import globaldb
from benchmarks.meter import Meter, Trips
from globaldb.lab import Lab, LabSpec

pytestmark = [pytest.mark.lab, each_engine]

Connection = Any
Work = Callable[[Connection], None]
TIMES = 3
READ = "SELECT v FROM trips WHERE id = 1"
WRITE = "UPDATE trips SET v = v + 1 WHERE id = 1"


@dataclass(frozen=True)
class Operation:
    """What is done, and what it costs: at the writer with PyMySQL, and with globaldb."""

    name: str
    work: Work
    plain: int
    ours: Trips
    autocommit: bool = True
    consistency: str = "session"


def said(*statements: str) -> Work:
    def work(conn: Connection) -> None:
        for sql in statements:
            rows(conn, sql)

    return work


def committed(*statements: str, end: str = "commit") -> Work:
    """PEP 249's way: the first statement begins."""

    def work(conn: Connection) -> None:
        said(*statements)(conn)
        getattr(conn, end)()

    return work


def switched(conn: Connection) -> None:
    conn.autocommit(False)
    conn.autocommit(True)


W = Trips(1, 0)
OPERATIONS = (
    Operation("read", said(READ), 1, Trips(0, 1)),
    Operation("read, eventual", said(READ), 1, Trips(0, 1), consistency="eventual"),
    Operation("read, global", said(READ), 1, W, consistency="global"),
    Operation("write", said(WRITE), 1, W),
    Operation("SET, then write", said("SET @x = 1", WRITE), 2, Trips(1, 1)),
    Operation("switching autocommit to and fro", switched, 2, Trips(0, 0)),
    Operation(
        "transaction of 1 write", committed(WRITE), 2, Trips(2, 0), autocommit=False
    ),
    Operation(
        "transaction of 3, first a write",
        committed(WRITE, READ, WRITE),
        4,
        Trips(4, 0),
        autocommit=False,
    ),
    Operation(
        "transaction of 3, BEGIN in text",
        said("BEGIN", WRITE, READ, WRITE, "COMMIT"),
        5,
        Trips(4, 0),
    ),
    Operation(
        "3 nested writes",
        said(
            *("BEGIN", WRITE, "SAVEPOINT a", WRITE, "SAVEPOINT b", WRITE),
            *("RELEASE SAVEPOINT b", "RELEASE SAVEPOINT a", "COMMIT"),
        ),
        9,
        Trips(4, 0),
    ),
    Operation(
        "read-only transaction of 3 reads",
        said("START TRANSACTION READ ONLY", READ, READ, READ, "COMMIT"),
        5,
        Trips(0, 4),
    ),
    Operation(
        "write and rollback()",
        committed(WRITE, end="rollback"),
        2,
        Trips(2, 0),
        autocommit=False,
    ),
    Operation("empty transaction", said("BEGIN", "COMMIT"), 2, Trips(0, 0)),
)
by_name = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def lab(engine: str, module_lab: Any) -> Lab:
    distances = {(HOME, FAR): 0.03, (FAR, FAR): 0.005}
    found: Lab = module_lab(
        LabSpec(regions={HOME: 0, FAR: 1}, rtt=distances, engine=engine)
    )
    table(found, "trips", "id int primary key, v int")
    with admin(found) as writer:
        writer.execute("INSERT INTO trips VALUES (1, 0)")
    caught_up(found)
    return found


@contextmanager
def quiet(lab: Lab, **options: Any) -> Iterator[Connection]:
    """A connection whose cluster has warm pools, and sends no probes meanwhile."""
    options = {"autocommit": True, "probe_interval": 60.0, **options}
    with globaldb.Cluster(lab.url(FAR), **options) as cluster:
        conn = cluster.connect()
        run(conn, WRITE)
        caught_up(lab)
        rows(conn, READ)
        seen_everywhere(cluster)
        yield conn
        conn.close()


def costs(lab: Lab, conn: Connection, work: Work) -> list[Trips]:
    """What each of several executions costs, all with the reader caught up."""
    meter = Meter(lab, FAR)
    found = []
    for _ in range(TIMES):
        caught_up(lab)
        found.append(meter.count(lambda: work(conn)))
    return found


@by_name
def test_each_execution_costs_its_budget(lab: Lab, operation: Operation) -> None:
    with quiet(lab, consistency=operation.consistency) as conn:
        conn.autocommit(operation.autocommit)
        assert costs(lab, conn, operation.work) == [operation.ours] * TIMES


@by_name
def test_plain_pymysql_at_the_writer_costs_more(lab: Lab, operation: Operation) -> None:
    options = lab.options(FAR, lab.writer().name)
    with pymysql.connect(**options, autocommit=operation.autocommit) as conn:
        assert costs(lab, conn, operation.work) == [Trips(operation.plain, 0)] * TIMES


def test_opening_a_connection_costs_nothing(lab: Lab) -> None:
    meter = Meter(lab, FAR)
    with globaldb.Cluster(lab.url(FAR), probe_interval=60.0) as cluster:
        cluster.connect().close()
        seen_everywhere(cluster)
        assert meter.count(lambda: cluster.connect().close()) == Trips(0, 0)


@pytest.mark.parametrize("sql", [WRITE, "BEGIN", "SAVEPOINT"])
def test_the_position_of_a_write_came_back_with_it(lab: Lab, sql: str) -> None:
    with quiet(lab) as conn:
        for statement in {
            WRITE: (WRITE,),
            "BEGIN": ("BEGIN", WRITE, "COMMIT"),
            "SAVEPOINT": ("BEGIN", "SAVEPOINT a", WRITE, "COMMIT"),
        }[sql]:
            run(conn, statement)
        assert Meter(lab, FAR).count(lambda: conn.token).wide == 0


@pytest.fixture
def far(lab: Lab) -> Iterator[Lab]:
    """The same, so far that no wait for the reader is as long as the way."""
    lab.latency(HOME, FAR, 0.3)
    yield lab
    lab.restore()


def test_a_read_that_waits_for_its_own_write_takes_one_local_trip(far: Lab) -> None:
    far.lag(FAR, 0.05)
    meter = Meter(far, FAR)
    with quiet(far) as conn:
        for _ in range(5):
            # It learns how late the reader is.
            run(conn, WRITE)
            before = value(conn, READ)
        for number in range(1, TIMES + 1):
            run(conn, WRITE)
            assert meter.count(lambda: value(conn, READ)) == Trips(0, 1)
            assert conn.last_route.waited > 0.01
            assert value(conn, READ) == before + number


def test_a_read_after_a_write_stays_local_once_the_reader_has_it(far: Lab) -> None:
    meter = Meter(far, FAR)
    with quiet(far) as conn:
        for _ in range(5):
            run(conn, WRITE)
            rows(conn, READ)
        for _ in range(TIMES):
            run(conn, WRITE)
            caught_up(far)
            assert meter.count(lambda: rows(conn, READ)) == Trips(0, 1)


def test_what_was_read_at_the_writer_and_rolled_back_leaves_reads_local(
    lab: Lab,
) -> None:
    """ROLLBACK brings the position along, as COMMIT does."""
    meter = Meter(lab, FAR)
    with quiet(lab) as conn:
        for _ in range(TIMES):
            run(conn, "BEGIN")
            rows(conn, "SELECT v FROM trips WHERE id = 1 FOR UPDATE")
            assert meter.count(lambda: run(conn, "ROLLBACK")) == Trips(1, 0)
            caught_up(lab)
            assert meter.count(lambda: rows(conn, READ)) == Trips(0, 1)
