"""Aurora PostgreSQL's functions on the servers of a lab: see `aurora.sql`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from globaldb.lab.cluster import DATABASE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from globaldb.lab.postgresql.server import PostgresqlServer

#: What a server's configuration has more.
SETTINGS: Final = {"rds.extensions": "aurora_stat_utils, apg_plan_mgmt"}


class PostgresqlSurface:
    """What the servers of a lab answer as Aurora's would."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._writer: PostgresqlServer | None = None
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def install(
        self, writer: PostgresqlServer, servers: Collection[PostgresqlServer]
    ) -> None:
        """Have *writer* note who the instances are, and make what tells of them."""
        with psycopg.connect(writer.door(DATABASE), autocommit=True) as connection:
            script = Path(__file__).with_name("aurora.sql").read_text()
            connection.execute(script.encode())
            for server in servers:
                connection.execute(
                    "INSERT INTO lab.instances (node, server_id, aws_region)"
                    " VALUES (%s, %s, %s)",
                    (server.name, server.name, server.node.region),
                )
            if self._strict:
                for statement in _refusals():
                    connection.execute(statement.encode())
            connection.execute("SELECT lab.heartbeat()")

    def beat(self, writer: PostgresqlServer) -> None:
        """Note at *writer* who the writer is, and where the others are."""
        try:
            if self._connection is None or writer is not self._writer:
                self.close()
                self._writer = writer
                self._connection = psycopg.connect(
                    writer.door(DATABASE), autocommit=True
                )
            self._connection.execute("SELECT lab.heartbeat()")
        except psycopg.Error:
            # It is being promoted, or gone: the note that readers have grows old.
            self.close()

    def claim(self, writer: PostgresqlServer, name: str | None) -> None:
        """Have *name* be noted as a writer too; None: nobody but the writer."""
        with psycopg.connect(writer.door(DATABASE), autocommit=True) as connection:
            connection.execute(
                "UPDATE lab.instances SET claims = node IS NOT DISTINCT FROM %s::text",
                (name,),
            )

    def close(self) -> None:
        """End the connection that the beats go over."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


#: What Aurora's servers refuse, each with its words, on writer and reader.
_NOT_LOGICAL: Final = ("55000", "wal_level must be set to 'logical'")
_NOT_THERE: Final = ("0A000", "Function {}() is currently not supported for Aurora")
_REFUSED: Final = {
    "pg_current_wal_lsn": ("pg_lsn", _NOT_LOGICAL),
    "pg_current_wal_insert_lsn": ("pg_lsn", _NOT_LOGICAL),
    "pg_current_wal_flush_lsn": ("pg_lsn", _NOT_LOGICAL),
    "pg_last_wal_receive_lsn": ("pg_lsn", _NOT_THERE),
    "pg_last_wal_replay_lsn": ("pg_lsn", _NOT_THERE),
    "pg_last_xact_replay_timestamp": ("timestamptz", _NOT_THERE),
}


def _refusals() -> Iterable[str]:
    """Yield what puts refusals in the place of functions.

    A function keeps its number under another name: what is above goes on to use it,
    and so does all that PostgreSQL does by itself.
    """
    for name, (kind, (code, words)) in _REFUSED.items():
        yield f"ALTER FUNCTION pg_catalog.{name}() RENAME TO lab_{name}"
        yield (
            f"CREATE FUNCTION pg_catalog.{name}() RETURNS {kind} LANGUAGE plpgsql"
            f" AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}',"
            f" MESSAGE = {_literal(words.format(name))}; END $$"
        )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
