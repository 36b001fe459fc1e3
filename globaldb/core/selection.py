"""Which node of those that may serve should: near, and of the near ones idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.latency import within_window
from globaldb.core.topology import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

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
    nodes = [
        state
        for state in topology.nodes.values()
        if state.reachable and state.latency is not None and state.name not in without
    ]
    if region is not None:
        nodes = [state for state in nodes if state.region == region] or nodes
    close = within_window(
        {state.name: state.latency or 0.0 for state in nodes},
        window=window,
        factor=factor,
    )
    near = tuple(state for state in nodes if state.name in close)
    return tuple(s for s in near if s.role is Role.READER) or near


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
