"""Answers that only the connection of the statement before has.

``LAST_INSERT_ID()``, ``ROW_COUNT()``, ``FOUND_ROWS()``, SHOW WARNINGS: outside a
transaction the connection has gone back to its pool, and it is its answer only as long
as nobody else has used it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from globaldb.core.lexer import decoded
from globaldb.core.statement import ShowSetting, Verdict
from globaldb.errors import ProgrammingError
from globaldb.runtime import flow
from globaldb.runtime.flow.execute import run
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.dbapi.mysql.connection import Connection
    from globaldb.dbapi.mysql.work import QueryWork
    from globaldb.drivers.pymysql.wire import Call

#: A connection, and the spell of the session on it.
Spell = tuple[Any, int]

#: With an argument it needs no memory.
_LAST_ID: Final = re.compile(
    r"\blast_insert_id\s*\(\s*\)|@@\s*(?:(?:session|local)\s*\.\s*)?"
    r"(?:last_insert_id|identity)\b"
)
_COUNTING: Final = "sql_calc_found_rows"
_OF_LAST: Final = frozenset(("row_count", "found_rows", "diagnostics"))
_VARIABLES: Final = frozenset(("warning_count", "error_count"))
#: These make no id unless they say so.
_CHANGES: Final = frozenset(("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD"))
_READS: Final = frozenset(
    (Verdict.READ, Verdict.NODE_LOCAL, Verdict.SAME_CONNECTION, Verdict.TRANSACTION)
)


def execute(face: Connection, work: QueryWork) -> None:
    """Execute *work*, on the one connection that has its answer if there is just one."""
    session = face.session
    needed = _needed(face, work)
    if needed is None:
        drive(flow.execute(session, work))
    else:
        _execute_on(face, work, needed[0])
    face.followed(work.statement, work.call)


def makes_id(statement: Statement, insert_id: int | None) -> bool:
    """Whether LAST_INSERT_ID() tells of *statement* from now on."""
    if insert_id:
        return True
    return statement.verdict not in _READS and statement.command not in _CHANGES


def left(call: Call) -> tuple[Spell | None, Spell | None]:
    """Return who can tell what *call* has left, and who of the rows it has counted."""
    if not call.overrun or call.ran_on is None:
        return call.ran_on, call.ran_on
    warned = any(each.warning_count for each in call.results)
    # MySQL forgets warnings with the next statement that asks anything.
    kept = call.ran_on[0].mariadb or not warned
    return call.ran_on if kept else None, None


def _needed(face: Connection, work: QueryWork) -> tuple[Spell | None] | None:
    """Return who has the answer, perhaps nobody; None where any connection will do."""
    statement = work.statement
    text = decoded(work.source).lower()
    if "last_insert_id" in text or "identity" in text:
        return (face.inserted_on,) if _LAST_ID.search(text) else None
    if statement.verdict is not Verdict.SAME_CONNECTION:
        return None
    action = statement.action
    told = isinstance(action, ShowSetting) and action.name in _VARIABLES
    if told or (statement.reason in _OF_LAST and _COUNTING not in text):
        counts = "found_rows" in text
        return (face.counted_on if counts else face.ran_on,)
    return None


def _execute_on(face: Connection, work: QueryWork, spell: Spell | None) -> None:
    session = face.session
    if spell is None:
        _refuse(face, work)
    link, _ = spell
    if session.lease is not None:
        if session.lease.connection is not link or not _unbroken(face, spell):
            _refuse(face, work)
        drive(flow.execute(session, work))
        return
    if not _took(face, spell):
        _refuse(face, work)
    try:
        if work.statement.verdict is Verdict.SAME_CONNECTION:
            # No transaction is begun for it.
            drive(run(session, work))
        else:
            drive(flow.execute(session, work))
    finally:
        if not session.transaction.active:
            session.release()


def _unbroken(face: Connection, spell: Spell) -> bool:
    """Whether nobody else has used a connection since."""
    link, number = spell
    return bool(link.last_session == face.session.id and link.spell() == number)


def _took(face: Connection, spell: Spell) -> bool:
    """Take a connection out of its pool again; False if somebody else has used it."""
    session, (link, _) = face.session, spell
    if not _unbroken(face, spell):
        return False
    nodes = session.cluster.nodes.values()
    node = next((node for node in nodes if node.facts is link.facts), None)
    lease = None if node is None else node.pool.try_checkout()
    if lease is None or node is None:
        return False
    ours = lease.connection is link and _unbroken(face, spell)
    if not ours or link.hung_up():
        node.pool.checkin(lease)
        return False
    session.applied_before = link.settings
    session.keep(lease, node)
    return True


def _refuse(face: Connection, work: QueryWork) -> NoReturn:
    face.session.pin_writes = face.common.habits.same_connection = True
    raise ProgrammingError(
        f"{work.statement.command}: the connection that has the answer "
        "(LAST_INSERT_ID(), ROW_COUNT(), warnings) is not this session's any more, so "
        "another one's would not be yours. From now on sessions keep the connection "
        "they write on; use cursor.lastrowid, or run both statements in one transaction"
    )
