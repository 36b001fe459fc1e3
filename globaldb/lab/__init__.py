"""Real servers in regions on one machine, with the delays of the world between them."""

from __future__ import annotations

from globaldb.lab.cloud import LabAws
from globaldb.lab.counters import ConnectionCounters, LinkCounters
from globaldb.lab.errors import LabError, LabNotRunningError, LabSpecError
from globaldb.lab.lab import Lab
from globaldb.lab.places import LabNode
from globaldb.lab.spec import LabSpec

__all__ = [
    "ConnectionCounters",
    "Lab",
    "LabAws",
    "LabError",
    "LabNode",
    "LabNotRunningError",
    "LabSpec",
    "LabSpecError",
    "LinkCounters",
]
