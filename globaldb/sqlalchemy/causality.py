"""What connections of one thread, task or ORM session know of each other.

SQLAlchemy takes a connection for each transaction and gives it back behind it. Each is
a session of its own; only together do they keep what an application expects of one: to
see what it has written, and never to go back in time. A `Session` of SQLAlchemy's ORM
takes along what it knows, in whatever thread it goes on.

In a piece of work (``globaldb.session``, a request that a middleware follows) it is that
whose connections know of each other: what its threads did before is not its business.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from globaldb.runtime.causality import NOWHERE, current

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        #: What a session was told last by the ``info`` of an ORM's, or has told it.
        self._shared: WeakKeyDictionary[Session, SessionState] = WeakKeyDictionary()
        #: The ``info`` of the ORM's session that a session works for.
        self._info: WeakKeyDictionary[Session, dict[Any, Any]] = WeakKeyDictionary()

    def learn(self, session: Session) -> None:
        """Require of *session* what was required of those before it."""
        known = _everything().get(session.cluster)
        if known is None or known is self._told.get(session):
            return
        session.books.inherit(known)
        session.hot = None
        self._told[session] = known

    def join(self, session: Session, info: dict[Any, Any]) -> None:
        """Work for the ORM's session that has *info*, and knows what others told it."""
        known = info.get(_KEPT, {}).get(session.cluster)
        if known is not None and known is not self._shared.get(session):
            session.books.inherit(known)
            session.hot = None
            self._shared[session] = known
        self._info[session] = info

    def tell(self, session: Session) -> None:
        """Keep what *session* knows, between its transactions, for the next one."""
        info = self._info.get(session)
        if info is not None:
            self._share(session, info)
        everything = _everything()
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
        _keep({**others, session.cluster: now})

    @contextmanager
    def by_itself(self, session: Session) -> Iterator[None]:
        """Have a statement that is its own transaction learn, and tell, at once.

        The connection may stay open for long, while others of its thread are used.
        """
        if not session.autocommit or session.transaction.active:
            yield
            return
        self.learn(session)
        before = session.books.advances
        try:
            yield
        finally:
            if session.books.advances != before:
                self.tell(session)

    def _share(self, session: Session, info: dict[Any, Any]) -> None:
        kept: Mapping[ClusterRuntime, SessionState] = info.get(_KEPT, {})
        before, now = kept.get(session.cluster), replace(session.books, tables=None)
        if before is not None and before is not self._shared.get(session):
            # Another of the ORM's session's connections has told of more meanwhile.
            now.inherit(before)
        else:
            self._shared[session] = now
        info[_KEPT] = {**kept, session.cluster: now}


def _everything() -> Mapping[ClusterRuntime, SessionState]:
    piece = current()
    return _known.get() if piece is NOWHERE else piece.kept


def _keep(everything: Mapping[ClusterRuntime, SessionState]) -> None:
    piece = current()
    if piece is NOWHERE:
        _known.set(everything)
    else:
        piece.kept = everything
