"""What was found in a statement, and which of several findings weighs most."""

from __future__ import annotations

from typing import Final, NamedTuple

from globaldb.core.statement import Verdict


class Finding(NamedTuple):
    """A verdict and the reason for it."""

    verdict: Verdict
    reason: str


SEVERITY: Final = {
    Verdict.READ: 0,
    Verdict.NODE_LOCAL: 1,
    Verdict.SAME_CONNECTION: 2,
    Verdict.WRITE: 3,
    Verdict.TRANSACTION: 4,
    Verdict.SESSION: 5,
    Verdict.PIN: 6,
}
