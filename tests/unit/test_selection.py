"""Near nodes share the reads, and of two drawn by chance the less loaded serves."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from globaldb.core.latency import Response
from globaldb.core.position import Lsn
from globaldb.core.selection import evaluate, less_loaded, nearest, shares
from globaldb.core.topology import NodeState, Role, Sample, Topology

W, R, U = Role.WRITER, Role.READER, Role.UNKNOWN


def node(
    name: str, role: Role, latency: float | None, problem: str | None = None
) -> NodeState:
    response = Response() if latency is None else Response((latency,))
    return NodeState(name, name[:2], role, Lsn(1, 1), 1.0, response, problem)


def topology(*states: NodeState) -> Topology:
    return Topology(MappingProxyType({state.name: state for state in states}))


CASES: dict[str, tuple[list[NodeState], dict[str, Any], list[str]]] = {
    "one near reader": (
        [node("us-w", W, 0.2), node("ap-1", R, 0.001)],
        {},
        ["ap-1"],
    ),
    "two near readers": (
        [node("ap-1", R, 0.001), node("ap-2", R, 0.002), node("us-w", W, 0.2)],
        {},
        ["ap-1", "ap-2"],
    ),
    "a near writer leaves the reads to a near reader": (
        [node("us-w", W, 0.001), node("us-1", R, 0.002)],
        {},
        ["us-1"],
    ),
    "a near writer with no reader near serves": (
        [node("us-w", W, 0.001), node("ap-1", R, 0.2)],
        {},
        ["us-w"],
    ),
    "the region asked for": (
        [node("ap-1", R, 0.001), node("us-1", R, 0.2), node("us-w", W, 0.2)],
        {"region": "us"},
        ["us-1"],
    ),
    "a region without nodes does not leave the session without": (
        [node("ap-1", R, 0.001), node("us-w", W, 0.2)],
        {"region": "eu"},
        ["ap-1"],
    ),
    "a dead region does not either": (
        [node("eu-1", R, 0.1, problem="refused"), node("us-w", W, 0.2)],
        {"region": "eu"},
        ["us-w"],
    ),
    "nodes that were tried are left out": (
        [node("ap-1", R, 0.001), node("us-1", R, 0.2)],
        {"without": ["ap-1"]},
        ["us-1"],
    ),
    "lost, unknown and unmeasured nodes serve nothing": (
        [
            node("ap-1", R, 0.001, problem="no answer"),
            node("ap-2", U, 0.001),
            node("ap-3", R, None),
            node("us-1", R, 0.2),
        ],
        {},
        ["us-1"],
    ),
    "nobody": ([node("ap-1", U, None)], {}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_nearest_nodes_are(case: str) -> None:
    states, options, expected = CASES[case]
    found = nearest(topology(*states), window=0.015, factor=2.0, **options)
    assert [state.name for state in found] == expected


def test_the_less_loaded_of_two_is_picked() -> None:
    a, b = node("a", R, 0.1), node("b", R, 0.1)
    load = {"a": 3, "b": 2}.__getitem__
    draw = Random(1).sample
    assert {less_loaded((a, b), load, draw).name for _ in range(20)} == {"b"}


def test_a_single_node_is_picked_without_a_draw() -> None:
    only = node("a", R, 0.1)
    assert less_loaded((only,), lambda _name: 9, lambda _nodes, _count: []) is only


def test_idle_nodes_share_the_load_evenly() -> None:
    nodes = tuple(node(name, R, 0.1) for name in "abcd")
    draw = Random(7).sample
    picks = Counter(less_loaded(nodes, lambda _name: 0, draw).name for _ in range(4000))
    assert all(abs(count / 4000 - 0.25) < 0.05 for count in picks.values())
    assert len(picks) == 4


def test_a_busy_node_gets_only_what_two_busy_draws_leave() -> None:
    nodes = tuple(node(name, R, 0.1) for name in "abcd")
    load = {"a": 100, "b": 0, "c": 0, "d": 0}.__getitem__
    draw = Random(7).sample
    assert all(less_loaded(nodes, load, draw).name != "a" for _ in range(500))


WINDOW: dict[str, Any] = {"window": 0.015, "factor": 2.0}


def two_near_one_far() -> Topology:
    found = topology(
        node("ap-1", R, 0.001), node("ap-2", R, 0.001), node("us-w", W, 0.2)
    )
    for name in found.nodes:
        found = evaluate(found, name, None, now=0.0, **WINDOW)
    return found


def sharing(found: Topology) -> list[str]:
    return [state.name for state in nearest(found, **WINDOW)]


def after(found: Topology, name: str, *readings: float, now: float = 1.0) -> Topology:
    for reading in readings:
        found = evaluate(found, name, reading, now=now, **WINDOW)
    return found


def test_two_slow_readings_move_the_reads_and_one_does_not() -> None:
    calm = after(two_near_one_far(), "ap-1", 0.001, 0.001)
    once = after(calm, "ap-1", 0.9)
    assert (sharing(once), once.version) == (["ap-1", "ap-2"], calm.version)
    twice = after(once, "ap-1", 0.9)
    assert (sharing(twice), twice.version) == (["ap-2"], calm.version + 1)


def test_two_fast_readings_bring_a_node_back() -> None:
    slow = after(two_near_one_far(), "ap-1", 0.9, 0.9)
    once = after(slow, "ap-1", 0.001)
    assert (sharing(once), once.version) == (["ap-2"], slow.version)
    back = after(once, "ap-1", 0.001)
    assert (sharing(back), back.version) == (["ap-1", "ap-2"], slow.version + 1)


def test_a_node_that_is_fast_every_other_time_does_not_come_and_go() -> None:
    found = after(two_near_one_far(), "ap-1", *[0.001, 0.9] * 20)
    assert sharing(found) == ["ap-2"]
    assert found.version == 1


def test_what_flaps_has_to_be_calm_for_longer_each_time() -> None:
    found, stays = two_near_one_far(), []
    for _ in range(4):
        found = after(found, "ap-1", 0.9, 0.9, 0.9)
        readings = 0
        while sharing(found) == ["ap-2"]:
            found = after(found, "ap-1", 0.001)
            readings += 1
        stays.append(readings)
    assert stays == [2, 4, 8, 8]
    later = after(found, "ap-1", 0.9, 0.9, now=100.0)
    assert sharing(after(later, "ap-1", 0.001, 0.001, now=100.0)) == ["ap-1", "ap-2"]


def test_a_node_at_the_limit_stays_where_it_is() -> None:
    fast = two_near_one_far()
    assert sharing(after(fast, "ap-1", 0.018, 0.018)) == ["ap-1", "ap-2"]
    away = after(fast, "ap-1", 0.021, 0.021)
    assert sharing(away) == ["ap-2"]
    assert sharing(after(away, "ap-1", 0.018, 0.018, 0.018)) == ["ap-2"]


def test_where_every_near_reader_is_slow_the_far_ones_serve_until_they_heal() -> None:
    found = after(two_near_one_far(), "ap-1", 0.9, 0.9)
    found = after(found, "ap-2", 0.9, 0.9)
    assert sharing(found) == ["us-w"]
    assert sharing(after(found, "ap-2", 0.001, 0.001)) == ["ap-2"]


def test_a_node_that_was_lost_is_judged_by_how_it_answers_then() -> None:
    found = after(two_near_one_far(), "ap-1", 0.9, 0.9).lose("ap-1", "refused")
    sample = Sample(R, Lsn(2, 1), asked_at=9.0, latency=0.001)
    found = evaluate(found.observe("ap-1", sample), "ap-1", None, now=9.0, **WINDOW)
    assert sharing(found) == ["ap-1", "ap-2"]


def test_a_judgement_of_a_node_that_has_left_is_none() -> None:
    found = two_near_one_far().dismiss("ap-1")
    assert sharing(after(found, "ap-1", 0.001)) == ["ap-2"]


def test_it_is_told_why_a_node_has_no_share() -> None:
    found = after(two_near_one_far(), "ap-1", 0.9, 0.9)
    found = found.admit("eu-1", "eu").admit("eu-2", "eu").lose("eu-2", "refused")
    why = shares(found, **WINDOW)
    assert why == {
        "ap-1": "900.0 ms, the fastest 1.0 ms",
        "ap-2": "",
        "us-w": "200.0 ms, the fastest 1.0 ms",
        "eu-1": "not asked yet",
        "eu-2": "it does not answer",
    }
    healing = shares(after(found, "ap-1", 0.001), **WINDOW)
    assert healing["ap-1"] == "it was slow a moment ago: 900.0 ms"
    beside = after(topology(node("w", W, 0.001), node("r", R, 0.001)), "r", 0.001)
    assert shares(beside, **WINDOW) == {
        "w": "the writer, and a reader is near",
        "r": "",
    }
