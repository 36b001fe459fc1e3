"""Facts about a routed connection, in psycopg's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import ConnectionInfo, pq

from globaldb.core.transaction import TransactionState

if TYPE_CHECKING:
    from globaldb.dbapi.postgresql.connection import Connection

_STATUS = {
    TransactionState.IDLE: pq.TransactionStatus.IDLE,
    TransactionState.BEGUN: pq.TransactionStatus.INTRANS,
    TransactionState.OPEN: pq.TransactionStatus.INTRANS,
    TransactionState.FAILED: pq.TransactionStatus.INERROR,
}


class RoutedInfo(ConnectionInfo):
    """psycopg's `ConnectionInfo`, with the session's status instead of a server's."""

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
        if self._face.closed:
            return pq.TransactionStatus.UNKNOWN
        return _STATUS[self._face.session.transaction.state]
