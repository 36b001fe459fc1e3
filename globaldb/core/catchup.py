"""When a reader will show a commit: learnt from how long the last ones took.

The age of a commit is counted in seconds from the moment when the client heard of it.
What is learnt are spans: at the age ``low`` a reader did not have a commit yet, at
``high`` it had. A read that found its reader caught up knows no low, one that gave up
waiting knows no high; these are learnt from only where they contradict what is
believed, because they say nothing else.

The newest spans count most, so that a lag that comes or goes is believed in after a
few commits.
"""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

#: Spans remembered, and what each newer one leaves of the weight of those before.
_REMEMBERED: Final = 24
_FADING: Final = 0.85

#: Seconds after which what was learnt weighs half beside something new.
_HALF_LIFE: Final = 30.0

#: What may be spent, as a share of what the alternative costs, on hoping that it takes
#: only a little longer than it ever did.
_TRIAL: Final = 0.1

#: The longest pause between two looks at a reader that is about to have it, in
#: seconds, and the share of the time spent that a pause may take.
_LONGEST_PAUSE: Final = 0.02
_PAUSE_SHARE: Final = 0.125


class Span(NamedTuple):
    """Between which ages of a commit it became visible; *high* may be infinite."""

    low: float
    high: float
    weight: float = 1.0

    @property
    def likely(self) -> float:
        """The age to reckon with. What has taken long takes as long again."""
        return self.high if self.high < inf else 2 * self.low


class Outlook(NamedTuple):
    """What asking one reader is expected to come to; all in seconds."""

    #: Until it has caught up; None when nothing like it was seen before.
    expected: float | None
    #: How long waiting there is worth it; 0 when it is not.
    patience: float
    #: Until there is an answer, including the cases in which it comes from elsewhere.
    cost: float


class CatchUp:
    """What one reader needs to show a commit. Safe for threads.

    What two threads learn in the same instant may count once.
    """

    def __init__(self) -> None:
        #: Newest first, and the same by `high`; replaced, never changed.
        self._spans: tuple[Span, ...] = ()
        self._sorted: tuple[Span, ...] = ()
        self._learnt_at = -inf

    @property
    def typical(self) -> float | None:
        """The weighted median of how long it took; None while nothing is known."""
        half = sum(span.weight for span in self._sorted) / 2
        for span in self._sorted:
            half -= span.weight
            if half <= 0:
                return span.likely
        return None

    def reached(self, low: float, high: float, now: float) -> None:
        """Learn that a commit became visible between the ages *low* and *high*."""
        since = now - self._learnt_at
        fading = _FADING * 0.5 ** (since / _HALF_LIFE)
        kept = (
            span._replace(weight=span.weight * fading)
            for span in self._spans[: _REMEMBERED - 1]
        )
        self._spans = (Span(max(low, 0.0), max(high, 0.0)), *kept)
        self._sorted = tuple(sorted(self._spans, key=lambda span: span.high))
        self._learnt_at = now

    def at_most(self, age: float, now: float) -> None:
        """Learn that a commit was visible at *age*, if that is sooner than thought."""
        typical = self.typical
        if typical is None or age < typical:
            self.reached(0.0, age, now)

    def at_least(self, age: float, now: float) -> None:
        """Learn that a commit was not visible at *age*, if that is later than thought."""
        typical = self.typical
        if typical is None or age > typical:
            self.reached(age, inf, now)

    def forget(self) -> None:
        """Forget everything: the node is another one now."""
        self._spans = self._sorted = ()

    def expected_wait(self, age: float, *, behind: bool = False) -> float | None:
        """Mean seconds until a commit of *age* is visible; None if nothing tells.

        *behind* says that it certainly is not yet.
        """
        spans = [span for span in self._sorted if not behind or span.likely > age]
        weight = sum(span.weight for span in spans)
        if not weight:
            return None
        waits = sum(span.weight * max(span.likely - age, 0.0) for span in spans)
        return waits / weight

    def outlook(
        self, age: float, *, trip: float, otherwise: float, behind: bool = False
    ) -> Outlook:
        """Weigh waiting for a commit of *age* against asking elsewhere.

        *trip* is the round trip to this reader and *otherwise* what the alternative
        costs, in seconds. *behind* says that a look has just found the commit
        missing. Of all lengths of patience the one is chosen that would have cost
        least on average. It is never more than *otherwise* and a little.
        """
        expected = self.expected_wait(age, behind=behind)
        slack = _TRIAL * otherwise
        if expected is None:
            return Outlook(None, slack, trip)
        there = [span for span in self._sorted if span.high <= age and not behind]
        later = [span for span in self._sorted if span.high > age]
        # Weight, and weighted cost, of those that had caught up in time.
        weight = sum(span.weight for span in there)
        cost = weight * trip
        whole = weight + sum(span.weight for span in later)
        if not later:
            return Outlook(expected, slack, trip)
        given_up = otherwise if behind else otherwise + trip
        best = Outlook(expected, 0.0, (cost + (whole - weight) * given_up) / whole)
        for span in later:
            if span.high == inf:
                break
            wait = span.high - age
            weight += span.weight
            cost += span.weight * (wait + trip)
            vain = max(whole - weight, 0.0) * (wait + slack + given_up)
            if (cost + vain) / whole < best.cost:
                best = Outlook(expected, wait + slack, (cost + vain) / whole)
        return best

    def pause(self, age: float, shortest: float) -> float:
        """Seconds to wait before the next look at a commit that is missing at *age*.

        Up to the moment when it was first seen in the past, then in small steps that
        grow as the past has less to say. Never less than *shortest*.
        """
        ahead = [span for span in self._sorted if span.high > age]
        until = min((s.low - age for s in ahead if s.low > age), default=inf)
        began = [span.low for span in ahead if span.low <= age]
        if not began and until == inf:
            began = [span.high for span in self._sorted if span.high <= age] or [0.0]
        if began:
            step = min((age - max(began)) * _PAUSE_SHARE, _LONGEST_PAUSE)
            until = min(until, step)
        return max(until, shortest)
