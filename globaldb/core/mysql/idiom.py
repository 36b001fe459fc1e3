"""How a session says to MySQL and MariaDB what it keeps in its own books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from globaldb.core.settings import DATABASE
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.core.transaction import TransactionMode

#: Both servers' own comments say which of two names for one thing each knows: MariaDB
#: leaves out those for versions of MySQL it never had.
_ISOLATION: Final = "/*!50720 transaction_isolation *//*M! tx_isolation */"
_READ_ONLY: Final = "/*!50720 transaction_read_only *//*M! tx_read_only */"
_RESETS: Final = {
    "default_transaction_isolation": f"SET SESSION {_ISOLATION} = DEFAULT",
    "default_transaction_read_only": f"SET SESSION {_READ_ONLY} = DEFAULT",
    "names": "SET NAMES DEFAULT",
    "character_set": "SET CHARACTER SET DEFAULT",
    "role": "SET ROLE DEFAULT",
    # MySQL takes DEFAULT for off, though both are on where nobody says otherwise.
    "foreign_key_checks": "SET SESSION foreign_key_checks = @@GLOBAL.foreign_key_checks",
    "unique_checks": "SET SESSION unique_checks = @@GLOBAL.unique_checks",
}

_COMMITTING: Final = names(
    """
    alter analyze cache check create drop flush grant install lock optimize rename
    repair revoke truncate uninstall
    """.upper()
)
#: What is made for the session alone is part of a transaction; of the rest nobody knows.
_WITHIN: Final = frozenset(("temporary_object", "opaque_body"))


@dataclass(frozen=True, slots=True)
class MysqlIdiom:
    """The words of MySQL and MariaDB; *database* and *charset* are those at connect."""

    database: str | None = None
    charset: str | None = None
    undoes_settings: bool = False
    begins_anew: bool = True
    keeps_snapshots: bool = True

    def commits_first(self, statement: Statement) -> bool:
        """Whether the server ends an open transaction before it runs *statement*.

        MySQL's manual, "Statements That Cause an Implicit Commit".
        """
        if statement.multiple or statement.reason in _WITHIN:
            return False
        return statement.command in _COMMITTING

    def begins(self, statement: Statement) -> bool:
        """Whether *statement* outside autocommit begins a transaction.

        What is SET concerns the one that comes; XA begins one of its own.
        """
        if statement.multiple or statement.reason == "xa":
            return statement.multiple
        return statement.verdict is not Verdict.SESSION or statement.action is None

    def begin(self, mode: TransactionMode, *, locked: bool) -> tuple[str, ...]:
        """Return the statements that begin a transaction with *mode*.

        READ WRITE is left out: it is the default, and a server that only reads refuses
        a transaction that says it. START TRANSACTION would unlock tables that are
        *locked*.
        """
        if locked:
            return (*_of_next(mode), "SET autocommit = 0")
        words = [
            "WITH CONSISTENT SNAPSHOT" if mode.snapshot else "",
            "READ ONLY" if mode.read_only else "",
        ]
        start = f"START TRANSACTION {', '.join(filter(None, words))}".rstrip()
        if mode.isolation is None:
            return (start,)
        return (f"SET TRANSACTION ISOLATION LEVEL {mode.isolation.upper()}", start)

    def savepoint(self, name: str) -> str:
        """Return the statement that sets savepoint *name*."""
        return f"SAVEPOINT {quoted(name)}"

    def release(self, name: str) -> str:
        """Return the statement that releases savepoint *name*."""
        return f"RELEASE SAVEPOINT {quoted(name)}"

    def rollback_to(self, name: str) -> str:
        """Return the statement that rolls back to savepoint *name*."""
        return f"ROLLBACK TO SAVEPOINT {quoted(name)}"

    def reset(self, name: str) -> str:
        """Return what takes setting *name* back to its value at connect."""
        if name == DATABASE:
            # There is no way back to no database: `SET` does nothing, see
            # `globaldb.runtime.session.Session.hand_back`.
            return f"USE {quoted(self.database)}" if self.database else "DO 0"
        if name == "names" and self.charset:
            return f"SET NAMES {self.charset}"
        if name.startswith("@"):
            return f"SET {name} = NULL"
        return _RESETS.get(name) or f"SET SESSION {name} = DEFAULT"

    def deallocate(self, name: str) -> str:
        """Return what forgets the prepared statement *name*."""
        return f"DEALLOCATE PREPARE {quoted(name)}"

    def characteristic(self, name: str, value: str) -> str:
        """Return what sets a characteristic of later transactions."""
        if name == "default_transaction_isolation":
            return f"SET SESSION TRANSACTION ISOLATION LEVEL {value.upper()}"
        access = "ONLY" if value == "on" else "WRITE"
        return f"SET SESSION TRANSACTION READ {access}"


def _of_next(mode: TransactionMode) -> tuple[str, ...]:
    words = [
        mode.isolation and f"ISOLATION LEVEL {mode.isolation.upper()}",
        mode.read_only and "READ ONLY",
    ]
    return tuple(f"SET TRANSACTION {word}" for word in words if word)


def quoted(name: str) -> str:
    """Return *name* as a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"
