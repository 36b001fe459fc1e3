"""Nodes from SRV records: a self-hosted cluster lists itself in the DNS."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.endpoints import region_of
from globaldb.core.membership import Finding, Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.endpoints import HostPattern
    from globaldb.runtime.discovery.names import Names

#: Seconds between two looks, whatever the records say of how long they hold.
_SHORTEST: Final = 5.0
_LONGEST: Final = 60.0


class ServiceRecords:
    """The SRV records of *name*. All nodes are in them, or are gone.

    A record tells no region; the pattern that its host fits does.
    """

    name: Final = "srv"
    urgent: Final = False
    adds: Final = True

    def __init__(
        self, names: Names, name: str, patterns: Sequence[HostPattern]
    ) -> None:
        self._names = names
        self._records = name
        self._patterns = patterns
        self.pause = _SHORTEST

    def look(self, deadline: float) -> Finding:
        """Ask for the records; raises `NoNodeAvailableError` without any."""
        services, ttl = self._names.services(self._records, deadline)
        self.pause = min(max(ttl, _SHORTEST), _LONGEST)
        members = tuple(
            Member(
                each.host,
                region_of(each.host, each.port, self._patterns),
                (each.host, each.port),
            )
            for each in services
        )
        return Finding(self.name, members, complete=True, at=monotonic())
