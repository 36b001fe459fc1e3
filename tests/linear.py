"""Whether work grows in step with the text, measured so that little else counts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

#: Four times the text: linear work takes four times as long, quadratic sixteen times.
_TIMES, _BOUND = 4, 7.0
#: Twice as much of a text that no processor's cache holds: twice as long, or four times.
_DOUBLE, _BOUND_OF_DOUBLE = 2, 3.0
#: Near nothing, the clock's own steps count (seconds).
_SLACK = 0.003
_TRIES = 12


def grows_linearly(work: Callable[[str], object], piece: str, size: int) -> bool:
    """Compare *work* on *piece*, repeated to *size* characters, and on more of it.

    Others may use the machine meanwhile, so the fastest of each counts. The garbage collector
    stays out of it: what it looks through is what the whole run has left behind. Where
    what is worked on outgrows a cache in between, each character costs more behind that:
    so a longer text is then compared with one longer still.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _within(work, piece, size, _TIMES, _BOUND) or _within(
            work, piece, _TIMES * size, _DOUBLE, _BOUND_OF_DOUBLE
        )
    finally:
        if collecting:
            gc.enable()


def _within(
    work: Callable[[str], object], piece: str, size: int, times: int, bound: float
) -> bool:
    # An even number of pieces closes whatever each of them opens or closes.
    once = piece * 2 * max(1, size // len(piece) // 2)
    more = once * times
    short = long = float("inf")
    for _ in range(_TRIES):
        long = min(long, _fastest(work, more))
        short = min(short, _fastest(work, once))
        if long < bound * short + _SLACK:
            return True
    return False


def _fastest(work: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(2):
        started = time.thread_time()
        work(text)
        times.append(time.thread_time() - started)
    return min(times)
