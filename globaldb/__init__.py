"""A DB-API driver for databases that span regions.

Reads go to the nearest reader that is fresh enough for the session, everything else
to the global writer. See `connect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import (
    CausalityLostError,
    ConfigurationError,
    DatabaseError,
    DataError,
    DeadlineExceededError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NodeLostError,
    NoNodeAvailableError,
    NotForwardedError,
    NotSupportedError,
    OperationalError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ProgrammingError,
    ReadOnlyError,
    SettingError,
    StalenessError,
    TokenError,
    Warning,  # noqa: A004 - PEP 249 gives the name
)

if TYPE_CHECKING:
    from globaldb.core.token import Token
    from globaldb.dbapi.cluster import Cluster
    from globaldb.dbapi.repeat import run_transaction
    from globaldb.dbapi.types import (
        BINARY,
        DATETIME,
        NUMBER,
        ROWID,
        STRING,
        Binary,
        Date,
        DateFromTicks,
        Time,
        TimeFromTicks,
        Timestamp,
        TimestampFromTicks,
    )
    from globaldb.dbapi.work import current_token, session
    from globaldb.runtime.session_key import session_key

#: PEP 249: this module follows version 2.0 of the specification.
apilevel: Final = "2.0"
#: PEP 249: threads may share the module and its connections.
threadsafety: Final = 2
#: PEP 249: parameters are written ``%s`` and ``%(name)s``.
paramstyle: Final = "pyformat"

__version__: Final = "0.1.0"

_LAZY: Final = {
    "Cluster": "globaldb.dbapi.cluster",
    "Token": "globaldb.core.token",
    "BINARY": "globaldb.dbapi.types",
    "Binary": "globaldb.dbapi.types",
    "DATETIME": "globaldb.dbapi.types",
    "Date": "globaldb.dbapi.types",
    "DateFromTicks": "globaldb.dbapi.types",
    "NUMBER": "globaldb.dbapi.types",
    "ROWID": "globaldb.dbapi.types",
    "STRING": "globaldb.dbapi.types",
    "Time": "globaldb.dbapi.types",
    "TimeFromTicks": "globaldb.dbapi.types",
    "Timestamp": "globaldb.dbapi.types",
    "TimestampFromTicks": "globaldb.dbapi.types",
    "current_token": "globaldb.dbapi.work",
    "run_transaction": "globaldb.dbapi.repeat",
    "session": "globaldb.dbapi.work",
    "session_key": "globaldb.runtime.session_key",
}


def connect(url: str | None = None, **options: Any) -> Any:
    """Open a connection to a database cluster.

    *url* is ``postgresql://user:password@/database?region=HERE&node=REGION@HOST:PORT``
    with a ``node`` for each server, or ``mysql://...``; everything in it can be a
    keyword instead. The connections of a process that are configured alike share one
    cluster.

    Raises `ConfigurationError` for options that make no sense, and when a package that
    they need is missing; `NoNodeAvailableError` when no node answers within
    ``connect_timeout`` seconds.
    """
    from globaldb.dbapi.cluster import connect as open_connection

    try:
        return open_connection(url, **options)
    finally:
        # Whoever shows an error may show variables: none with a password in it.
        del url, options


def __getattr__(name: str) -> Any:
    # Everything heavy is imported when it is first used.
    module = _LAZY.get(name)
    if module is None:
        msg = f"module 'globaldb' has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(module), name)


__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "CausalityLostError",
    "Cluster",
    "ConfigurationError",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "DeadlineExceededError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NoNodeAvailableError",
    "NodeLostError",
    "NotForwardedError",
    "NotSupportedError",
    "OperationalError",
    "OutcomeUnknownError",
    "PoolTimeoutError",
    "ProgrammingError",
    "ReadOnlyError",
    "SettingError",
    "StalenessError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Token",
    "TokenError",
    "Warning",
    "apilevel",
    "connect",
    "current_token",
    "paramstyle",
    "run_transaction",
    "session",
    "session_key",
    "threadsafety",
]
