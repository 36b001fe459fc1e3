"""When a node is asked what it is: steadily, at once, or ever less often in a search.

While no writer is known every node is asked in quick succession at first, then less and
less often. And whatever sessions do, what comes on top of the steady questions is
rationed: a thousand sessions that all notice the same failure ask no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final

#: Seconds between the first two questions of a search, how the pause grows, and the
#: longest one.
FIRST: Final = 0.05
_GROWTH: Final = 1.5
_LONGEST: Final = 1.0

#: Questions that may be asked ahead of their time, and how many more each second.
BURST: Final = 8.0
REFILL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one node was asked lately, and so when it may be asked next.

    Moments are monotonic seconds.
    """

    #: Seconds between two questions while nothing is wrong.
    interval: float
    asked_at: float = -inf
    #: Questions of the present search so far.
    searched: int = 0
    #: What was left to be asked ahead of time behind the last question.
    ration: float = BURST
    #: By how much the next pause is longer than it would be, as a factor.
    jitter: float = 1.0

    def asked(self, now: float, *, searching: bool, jitter: float) -> Pace:
        """Return the pace after a question was sent at *now*.

        Only one that was asked ahead of its time counts against the ration.
        """
        early = now < self.asked_at + self.interval * self.jitter
        return replace(
            self,
            asked_at=now,
            searched=self.searched + 1 if searching else 0,
            ration=max(self._ration(now) - early, 0.0),
            jitter=jitter,
        )

    def due(self, now: float, *, searching: bool, hurried: bool) -> float:
        """Return when the next question is to be sent, which may have passed.

        *searching*: no writer is known. *hurried*: something about this node was not
        as believed.
        """
        usual = self.asked_at + self.interval * self.jitter
        wanted = usual
        if hurried:
            wanted = now
        elif searching:
            wanted = min(usual, self.asked_at + self._step() * self.jitter)
        if wanted >= usual:
            return usual
        lacking = max(1.0 - self._ration(now), 0.0)
        return min(max(wanted, now + lacking / REFILL), max(usual, now))

    def _step(self) -> float:
        if not self.searched:
            return 0.0
        return min(FIRST * _GROWTH ** min(self.searched - 1, 60), _LONGEST)

    def _ration(self, now: float) -> float:
        return min(self.ration + max(now - self.asked_at, 0.0) * REFILL, BURST)


def pause(attempts: int, jitter: float) -> float:
    """Seconds to wait before work that was not sent is tried again.

    *attempts* were made so far; the second is made at once. *jitter* is a factor by
    which sessions that failed together are kept apart.
    """
    if attempts < 2:
        return 0.0
    return min(FIRST * _GROWTH ** min(attempts - 2, 60), _LONGEST) * jitter
