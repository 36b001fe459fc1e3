"""Wide-area round trips, as the lab's proxy counts them (design: promise 6).

The operations, with what each costs plain psycopg and may cost us, stand in
benchmarks/operations.py, whose table is printed by benchmarks/round_trips.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from benchmarks.comparison import REGION, Comparison
from benchmarks.meter import Trips
from benchmarks.operations import EXECUTIONS, OPERATIONS, Operation
from globaldb.core.topology import Role
from globaldb.lab import Lab

COUNT = "SELECT count(*) FROM carts WHERE label = %s"
INSERT = "INSERT INTO carts (label) VALUES (%s)"

#: What psycopg itself does on the connection outside a transaction takes no position.
WITHOUT_POSITION = ("executemany",)

by_name = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
that_leave_a_position = pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.name not in WITHOUT_POSITION],
    ids=lambda each: each.name,
)


def named(name: str) -> Operation:
    return next(each for each in OPERATIONS if each.name == name)


@pytest.fixture(scope="module")
def comparison(shared_lab: Lab) -> Iterator[Comparison]:
    """Both drivers and the counters; the lab's distances are shorter meanwhile."""
    shared_lab.restore()
    with Comparison(shared_lab) as comparison:
        yield comparison


@by_name
def test_each_execution_costs_its_budget_from_the_first_to_the_tenth(
    comparison: Comparison, operation: Operation
) -> None:
    assert comparison.routed(operation) == [operation.budget] * EXECUTIONS


@by_name
def test_plain_psycopg_at_the_writer_costs_what_the_table_says(
    comparison: Comparison, operation: Operation
) -> None:
    costs = comparison.plain(operation)

    expected = Trips(operation.plain, 0)
    assert (costs[0], costs[-1]) == (expected, expected)


def test_opening_a_connection_costs_nothing(comparison: Comparison) -> None:
    assert comparison.routed_connect() == [Trips(0, 0)] * EXECUTIONS


def test_plain_psycopg_opens_a_connection_in_four_trips(comparison: Comparison) -> None:
    assert comparison.plain_connect() == [Trips(4, 0)] * EXECUTIONS


def test_the_meter_counts_each_statement_apart(
    comparison: Comparison, shared_lab: Lab
) -> None:
    dsn = shared_lab.dsn(REGION, shared_lab.writer().name)
    with psycopg.connect(dsn, autocommit=True) as connection:

        def twice() -> None:
            connection.execute("SELECT 1")
            connection.execute("SELECT 2")

        assert comparison.meter.count(twice) == Trips(2, 0)


def test_the_meter_sees_the_trip_in_which_plain_psycopg_prepares(
    comparison: Comparison,
) -> None:
    costs = [cost.wide for cost in comparison.plain(named("write"))]

    assert costs == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]


@that_leave_a_position
def test_the_position_came_back_in_a_trip_that_was_made_anyway(
    comparison: Comparison, operation: Operation
) -> None:
    with comparison.connection(operation) as connection:
        operation.work(connection, 0)

        assert comparison.meter.count(lambda: connection.token).wide == 0


def test_a_read_after_a_write_stays_local_once_the_reader_has_caught_up(
    comparison: Comparison,
) -> None:
    with comparison.cluster() as cluster, cluster.connect() as connection:
        connection.autocommit = True
        found = []

        def read() -> None:
            found.append(connection.execute(COUNT, ("own",)).fetchone()[0])

        costs = []
        for _ in range(EXECUTIONS):
            connection.execute(INSERT, ("own",))
            comparison.replication.settle()
            costs += [comparison.meter.count(read), comparison.meter.count(read)]
            assert connection.last_route.role is Role.READER

        assert costs == [Trips(0, 1)] * (2 * EXECUTIONS)
        assert found == [n for n in range(1, EXECUTIONS + 1) for _ in range(2)]


def test_a_write_whose_position_is_unknown_is_still_seen_by_the_next_read(
    comparison: Comparison,
) -> None:
    with comparison.cluster() as cluster, cluster.connect() as connection:
        connection.autocommit = True
        connection.cursor().executemany(INSERT, [("many",), ("many",)])

        assert connection.execute(COUNT, ("many",)).fetchone() == (2,)
        assert connection.last_route.reason == "position_unknown"


def test_a_write_that_can_be_resolved_costs_one_trip_more(
    comparison: Comparison,
) -> None:
    with comparison.cluster() as cluster:
        config = cluster.runtime.config
        cluster.runtime.config = replace(config, resolve_autocommit=True)
        with cluster.connect() as connection:
            connection.autocommit = True

            def write() -> None:
                connection.execute(INSERT, ("resolved",))

            costs = [comparison.meter.count(write).wide for _ in range(EXECUTIONS)]

    assert costs == [2] * EXECUTIONS


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("INSERT INTO carts (id, label) VALUES (%s, 'many')", [(-1,), (-1,)]),
        ("INSERT INTO carts (id, label) VALUES (%s, 'many')", [(-1,), (object(),)]),
        ("INSERT INTO no_such_table VALUES (%s)", [(1,)]),
    ],
    ids=["refused by the server", "refused by the driver", "not even prepared"],
)
def test_an_executemany_that_fails_behind_its_begin_fails_as_with_psycopg(
    comparison: Comparison, shared_lab: Lab, sql: str, rows: list[tuple[object]]
) -> None:
    def story(connection: psycopg.Connection) -> list[object]:
        with pytest.raises(psycopg.Error) as failure:
            connection.cursor().executemany(sql, rows)
        told = [failure.value.sqlstate, connection.info.transaction_status]
        connection.rollback()
        connection.cursor().executemany(INSERT, [("after",)])
        connection.rollback()
        found = connection.execute("SELECT count(*) FROM carts WHERE id < 0")
        return [*told, connection.info.transaction_status, found.fetchone()]

    dsn = shared_lab.dsn(REGION, shared_lab.writer().name)
    with psycopg.connect(dsn) as plain:
        expected = story(plain)
    with comparison.cluster() as cluster, cluster.connect() as routed:
        assert story(routed) == expected


def test_an_executemany_hands_its_rows_over_behind_its_begin(
    comparison: Comparison,
) -> None:
    with comparison.cluster() as cluster, cluster.connect() as connection:
        cursor = connection.cursor()
        cursor.executemany("SELECT %s::int", [(1,), (2,)], returning=True)

        assert [each.fetchone() for each in cursor.results()] == [(1,), (2,)]
        connection.commit()
