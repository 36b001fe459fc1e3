"""Response times: what one node's last answers say, and who is close enough to share.

A single slow answer says little: two of the last three have to be slow before a node
is thought of as slow. One that was found slow has to answer fast a few times in a row,
and the more often it has changed its mind lately, the more often.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet  # noqa: TC003 - a default value below
from dataclasses import dataclass, replace
from math import inf
from statistics import median_low
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Readings that say how fast a node is while it shares the load.
_HEARD: Final = 3
#: Fast readings in a row that bring a node back, at first and at most.
_CALM: Final = 2
_CALMEST: Final = 8
#: Seconds within which a second departure counts as flapping.
_FLAPPING: Final = 60.0
#: How far beyond the limit a node must be before it stops sharing the load.
_STICKY: Final = 1.25


@dataclass(frozen=True, slots=True)
class Response:
    """How one node has answered lately: a reading for each evaluation."""

    #: Seconds, the newest first.
    readings: tuple[float, ...] = ()
    #: It was found fast enough to share the load.
    shares: bool = False
    #: Fast readings in a row that it takes to come back.
    calm: int = _CALM
    #: When it was found too slow (monotonic seconds).
    left_at: float = -inf

    @property
    def seconds(self) -> float | None:
        """The time it is judged by; None before the first reading.

        Of a node that shares the load, the middle one of the last readings; of any
        other, the worst of those that it takes to come to that.
        """
        if not self.readings:
            return None
        if self.shares:
            return median_low(self.readings[:_HEARD])
        return max(self.readings[: self.calm])

    def read(self, seconds: float) -> Response:
        """Return this with one more reading."""
        readings = (seconds, *self.readings[: _CALMEST - 1])
        return replace(self, readings=readings)

    def judged(self, *, near: bool, now: float) -> Response:
        """Return this after it was found *near* enough to share the load, or not."""
        if near is self.shares:
            return self
        if near:
            return replace(self, shares=True)
        again = now - self.left_at < _FLAPPING
        calm = min(2 * self.calm, _CALMEST) if again else _CALM
        return replace(self, shares=False, left_at=now, calm=calm)


def limit(fastest: float, *, window: float, factor: float) -> float:
    """Return the slowest response time, in seconds, that still shares the load."""
    return max(fastest + window, fastest * factor)


def within_window(
    latencies: Mapping[str, float],
    *,
    window: float,
    factor: float,
    sharing: AbstractSet[str] = frozenset(),
) -> frozenset[str]:
    """Names of the nodes close enough to the fastest one.

    A node may be slower than the fastest by *window* seconds, or by *factor* times,
    whichever allows more, and a little more than that while it is *sharing* the load:
    one at the limit would come and go. Nodes not measured yet are not in *latencies*
    and so never chosen by speed.
    """
    if not latencies:
        return frozenset()
    most = limit(min(latencies.values()), window=window, factor=factor)
    return frozenset(
        name
        for name, latency in latencies.items()
        if latency <= (most * _STICKY if name in sharing else most)
    )
