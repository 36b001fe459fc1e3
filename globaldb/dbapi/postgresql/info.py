"""Facts about a routed connection, in psycopg's form."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import ConnectionInfo, pq

from globaldb.core.consistency import Consistency
from globaldb.core.statement import Statement, Verdict
from globaldb.core.transaction import TransactionState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from globaldb.dbapi.postgresql.connection import Connection

_STATUS = {
    TransactionState.IDLE: pq.TransactionStatus.IDLE,
    TransactionState.BEGUN: pq.TransactionStatus.INTRANS,
    TransactionState.OPEN: pq.TransactionStatus.INTRANS,
    TransactionState.FAILED: pq.TransactionStatus.INERROR,
}


class RoutedInfo(ConnectionInfo):
    """psycopg's `ConnectionInfo` of a session.

    The session's own are the status, and what its settings change (time zone,
    encoding, reported parameters): for those a connection is asked on which they are
    applied. The rest is said of the connection held, else of the nearest node when
    the first connection was opened.
    """

    def __init__(self, face: Connection) -> None:
        super().__init__(face.pgconn)
        self._face = face

    @property
    def status(self) -> pq.ConnStatus:
        """OK until the connection is closed."""
        return pq.ConnStatus.BAD if self._face.closed else pq.ConnStatus.OK

    @property
    def transaction_status(self) -> pq.TransactionStatus:
        """What the session is in, also where the server has not been told yet."""
        face = self._face
        if face.closed:
            return pq.TransactionStatus.UNKNOWN
        if face.in_pipeline:
            return pq.TransactionStatus(face.pgconn.transaction_status)
        return _STATUS[face.session.transaction.state]

    def parameter_status(self, param_name: str) -> str | None:
        """Return a parameter that the server reports, as the session has set it."""
        with self._settings_applied():
            return super().parameter_status(param_name)

    @property
    def timezone(self) -> tzinfo:
        """The session's time zone."""
        with self._settings_applied():
            return super().timezone

    @property
    def encoding(self) -> str:
        """The Python name of the session's client encoding."""
        with self._settings_applied():
            return super().encoding

    @contextmanager
    def _settings_applied(self) -> Iterator[None]:
        session = self._face.session
        if session.closed or session.lease is not None or not session.settings.current:
            yield
            return
        before = self.pgconn
        passing = Statement(Verdict.NODE_LOCAL, "info", "")
        # Any node will do: settings are the same everywhere.
        with (
            self._face.using(consistency=Consistency.EVENTUAL),
            self._face.holding(passing) as link,
        ):
            self.pgconn = link.pgconn
            try:
                yield
            finally:
                self.pgconn = before
