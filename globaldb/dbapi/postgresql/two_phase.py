"""Two-phase commit: prepared at the writer, where anybody may finish it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import Xid, errors as pgerrors, sql
from psycopg.rows import args_row

from globaldb.core.statement import (
    CommitPrepared,
    PrepareTransaction,
    RollbackPrepared,
    Statement,
    Verdict,
)
from globaldb.core.transaction import TransactionMode, TransactionState
from globaldb.dbapi.postgresql.work import CursorWork
from globaldb.drivers.psycopg.wire import Call
from globaldb.errors import NotSupportedError, ProgrammingError
from globaldb.runtime import flow
from globaldb.runtime.flow.causality import tell
from globaldb.runtime.flow.execute import run
from globaldb.runtime.flow.shared import share
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from globaldb.dbapi.postgresql.connection import Connection
    from globaldb.runtime.session import Session


_PREPARE: Final = Statement(Verdict.WRITE, "prepare_transaction", "PREPARE")


def begin(face: Connection, xid: Xid | str) -> None:
    """Start a two-phase transaction, outside of any other."""
    session = face.session
    if session.transaction.active:
        status = face.info.transaction_status.name
        raise ProgrammingError(
            f"can't start two-phase transaction: connection in status {status}"
        )
    if session.autocommit:
        raise ProgrammingError("can't use two-phase transactions in autocommit mode")
    flow.refuse_kind(session, _PREPARE)
    face._tpc = (_xid(xid), False)
    flow.begin(session, TransactionMode())


def prepare(face: Connection) -> None:
    """Perform the first phase."""
    if face._tpc is None:
        raise ProgrammingError(
            "'tpc_prepare()' must be called inside a two-phase transaction"
        )
    xid, prepared = face._tpc
    if prepared:
        raise ProgrammingError(
            "'tpc_prepare()' cannot be used during a prepared two-phase transaction"
        )
    face._tpc = (xid, True)
    action = PrepareTransaction(str(xid))
    statement = Statement(Verdict.WRITE, "prepare_transaction", "PREPARE", action)
    if face.session.transaction.state is TransactionState.BEGUN:
        # Nothing was executed yet: it has to be open before it can be prepared.
        with face.holding(statement):
            pass
    try:
        _run(face, "PREPARE TRANSACTION {}", xid, statement)
    except pgerrors.ObjectNotInPrerequisiteState as error:
        raise NotSupportedError(str(error)) from None


def finish(face: Connection, action: str, xid: Xid | str | None) -> None:
    """Commit or roll back: this connection's, or the prepared one called *xid*."""
    own = face._tpc
    if xid is None and own is None:
        raise ProgrammingError(
            f"tpc_{action.lower()}() without xid must be called inside a two-phase "
            "transaction"
        )
    if xid is not None and own is not None:
        raise ProgrammingError(
            f"tpc_{action.lower()}() with xid must be called outside a two-phase "
            "transaction"
        )
    if own is not None and not own[1]:
        face._tpc = None
        drive((flow.commit if action == "COMMIT" else flow.rollback)(face.session))
        return
    meant = own[0] if own is not None else _xid(xid or "")
    reason = f"{action.lower()}_prepared"
    kind = CommitPrepared if action == "COMMIT" else RollbackPrepared
    statement = Statement(Verdict.WRITE, reason, action, kind(str(meant)), alone=True)
    _run(face, f"{action} PREPARED {{}}", meant, statement)
    face._tpc = None


def recover(face: Connection) -> list[Xid]:
    """Return the transactions that are prepared at the writer."""
    idle = not face.session.transaction.active
    with (
        face.using(route="writer"),
        face.cursor(row_factory=args_row(Xid._from_record)) as cursor,
    ):
        cursor.execute(Xid._get_recover_query())
        found: list[Xid] = cursor.fetchall()
    if idle and face.session.transaction.active:
        drive(flow.rollback(face.session))
    return found


def _run(face: Connection, template: Any, xid: Xid, statement: Statement) -> None:
    query = sql.SQL(template).format(sql.Literal(str(xid)))
    cursor = psycopg.Cursor(face)
    work = CursorWork(Call(cursor, query), statement, face.session.deadline())
    drive(_run_and_share(face.session, work))


async def _run_and_share(session: Session, work: CursorWork) -> None:
    try:
        await run(session, work)
        if session.shared is not None:
            await share(session)
    finally:
        tell(session)


def _xid(xid: Xid | str) -> Xid:
    return xid if isinstance(xid, Xid) else Xid.from_string(xid)
