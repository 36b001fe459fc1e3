"""What a connection begins with: its settings, and who is at the other end.

One text of several statements where the server takes them, so that opening and
cleaning a connection costs one round trip for all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import SERVER_STATUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.drivers.pymysql.physical import Physical

#: Readers are read_only, and on Aurora their storage is.
ROLE: Final = "@@GLOBAL.read_only, @@GLOBAL.innodb_read_only"

_MYSQL_IDENTITY: Final = "@@GLOBAL.server_uuid"
_MARIADB_IDENTITY: Final = (
    "CONCAT_WS('/', @@GLOBAL.hostname, @@GLOBAL.port, @@GLOBAL.server_id)"
)
#: The transactions that it commits come with the answers, and what else has to be
#: known of a session whatever it does.
_MYSQL_TRACKING: Final = (
    "SET SESSION session_track_gtids = OWN_GTID,"
    " session_track_system_variables = 'character_set_client'"
)
_MARIADB_TRACKING: Final = (
    "SET SESSION session_track_system_variables = 'last_gtid,character_set_client'"
)


def greet(physical: Physical, mode: str | None, first: str | None) -> None:
    """Begin a session: encoding, SQL *mode*, tracking, and the statement *first*.

    Learns the server's role and identity. Raises PyMySQL's errors.
    """
    physical.character_set = physical.charset
    collation = physical.collation
    names = f"SET NAMES {physical.charset}" + (
        "" if collation is None else f" COLLATE {collation}"
    )
    if mode is not None:
        names += f", sql_mode = {physical.escape(mode)}"
    role = f"SELECT {ROLE}, {identity(physical)}"
    wanted = [f"{names}, autocommit = 1", role]
    if physical.tracks:
        tracking = _MARIADB_TRACKING if physical.mariadb else _MYSQL_TRACKING
        wanted.append(tracking)
    answers = _ask(physical, wanted)
    physical.reports = len(answers) > 2
    if len(answers) > 1:
        *role_is, known = answers[1].rows[0]
        physical.standby = read_only(role_is)
        physical.identity = str(known)
    if first is not None:
        physical.query(first)
        # Whatever else it answers is nobody's.
        while physical._result is not None and physical._result.has_next:
            physical.next_result()
        if not physical.server_status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT:
            # Sessions own their transactions, whatever the application has set here.
            physical.query("SET autocommit = 1")


def _ask(physical: Physical, wanted: Sequence[str]) -> list[Any]:
    """Return the answers up to the first that is refused; the first must not be.

    A server that refuses to tell its role or to report transactions is used as it is.
    """
    texts = [text.encode() for text in wanted]
    answers: list[Any] = []
    for bundle in [texts] if physical.joins else [[text] for text in texts]:
        try:
            physical.send(bundle)
            for _ in bundle:
                physical.next_result()
                answers.append(physical._result)
        except err.MySQLError:
            physical._result = None
            if not answers or physical.closed:
                raise
    return answers


def read_only(role: Sequence[Any]) -> bool:
    """Whether the answers to `ROLE` are a reader's.

    They are numbers, and in newer versions of MariaDB words.
    """
    return any(str(value).upper() not in ("0", "OFF", "NONE", "") for value in role)


def identity(physical: Physical) -> str:
    """Return the expression that tells *physical*'s server from all others."""
    return _MARIADB_IDENTITY if physical.mariadb else _MYSQL_IDENTITY


def kill_query(physical: Physical) -> str:
    """Return what ends the statement on *physical*, and none on another server."""
    thread = int(physical.server_thread_id[0])
    if not physical.identity:
        return f"KILL QUERY {thread}"
    known = physical.escape(physical.identity)
    return f"KILL QUERY IF({identity(physical)} = {known}, {thread}, 0)"
