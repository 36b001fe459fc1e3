"""How long a statement of which nothing was sent yet waits for a node."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.runtime.session import Session


def patience(session: Session, deadline: float | None) -> float:
    """Return until when it waits (monotonic seconds): ``failover_wait``, or *deadline*."""
    until = monotonic() + session.cluster.config.failover_wait
    return until if deadline is None else min(until, deadline)
