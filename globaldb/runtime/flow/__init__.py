"""The order of steps: route, check out, execute, capture the position, check in.

Written once, as coroutines over a `globaldb.runtime.shell.Shell`.
"""

from __future__ import annotations

from globaldb.runtime.flow.divided import (
    begin,
    commit,
    execute,
    hold,
    rollback,
    settle_hold,
)
from globaldb.runtime.flow.explain import explain
from globaldb.runtime.flow.forwarding import refuse_kind, switch_mode
from globaldb.runtime.flow.gone import refuse_gone
from globaldb.runtime.flow.leave import refuse
from globaldb.runtime.flow.read import remember
from globaldb.runtime.flow.token import issue, observe
from globaldb.runtime.flow.transaction import release, rollback_to, savepoint

__all__ = [
    "begin",
    "commit",
    "execute",
    "explain",
    "hold",
    "issue",
    "observe",
    "refuse",
    "refuse_gone",
    "refuse_kind",
    "release",
    "remember",
    "rollback",
    "rollback_to",
    "savepoint",
    "settle_hold",
    "switch_mode",
]
