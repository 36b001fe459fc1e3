"""Who shares the reads now, worked out once for each topology."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.selection import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from globaldb.config import Config
    from globaldb.core.topology import NodeState, Topology


class Nearby:
    """The nodes that should share the reads. Safe for threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        #: What was answered last, and for which topology: it changes with probes only,
        #: and is asked for by each statement that has to be placed.
        self._known: tuple[Topology | None, tuple[NodeState, ...]] = (None, ())
        #: Grows when nodes begin to share the reads: sessions choose anew then.
        self.arrivals = 0

    def nodes(
        self,
        topology: Topology,
        *,
        region: str | None = None,
        without: Collection[str] = (),
    ) -> tuple[NodeState, ...]:
        """Return the nodes of *topology* that should share the reads."""
        plain = region is None and not without
        known, before = self._known
        if plain and known is topology:
            return before
        found = nearest(
            topology,
            window=self._config.latency_window,
            factor=self._config.latency_factor,
            region=region,
            without=without,
        )
        if plain:
            self.arrivals += bool(_names(found) - _names(before))
            self._known = topology, found
        return found


def _names(states: Collection[NodeState]) -> set[str]:
    return {state.name for state in states}
