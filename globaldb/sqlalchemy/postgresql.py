"""``postgresql+globaldb``: SQLAlchemy's dialect for psycopg, on routed connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql.base import PGReadOnlyConnectionCharacteristic
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from globaldb.sqlalchemy.dialect import RoutedDialect

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy import URL


class _ReadOnly(PGReadOnlyConnectionCharacteristic):
    """``postgresql_readonly``; left behind, it declares nothing."""

    def reset_characteristic(self, dialect: Any, dbapi_conn: Any) -> None:
        """Declare nothing: READ WRITE would be a declaration, too."""
        dialect.set_readonly(dbapi_conn, None)


def _asks_for_schema(statement: Any) -> bool:
    return "FROM pg_catalog.pg_" in statement


class PostgresqlDialect(RoutedDialect, PGDialect_psycopg):
    """PostgreSQL by psycopg, each statement where it belongs."""

    supports_statement_cache = True
    routed_engine = "postgresql"
    for_asyncio = "postgresql+psycopg or postgresql+asyncpg"
    objects = frozenset(("row_factory", "cursor_factory", "context"))
    asks_for_schema = staticmethod(_asks_for_schema)
    connection_characteristics = PGDialect_psycopg.connection_characteristics.union(
        {"postgresql_readonly": _ReadOnly()}
    )

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the DB-API module."""
        import globaldb.postgresql

        return globaldb.postgresql

    def create_connect_args(self, url: URL) -> Any:
        """Return what `globaldb.connect` takes."""
        args, options = super().create_connect_args(url)
        if self._psycopg_adapters_map is not None:
            options["context"] = self._psycopg_adapters_map
        if self.client_encoding is not None:
            options["client_encoding"] = self.client_encoding
        return args, options

    def set_autocommit(self, connection: Any, *, value: bool) -> None:
        """Set whether each statement of *connection* is its own transaction."""
        connection.autocommit = value
