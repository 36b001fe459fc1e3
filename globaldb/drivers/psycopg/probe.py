"""One short question that tells a node's role, position, timeline and identity."""

from __future__ import annotations

from functools import cache
from time import monotonic
from typing import TYPE_CHECKING

from psycopg import errors as pgerrors, pq

from globaldb.core.outcome import Run
from globaldb.core.position import Lsn
from globaldb.core.topology import Role, Sample
from globaldb.drivers.psycopg import abilities, position, trace
from globaldb.drivers.psycopg.segments import each

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from globaldb.core.fence import Facts
    from globaldb.drivers.psycopg.physical import Physical

#: What the control file says of the timeline lags behind a promotion, until the end
#: of recovery is noted in it: each part lags in turn, the newest is right.
_CONTROL = {
    "checkpoint": "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())",
    "recovery": (
        "(SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())"
    ),
    # A role without pg_read_all_stats does not see it, and learns of a new timeline
    # later, never too early.
    "receiver": "(SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver)",
}

#: The timeline of a writer is in the name of its current WAL file.
_WALFILE = (
    "('x' || pg_catalog.left(pg_catalog.pg_walfile_name("
    "pg_catalog.pg_current_wal_flush_lsn()), 8))::bit(32)::int"
)

_RECOVERING = "pg_catalog.pg_is_in_recovery()"
#: The same, from servers of version 14 and newer, whatever they refuse.
_IN_HOT_STANDBY = "pg_catalog.current_setting('in_hot_standby') = 'on'"
_SYSTEM = "(SELECT system_identifier FROM pg_catalog.pg_control_system())"

#: What a promoted node replayed last is where its timeline begins, until it restarts.
_REPLAYED = "CASE WHEN timeline > 1 THEN recovered END"

#: A timeline begins at the latest where its first checkpoint does; before that, where
#: its recovery is noted to have ended.
_FORKED = (
    "(SELECT CASE WHEN timeline < 2 THEN NULL"
    " WHEN r.min_recovery_end_timeline = timeline THEN r.min_recovery_end_lsn"
    " WHEN c.timeline_id = timeline THEN c.redo_lsn END"
    " FROM pg_catalog.pg_control_recovery() r, pg_catalog.pg_control_checkpoint() c)"
)


def sample(physical: Physical, facts: Facts) -> Sample:
    """Ask *physical*'s node what it is now. One round trip.

    The first time, and when the node has become another, one more to learn what it
    can be asked.
    """
    found = None
    if not abilities.outdated(physical, facts):
        found = _ask(physical, facts)
    if found is None or not _as_known(found, facts):
        # A right was taken away, or it was promoted.
        found = _look(physical, facts)
    if not _as_known(found, facts):
        # Between two questions: the connection has heard of it with the last one.
        found = _look(physical, facts)
    return found


def _as_known(found: Sample, facts: Facts) -> bool:
    return (found.role is Role.READER) is facts.now.standby


def _look(physical: Physical, facts: Facts) -> Sample:
    facts.doubted = False
    facts.asked_at = monotonic()
    facts.abilities = abilities.look(physical)
    # In a trip of its own: how long that takes is the node's latency.
    found = _ask(physical, facts)
    if found is None:
        raise pgerrors.OperationalError("the node refuses to say what it is")
    return found


def _ask(physical: Physical, facts: Facts) -> Sample | None:
    """Ask what the node is known to answer; None when it refused."""
    known = facts.now
    asked_at = monotonic()
    [answers] = each(physical, [_question(known.parts, standby=known.standby)])
    result = answers[0][0]
    if result.status != pq.ExecStatus.TUPLES_OK:
        return None
    return _told(physical, result, asked_at)


def _told(physical: Physical, result: PGresult, asked_at: float) -> Sample:
    latency = monotonic() - asked_at
    row = [result.get_value(0, i) for i in range(9)]
    recovering, lsn, timeline, system, forked, clock, horizon, started, recovered = (
        None if value is None else value.decode() for value in row
    )
    epoch = int(timeline or 0)
    place = Lsn.parse(lsn, epoch) if lsn is not None else Lsn(0, epoch)
    ended = None if recovered is None else Lsn.parse(recovered, epoch)
    if started is not None:
        run = Run(epoch, started, 0 if ended is None else ended.value)
        physical.facts.has_flushed(run, place.value)
    return Sample(
        role=Role.READER if recovering == "t" else Role.WRITER,
        position=place,
        asked_at=asked_at,
        latency=latency,
        system=system or "",
        forked_before=None if forked is None else Lsn.parse(forked, epoch),
        # A connection that was there before has seen the end of this recovery, and no
        # other.
        forked_at=ended if physical.was_standby else None,
        clock=None if clock is None else float(clock),
        horizon=None if horizon is None else int(horizon),
    )


@cache
def _question(parts: frozenset[str], *, standby: bool) -> bytes:
    """Return the question, made of what the node can be asked."""

    def part(name: str, sql: str) -> str:
        return sql if name in parts else "NULL"

    newest = ", ".join(sql for name, sql in _CONTROL.items() if name in parts)
    timeline = f"greatest({newest})" if newest else "NULL::int"
    forked = clock = horizon = started = recovered = "NULL"
    if standby:
        lsn = part("replayed", "pg_catalog.pg_last_wal_replay_lsn()")
    else:
        lsn = part("lsn", "pg_catalog.pg_current_wal_flush_lsn()")
        timeline = _WALFILE if "lsn" in parts else timeline
        noted = _FORKED if parts >= {"checkpoint", "recovery"} else forked
        forked = f"least({part('replayed', _REPLAYED)}, {noted})"
        clock = part("clock", position.CLOCK.decode())
        horizon = part("horizon", position.HORIZON.decode())
        recovered = part("replayed", trace.RECOVERED.decode())
        if parts >= {"run", "replayed", "lsn"}:
            started = trace.STARTED.decode()
    recovering = _RECOVERING if "recovering" in parts else _IN_HOT_STANDBY
    system = part("system", _SYSTEM)
    return (
        f"SELECT recovering, lsn, timeline, {system}, {forked}, {clock}, {horizon}, "  # noqa: S608 - made of the texts above
        f"{started}, recovered FROM (SELECT {recovering} AS recovering, {lsn} AS lsn, "
        f"{timeline} AS timeline, {recovered} AS recovered OFFSET 0) AS node"
    ).encode()
