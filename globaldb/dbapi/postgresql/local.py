"""SQL that the connection answers itself, with ordinary rows.

The rows travel to the nearest node as JSON and come back as its result: whatever
reads a cursor (types, row factories, ORMs) then sees nothing unusual.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from globaldb.core.routing import Decision, Target
from globaldb.core.statement import (
    ExplainRoute,
    GlobaldbShow,
    SetConsistency,
    ShowConsistency,
    Statement,
    Verdict,
)
from globaldb.core.transaction import Transaction
from globaldb.dbapi.postgresql.work import CursorWork
from globaldb.drivers.psycopg.wire import Call
from globaldb.runtime import flow, show
from globaldb.runtime.flow.execute import run
from globaldb.runtime.flow.read import read
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from globaldb.dbapi.postgresql.connection import Connection

_TYPES = {str: "text", int: "bigint", float: "double precision", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Tag:
    """An answer without rows."""

    text: str


def answer(face: Connection, statement: Statement) -> show.Table | Tag | None:
    """Answer *statement* if it is the connection's own; None otherwise."""
    session = face.session
    match statement.action:
        case GlobaldbShow(what):
            return show.table(session, what)
        case ExplainRoute(text):
            return show.route_table(face.explain_route(text))
        case ShowConsistency(variable):
            held = session.consistency
            value = held.value if held is not None else "off"
            return show.Table(((variable, str),), ((value,),))
        case SetConsistency():
            flow.switch_mode(session, statement.action)
            return Tag("SET")
        case _:
            return None


def give(cursor: Any, face: Connection, table: show.Table | Tag) -> None:
    """Make *table* the cursor's result."""
    if isinstance(table, Tag):
        statement = Statement(Verdict.SESSION, "local", "SET")
        CursorWork(Call(cursor, ""), statement, None).acknowledge(table.text)
        return
    names = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_TYPES[kind]))
        for name, kind in table.columns
    )
    query = sql.SQL("SELECT * FROM json_to_recordset({}::json) AS answer({})").format(
        sql.Placeholder(), names
    )
    rows = [
        dict(zip((name for name, _ in table.columns), row, strict=True))
        for row in table.rows
    ]
    statement = Statement(Verdict.READ, "local", "SHOW")
    call = Call(cursor, query, (json.dumps(rows),))
    session = face.session
    work = CursorWork(call, statement, session.deadline())
    route = session.route
    if session.lease is not None:
        drive(run(session, work))
    else:
        # It is no part of a transaction that no server has been told of.
        kept, session.transaction = session.transaction, Transaction()
        try:
            drive(read(session, work, Decision(Target.READER, "local")))
        finally:
            session.transaction = kept
    session.route = route
