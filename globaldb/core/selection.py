"""Which node of those that may serve should: near, and of the near ones idle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from globaldb.core.latency import within_window
from globaldb.core.topology import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from globaldb.core.topology import NodeState, Topology


def nearest(
    topology: Topology,
    *,
    window: float,
    factor: float,
    region: str | None = None,
    without: Collection[str] = (),
) -> tuple[NodeState, ...]:
    """Return the nodes that should share the reads, best kind first.

    Readers within the latency window of the fastest node; where no reader is, but
    the writer itself is near, the writer. *region* narrows the choice while it has
    nodes. Empty when no node answers.
    """
    nodes = [state for state in _answering(topology) if state.name not in without]
    if region is not None:
        nodes = [state for state in nodes if state.region == region] or nodes
    close = _close(nodes, window=window, factor=factor)
    near = tuple(state for state in nodes if state.name in close)
    return tuple(s for s in near if s.role is Role.READER) or near


def evaluate(
    topology: Topology,
    name: str,
    reading: float | None,
    *,
    now: float,
    window: float,
    factor: float,
) -> Topology:
    """Return the topology after node *name* was timed anew, in seconds.

    With None only what was known is judged again. It is a new version when other nodes
    than before should share the reads: then every decision has to be made anew.
    """
    before = nearest(topology, window=window, factor=factor)
    states = dict(topology.nodes)
    if reading is not None and name in states:
        state = states[name]
        states[name] = replace(state, response=state.response.read(reading))
    timed = topology.restated(states, changed=False)
    answering = _answering(timed)
    close = _close(answering, window=window, factor=factor)
    for state in answering:
        response = state.response.judged(near=state.name in close, now=now)
        states[state.name] = replace(state, response=response)
    judged = topology.restated(states, changed=False)
    after = nearest(judged, window=window, factor=factor)
    if _names(before) == _names(after):
        return judged
    return topology.restated(states, changed=True)


def shares(topology: Topology, *, window: float, factor: float) -> Mapping[str, str]:
    """Return for each node why it does not share the reads; an empty text if it does."""
    near = _names(nearest(topology, window=window, factor=factor))
    fastest = min((s.latency or 0.0 for s in _answering(topology)), default=0.0)
    found = {}
    for name, state in topology.nodes.items():
        found[name] = "" if name in near else _why_not(state, fastest)
    return found


def _why_not(state: NodeState, fastest: float) -> str:
    if not state.reachable or state.latency is None:
        return "it does not answer" if state.problem else "not asked yet"
    response = state.response
    if not response.shares and 2 * response.readings[0] < state.latency:
        return f"it was slow a moment ago: {state.latency * 1000:.1f} ms"
    if not response.shares:
        return f"{state.latency * 1000:.1f} ms, the fastest {fastest * 1000:.1f} ms"
    return "the writer, and a reader is near"


def _answering(topology: Topology) -> list[NodeState]:
    return [
        state
        for state in topology.nodes.values()
        if state.reachable and state.latency is not None
    ]


def _close(
    nodes: Iterable[NodeState], *, window: float, factor: float
) -> frozenset[str]:
    timed = {state.name: state for state in nodes}
    return within_window(
        {name: state.latency or 0.0 for name, state in timed.items()},
        window=window,
        factor=factor,
        sharing={name for name, state in timed.items() if state.response.shares},
    )


def _names(states: Iterable[NodeState]) -> frozenset[str]:
    return frozenset(state.name for state in states)


def less_loaded(
    nodes: Sequence[NodeState],
    load: Callable[[str], int],
    sample: Callable[[Sequence[NodeState], int], list[NodeState]],
) -> NodeState:
    """Pick the less loaded of two nodes drawn at random.

    Two random choices spread the load nearly as well as asking every node, and do
    not make all clients run to the same idle one.
    """
    if len(nodes) == 1:
        return nodes[0]
    first, second = sample(nodes, 2)
    return first if load(first.name) <= load(second.name) else second
