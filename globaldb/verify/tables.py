"""The tables that a verification uses: made in a schema of its own, removed after it."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import (
    Error,
    NoNodeAvailableError,
    OperationalError,
    ProgrammingError,
)
from globaldb.verify.dialect import DIALECTS, rows
from globaldb.verify.history import COUNTER, REGISTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.verify.dialect import Dialect

#: How the schema's name begins; a run that was killed leaves it behind.
PREFIX: Final = "globaldb_verify_"
REGISTERS: Final = 64
COUNTERS: Final = 16
#: Seconds that the writer may be away, or a reader behind, before and after a run.
_PATIENCE: Final = 60.0
_PAUSE: Final = 0.1
_COUNT: Final = "SELECT count(*) FROM @.counters"
_FINAL: Final = """
SELECT name, version, value FROM @.registers
UNION ALL SELECT name, n, 0 FROM @.counters
UNION ALL SELECT list, max(n), count(*) FROM @.entries GROUP BY list
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Registers, counters and lists in a schema, and the statements that use them."""

    schema: str = field(default_factory=lambda: PREFIX + secrets.token_hex(3))
    #: The engine of the database, as a configuration names it.
    engine: str = "postgresql"

    @property
    def dialect(self) -> Dialect:
        """How the database is told."""
        return DIALECTS[self.engine]

    @property
    def registers(self) -> list[str]:
        """The names of all registers."""
        return [f"{REGISTER}{number}" for number in range(REGISTERS)]

    @property
    def counters(self) -> list[str]:
        """The names of all counters."""
        return [f"{COUNTER}{number}" for number in range(COUNTERS)]

    def sql(self, text: str) -> str:
        """Return *text* with the schema where it has an ``@``."""
        return text.replace("@", self.schema)

    def create(self, connection: Any) -> None:
        """Make the schema; raise `ProgrammingError` when the user may not."""
        try:
            rows(connection, self.sql(self.dialect.create))
        except Error as problem:
            if not self.dialect.denied(problem):
                raise
            raise ProgrammingError(
                f"the schema {self.schema} could not be made: {problem}. The user "
                "needs the privilege CREATE on the database"
            ) from problem

    def fill(self, connection: Any) -> None:
        """Make everything in the schema."""
        registers = ", ".join(f"('{name}', 0, 0)" for name in self.registers)
        counters = ", ".join(f"('{name}', 0)" for name in self.counters)
        for statement in (
            *self.dialect.tables.split(";"),
            f"INSERT INTO @.registers VALUES {registers}",  # noqa: S608 - names of our own
            f"INSERT INTO @.counters VALUES {counters}",  # noqa: S608 - names of our own
        ):
            rows(connection, self.sql(statement))

    def await_in(self, connection: Any) -> None:
        """Wait until the reader that *connection* uses has the tables.

        Raises `OperationalError` when that takes longer than a minute.
        """

        def arrived() -> bool:
            with connection.using(consistency="eventual", route="reader"):
                [(count,)] = rows(connection, self.sql(_COUNT))
                return bool(count == COUNTERS)

        if not _persist(arrived):
            raise OperationalError(
                f"the schema {self.schema} has not arrived at a reader within "
                f"{_PATIENCE:g} s; is replication running?"
            )

    def final(self, connection: Any) -> dict[str, tuple[int, int]]:
        """Return what the writer holds: version and value of every key written to."""
        found: dict[str, tuple[int, int]] = {}

        def read() -> bool:
            with connection.using(route="writer"):
                ends = rows(connection, self.sql(_FINAL))
            found.update((key, (version, value)) for key, version, value in ends)
            return True

        if not _persist(read):
            raise NoNodeAvailableError(
                f"the writer has not answered for {_PATIENCE:g} s after the run: what "
                "it holds in the end could not be checked"
            )
        return {key: end for key, end in found.items() if end[0]}

    def drop(self, connection: Any) -> None:
        """Remove the schema; raise `OperationalError` if it has to be done by hand."""
        drop = self.sql(self.dialect.drop)

        def removed() -> bool:
            rows(connection, drop)
            return True

        if not _persist(removed):
            raise OperationalError(
                f"the schema {self.schema} could not be removed; do it with: {drop}"
            )


def _persist(act: Callable[[], bool]) -> bool:
    """Repeat *act* until it is true; False when it has not been for a minute."""
    until = monotonic() + _PATIENCE
    while True:
        try:
            if act():
                return True
        except Error:
            if monotonic() > until:
                raise
        if monotonic() > until:
            return False
        threading.Event().wait(_PAUSE)
