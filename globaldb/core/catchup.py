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

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import inf
from typing import Final, NamedTuple

#: Spans remembered, and what each newer one leaves of the weight of those before.
_REMEMBERED: Final = 24
_FADING: Final = 0.85

#: So many commits in a row that were later than any before, or sooner: it is not the
#: same lag any more, and what was before is forgotten.
_SURPRISES: Final = 3

#: Seconds after which what was learnt weighs half beside something new.
_HALF_LIFE: Final = 30.0

#: What may be spent, as a share of what the alternative costs, on hoping that it takes
#: only a little longer than it ever did.
_TRIAL: Final = 0.1

#: The same share while nothing is known: most readers follow within that time, and
#: whoever waits in vain has waited half as long as the other way takes.
_TRIAL_OF_UNKNOWN: Final = 0.5

#: Lengths of patience that differ by less than this factor are not told apart.
_SAME: Final = 1.02

#: The longest pause between two looks at a reader that is about to have it, in
#: seconds, and the share of the time spent that a pause may take.
_LONGEST_PAUSE: Final = 0.02
_PAUSE_SHARE: Final = 0.125


class Span(NamedTuple):
    """Between which ages of a commit it became visible; *high* may be infinite."""

    low: float
    high: float
    weight: float = 1.0


class _Sums(NamedTuple):
    """Spans in the order of their ends, summed up so that a read need not do it.

    ``weight[n]`` is that of the first n, ``ends[n]`` the same of their ends, which
    leaves out those without one: they stand last.
    """

    highs: tuple[float, ...]
    weight: tuple[float, ...]
    ends: tuple[float, ...]
    endless: tuple[Span, ...]
    typical: float | None


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
        #: Newest first; replaced, never changed.
        self._spans: tuple[Span, ...] = ()
        self._sums = _sum_up(())
        self._learnt_at = -inf

    @property
    def typical(self) -> float | None:
        """The weighted median of how long it took; None while nothing is known.

        What was seen to take long, and not seen to end, counts as twice as long.
        """
        return self._sums.typical

    def reached(self, low: float, high: float, now: float) -> None:
        """Learn that a commit became visible between the ages *low* and *high*."""
        since = now - self._learnt_at
        fading = _FADING * 0.5 ** (since / _HALF_LIFE)
        kept = (
            span._replace(weight=span.weight * fading)
            for span in self._spans[: _REMEMBERED - 1]
        )
        spans = (Span(max(low, 0.0), max(high, 0.0)), *kept)
        self._spans = spans[:_SURPRISES] if _is_another_lag(spans) else spans
        self._sums = _sum_up(self._spans)
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
        self._spans, self._sums = (), _sum_up(())

    def expected_wait(self, age: float, *, behind: bool = False) -> float | None:
        """Mean seconds until a commit of *age* is visible; None if nothing tells.

        *behind* says that it certainly is not yet.
        """
        highs, weight, ends, endless, _ = self._sums
        first, finite = bisect_right(highs, age), len(highs) - len(endless)
        considered = first if behind else 0
        if considered == len(highs):
            return None
        waits = ends[finite] - ends[first] - age * (weight[finite] - weight[first])
        for span in endless:
            # What has taken long takes as long again.
            waits += span.weight * max(2 * span.low - age, age)
        return max(waits, 0.0) / (weight[-1] - weight[considered])

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
            patience = slack if self._spans else _TRIAL_OF_UNKNOWN * otherwise
            return Outlook(None, patience, trip)
        highs, weight, ends, endless, _ = self._sums
        first, finite = bisect_right(highs, age), len(highs) - len(endless)
        if first == len(highs):
            return Outlook(expected, slack, trip)
        # Those that had caught up in time cost a trip, unless they are out of the case.
        there = 0.0 if behind else weight[first]
        whole = weight[-1] - weight[first] + there
        given_up = otherwise if behind else otherwise + trip
        patience, least = 0.0, there * trip + (whole - there) * given_up
        for index in range(first, finite):
            wait = highs[index] - age
            if index + 1 < finite and highs[index + 1] - age < wait * _SAME:
                continue
            share = weight[index + 1] - weight[first]
            cost = (there + share) * trip + (ends[index + 1] - ends[first])
            cost += (whole - there - share) * (wait + slack + given_up) - age * share
            if cost < least:
                patience, least = wait + slack, cost
        return Outlook(expected, patience, least / whole)

    def pause(self, age: float, shortest: float) -> float:
        """Seconds to wait before the next look at a commit that is missing at *age*.

        Up to the moment when it was first seen in the past, then in small steps that
        grow as the past has less to say. Never less than *shortest*.
        """
        ahead = [span for span in self._spans if span.high > age]
        until = min((s.low - age for s in ahead if s.low > age), default=inf)
        began = [span.low for span in ahead if span.low <= age]
        if not began and until == inf:
            began = [span.high for span in self._spans if span.high <= age] or [0.0]
        if began:
            step = min((age - max(began)) * _PAUSE_SHARE, _LONGEST_PAUSE)
            until = min(until, step)
        return max(until, shortest)


def _is_another_lag(spans: tuple[Span, ...]) -> bool:
    newest, before = spans[:_SURPRISES], spans[_SURPRISES:]
    if not before:
        return False
    latest = max((span.high for span in before if span.high < inf), default=inf)
    later = all(span.low >= latest for span in newest)
    return later or max(span.high for span in newest) <= min(s.low for s in before)


def _sum_up(spans: tuple[Span, ...]) -> _Sums:
    ordered = sorted(spans, key=lambda span: (span.high, span.low))
    weight = tuple(accumulate((span.weight for span in ordered), initial=0.0))
    finite = [span for span in ordered if span.high < inf]
    ends = accumulate((span.weight * span.high for span in finite), initial=0.0)
    middle = bisect_left(weight, weight[-1] / 2) - 1
    typical = None
    if ordered:
        span = ordered[max(middle, 0)]
        typical = span.high if span.high < inf else 2 * span.low
    return _Sums(
        tuple(span.high for span in ordered),
        weight,
        tuple(ends),
        tuple(ordered[len(finite) :]),
        typical,
    )
