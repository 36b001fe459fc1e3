"""What a node can be asked of positions: found by asking, once, before it matters.

Global transaction identifiers may be off, and what tells of replication may be refused
to the user who connects. A refusal in front of a read would come too late.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pymysql import err

from globaldb.core.fence import Abilities, Means
from globaldb.drivers.pymysql import aurora, position
from globaldb.drivers.pymysql.greeting import ROLE, read_only

if TYPE_CHECKING:
    from globaldb.core.fence import Facts
    from globaldb.drivers.pymysql.physical import Physical

#: Seconds after which a node that can do less than it might is looked at again.
_AGAIN: Final = 600.0
#: The first version of MySQL with WAIT_FOR_EXECUTED_GTID_SET.
_WAITS: Final = 50705

#: Whether transactions have identifiers.
_MYSQL: Final = "@@GLOBAL.gtid_mode IN ('ON', 'ON_PERMISSIVE')"
_MARIADB: Final = "@@GLOBAL.log_bin"


def outdated(physical: Physical, facts: Facts) -> bool:
    """Whether *physical*'s node has to be looked at (again)."""
    known = facts.abilities
    if known is None or facts.doubted:
        return True
    if known.version != physical.version:
        return True
    best = Means.GTID in known.means
    return not best and monotonic() - facts.asked_at > _AGAIN


def look(physical: Physical) -> Abilities:
    """Find out what *physical*'s node can do. Three round trips."""
    numbered = _MARIADB if physical.mariadb else _MYSQL
    row = ask(physical, f"SELECT {ROLE}, {numbered}").rows[0]
    parts = {"clock"}
    if row[-1] in ("1", "ON"):
        parts.add("gtid")
    follows, views = False, frozenset[str]()
    try:
        status = ask(physical, position.replica_status(physical))
        parts.add("replica_status")
        follows = position.replicates(status)
    except err.MySQLError:
        if physical.closed:
            raise
    if not physical.mariadb:
        views = aurora.views(name for (name,) in ask(physical, aurora.TABLES).rows)
        parts |= views & aurora.LAG.keys()
    standby = follows or read_only(row[:-1])
    return Abilities(
        standby=standby,
        version=physical.version,
        means=_fences(physical, parts) if standby else _forms(parts),
        reports_lag=standby and not parts.isdisjoint(aurora.LAG),
        parts=frozenset(parts),
        views=views,
    )


def ask(physical: Physical, text: str) -> Any:
    """Return the server's answer to *text*, its values as text. One round trip."""
    physical.read_plainly(texts=True)
    physical.query(text)
    return physical._result


def _forms(parts: set[str]) -> frozenset[Means]:
    return frozenset((Means.LAG, *((Means.GTID,) if "gtid" in parts else ())))


def _fences(physical: Physical, parts: set[str]) -> frozenset[Means]:
    found: set[Means] = set()
    # MariaDB numbers what it applies whether it keeps a log of its own or not.
    if physical.mariadb or "gtid" in parts:
        found.add(Means.GTID)
        if physical.mariadb or physical.version >= _WAITS:
            found.add(Means.WAIT_FOR_GTID)
    if not parts.isdisjoint(("replica_status", *aurora.LAG)):
        found.add(Means.LAG)
    return frozenset(found)
