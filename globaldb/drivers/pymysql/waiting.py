"""How long a connection waits for its server's words, and what it does when that is over."""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import CR

from globaldb.drivers.cancelling import LONGEST, Cancel, patience
from globaldb.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from globaldb.drivers.pymysql.physical import Physical

_SHORTEST: Final = 0.001


class Patient(io.RawIOBase):
    """The bytes a physical connection receives, for a buffer in front of it.

    They are waited for until the deadline, or for as long as the application does. An
    overdue statement is cancelled in between: its answer is read to its end.
    """

    def __init__(self, physical: Physical, silence: float | None) -> None:
        self._physical = physical
        #: Longest silence in an answer that the application bears, in seconds.
        self._silence = silence
        self._deadline: float | None = None
        self._expendable = False
        self._cancel: Cancel | None = None
        #: When an overdue statement is given up.
        self._ends: float | None = None

    def readable(self) -> bool:
        """Whether it can be read: that is what it is for."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait for bytes, put them into *buffer*, and return how many came."""
        while (sock := self._physical._sock) is not None:
            self.bound(sock, self._silence)
            try:
                received: int = sock.recv_into(buffer)
            except TimeoutError:
                self._late()
            else:
                return received
        return 0

    @contextmanager
    def until(self, deadline: float | None, *, expendable: bool) -> Iterator[None]:
        """Bound every wait inside the block by *deadline* (monotonic seconds)."""
        before = self._deadline, self._expendable
        self._deadline, self._expendable = deadline, expendable
        try:
            yield
        finally:
            self._deadline, self._expendable = before
            self._cancel = self._ends = None

    @property
    def overdue(self) -> bool:
        """Whether the statement running now should have ended."""
        return self._deadline is not None and monotonic() >= self._deadline

    @property
    def cancelled(self) -> bool:
        """Whether the statement of this trip was to be ended at its deadline."""
        return self._cancel is not None

    @property
    def cancelling(self) -> bool:
        """Whether what is to end it is still on its way."""
        return self._cancel is not None and not self._cancel.over()

    def bound(self, sock: Any, longest: float | None) -> None:
        """Let *sock* wait for *longest* seconds, and not beyond the deadline."""
        limit, end = longest, self._ends or self._deadline
        if end is not None:
            left = max(_SHORTEST, end - monotonic())
            limit = left if longest is None else min(left, longest)
        # To look is cheap, to set is a call to the system.
        if sock.gettimeout() != limit:
            sock.settimeout(limit)

    def _late(self) -> None:
        """Have an overdue statement cancelled; raise where there is no point in it."""
        if not self.overdue:
            raise TimeoutError("timed out")  # PyMySQL makes a lost connection of it
        if self._expendable:
            raise err.OperationalError(
                CR.CR_SERVER_LOST, "the node does not answer any more"
            )
        if self._cancel is None:
            longest = patience(self._physical.opening)
            self._cancel = Cancel(partial(self._physical.cancel, LONGEST))
            # One that is still on its way tells of a node that does not answer:
            # whatever it has answered already is taken, and no more.
            over = self._cancel.over(longest)
            self._ends = monotonic() + (longest if over else 0.0)
        elif self._ends is None or monotonic() >= self._ends:
            raise too_late()


def too_late() -> DeadlineExceededError:
    """Return the error of a statement that was cancelled at its deadline."""
    return DeadlineExceededError(
        "the statement's deadline passed and it was cancelled. Give it more time with "
        "timeout=, or make it do less"
    )
