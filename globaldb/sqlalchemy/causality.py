"""What connections of one thread or task know of each other.

SQLAlchemy takes a connection for each transaction and gives it back behind it. Each is
a session of its own; only together do they keep what an application expects of one: to
see what it has written, and never to go back in time.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
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


class Causality:
    """Hands on what each connection knows to the next one of its thread or task."""

    def __init__(self) -> None:
        #: What a session was told last: all of it is in its own books.
        self._told: WeakKeyDictionary[Session, SessionState] = WeakKeyDictionary()

    def learn(self, session: Session) -> None:
        """Require of *session* what was required of those before it."""
        known = _known.get().get(session.cluster)
        if known is None or known is self._told.get(session):
            return
        session.books.inherit(known)
        session.hot = None
        self._told[session] = known

    def tell(self, session: Session) -> None:
        """Keep what *session* knows, between its transactions, for the next one."""
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
