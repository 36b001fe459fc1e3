"""One short question that tells a node's role, position and identity."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import CR

from globaldb.core.gtid import GtidSet, MariadbGtid, binlog_state
from globaldb.core.topology import Role, Sample
from globaldb.drivers.pymysql import abilities, position
from globaldb.drivers.pymysql.greeting import ROLE, read_only

if TYPE_CHECKING:
    from globaldb.core.fence import Facts
    from globaldb.drivers.pymysql.physical import Physical

_MYSQL: Final = (
    f"{ROLE}, @@GLOBAL.server_uuid, {position.CLOCK}, {position.MYSQL_EXECUTED}"
)
_MARIADB: Final = (
    f"{ROLE}, @@GLOBAL.server_id, {position.CLOCK}, {position.MARIADB_WRITTEN},"
    f" {position.MARIADB_APPLIED}, @@GLOBAL.gtid_binlog_state"
)
#: How many values tell the role.
_ROLES: Final = 2


def sample(physical: Physical, facts: Facts) -> Sample:
    """Ask *physical*'s node what it is now. One round trip.

    The first time, and when the node has become another, some more to learn what it
    can be asked. Raises PyMySQL's errors, and `DataError` for what is no position.
    """
    found = None
    if not abilities.outdated(physical, facts):
        found = _ask(physical, facts)
    if found is None or not _as_known(found, facts):
        found = _look(physical, facts)
    if not _as_known(found, facts):
        # Between two questions.
        found = _look(physical, facts)
    physical.standby = found.role is Role.READER
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
        raise err.OperationalError(
            CR.CR_UNKNOWN_ERROR, "the node refuses to say what it is"
        )
    return found


def _ask(physical: Physical, facts: Facts) -> Sample | None:
    """Ask what the node is known to answer; None when it refused a part."""
    texts = [f"SELECT {_MARIADB if physical.mariadb else _MYSQL}"]
    if "replica_status" in facts.now.parts:
        texts.append(position.replica_status(physical))
    asked_at = monotonic()
    try:
        answers = _answers(physical, texts)
    except err.MySQLError:
        if physical.closed:
            raise
        return None
    latency = monotonic() - asked_at
    if not answers[0].rows:
        return None
    follows = len(answers) > 1 and position.replicates(answers[1])
    return _told(physical, answers[0].rows[0], (asked_at, latency), follows=follows)


def _answers(physical: Physical, texts: list[str]) -> list[Any]:
    if not physical.joins:
        return [abilities.ask(physical, text) for text in texts]
    physical.read_plainly(texts=True)
    physical.send([text.encode() for text in texts])
    answers = []
    for _ in texts:
        physical.next_result()
        answers.append(physical._result)
    return answers


def _told(
    physical: Physical, row: Any, times: tuple[float, float], *, follows: bool
) -> Sample:
    reader = follows or read_only(row[:_ROLES])
    source, clock, *places = row[_ROLES:]
    place: GtidSet | MariadbGtid
    if physical.mariadb:
        written, applied, state = places
        place = MariadbGtid.parse(applied if reader else written)
        history = binlog_state(state)
    else:
        place = history = GtidSet.parse(places[0] or "")
    frozen = position.frozen(physical.settings)
    return Sample(
        role=Role.READER if reader else Role.WRITER,
        position=place,
        asked_at=times[0],
        latency=times[1],
        clock=None if reader or frozen or clock is None else float(clock),
        source=str(source),
        history=None if reader else history,
    )
