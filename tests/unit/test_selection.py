"""Near nodes share the reads, and of two drawn by chance the less loaded serves."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from globaldb.core.position import Lsn
from globaldb.core.selection import less_loaded, nearest
from globaldb.core.topology import NodeState, Role, Topology

W, R, U = Role.WRITER, Role.READER, Role.UNKNOWN


def node(
    name: str, role: Role, latency: float | None, problem: str | None = None
) -> NodeState:
    return NodeState(name, name[:2], role, Lsn(1, 1), 1.0, latency, problem)


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
