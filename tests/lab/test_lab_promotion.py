"""The writer moves: in order without losing a row, by force with an honest loss."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from lab_client import Load, ask, until

from globaldb.lab import Lab, LabError, LabSpec

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR, THIRD = "us-west-2", "ap-south-1", "ap-southeast-2"
WRITER, NEAR, AWAY = "us-west-2-1", "us-west-2-2", "ap-south-1-1"


@pytest.fixture(scope="module")
def moving_lab(engine: str, module_lab: FreshLab) -> Lab:
    return module_lab(
        LabSpec(
            engine=engine, regions={HOME: 1, FAR: 1, THIRD: 0}, rtt={(HOME, FAR): 0.02}
        )
    )


@pytest.fixture
def trio(moving_lab: Lab) -> Lab:
    """A writer with a reader beside it and one far away, all at rest."""
    moving_lab.restore()
    if moving_lab.writer().name != WRITER:
        moving_lab.switchover(WRITER)
    return moving_lab


def rows(lab: Lab, node: str) -> set[int]:
    return {n for (n,) in ask(lab, HOME, node, "SELECT n FROM load_rows")}


def roles(lab: Lab) -> dict[str, str]:
    return {node["name"]: node["role"] for node in lab.status()["nodes"]}


def all_equal(lab: Lab) -> set[int]:
    """Wait until every node has the same rows, and return them."""

    def agreed() -> bool:
        first, *others = (rows(lab, node.name) for node in lab.nodes)
        return all(each == first for each in others)

    until(agreed, what="agreement of all nodes")
    return rows(lab, lab.nodes[0].name)


def test_a_switchover_loses_no_row_of_a_running_writer(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        load.wait_for(50)
        # What is committed last is still on its way when the writer stops.
        trio.latency(HOME, FAR, 0.2)
        assert trio.switchover(FAR) == AWAY
        trio.latency(HOME, FAR, 0.02)
        load.wait_for(20)
        assert trio.switchover(HOME) in {WRITER, NEAR}
        load.wait_for(20)
    assert set(load.acknowledged) <= all_equal(trio)
    assert sorted(roles(trio).values()) == ["reader", "reader", "writer"]
    assert trio.writer().region == HOME


def test_a_failover_keeps_what_had_arrived_and_everybody_agrees(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        until(lambda: len(rows(trio, AWAY)) > 50, what="most of them far away")
        # The reader beside the old writer has more than the new one.
        assert trio.failover(FAR) == AWAY
        load.wait_for(20)
    kept = all_equal(trio)
    lost = set(load.acknowledged) - kept
    assert len(lost) < len(load.acknowledged) / 2
    assert max(load.acknowledged) in kept
    assert roles(trio) == {WRITER: "reader", NEAR: "reader", AWAY: "writer"}


def test_what_never_left_the_old_writer_is_nowhere_after_a_failover(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        load.wait_for(10)
    all_equal(trio)
    trio.partition(HOME, FAR)
    ask(trio, HOME, WRITER, "INSERT INTO load_rows VALUES (-1)")
    until(lambda: -1 in rows(trio, NEAR), what="replication beside the writer")
    trio.kill(WRITER)
    trio.failover(FAR)
    trio.heal()
    trio.restore()
    ask(trio, FAR, AWAY, "INSERT INTO load_rows VALUES (-2)")
    assert all_equal(trio) == {*load.acknowledged, -2}
    assert roles(trio) == {WRITER: "reader", NEAR: "reader", AWAY: "writer"}


def test_a_writer_that_is_dead_already_can_be_replaced(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        load.wait_for(10)
        trio.kill(WRITER)
        with pytest.raises(LabError, match="does not answer; use failover"):
            trio.switchover(FAR)
        assert trio.failover(HOME) == NEAR
        load.wait_for(10)
    assert max(load.acknowledged) in all_equal(trio)


def test_a_reader_that_slept_through_a_failover_follows_again(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        load.wait_for(10)
        trio.partition(HOME, FAR)
        load.wait_for(50)
        trio.kill(NEAR)
        trio.failover(FAR)
        trio.heal()
        trio.start_node(NEAR)
        load.wait_for(10)
    kept = all_equal(trio)
    assert set(load.acknowledged) - kept
    assert trio.writer().name == AWAY


def test_a_switchover_over_a_partition_is_refused_and_changes_nothing(
    trio: Lab,
) -> None:
    trio.kill(AWAY)
    trio.partition(HOME, FAR)
    trio.start_node(AWAY)
    with pytest.raises(LabError, match=f"does not stream from {WRITER}; heal"):
        trio.switchover(FAR)
    assert trio.writer().name == WRITER
    ask(trio, HOME, WRITER, "CREATE TABLE still_written (n int)")
    ask(trio, HOME, WRITER, "DROP TABLE still_written")


def test_a_lagging_reader_loses_its_lag_when_it_becomes_the_writer(trio: Lab) -> None:
    trio.lag(FAR, 600)
    ask(trio, HOME, WRITER, "CREATE TABLE late (n int)")
    trio.switchover(FAR)
    assert ask(trio, FAR, AWAY, "SELECT count(*) FROM late") == [(0,)]
    ask(trio, FAR, AWAY, "DROP TABLE late")


def test_what_a_lagging_reader_holds_back_survives_a_failover(trio: Lab) -> None:
    with Load(trio, HOME) as load:
        load.wait_for(5)
    all_equal(trio)
    trio.lag(FAR, 600)
    ask(trio, HOME, WRITER, "INSERT INTO load_rows VALUES (-1)")
    time.sleep(0.3)  # the way to the reader takes 10 ms
    assert -1 not in rows(trio, AWAY)
    trio.failover(FAR)
    assert all_equal(trio) == {*load.acknowledged, -1}


def test_nobody_can_be_promoted_where_nobody_lives(trio: Lab) -> None:
    with pytest.raises(LabError, match="no reader in ap-southeast-2 answers"):
        trio.failover(THIRD)
    trio.kill(AWAY)
    with pytest.raises(LabError, match="no reader in ap-south-1 answers"):
        trio.failover(FAR)
    assert roles(trio)[WRITER] == "writer"
