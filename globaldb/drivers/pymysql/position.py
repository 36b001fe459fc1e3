"""Questions about positions, and how to read the answers of MySQL and MariaDB.

They are asked under the application's settings. What a setting can do to an answer
(no rows at all, with sql_select_limit = 0) makes it an answer that says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.core.fence import Means
from globaldb.core.gtid import GtidSet, MariadbGtid
from globaldb.core.position import Position
from globaldb.drivers.pymysql import aurora
from globaldb.drivers.pymysql.greeting import ROLE, read_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.fence import Abilities, Question
    from globaldb.core.position import LogPosition
    from globaldb.core.settings import Settings
    from globaldb.core.trip import Reply
    from globaldb.drivers.pymysql.physical import Physical

#: Seconds since 1970 on the server's clock, whatever the session's time zone is.
CLOCK: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000"
#: The setting that stops the clock for its session.
_FROZEN: Final = "timestamp"

#: What each server has executed; as a reader, as far as it shows it.
MYSQL_EXECUTED: Final = "@@GLOBAL.gtid_executed"
MARIADB_WRITTEN: Final = "@@GLOBAL.gtid_binlog_pos"
MARIADB_APPLIED: Final = "@@GLOBAL.gtid_slave_pos"
#: With what it has written itself since it was promoted, of which the other says
#: nothing.
MARIADB_SHOWN: Final = "@@GLOBAL.gtid_current_pos"

#: Columns of SHOW REPLICA STATUS, by their names old and new.
_BEHIND: Final = ("Seconds_Behind_Source", "Seconds_Behind_Master")
_RECEIVING: Final = ("Replica_IO_Running", "Slave_IO_Running")
_APPLYING: Final = ("Replica_SQL_Running", "Slave_SQL_Running")
#: The shortest wait, in seconds: 0 would be forever.
_SHORTEST: Final = 0.001


def replica_status(physical: Physical) -> str:
    """Return the statement that tells what a server replicates, if anything."""
    if physical.mariadb:
        return "SHOW ALL SLAVES STATUS"
    # Renamed, and the old name was taken away later.
    return "SHOW REPLICA STATUS" if physical.version >= 80022 else "SHOW SLAVE STATUS"


def parsed(physical: Physical, text: Any) -> LogPosition | None:
    """Return the position in *text*, None when it says nothing.

    Raises `DataError` for what is no position.
    """
    if not text:
        return None
    if physical.mariadb:
        return MariadbGtid.parse(str(text))
    return GtidSet.parse(str(text))


def own(physical: Physical, gtids: str) -> Position:
    """Return the position of what the session itself has just committed.

    No transaction ids, but known to be all: it is a commit's own, and tells of no other.
    """
    log = parsed(physical, gtids)
    facts = physical.facts
    return Position(
        None if log is None else log.on(facts.epoch),
        frozenset(),
        None,
        None,
        facts.reign,
    )


def behind(physical: Physical) -> str:
    """Return the statement that asks the writer for its position and role."""
    executed = MARIADB_WRITTEN if physical.mariadb else MYSQL_EXECUTED
    return f"SELECT {ROLE}, {executed}, {CLOCK}"


def told(physical: Physical, rows: Sequence[Sequence[Any]]) -> tuple[bool, Position]:
    """Read the answer to `behind`: whether it only reads, and where it is."""
    if not rows:
        return physical.standby, Position()
    *role, executed, clock = rows[0]
    facts = physical.facts
    log = parsed(physical, executed)
    moment = None if frozen(physical.settings) or clock is None else float(clock)
    position = Position(
        None if log is None else log.on(facts.epoch), None, moment, None, facts.reign
    )
    return read_only(role), position


def frozen(settings: Settings) -> bool:
    """Whether *settings* have stopped the session's clock."""
    return any(name == _FROZEN for name, _ in settings)


def guard(physical: Physical, question: Question, reader: Abilities) -> str:
    """Return the statement that asks *question*."""
    means, required = question.means, question.position.log
    if means is Means.WAIT_FOR_GTID and required is not None:
        seconds = max(_SHORTEST, question.patience)
        function = (
            "MASTER_GTID_WAIT" if physical.mariadb else "WAIT_FOR_EXECUTED_GTID_SET"
        )
        return f"SELECT {function}('{required}', {seconds:.3f})"
    if means is Means.LAG:
        return lag(physical, reader.parts)
    if means.by_log:
        mariadb = MARIADB_SHOWN if question.at_most else MARIADB_APPLIED
        return f"SELECT {mariadb if physical.mariadb else MYSQL_EXECUTED}"
    return "SELECT NULL"


def lag(physical: Physical, parts: frozenset[str]) -> str:
    """Return what tells how late a reader is, by what it can be asked."""
    for name, sql in aurora.LAG.items():
        if name in parts:
            return sql
    return replica_status(physical) if "replica_status" in parts else "SELECT NULL"


def answer(physical: Physical, question: Question, result: Any, reply: Reply) -> None:
    """Read the answer to *question* into *reply*.

    Raises `DataError` for what is no position.
    """
    if question.means is Means.LAG:
        reply.lag = seconds_behind(result)
        return
    value = result.rows[0][0] if result.rows else None
    if question.means is Means.WAIT_FOR_GTID:
        reply.reached = value is not None and int(value) == 0
    elif question.means.by_log:
        reply.replayed = parsed(physical, value)


def seconds_behind(result: Any) -> float | None:
    """Return the lag told by Aurora in milliseconds, or by the server in seconds.

    Whole seconds are told, so the truth may be up to one more.
    """
    if not result.rows:
        return None
    if len(result.rows[0]) == 1:
        value = result.rows[0][0]
        return None if value is None else float(value) / 1000
    told = columns(result, _BEHIND)
    if not told or None in told:
        return None
    return max(float(value) for value in told) + 1.0


def replicates(result: Any) -> bool:
    """Whether a server's answer to `replica_status` says that it follows another."""
    running = (*columns(result, _RECEIVING), *columns(result, _APPLYING))
    return not {"Yes", "Connecting"}.isdisjoint(running)


def columns(result: Any, names: Sequence[str]) -> list[Any]:
    """Return what each row has in the column called by one of *names*."""
    return [
        value
        for row in result.rows or ()
        for field, value in zip(result.fields, row, strict=True)
        if field.name in names
    ]
