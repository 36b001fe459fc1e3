"""What a transaction has done at a reader, in order, to be done again at the writer.

Reads are kept with their answers: at the writer they are made again and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from globaldb.core.position import Position

#: What is kept for comparing, at most. More is read at the writer in the first place.
MOST_ROWS: Final = 5_000
MOST_BYTES: Final = 2 * 1024 * 1024


class Recording(Protocol):
    """A read as its driver can make it again, with the answer it had."""

    @property
    def rows(self) -> int:
        """Rows of the answer."""

    @property
    def size(self) -> int:
        """Bytes of the answer, about."""


@dataclass(slots=True)
class Journal:
    """The books of one transaction that has only read so far.

    *verified* tells whether answers are compared; without, only what lives in the
    transaction (settings, savepoints) is done again.
    """

    verified: bool
    #: What was required of the reader when the transaction began there.
    required: Position | None = None
    #: Statements as they are, and recordings of reads.
    done: list[Any] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def note(self, *statements: str) -> None:
        """Take note of what was done besides reading: SAVEPOINT, SET LOCAL."""
        self.done.extend(statements)

    def again(self, call: Any) -> None:
        """Take note of a statement whose answer is not compared."""
        self.done.append(call)

    def fits(self, recording: Recording) -> bool:
        """Whether the answer is small enough to be kept for comparing."""
        if not self.verified:
            return True
        # Its size is counted value by value: not of more rows than will do.
        if self.rows + recording.rows > MOST_ROWS:
            return False
        return self.size + recording.size <= MOST_BYTES

    def read(self, recording: Recording) -> None:
        """Take note of a read that is to be compared."""
        if self.verified:
            self.rows += recording.rows
            self.size += recording.size
            self.done.append(recording)
