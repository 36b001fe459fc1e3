"""Use a database from several regions, and check that every promise was kept.

`history` says what is written down, `checker` finds what must not be in it. `workload`
makes histories with ordinary connections, `run` spreads it over processes; `faults`
breaks a lab meanwhile.
"""

from __future__ import annotations

from globaldb.verify.checker import check
from globaldb.verify.findings import Findings, Promise, Violation
from globaldb.verify.history import (
    Disturbance,
    History,
    Kind,
    Operation,
    Outcome,
    Place,
)

__all__ = [
    "Disturbance",
    "Findings",
    "History",
    "Kind",
    "Operation",
    "Outcome",
    "Place",
    "Promise",
    "Violation",
    "check",
]
