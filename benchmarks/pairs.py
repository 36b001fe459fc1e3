"""Two ways of doing the same, timed side by side.

A shared machine is never equally fast for long. So the two take turns in short
blocks, in random order, and each block is compared with its neighbour only: medians
of paired ratios and differences stay put where the absolute times wander.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    #: Does one block of work, and returns how many seconds each call in it took.
    Block = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians over all blocks: seconds a call, and what lies between the two."""

    raw: float
    routed: float
    ratio: float
    added: float

    def per(self, count: int) -> Pair:
        """Return the same for one of *count* equal parts."""
        return Pair(
            self.raw / count, self.routed / count, self.ratio, self.added / count
        )


def compare(raw: Block, routed: Block, *, blocks: int, random: Random) -> Pair:
    """Run *blocks* blocks of each, in pairs of random order, after one of each."""
    raw()
    routed()
    pairs: list[tuple[float, float]] = []
    for _ in range(blocks):
        if random.random() < 0.5:
            first = raw()
            pairs.append((first, routed()))
        else:
            first = routed()
            pairs.append((raw(), first))
    return Pair(
        raw=median(a for a, _ in pairs),
        routed=median(b for _, b in pairs),
        ratio=median(b / a for a, b in pairs),
        added=median(b - a for a, b in pairs),
    )


def block(call: Callable[[], object], calls: int) -> Block:
    """Make a block of *calls* calls of *call*."""

    def run() -> float:
        numbers = range(calls)
        started = perf_counter()
        for _ in numbers:
            call()
        return (perf_counter() - started) / calls

    return run


def after(prepare: Callable[[], object], call: Callable[[], object]) -> Block:
    """Make a block of one call of *call*; *prepare* runs before it, untimed."""

    def run() -> float:
        prepare()
        started = perf_counter()
        call()
        return perf_counter() - started

    return run
