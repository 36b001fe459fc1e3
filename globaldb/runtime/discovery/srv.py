"""Nodes from SRV records: a self-hosted cluster lists itself in the DNS."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.endpoints import region_of
from globaldb.core.membership import Finding, Member, shown
from globaldb.errors import NoNodeAvailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.endpoints import HostPattern
    from globaldb.runtime.discovery.names import Names

#: Seconds between two looks, whatever the records say of how long they hold.
_SHORTEST: Final = 5.0
_LONGEST: Final = 60.0


class ServiceRecords:
    """The SRV records of *name*. All nodes are in them, or are gone.

    A record tells no region; the pattern that its host fits does. A host that fits none
    has to be in the domain of the records: whoever can forge them would else get the
    login, because a certificate is checked for the name that they tell.
    """

    name: Final = "srv"
    urgent: Final = False
    adds: Final = True

    def __init__(
        self, names: Names, name: str, patterns: Sequence[HostPattern]
    ) -> None:
        self._names = names
        self._records = name
        #: Without the service and the protocol, which have underscores.
        labels = name.lower().removesuffix(".").split(".")
        self._domain = ".".join(each for each in labels if not each.startswith("_"))
        self._patterns = patterns
        self.pause = _SHORTEST

    def look(self, deadline: float) -> Finding:
        """Ask for the records; raises `NoNodeAvailableError` without any of use."""
        services, ttl = self._names.services(self._records, deadline)
        self.pause = min(max(ttl, _SHORTEST), _LONGEST)
        members, problems = [], []
        for host, port in services:
            region = region_of(host, port, self._patterns)
            if self._is_ours(host, port):
                members.append(Member(host, region, (host, port)))
            else:
                problems.append(
                    f"the SRV records of {self._records} tell of {shown(host)}, which "
                    f"is not in {self._domain}, and fits no host_pattern"
                )
        if not members:
            raise NoNodeAvailableError(problems[0])
        return Finding(
            self.name,
            tuple(members),
            complete=True,
            at=monotonic(),
            problems=tuple(problems),
        )

    def _is_ours(self, host: str, port: int) -> bool:
        if any(pattern.fits(host, port) for pattern in self._patterns):
            return True
        return f".{host.removesuffix('.')}".endswith(f".{self._domain}")
