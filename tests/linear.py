"""Whether work grows in step with the text, measured so that little else counts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

#: Sixteen times the text: linear work takes sixteen times as long, or twice that where
#: what is worked on outgrows a processor's cache in between; quadratic work 256 times.
#: The bound is as far from the one as from the other.
_TIMES, _BOUND = 16, 64.0
#: Near nothing, the clock's own steps count (seconds).
_SLACK = 0.003
_TRIES = 12


def grows_linearly(work: Callable[[str], object], piece: str, size: int) -> bool:
    """Compare *work* on *piece*, repeated to *size* characters, and on more of it.

    Others may use the machine meanwhile, so the fastest of each counts. The garbage
    collector stays out of it: what it looks through is what the whole run has left
    behind.
    """
    # An even number of pieces closes whatever each of them opens or closes.
    once = piece * 2 * max(1, size // len(piece) // 2)
    short = long = float("inf")
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(_TRIES):
            long = min(long, _fastest(work, once * _TIMES))
            short = min(short, _fastest(work, once))
            if long < _BOUND * short + _SLACK:
                return True
        return False
    finally:
        if collecting:
            gc.enable()


def _fastest(work: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(2):
        started = time.thread_time()
        work(text)
        times.append(time.thread_time() - started)
    return min(times)
