"""What PyMySQL's connection knows of its server, answered by one without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymysql.constants import SERVER_STATUS

from globaldb.core.statement import Statement, Verdict

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from globaldb.dbapi.mysql.surface import Common
    from globaldb.drivers.pymysql.physical import Physical
    from globaldb.runtime.session import Session

_AUTOCOMMIT: Final = SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT
_IN_TRANSACTION: Final = SERVER_STATUS.SERVER_STATUS_IN_TRANS
_THREAD_ID: Final = Statement(Verdict.PIN, "thread_id", "")


def _told(name: str, meaning: str) -> Any:
    """Return a property that a connection held answers, else any of the cluster."""

    def tell(face: Told) -> Any:
        return getattr(face.told, name)

    def ignore(_face: Told, _value: Any) -> None:
        """PyMySQL's constructor assigns what it has not been told yet."""

    return property(tell, ignore, doc=meaning)


class Told:
    """The part of a connection that only a physical one can tell of."""

    common: Common
    session: Session
    #: The bits of `SERVER_STATUS` that a server has said last; None before any.
    _status: int | None

    if TYPE_CHECKING:

        def holding(
            self, statement: Statement, *, begin: bool = True
        ) -> AbstractContextManager[Physical]:
            """Hold a connection, as `Connection` does."""

    @property
    def told(self) -> Any:
        """The connection held, else what one of the cluster's was told at first."""
        session = getattr(self, "session", None)
        lease = None if session is None else session.lease
        return self.common.snapshot.facts if lease is None else lease.connection

    server_version = _told("server_version", "The server's own word on its version.")
    protocol_version = _told("protocol_version", "The version of the protocol.")
    server_capabilities = _told("server_capabilities", "What the server can do.")
    server_language = _told("server_language", "The server's default collation.")
    server_charset = _told("server_charset", "The server's default encoding.")
    salt = _told("salt", "What passwords were scrambled with.")
    host_info = _told("host_info", "How the server was reached.")
    _auth_plugin_name = _told("_auth_plugin_name", "How the server asks for proof.")
    _secure = _told("_secure", "Whether the line is encrypted, or local.")

    @property
    def server_status(self) -> int:
        """What a server would say of the session, in the bits of `SERVER_STATUS`."""
        status = self._status
        if status is None:
            status = self._status = self.common.snapshot.facts.server_status
        session = self.session
        status &= ~(_AUTOCOMMIT | _IN_TRANSACTION)
        if session.autocommit:
            status |= _AUTOCOMMIT
        if session.transaction.active:
            status |= _IN_TRANSACTION
        return status

    @server_status.setter
    def server_status(self, value: int) -> None:
        """Take note of what a server has said."""
        self._status = value

    @property
    def server_thread_id(self) -> tuple[int]:
        """The number of a physical connection at its server, pinned for it."""
        with self.holding(_THREAD_ID, begin=False) as link:
            number: tuple[int] = link.server_thread_id
        return number

    def thread_id(self) -> int:
        """Return the number of a physical connection, pinned for it.

        It means something to the node that the connection leads to, and to no other.
        """
        return self.server_thread_id[0]
