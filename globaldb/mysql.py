"""The DB-API module for MySQL: PyMySQL's names, connections that find their node.

For whatever takes a PEP 249 module (an ORM, a pool). Exceptions are PyMySQL's own
classes: whatever a connection raises is one of them and one of globaldb's at once.
"""

from __future__ import annotations

import sys
from typing import Any

from pymysql import (
    BINARY,
    DATE,
    DATETIME,
    NULL,
    NUMBER,
    ROWID,
    STRING,
    TIME,
    TIMESTAMP,
    Binary,
    DatabaseError,
    DataError,
    Date,
    DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    MySQLError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,  # noqa: A004 - PEP 249 gives the name
    __version__,
    constants,
    converters,
    cursors,
    err,
    get_client_info,
    version_info,
)
from pymysql.converters import escape_string
from pymysql.cursors import DictCursor, SSCursor, SSDictCursor

from globaldb import apilevel, paramstyle, threadsafety
from globaldb.dbapi.mysql.connection import Connection
from globaldb.dbapi.mysql.cursor import RoutedCursor as Cursor

# Imported by their full names they are PyMySQL's, too.
for _module in (constants, converters, cursors, err):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module


def connect(url: str | None = None, **options: Any) -> Connection:
    """Open a connection; see `globaldb.connect`.

    Raises `ConfigurationError` for a URL of another engine, too.
    """
    from globaldb.dbapi.cluster import connect as open_connection

    try:
        options.setdefault("engine", "mysql")
        connection: Connection = open_connection(url, **options)
    finally:
        # Whoever shows an error may show variables: none with a password in it.
        del url, options
    return connection


__all__ = [
    "BINARY",
    "DATE",
    "DATETIME",
    "NULL",
    "NUMBER",
    "ROWID",
    "STRING",
    "TIME",
    "TIMESTAMP",
    "Binary",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "DictCursor",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "MySQLError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "SSCursor",
    "SSDictCursor",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "__version__",
    "apilevel",
    "connect",
    "constants",
    "converters",
    "cursors",
    "err",
    "escape_string",
    "get_client_info",
    "paramstyle",
    "threadsafety",
    "version_info",
]
