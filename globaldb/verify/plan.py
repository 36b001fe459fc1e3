"""What is to be done by whom: values that a worker process can be given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from globaldb.verify.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES: Final = ("session", "global", "eventual")


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: where the sessions are, what they ask for and what they are judged by.

    *urls* has the cluster's URL as each region sees it; sessions take the regions in
    turn. *consistency* is what connections are opened with when it is not *mode*, the
    promise they are judged by. *options* go to every cluster.
    """

    urls: Mapping[str, str]
    mode: str = "session"
    consistency: str | None = None
    sessions: int = 12
    processes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    tables: Tables = field(default_factory=Tables)

    @property
    def asked(self) -> str:
        """The consistency that connections are opened with."""
        return self.consistency or self.mode

    @property
    def schema(self) -> str:
        """The schema that the run makes and removes."""
        return self.tables.schema

    def cluster_options(self, region: str) -> dict[str, Any]:
        """Return what the cluster of the sessions in *region* is opened with."""
        here = {"region": region} if region else {}
        return {
            **here,
            "autocommit": True,
            "consistency": self.asked,
            # A session that waits for a connection tells nothing about promises.
            "pool_max_size": max(10, self.sessions),
            **self.options,
        }

    def regions_of(self, worker: int) -> list[str]:
        """Return the region of each session of one of the processes."""
        regions = list(self.urls)
        return [
            regions[number % len(regions)]
            for number in range(worker, self.sessions, self.processes)
        ]
