"""What Aurora's servers tell of themselves and of each other, and how they are asked.

Lag is told in milliseconds, of the writer 0. In a region without the writer the lag of
an instance is that behind the storage there: how late the storage is comes on top. A
name is told for each instance, never a host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import ER

from globaldb.core.membership import Survey, surveyed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from globaldb.core.fence import Facts
    from globaldb.drivers.pymysql.physical import Physical

_GLOBAL: Final = (
    "information_schema.aurora_global_db_instance_status AS i"
    " LEFT JOIN information_schema.aurora_global_db_status AS s"
    " ON s.aws_region = i.aws_region"
)
_REPLICA: Final = "information_schema.replica_host_status"
_LATE: Final = "i.visibility_lag_in_msec + s.durability_lag_in_milliseconds"

#: Which of Aurora's tables there are.
TABLES: Final = (
    "SELECT LOWER(table_name) FROM information_schema.tables"
    " WHERE table_schema = 'information_schema' AND LOWER(table_name) IN"
    " ('replica_host_status', 'aurora_global_db_instance_status')"
)
_VIEWS: Final = {
    "aurora_global_db_instance_status": ("aurora_global", "aurora_instances"),
    "replica_host_status": ("aurora_replica", "aurora_plain"),
}

#: How many milliseconds a reader is behind the writer. Of the two, the first knows a
#: writer in another region.
LAG: Final[Mapping[str, str]] = {
    "aurora_global": (
        f"SELECT MAX({_LATE}) FROM {_GLOBAL} WHERE i.server_id = @@aurora_server_id"  # noqa: S608 - made of the texts above
    ),
    "aurora_replica": (
        "SELECT MAX(replica_lag_in_milliseconds) FROM"  # noqa: S608 - as above
        f" {_REPLICA} WHERE server_id = @@aurora_server_id"
    ),
}

_WRITES: Final = "session_id = 'MASTER_SESSION_ID'"
#: Identifier, whether it writes, region, lag in milliseconds, when that was noted, and
#: who answers. The first knows every region, and so does the second; in the others
#: instances that were removed stay for a while.
_QUESTIONS: Final[Mapping[str, str]] = {
    "aurora_global": (
        f"SELECT i.server_id, i.{_WRITES}, i.aws_region, {_LATE}, NULL,"  # noqa: S608 - as above
        f" @@aurora_server_id FROM {_GLOBAL}"
    ),
    "aurora_instances": (
        f"SELECT server_id, {_WRITES}, aws_region, NULL, NULL, @@aurora_server_id"  # noqa: S608 - as above
        " FROM information_schema.aurora_global_db_instance_status"
    ),
    "aurora_replica": (
        f"SELECT server_id, {_WRITES}, NULL, replica_lag_in_milliseconds,"  # noqa: S608 - as above
        f" UNIX_TIMESTAMP(last_update_timestamp), @@aurora_server_id FROM {_REPLICA}"
        f" WHERE {_WRITES} OR last_update_timestamp IS NULL"
        " OR last_update_timestamp > UTC_TIMESTAMP() - INTERVAL 300 SECOND"
        " OR last_update_timestamp > NOW() - INTERVAL 300 SECOND"
    ),
    "aurora_plain": (
        f"SELECT server_id, {_WRITES}, NULL, NULL, NULL, @@aurora_server_id"  # noqa: S608 - as above
        f" FROM {_REPLICA}"
    ),
}

#: It is not there, lacks a column, or is not for this user: no other look helps.
_REFUSED: Final = (
    ER.BAD_FIELD_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.NO_SUCH_TABLE,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.UNKNOWN_SYSTEM_VARIABLE,
    ER.UNKNOWN_TABLE,
)


def views(tables: Iterable[str]) -> frozenset[str]:
    """Return what of Aurora there is, by the names that `TABLES` has answered."""
    return frozenset(name for table in tables for name in _VIEWS[table])


def survey(physical: Physical, facts: Facts) -> Survey | None:
    """Ask *physical*'s node for all instances that it knows; None outside of Aurora.

    One round trip; another for each way that tells nothing, and once for each that is
    refused. Raises PyMySQL's errors when all fail.
    """
    problem: err.MySQLError | None = None
    for name, question in _QUESTIONS.items():
        if name not in facts.now.views:
            continue
        try:
            rows = _rows(physical, question)
        except err.MySQLError as error:
            if physical.closed:
                raise
            if error.args and error.args[0] in _REFUSED:
                facts.sees_nothing_in(name)
            else:
                problem = error
            continue
        if rows:
            return surveyed([row[:-1] for row in rows], rows[0][-1])
    if problem is not None:
        raise problem
    return None


def _rows(physical: Physical, question: str) -> list[tuple[Any, ...]]:
    """Return what was answered as text."""
    physical.read_plainly(texts=True)
    physical.query(question)
    return list(physical._result.rows)
