"""The DB-API module for PostgreSQL: psycopg's names, connections that find their node.

For whatever takes a PEP 249 module (an ORM, a pool). Exceptions are psycopg's own
classes: whatever a connection raises is one of them and one of globaldb's at once.
"""

from __future__ import annotations

import sys
from typing import Any

from psycopg import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    ClientCursor,
    DatabaseError,
    DataError,
    Date,
    DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    IsolationLevel,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    RawCursor,
    Rollback,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,  # noqa: A004 - PEP 249 gives the name
    __version__,
    adapters,
    errors,
    rows,
    sql,
    types,
)

from globaldb import apilevel, paramstyle, threadsafety
from globaldb.dbapi.postgresql.connection import Connection
from globaldb.dbapi.postgresql.cursor import RoutedCursor as Cursor
from globaldb.dbapi.postgresql.server_cursor import RoutedServerCursor as ServerCursor

# Imported by their full names they are psycopg's, too.
for _module in (errors, rows, sql, types):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module


def connect(url: str | None = None, **options: Any) -> Connection:
    """Open a connection; see `globaldb.connect`.

    Raises `ConfigurationError` for a URL of another engine, too.
    """
    from globaldb.dbapi.cluster import connect as open_connection

    try:
        options.setdefault("engine", "postgresql")
        connection: Connection = open_connection(url, **options)
    finally:
        # Whoever shows an error may show variables: none with a password in it.
        del url, options
    return connection


__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "ClientCursor",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "IsolationLevel",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "RawCursor",
    "Rollback",
    "ServerCursor",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "__version__",
    "adapters",
    "apilevel",
    "connect",
    "errors",
    "paramstyle",
    "rows",
    "sql",
    "threadsafety",
    "types",
]
