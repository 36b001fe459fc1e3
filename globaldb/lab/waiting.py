"""Wait for something that has no event, with a deadline and a reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from globaldb.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks.
LOOK = 0.01


def wait_until(
    reached: Callable[[], bool], *, limit: float, what: Callable[[], str] | str
) -> None:
    """Return once *reached*; after *limit* seconds raise `LabError` with *what*."""
    deadline = time.monotonic() + limit
    while not reached():
        if time.monotonic() > deadline:
            story = what if isinstance(what, str) else what()
            raise LabError(f"{story} (waited {limit:g} s)")
        time.sleep(LOOK)
