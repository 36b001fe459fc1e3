"""What a verification says to its database, and how each engine is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from globaldb.errors import ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.errors import Error


class Begin(NamedTuple):
    """Statements that begin a transaction; *snapshot*: all its reads see one moment."""

    statements: tuple[str, ...]
    snapshot: bool


def rows(
    connection: Any, sql: str, values: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """Execute *sql* on a connection of any engine; return its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(values) or None)
        return list(cursor.fetchall()) if cursor.description else []


class Dialect(Protocol):
    """How an engine's connection is told. ``@`` stands for the schema."""

    #: Makes the schema.
    create: str
    #: Makes its tables, statement by statement, with ``;`` between them. Entries have no
    #: key: what is inserted twice must be there twice.
    tables: str
    drop: str
    #: Give a register its next version and another value, a counter one more, and a
    #: list a row.
    write_register: str
    count: str
    append: str
    #: How a transaction begins that reads before it writes, and one that only reads.
    upgrades: tuple[Begin, ...]
    studies: tuple[Begin, ...]

    def write(self, connection: Any, sql: str, values: Sequence[object]) -> int:
        """Execute a write and return the version that it has made."""

    def closed(self, connection: Any) -> bool:
        """Whether *connection* was closed."""

    def idle(self, connection: Any) -> bool:
        """Whether *connection* is in no transaction."""

    def denied(self, problem: Error) -> bool:
        """Whether *problem* says that the user may not make a schema."""


class _PostgreSQL:
    """Told through psycopg's connection."""

    create = "CREATE SCHEMA @"
    tables = """
        COMMENT ON SCHEMA @ IS 'made by globaldb verify, which removes it when it ends';
        CREATE TABLE @.registers (
            name text PRIMARY KEY, version bigint NOT NULL, value bigint NOT NULL
        );
        CREATE TABLE @.counters (name text PRIMARY KEY, n bigint NOT NULL);
        CREATE TABLE @.entries (list text NOT NULL, n bigint NOT NULL);
        CREATE INDEX ON @.entries (list)
    """
    drop = "DROP SCHEMA IF EXISTS @ CASCADE"
    write_register = (
        "UPDATE @.registers SET version = version + 1, value = %s WHERE name = %s "
        "RETURNING version"
    )
    count = "UPDATE @.counters SET n = n + 1 WHERE name = %s RETURNING n"
    append = "INSERT INTO @.entries VALUES (%s, %s) RETURNING n"
    upgrades: tuple[Begin, ...] = (Begin(("BEGIN",), snapshot=False),)
    studies: tuple[Begin, ...] = (
        Begin(("BEGIN READ ONLY",), snapshot=False),
        Begin(("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",), snapshot=True),
    )

    def write(self, connection: Any, sql: str, values: Sequence[object]) -> int:
        [(version,)] = rows(connection, sql, values)
        return int(version)

    def closed(self, connection: Any) -> bool:
        return bool(connection.closed)

    def idle(self, connection: Any) -> bool:
        return bool(connection.info.transaction_status.name == "IDLE")

    def denied(self, problem: Error) -> bool:
        return isinstance(problem, ProgrammingError)


class _MySQL:
    """Told through PyMySQL's connection, for MySQL and MariaDB alike.

    There is no RETURNING everywhere: LAST_INSERT_ID(expression) hands over what an
    UPDATE has made, in its own answer.
    """

    create = "CREATE DATABASE @"
    tables = """
        CREATE TABLE @.registers (
            name varchar(40) PRIMARY KEY, version bigint NOT NULL, value bigint NOT NULL
        );
        CREATE TABLE @.counters (name varchar(40) PRIMARY KEY, n bigint NOT NULL);
        CREATE TABLE @.entries (
            list varchar(40) NOT NULL, n bigint NOT NULL, INDEX (list)
        )
    """
    drop = "DROP DATABASE IF EXISTS @"
    write_register = (
        "UPDATE @.registers SET version = LAST_INSERT_ID(version + 1), value = %s "
        "WHERE name = %s"
    )
    count = "UPDATE @.counters SET n = LAST_INSERT_ID(n + 1) WHERE name = %s"
    append = "INSERT INTO @.entries VALUES (%s, LAST_INSERT_ID(%s))"
    upgrades: tuple[Begin, ...] = (
        Begin(("BEGIN",), snapshot=True),
        Begin(
            ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN"), snapshot=False
        ),
    )
    studies: tuple[Begin, ...] = (
        Begin(("START TRANSACTION READ ONLY",), snapshot=True),
        Begin(
            (
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "START TRANSACTION READ ONLY",
            ),
            snapshot=False,
        ),
    )

    def write(self, connection: Any, sql: str, values: Sequence[object]) -> int:
        with connection.cursor() as cursor:
            if cursor.execute(sql, tuple(values)) != 1:
                raise RuntimeError(f"no row was there: {sql}")
            return int(cursor.lastrowid)

    def closed(self, connection: Any) -> bool:
        return not connection.open

    def idle(self, connection: Any) -> bool:
        from pymysql.constants import SERVER_STATUS

        return not connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS

    def denied(self, problem: Error) -> bool:
        return bool(problem.args) and problem.args[0] in _DENIED


#: Access denied to the database, and to a table in it.
_DENIED: Final = (1044, 1142)

#: By the engine of a configuration.
DIALECTS: Final[dict[str, Dialect]] = {"postgresql": _PostgreSQL(), "mysql": _MySQL()}
