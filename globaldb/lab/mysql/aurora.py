"""Aurora MySQL's tables on the servers of a lab: see `aurora.sql`, and `rewriting`."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pymysql

if TYPE_CHECKING:
    from collections.abc import Collection

    from globaldb.lab.mysql.server import MysqlServer

_USER: Final = "heartbeat"
_INSTANCE: Final = (
    "INSERT INTO information_aurora.instances"
    " (server_id, aws_region, session_id, writes, seen_at)"
    " VALUES ('{}', '{}', '{}', {}, UTC_TIMESTAMP(6))"
)
_CLAIM: Final = "UPDATE information_aurora.instances SET claims = server_id = '{}'"
_LATE: Final = "SELECT late FROM information_aurora.live WHERE own"
_WRITES: Final = (
    "UPDATE information_aurora.instances SET writes = server_id = %s,"
    " seen_at = IF(writes, UTC_TIMESTAMP(6), seen_at)"
)
_SEEN: Final = (
    "UPDATE information_aurora.instances SET late = %s, seen_at = UTC_TIMESTAMP(6)"
    " WHERE server_id = %s"
)


class MysqlSurface:
    """What the servers of a lab answer as Aurora's would."""

    def __init__(self) -> None:
        self._servers: Collection[MysqlServer] = ()
        self._connections: dict[str, pymysql.Connection[Any]] = {}

    def install(self, writer: MysqlServer, servers: Collection[MysqlServer]) -> None:
        """Have *writer* note who the instances are, and make what tells of them."""
        self._servers = servers
        script = Path(__file__).with_name("aurora.sql").read_text()
        instances = [
            _INSTANCE.format(each.name, each.node.region, uuid.uuid4(), each is writer)
            for each in servers
        ]
        writer.ask(*script.split(";\n")[:-1], *instances)

    def beat(self, writer: MysqlServer) -> None:
        """Note at *writer* who the writer is, and how late the others are."""
        notes: list[tuple[str, tuple[Any, ...]]] = [(_WRITES, (writer.name,))]
        for server in self._servers:
            found = None if server is writer else self._ask(server, [(_LATE, ())])
            if found is not None and found[0] is not None:
                notes.append((_SEEN, (found[0], server.name)))
        self._ask(writer, notes)

    def claim(self, writer: MysqlServer, name: str | None) -> None:
        """Have *name* be noted as a writer too; None: nobody but the writer."""
        writer.ask(_CLAIM.format(name))

    def close(self) -> None:
        """End the connections that the beats go over."""
        while self._connections:
            self._forget(next(iter(self._connections)))

    def _ask(
        self, server: MysqlServer, statements: list[tuple[str, tuple[Any, ...]]]
    ) -> Any:
        """Return the last one's first row; None of a server that is gone or reads."""
        if server.name not in self._connections and not server.door.exists():
            return None
        try:
            with self._connected(server).cursor() as cursor:
                for text, values in statements:
                    cursor.execute(text, values)
                return cursor.fetchone()
        except (pymysql.err.MySQLError, OSError):
            self._forget(server.name)
            return None

    def _connected(self, server: MysqlServer) -> pymysql.Connection[Any]:
        if server.name not in self._connections:
            self._connections[server.name] = pymysql.connect(
                unix_socket=str(server.door),
                user=_USER,
                ssl_disabled=True,
                autocommit=True,
                connect_timeout=5,
                read_timeout=5,
            )
        return self._connections[server.name]

    def _forget(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            with contextlib.suppress(pymysql.err.MySQLError):
                connection.close()
