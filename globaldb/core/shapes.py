"""What transactions turned out to be, by the statements they began with.

A transaction that reads first and writes later moves to the writer, and may then be
told to start over, because what it has read is different there. An application that has
never done that should not have to learn it: where the same beginning was told so lately,
the transaction goes to the writer at once, though each of its reads is a trip there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

#: How much the newest transaction counts against those before it.
_WEIGHT: Final = 0.3
#: From this share of writing transactions on, a beginning leads to a write. Others,
#: with which requests that only read begin as well, stay at the readers.
_LEADS: Final = 0.5
#: Statements that make up a beginning; what differs later is not told apart.
_DEPTH: Final = 8
#: Beginnings that are remembered.
_LIMIT: Final = 4096


@dataclass(slots=True)
class Shape:
    """One beginning of transactions: its last statement, and what became of them."""

    statement: str
    #: Statements in it.
    depth: int
    seen: int = 0
    #: Transactions that went on to write after they had read at a reader.
    upgraded: int = 0
    #: Of those, the ones whose reads were different at the writer.
    changed: int = 0
    #: Share of those that wrote, the newest counting most.
    share: float = 0.0
    #: Monotonic seconds of the last one whose reads were different.
    changed_at: float = float("-inf")
    #: The same for those that wrote right behind this beginning.
    followed_at: float = float("-inf")

    def starts_over(self, now: float, remember: float) -> bool:
        """Whether a transaction that begins like this would likely have to start over."""
        if now - self.followed_at < remember:
            return True
        return self.share >= _LEADS and now - self.changed_at < remember


class Step(NamedTuple):
    """One more statement of a beginning."""

    key: int
    statement: str
    depth: int


class Trail:
    """The beginning of one transaction, as far as it has only read."""

    __slots__ = ("changed", "steps", "upgraded", "wrote")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.wrote = False
        #: It left a reader for the writer.
        self.upgraded = False
        #: What it had read was different there.
        self.changed = False

    def next(self, fingerprint: str) -> Step | None:
        """Return the beginning that *fingerprint* would make of this one."""
        if self.wrote or len(self.steps) >= _DEPTH:
            return None
        before = self.steps[-1].key if self.steps else 0
        depth = len(self.steps) + 1
        return Step(hash((before, fingerprint)), fingerprint, depth)

    def read(self, step: Step | None) -> None:
        """Take note of a read."""
        if step is not None:
            self.steps.append(step)


class Shapes:
    """What is known of beginnings; the oldest are forgotten beyond a limit.

    *remember* is how many seconds a difference counts. Safe for threads: two that end
    at once may count as one.
    """

    __slots__ = ("_known", "_remember")

    def __init__(self, *, remember: float = 600.0) -> None:
        self._known: dict[int, Shape] = {}
        self._remember = remember

    def start_over(self, step: Step | None, now: float) -> bool:
        """Whether a transaction that began like *step* had to start over lately."""
        if step is None or not self._known:
            return False
        shape = self._known.get(step.key)
        return shape is not None and shape.starts_over(now, self._remember)

    def ended(self, trail: Trail, now: float) -> None:
        """Take note of what a transaction turned out to be.

        Only what has ever led to a write is worth remembering.
        """
        last = len(trail.steps) - 1
        for index, step in enumerate(trail.steps):
            shape = self._known.get(step.key)
            if shape is None:
                if not trail.wrote:
                    continue
                shape = self._remembered(step)
            shape.seen += 1
            shape.upgraded += trail.upgraded
            shape.share += _weight(shape) * (trail.wrote - shape.share)
            if trail.changed:
                shape.changed += 1
                shape.changed_at = now
                if index == last:
                    shape.followed_at = now

    def _remembered(self, step: Step) -> Shape:
        while len(self._known) >= _LIMIT:
            # While it is looked at, another thread may add one: then there is a next time.
            with suppress(RuntimeError):
                self._known.pop(next(iter(self._known)), None)
        return self._known.setdefault(step.key, Shape(step.statement, step.depth))

    def known(self) -> tuple[Shape, ...]:
        """Return every beginning that has led to a write, oldest first."""
        return tuple(self._known.copy().values())

    def at_writer(self, shape: Shape, now: float) -> bool:
        """Whether transactions that begin like *shape* go to the writer now."""
        return shape.starts_over(now, self._remember)


def _weight(shape: Shape) -> float:
    """How much the newest one counts: the first one is all that is known."""
    return 1.0 if shape.seen == 1 else _WEIGHT
