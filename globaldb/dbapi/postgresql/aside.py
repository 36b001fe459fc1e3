"""A connection beside a routed one: for a cursor that need not share it with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.core.statement import Verdict

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.dbapi.postgresql.connection import Connection
    from globaldb.runtime.session import Session

#: What an application can ask of a session, beside its settings.
_WISHES: Final = (
    "_consistency",
    "_route",
    "_region",
    "_max_staleness",
    "timeout",
    "forwarding",
)


def may_stand_aside(session: Session, statement: Statement) -> bool:
    """Whether *statement* depends on nothing that is on a connection of *session*."""
    return (
        session.autocommit
        and not session.transaction.active
        and session.lease is None
        and statement.verdict is Verdict.READ
        and statement.plain
        and not statement.hints
    )


def has_spare(session: Session, node: str | None) -> bool:
    """Whether a pool has a connection for a cursor, and one more for its session.

    Else each session might hold what another one waits for.
    """
    if node is None:
        return False
    pool = session.cluster.node(node).pool
    return pool.stats.busy + 2 <= pool.limits.max_size


def open_beside(face: Connection) -> Connection:
    """Return a connection that reads what *face* would, under the same settings.

    Costs no round trip. What it reads, *face* is to hear of by `learn`.
    """
    # It takes no more of it than the picture of a libpq connection.
    picture: Any = face
    beside = type(face)(face.session.cluster, picture)
    session, other = face.session, beside.session
    for name in _WISHES:
        setattr(other, name, getattr(session, name))
    other.settings.current = session.settings.current
    other.books.inherit(session.books)
    other.autocommit = True
    other.face = session.face
    return beside


def learn(face: Connection, beside: Connection) -> None:
    """Have *face* read nothing older than what *beside* has."""
    face.session.books.inherit(beside.session.books)
    face.session.hot = None
    face.session.route = beside.session.route
