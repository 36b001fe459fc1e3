"""The ways in which an application begins and ends a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import psycopg


class Style(Protocol):
    """Levels of a transaction: the first is the transaction, the others savepoints."""

    def enter(self) -> None:
        """Open the next level."""

    def keep(self) -> None:
        """Commit the innermost level."""

    def undo(self) -> None:
        """Undo the innermost level."""

    def leave(self) -> None:
        """Set the connection back to autocommit, whatever happened."""


class Blocks:
    """Nested ``with connection.transaction()`` blocks."""

    def __init__(self, connection: Any, *, read_only: bool) -> None:
        self._connection = connection
        self._blocks: list[Any] = []
        if read_only:
            connection.read_only = True

    def enter(self) -> None:
        """Enter a block."""
        block = self._connection.transaction()
        block.__enter__()
        self._blocks.append(block)

    def keep(self) -> None:
        """Leave the innermost block as if its last line was reached."""
        self._blocks.pop().__exit__(None, None, None)

    def undo(self) -> None:
        """Leave the innermost block by an exception that it swallows."""
        self._blocks.pop().__exit__(psycopg.Rollback, psycopg.Rollback(), None)

    def leave(self) -> None:
        """Forget the modes of the transaction."""
        self._connection.read_only = None


class Statements:
    """BEGIN, SAVEPOINT, RELEASE, ROLLBACK TO, COMMIT and ROLLBACK."""

    def __init__(self, connection: Any, *, read_only: bool) -> None:
        self._connection = connection
        self._begin = "BEGIN READ ONLY" if read_only else "BEGIN"
        self._level = 0

    def enter(self) -> None:
        """Begin, or set a savepoint."""
        self._run(f"SAVEPOINT level_{self._level}" if self._level else self._begin)
        self._level += 1

    def keep(self) -> None:
        """Commit, or release the savepoint."""
        self._level -= 1
        self._run(f"RELEASE level_{self._level}" if self._level else "COMMIT")

    def undo(self) -> None:
        """Roll back, or go back to the savepoint."""
        self._level -= 1
        self._run(f"ROLLBACK TO level_{self._level}" if self._level else "ROLLBACK")

    def leave(self) -> None:
        """Do nothing: the connection is in autocommit."""

    def _run(self, sql: str) -> None:
        self._connection.execute(sql)


class Scripts(Statements):
    """The same statements, the last of them in a script with a read before it.

    Such a script pins the session to the connection it ran on, so a transaction on
    a reader ends by itself.
    """

    def __init__(self, connection: Any, *, read_only: bool) -> None:
        super().__init__(connection, read_only=read_only)
        self._plain = read_only

    def _run(self, sql: str) -> None:
        last = sql in ("COMMIT", "ROLLBACK") and not self._plain
        self._connection.execute(f"SELECT 1; {sql}" if last else sql)


class Implicit(Statements):
    """Autocommit off: a transaction begins by itself with its first statement."""

    def __init__(self, connection: Any, *, read_only: bool) -> None:
        super().__init__(connection, read_only=read_only)
        connection.autocommit = False
        if read_only:
            connection.read_only = True

    def leave(self) -> None:
        """Switch autocommit on again."""
        self._connection.rollback()
        self._connection.read_only = None
        self._connection.autocommit = True

    def _run(self, sql: str) -> None:
        if sql == "COMMIT":
            self._connection.commit()
        elif sql == "ROLLBACK":
            self._connection.rollback()
        elif not sql.startswith("BEGIN"):
            self._connection.execute(sql)


def style_of(name: str, connection: Any, *, read_only: bool) -> Style:
    """Return the style called ``block``, ``implicit``, ``begin`` or ``script``."""
    styles: dict[str, Callable[..., Style]]
    styles = {
        "block": Blocks,
        "implicit": Implicit,
        "begin": Statements,
        "script": Scripts,
    }
    return styles[name](connection, read_only=read_only)
