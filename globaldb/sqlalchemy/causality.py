"""What connections of one thread, task or ORM session know of each other.

SQLAlchemy takes a connection for each transaction and gives it back behind it. Each is
a session of its own; only together do they keep what an application expects of one: to
see what it has written, and never to go back in time. A `Session` of SQLAlchemy's ORM
takes along what it knows, in whatever thread it goes on.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.core.session import SessionState
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.session import Session

#: By cluster, what was written and read in this thread or task. Never changed in
#: place: another one may have begun with it.
_known: Final[ContextVar[Mapping[ClusterRuntime, SessionState]]] = ContextVar(
    "globaldb_sqlalchemy",
    default=MappingProxyType({}),
)


#: Under which a session of the ORM keeps it in its ``info``.
_KEPT: Final = "globaldb_known"


class Causality:
    """Hands on what each connection knows to the next one of its thread or task."""

    def __init__(self) -> None:
        #: What a session was told last: all of it is in its own books.
        self._told: WeakKeyDictionary[Session, SessionState] = WeakKeyDictionary()
        #: The ``info`` of the ORM's session that a session works for.
        self._info: WeakKeyDictionary[Session, dict[Any, Any]] = WeakKeyDictionary()

    def learn(self, session: Session) -> None:
        """Require of *session* what was required of those before it."""
        known = _known.get().get(session.cluster)
        if known is None or known is self._told.get(session):
            return
        session.books.inherit(known)
        session.hot = None
        self._told[session] = known

    def join(self, session: Session, info: dict[Any, Any]) -> None:
        """Work for the ORM's session that has *info*, and knows what others told it."""
        known = info.get(_KEPT, {}).get(session.cluster)
        if known is not None and self._info.get(session) is not info:
            session.books.inherit(known)
            session.hot = None
        self._info[session] = info

    def tell(self, session: Session) -> None:
        """Keep what *session* knows, between its transactions, for the next one."""
        info = self._info.get(session)
        if info is not None:
            info[_KEPT] = {session.cluster: replace(session.books, tables=None)}
        everything = _known.get()
        before = everything.get(session.cluster)
        now = replace(session.books, tables=None)
        if now == before:
            return
        if before is not None and before is not self._told.get(session):
            # Another session has told of more meanwhile.
            now.inherit(before)
        else:
            self._told[session] = now
        others = {
            cluster: books
            for cluster, books in everything.items()
            if not cluster.closed
        }
        _known.set({**others, session.cluster: now})
