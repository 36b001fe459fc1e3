"""One short question that tells a node's role, position, timeline and identity."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from globaldb.core.position import Lsn
from globaldb.core.topology import Role, Sample

if TYPE_CHECKING:
    from globaldb.drivers.psycopg.physical import Physical

#: The timeline of a writer is in the name of its current WAL file: its control file
#: lags behind a promotion. A reader's is the newest of what its control file and its
#: receiver know; a role without pg_read_all_stats does not see the receiver's, and
#: learns of a new timeline later, never too early.
PROBE = """\
SELECT recovering,
  CASE WHEN recovering THEN pg_last_wal_replay_lsn()
       ELSE pg_current_wal_flush_lsn() END,
  CASE WHEN recovering
       THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                     (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                     (SELECT received_tli FROM pg_stat_wal_receiver))
       ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
  END,
  (SELECT system_identifier FROM pg_control_system())
FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node"""


def sample(physical: Physical) -> Sample:
    """Ask *physical*'s node what it is now. One round trip."""
    asked_at = monotonic()
    row = physical.execute(PROBE, prepare=False).fetchone()
    latency = monotonic() - asked_at
    assert row is not None  # noqa: S101 - one row by construction of the query
    recovering, lsn, timeline, system = row
    return Sample(
        role=Role.READER if recovering else Role.WRITER,
        position=Lsn.parse(lsn, timeline) if lsn is not None else Lsn(0, 0),
        asked_at=asked_at,
        latency=latency,
        system=str(system),
    )
