"""Where sessions write down what they do: a list each, so that nobody waits."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.verify.history import Operation


class Recorder:
    """Collects the operations of the threads of one process; append-only.

    A thread takes a page of its own and appends to it: one list operation, no lock.
    """

    def __init__(self) -> None:
        self._pages: list[list[Operation]] = []

    def page(self) -> list[Operation]:
        """Return a new page, for one thread alone to append to."""
        self._pages.append([])
        return self._pages[-1]

    def __len__(self) -> int:
        return sum(map(len, self._pages))

    def operations(self) -> list[Operation]:
        """Return everything that was written down so far."""
        return list(chain.from_iterable(map(list, self._pages)))
