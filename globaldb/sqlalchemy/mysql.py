"""``mysql+globaldb`` and ``mariadb+globaldb``: SQLAlchemy's dialects for PyMySQL, routed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pymysql
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from globaldb.sqlalchemy.dialect import RoutedDialect

if TYPE_CHECKING:
    from types import ModuleType

#: What reflection asks with.
_SHOWS: Final = re.compile(
    r"\s*(?:SHOW\s+(?:CREATE|FULL|TABLES|INDEX)|DESC)", re.IGNORECASE
)


def _asks_for_schema(statement: Any) -> bool:
    return (
        "information_schema" in statement
        or "INFORMATION_SCHEMA" in statement
        or _SHOWS.match(statement) is not None
    )


class MysqlDialect(RoutedDialect, MySQLDialect_pymysql):
    """MySQL by PyMySQL, each statement where it belongs."""

    supports_statement_cache = True
    routed_engine = "mysql"
    for_asyncio = "mysql+aiomysql or mysql+asyncmy"
    objects = frozenset(("cursorclass", "conv"))
    asks_for_schema = staticmethod(_asks_for_schema)

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the DB-API module."""
        import globaldb.mysql

        return globaldb.mysql

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        """Return PyMySQL's version, by which SQLAlchemy decides."""
        del dbapi
        return super().retrieve_dbapi_version(pymysql)  # type: ignore[arg-type]

    def create_connect_args(self, url: Any, _translate_args: Any = None) -> Any:
        """Return what `globaldb.connect` takes; rows that match are counted."""
        args, options = RoutedDialect.create_connect_args(self, url)
        flags = int(options.get("client_flag", 0))
        options["client_flag"] = flags | pymysql.constants.CLIENT.FOUND_ROWS
        return args, options

    def on_connect(self) -> Any:
        """Do nothing: the connections to nodes have their character set already."""
        return None

    def set_autocommit(self, connection: Any, *, value: bool) -> None:
        """Set whether each statement of *connection* is its own transaction."""
        connection.autocommit(value)

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether the session is over: a connection lost below it is replaced."""
        del cursor
        # SQLAlchemy's recipe for repeating hands over a connection of SQLAlchemy's own,
        # or none: PyMySQL numbers this one error 0.
        if isinstance(e, pymysql.err.InterfaceError) and e.args[:1] == (0,):
            return True
        return not getattr(connection, "open", True)


class MariadbDialect(MariaDBDialect, MysqlDialect):
    """MariaDB by PyMySQL, each statement where it belongs."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the DB-API module."""
        return super().import_dbapi()
