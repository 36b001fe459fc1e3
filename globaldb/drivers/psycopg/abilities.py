"""What a node can be asked of positions: found by asking, once, before it matters.

Functions may be missing (Aurora has none of PostgreSQL's), refused to the user who
connects, or both. A refusal behind a write or in front of a read would come too late:
so each part is tried by itself when the node is first looked at.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from psycopg import pq

from globaldb.core.fence import Abilities, Means
from globaldb.drivers.psycopg import aurora, position, trace
from globaldb.drivers.psycopg.segments import each

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg.pq.abc import PGresult

    from globaldb.core.fence import Facts
    from globaldb.drivers.psycopg.physical import Physical

#: Seconds after which a node that can do less than it might is looked at again.
_AGAIN: Final = 600.0

#: The first version with WAIT FOR LSN.
_WAITS: Final = 190000

_EITHER: Final = {
    "recovering": b"SELECT pg_catalog.pg_is_in_recovery()",
    "checkpoint": b"SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()",
    "recovery": (
        b"SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()"
    ),
    "system": b"SELECT system_identifier FROM pg_catalog.pg_control_system()",
    "horizon": b"SELECT " + position.HORIZON,
}
_WRITER: Final = {
    "lsn": b"SELECT " + position.LOG_POSITION,
    "xid": position.DURABILITY,
    "clock": b"SELECT " + position.CLOCK,
    "replayed": position.REPLAYED,
    "run": b"SELECT " + trace.STARTED,
}
_READER: Final = {
    "replayed": position.REPLAYED,
    "receiver": b"SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver",
    "committed": b"SELECT " + position.committed((3,)),
    "last_commit": b"SELECT " + position.LAST_COMMIT,
}
_WAIT: Final = {"wait": position.wait_for("0/0", 0.001)}


def outdated(physical: Physical, facts: Facts) -> bool:
    """Whether *physical*'s node has to be looked at (again)."""
    known = facts.abilities
    if known is None or facts.doubted:
        return True
    if known.standby is not physical.standby:
        return True
    if known.version != physical.pgconn.server_version:
        return True
    best = Means.LSN in known.means
    return not best and monotonic() - facts.asked_at > _AGAIN


def look(physical: Physical) -> Abilities:
    """Find out what *physical*'s node can do. One round trip, on Aurora two."""
    standby = physical.standby
    trials = {**_EITHER, **aurora.EXIST, **(_READER if standby else _WRITER)}
    if standby and physical.pgconn.server_version >= _WAITS:
        trials |= _WAIT
    values = _values(trials, each(physical, list(trials.values())))
    views = aurora.views(values)
    values = {name: value for name, value in values.items() if name not in aurora.EXIST}
    found = _of_reader(physical, values, views) if standby else _of_writer(values)
    version = physical.pgconn.server_version
    return replace(found, standby=standby, version=version, views=views)


def _of_writer(values: dict[str, bytes | None]) -> Abilities:
    parts = frozenset(values)
    means = frozenset(means for name, means in _FORMS.items() if name in parts)
    return Abilities(means=means, parts=parts)


def _of_reader(
    physical: Physical, values: dict[str, bytes | None], views: frozenset[str]
) -> Abilities:
    reported = [name for name in aurora.LAG if name in views]
    if values.get("replayed", b"") is None:
        # It answers, but not with a position.
        del values["replayed"]
    lags = {}
    if reported:
        answers = each(physical, [aurora.LAG[name] for name in reported])
        lags = _values(reported, answers)
    # Outside of a global database the first tells of nobody.
    lag = [name for name in reported if lags.get(name) is not None][:1]
    parts = frozenset((*values, *lag))
    means = frozenset(means for name, means in _FENCES.items() if name in parts)
    return Abilities(means=means, reports_lag=bool(lag), parts=parts)


_FENCES: Final = {
    "wait": Means.WAIT_FOR_LSN,
    "replayed": Means.LSN,
    "committed": Means.XID,
    "last_commit": Means.LAG,
    "aurora_replica": Means.LAG,
    "aurora_global": Means.LAG,
}
_FORMS: Final = {"lsn": Means.LSN, "xid": Means.XID, "clock": Means.LAG}


def _values(
    names: Iterable[str], answers: list[list[list[PGresult]]]
) -> dict[str, bytes | None]:
    """Return the first value of each question that was answered."""
    return {
        name: results[0][0].get_value(0, 0) if results[0][0].ntuples else None
        for name, results in zip(names, answers, strict=True)
        if results[0][0].status == pq.ExecStatus.TUPLES_OK
    }
