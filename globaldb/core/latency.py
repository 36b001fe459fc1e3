"""Response times: smoothing, and which nodes are close enough to share the load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Weight of a new sample. MongoDB's drivers use the same for server selection.
SMOOTHING: Final = 0.2


def smoothed(previous: float | None, sample: float) -> float:
    """Exponentially weighted mean of response times, in seconds."""
    if previous is None:
        return sample
    return previous + SMOOTHING * (sample - previous)


def within_window(
    latencies: Mapping[str, float], *, window: float, factor: float
) -> frozenset[str]:
    """Names of the nodes close enough to the fastest one.

    A node may be slower than the fastest by *window* seconds, or by *factor* times,
    whichever allows more. Nodes not measured yet are not in *latencies* and so
    never chosen by speed.
    """
    if not latencies:
        return frozenset()
    fastest = min(latencies.values())
    limit = max(fastest + window, fastest * factor)
    return frozenset(name for name, latency in latencies.items() if latency <= limit)
