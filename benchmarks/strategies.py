"""Four ways of reading one's own writes, each with connections of its own.

Every one writes a number into its own row at the writer, and reads it back from the
region it is in.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

from globaldb.core.topology import Role

if TYPE_CHECKING:
    import globaldb

TABLE: Final = "registers"
SCHEMA: Final = (
    f"DROP TABLE IF EXISTS {TABLE}",
    f"CREATE TABLE {TABLE} (id int PRIMARY KEY, value int NOT NULL)",
)

_READ: Final = f"SELECT value FROM {TABLE} WHERE id = %s"

#: Rails' `DatabaseSelector` reads from the writer for two seconds after a write.
_WINDOW: Final = 2.0

#: Seconds between two looks at a reader, beside the trip of each.
_PAUSE: Final = 0.001


class Answer(NamedTuple):
    """What was read, and whether it came from within the region."""

    value: int
    local: bool


class Routed:
    """globaldb in session mode."""

    def __init__(self, cluster: globaldb.Cluster, row: int) -> None:
        self._connection: Any = cluster.connect()
        self._connection.autocommit = True
        self._row = row

    def write(self, value: int) -> None:
        """Write *value* into the row."""
        self._connection.execute(
            f"UPDATE {TABLE} SET value = %s WHERE id = %s", (value, self._row)
        )

    def read(self) -> Answer:
        """Read the row."""
        [(value,)] = self._connection.execute(_READ, (self._row,)).fetchall()
        return Answer(value, self._connection.last_route.role is Role.READER)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


class Plain:
    """psycopg, with a connection to the writer and one to the reader nearby."""

    def __init__(self, writer: str, reader: str, row: int) -> None:
        self._writer = psycopg.connect(writer, autocommit=True)
        self._reader = psycopg.connect(reader, autocommit=True)
        self._row = row

    def write(self, value: int) -> None:
        """Write *value* into the row."""
        self._writer.execute(
            f"UPDATE {TABLE} SET value = %s WHERE id = %s", (value, self._row)
        )

    def _read(self, *, local: bool) -> Answer:
        connection = self._reader if local else self._writer
        [(value,)] = connection.execute(_READ, (self._row,)).fetchall()
        return Answer(value, local)

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._reader.close()


class AlwaysWriter(Plain):
    """Reads where it writes."""

    def read(self) -> Answer:
        """Read the row."""
        return self._read(local=False)


class FixedWindow(Plain):
    """Reads at the writer for two seconds after a write, as Rails does."""

    _wrote_at = 0.0

    def write(self, value: int) -> None:
        """Write *value* into the row."""
        super().write(value)
        self._wrote_at = monotonic()

    def read(self) -> Answer:
        """Read the row."""
        return self._read(local=monotonic() - self._wrote_at >= _WINDOW)


class AlwaysWait(Plain):
    """Asks the reader again and again whether it has the write, then reads there.

    The position of the write comes back in the write's own round trip.
    """

    _position: str | None = None

    def write(self, value: int) -> None:
        """Write *value* into the row."""
        cursor = self._writer.execute(
            f"BEGIN; UPDATE {TABLE} SET value = {value:d} WHERE id = {self._row:d};"
            " COMMIT; SELECT pg_current_wal_flush_lsn()"
        )
        while cursor.nextset():
            pass
        [(self._position,)] = cursor.fetchall()

    def read(self) -> Answer:
        """Read the row."""
        while self._position is not None:
            [(reached,)] = self._reader.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (self._position,)
            ).fetchall()
            if reached:
                self._position = None
            else:
                sleep(_PAUSE)
        return self._read(local=True)
