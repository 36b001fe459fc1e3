"""The PEP 249 error tree, and below it the errors that only a routed connection has.

An error that reaches the application is always ours and the driver's at once: the
driver package joins the class found here with the driver's own, so that
``except globaldb.IntegrityError`` and ``except psycopg.errors.UniqueViolation`` both
catch it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.core.routing import Route


class Warning(Exception):  # noqa: A001, N818 - PEP 249 gives the name
    """An important warning, as PEP 249 defines it."""


class Error(Exception):
    """Base of every error raised by globaldb."""

    #: True when the same work may be tried again as it is.
    retryable: bool = False

    #: Where the failed statement ran or was going to, when that was decided.
    route: Route | None = None

    #: The number under which a MySQL server reports the same, where it does.
    errno: int | None = None


class InterfaceError(Error):
    """The connection or cursor was used in a way that cannot work."""


class DatabaseError(Error):
    """The database, or the way to it, reported an error."""


class DataError(DatabaseError):
    """A value does not fit: division by zero, out of range, wrong format."""


class TokenError(DataError):
    """A token cannot be used. Treat it as absent."""

    #: Why, as a stable code: ``damaged``, ``version``, ``unsigned``, ``forged``,
    #: ``foreign`` (of another database cluster), ``expired``, ``too_many`` (more side
    #: by side than there may be) or ``too_long``.
    reason: str

    def __init__(self, *args: object, reason: str = "damaged") -> None:
        super().__init__(*args)
        self.reason = reason


class OperationalError(DatabaseError):
    """The database's operation failed: lost connection, no memory, shutdown."""


class IntegrityError(DatabaseError):
    """A constraint was violated."""


class InternalError(DatabaseError):
    """The database met an internal error or a wrong transaction state."""


class ProgrammingError(DatabaseError):
    """The statement is wrong: syntax, missing table, wrong parameters."""


class NotSupportedError(DatabaseError):
    """The database or the driver cannot do this."""


class NotForwardedError(NotSupportedError):
    """Aurora forwards no such operation, and it was asked for no more than that.

    Nothing was sent.
    """

    errno: int | None = 1235


class ConfigurationError(ProgrammingError):
    """An option is unknown, contradictory or out of range; nothing was opened."""


class SettingError(ConfigurationError):
    """A setting cannot have that value, or not now. Nothing was changed."""

    def __init__(self, *args: object, errno: int = 1231) -> None:
        super().__init__(*args)
        self.errno = errno


class NoNodeAvailableError(OperationalError):
    """No node may serve the statement now. Nothing was sent; try again later.

    Not retryable where no server lets the application in, for its password or its name.
    """

    retryable = True


class PoolTimeoutError(OperationalError):
    """No connection became free in time. Nothing was sent; try again later."""

    retryable = True


class StalenessError(OperationalError):
    """No node is fresh enough. Nothing was sent; wait, or relax the session."""

    retryable = True


class NodeLostError(OperationalError):
    """The connection broke and nothing was applied. Safe to try again."""

    retryable = True


class OutcomeUnknownError(OperationalError):
    """The connection broke after a write was sent: it may have been applied.

    Or a part of it: of a transaction that was committed in the middle.
    Do not repeat the write blindly; look first whether it is there.
    """


class CausalityLostError(OperationalError):
    """What the session had seen or written is gone, lost in an unplanned failover.

    Raised once; the session goes on from what the database holds now.
    """


class DeadlineExceededError(OperationalError):
    """The statement's own deadline (``timeout``) passed and it was cancelled."""


class ReadOnlyError(DatabaseError):
    """A write was refused: the connection's consistency mode forwards no writes."""

    errno: int | None = 1290
