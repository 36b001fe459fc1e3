"""Ending an overdue statement without waiting for a link that may be dead.

A cancel travels over a connection of its own, and takes about as long as it took to
open one. Where that is not enough the node does not answer, as far as the application
is concerned; the cancel goes on by itself, for the sake of a server that is only slow.
"""

from __future__ import annotations

import logging
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a cancel may take: at least, for a busy machine, and at most.
_PATIENCE: Final = (0.5, 1.5)
#: Seconds after which a cancel that nobody waits for any more is given up.
LONGEST: Final = 5.0

logger = logging.getLogger("globaldb")


def patience(opening: float) -> float:
    """Return how many seconds a cancel may take where *opening* took that many."""
    least, most = _PATIENCE
    return min(most, max(least, opening))


class Cancel:
    """A cancel on its way, on a thread of its own."""

    def __init__(self, act: Callable[[], None]) -> None:
        """Begin to *act*, which may fail: its statement ends by itself then."""
        self._act = act
        self._thread = Thread(target=self._run, name="globaldb-cancel", daemon=True)
        self._thread.start()

    def over(self, seconds: float = 0.0) -> bool:
        """Whether it is over, within *seconds*: it can meet no later statement then."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._act()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, nobody waits
            logger.debug("cancel_failed error=%s", error)
