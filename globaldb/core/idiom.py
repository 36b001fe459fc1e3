"""How a session says to its engine what it keeps in its own books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.core.statement import Statement
    from globaldb.core.transaction import TransactionMode


class Idiom(Protocol):
    """The words of one engine for transactions and settings."""

    @property
    def undoes_settings(self) -> bool:
        """Whether a rollback undoes what was SET in its transaction.

        And what was done to temporary tables: making them, dropping them.
        """

    @property
    def begins_anew(self) -> bool:
        """Whether BEGIN in a transaction commits it, and begins another one.

        Then SET TRANSACTION speaks of the next transaction, too, and a savepoint takes
        the place of an earlier one of its name.
        """

    @property
    def keeps_snapshots(self) -> bool:
        """Whether transactions read one state throughout unless they ask not to."""

    def commits_first(self, statement: Statement) -> bool:
        """Whether the server ends an open transaction before it runs *statement*."""

    def begins(self, statement: Statement) -> bool:
        """Whether *statement* outside autocommit begins a transaction."""

    def begin(self, mode: TransactionMode, *, locked: bool) -> tuple[str, ...]:
        """Return the statements that begin a transaction with *mode*.

        *locked* says that tables are, beyond transactions, and stay so.
        """

    def savepoint(self, name: str) -> str:
        """Return the statement that sets savepoint *name*."""

    def release(self, name: str) -> str:
        """Return the statement that releases savepoint *name*."""

    def rollback_to(self, name: str) -> str:
        """Return the statement that rolls back to savepoint *name*."""

    def reset(self, name: str) -> str:
        """Return what takes setting *name* back to its value at connect."""

    def deallocate(self, name: str) -> str:
        """Return what forgets the prepared statement *name*."""

    def characteristic(self, name: str, value: str) -> str:
        """Return what sets a characteristic of later transactions.

        *name* is ``default_transaction_isolation``, ``..._read_only`` (``on`` or
        ``off``) or ``..._deferrable``.
        """


@dataclass(frozen=True, slots=True)
class PostgresqlIdiom:
    """PostgreSQL's words."""

    undoes_settings: bool = True
    begins_anew: bool = False
    keeps_snapshots: bool = False

    def commits_first(self, statement: Statement) -> bool:  # noqa: ARG002 - none does
        """No statement ends a transaction by itself."""
        return False

    def begins(self, statement: Statement) -> bool:  # noqa: ARG002 - each does
        """Every statement begins one, as psycopg has it."""
        return True

    def begin(self, mode: TransactionMode, *, locked: bool) -> tuple[str, ...]:
        """Return the statement that begins a transaction with *mode*."""
        del locked
        return (mode.sql,)

    def savepoint(self, name: str) -> str:
        """Return the statement that sets savepoint *name*."""
        return f"SAVEPOINT {_quoted(name)}"

    def release(self, name: str) -> str:
        """Return the statement that releases savepoint *name*."""
        return f"RELEASE {_quoted(name)}"

    def rollback_to(self, name: str) -> str:
        """Return the statement that rolls back to savepoint *name*."""
        return f"ROLLBACK TO {_quoted(name)}"

    def reset(self, name: str) -> str:
        """Return what takes setting *name* back to its value at connect."""
        return _RESETS.get(name) or f"RESET {name}"

    def deallocate(self, name: str) -> str:
        """Return what forgets the prepared statement *name*."""
        return f"DEALLOCATE {_quoted(name)}"

    def characteristic(self, name: str, value: str) -> str:
        """Return what sets a characteristic of later transactions."""
        return f"SET {name} = '{value}'"


#: How a setting goes back to what it was when the connection was opened.
_RESETS: Final[Mapping[str, str]] = {
    "role": "RESET ROLE",
    "session_authorization": "RESET SESSION AUTHORIZATION",
}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


POSTGRESQL: Final = PostgresqlIdiom()


#: Of MySQL: what may do anything, and so commit. A procedure's name tells nothing, nor
#: that of a prepared statement.
_COMMANDS: Final = frozenset(("CALL", "EXECUTE"))
_OPAQUE: Final = frozenset(
    ("opaque_body", "unknown_statement", "unparsable", "too_long", "administration")
)
#: Of PostgreSQL: what runs functions that nobody has declared harmless. One may act
#: where no rollback reaches: on another server, on files, on what runs beside it.
_BEYOND: Final = names(
    """
    admin_function escaped_name execute large_object opaque_query runs_argument
    unknown_function unknown_operator volatile_function
    """
)
#: What only raises an error.
_SIGNALS: Final = frozenset(("SIGNAL", "RESIGNAL"))


def may_commit(statement: Statement, idiom: Idiom) -> bool:
    """Whether *statement* may by itself commit what is before it, or a part of its own.

    What it runs may where transactions are begun anew inside others.
    """
    if statement.multiple:
        # On PostgreSQL each COMMIT, and what may hold one, stands alone.
        return statement.alone or idiom.begins_anew
    if idiom.commits_first(statement):
        return True
    if statement.command in _SIGNALS or not idiom.begins_anew:
        return False
    return statement.command in _COMMANDS or statement.reason in _OPAQUE


def outlives(statement: Statement, idiom: Idiom) -> bool:
    """Whether what *statement* does may stay although its transaction is undone.

    Not every engine of MySQL's takes part in transactions, nor every function of
    PostgreSQL's.
    """
    if may_commit(statement, idiom):
        return True
    if not idiom.begins_anew:
        return statement.reason in _BEYOND
    return statement.verdict not in (Verdict.READ, Verdict.NODE_LOCAL)
