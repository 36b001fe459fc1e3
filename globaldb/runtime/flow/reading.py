"""Which statements a transaction may run at a reader before its first write."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.routing import ROLE_DEPENDENT
from globaldb.core.shapes import Step, Trail
from globaldb.core.statement import SetConfig, SetSetting, ShowSetting, Verdict

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.runtime.session import Session

_WRITES: Final = frozenset((Verdict.WRITE, Verdict.PIN))


def why_not(session: Session, statement: Statement, sql: str | bytes) -> str | None:
    """Say by a reason code why *statement* needs the writer in such a transaction.

    None where it may run at the reader. In the mode ``verified`` that is what can be
    made again at the writer and compared.
    """
    if statement.multiple or statement.alone:
        return "transaction"
    if is_kept(statement) or asks_its_connection(session, statement, sql):
        return None
    if not statement.plain or statement.command == "EXECUTE":
        return "transaction"
    look = session.cluster.knowledge.looks.lookup(sql)
    if session.verifies and look.repeatable.changing:
        return "unrepeatable_read"
    step = _next(session, look.fingerprint)
    over = session.cluster.shapes.start_over(step, monotonic())
    return "transaction_shape" if over else None


def asks_its_connection(
    session: Session, statement: Statement, sql: str | bytes
) -> bool:
    """Whether it asks for what its own connection has, and for nothing else."""
    if statement.verdict is not Verdict.SAME_CONNECTION or session.lease is None:
        return False
    if statement.reason != "session_state" or statement.action is not None:
        return False
    return session.cluster.knowledge.looks.lookup(sql).repeatable.alone


def is_kept(statement: Statement) -> bool:
    """Whether it concerns the transaction alone, and can be made again anywhere."""
    action = statement.action
    if isinstance(action, ShowSetting):
        return action.name not in ROLE_DEPENDENT
    if not isinstance(action, SetSetting | SetConfig) or action.local is not True:
        return False
    # What is made from then on may be temporary: that is noticed at the writer alone.
    return action.name != "search_path" or "pg_temp" not in action.sql.lower()


def follow(session: Session, statement: Statement, sql: str | bytes) -> None:
    """Take note of one more statement of a transaction that declared nothing."""
    trail = session.trail
    if trail is None or trail.wrote:
        return
    if statement.verdict in _WRITES:
        trail.wrote = True
    elif statement.plain:
        look = session.cluster.knowledge.looks.lookup(sql)
        trail.read(trail.next(look.fingerprint))


def _next(session: Session, fingerprint: str) -> Step | None:
    return (session.trail or Trail()).next(fingerprint)
