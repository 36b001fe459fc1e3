"""The writer moves: in order without losing a row, by force with an honest loss."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

import psycopg
import pytest

from globaldb.lab import Lab, LabError, LabSpec

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR, THIRD = "us-west-2", "ap-south-1", "ap-southeast-2"
SPEC = LabSpec(
    regions={HOME: 1, FAR: 1},
    rtt={(HOME, FAR): 0.04},
)


class Load:
    """A client that inserts without pause and remembers what was acknowledged."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[int] = []

    def __enter__(self) -> Self:
        with self._connect() as connection:
            connection.execute("CREATE TABLE load (n int)")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        with self._progress:
            goal = len(self.acknowledged) + more
            assert self._progress.wait_for(
                lambda: len(self.acknowledged) >= goal, timeout=30
            )

    def _connect(self) -> psycopg.Connection:
        for node in self._lab.nodes:
            try:
                connection = psycopg.connect(
                    self._lab.dsn(HOME, node.name), autocommit=True
                )
            except psycopg.OperationalError:
                continue
            query = "SELECT pg_is_in_recovery()"
            if connection.execute(query).fetchone() == (False,):
                return connection
            connection.close()
        raise psycopg.OperationalError("no writer")

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    while not self._stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO load VALUES (%s)", [number])
                        with self._progress:
                            self.acknowledged.append(number)
                            self._progress.notify_all()
            except psycopg.OperationalError:
                self._stop.wait(0.01)


def rows(lab: Lab, node: str) -> set[int]:
    with psycopg.connect(lab.dsn(HOME, node)) as connection:
        return {n for (n,) in connection.execute("SELECT n FROM load")}


def roles(lab: Lab) -> dict[str, str]:
    return {node["name"]: node["role"] for node in lab.status()["nodes"]}


def all_equal(lab: Lab) -> set[int]:
    """Wait until every node has the same rows, and return them."""
    found: list[set[int]] = []
    for _ in range(200):
        found = [rows(lab, node.name) for node in lab.nodes]
        if all(each == found[0] for each in found):
            return found[0]
        threading.Event().wait(0.02)
    raise AssertionError([len(each) for each in found])


def test_a_switchover_loses_no_row_of_a_running_writer(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(SPEC)
    with Load(lab) as load:
        load.wait_for(50)
        assert lab.switchover(FAR) == "ap-south-1-1"
        load.wait_for(20)
        assert lab.switchover(HOME) in {"us-west-2-1", "us-west-2-2"}
        load.wait_for(20)
    assert set(load.acknowledged) <= all_equal(lab)
    assert sorted(roles(lab).values()) == ["reader", "reader", "writer"]
    assert lab.writer().region == HOME


def test_a_failover_keeps_what_had_arrived_and_everybody_agrees(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(SPEC)
    with Load(lab) as load:
        load.wait_for(50)
        # us-west-2-2 is nearer to the old writer: it has more than the new one.
        assert lab.failover(FAR) == "ap-south-1-1"
        load.wait_for(20)
    kept = all_equal(lab)
    lost = set(load.acknowledged) - kept
    assert len(lost) < len(load.acknowledged) / 2
    assert max(load.acknowledged) in kept
    assert roles(lab) == {
        "us-west-2-1": "reader",
        "us-west-2-2": "reader",
        "ap-south-1-1": "writer",
    }


def test_a_writer_that_is_dead_already_can_be_replaced(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(SPEC)
    with Load(lab) as load:
        load.wait_for(10)
        lab.kill("us-west-2-1")
        with pytest.raises(LabError, match="does not answer; use failover"):
            lab.switchover(FAR)
        assert lab.failover(HOME) == "us-west-2-2"
        load.wait_for(10)
    assert max(load.acknowledged) in all_equal(lab)


def test_a_reader_that_slept_through_a_failover_follows_again(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(SPEC)
    with Load(lab) as load:
        load.wait_for(10)
        lab.partition(HOME, FAR)
        load.wait_for(50)
        lab.kill("us-west-2-2")
        lab.failover(FAR)
        lab.heal()
        lab.start_node("us-west-2-2")
        load.wait_for(10)
    kept = all_equal(lab)
    assert set(load.acknowledged) - kept
    assert lab.writer().name == "ap-south-1-1"


def test_a_switchover_over_a_partition_is_refused_and_changes_nothing(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(SPEC)
    lab.kill("ap-south-1-1")
    lab.partition(HOME, FAR)
    lab.start_node("ap-south-1-1")
    with pytest.raises(LabError, match="does not stream from us-west-2-1; heal"):
        lab.switchover(FAR)
    assert lab.writer().name == "us-west-2-1"


def test_a_lagging_reader_loses_its_lag_when_it_becomes_the_writer(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(SPEC)
    lab.lag(FAR, 600)
    with psycopg.connect(lab.dsn(HOME, "us-west-2-1")) as connection:
        connection.execute("CREATE TABLE late ()")
    lab.switchover(FAR)
    with psycopg.connect(lab.dsn(FAR, "ap-south-1-1")) as connection:
        assert connection.execute("SELECT count(*) FROM late").fetchone() == (0,)


def test_nobody_can_be_promoted_where_nobody_lives(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0, FAR: 1, THIRD: 0}))
    with pytest.raises(LabError, match="no reader in ap-southeast-2 answers"):
        lab.failover(THIRD)
    lab.kill("ap-south-1-1")
    with pytest.raises(LabError, match="no reader in ap-south-1 answers"):
        lab.failover(FAR)
    assert roles(lab)["us-west-2-1"] == "writer"
