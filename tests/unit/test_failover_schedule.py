"""Nodes are asked steadily, in a burst when the writer is lost, and never in a storm."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

import globaldb
from globaldb.core.failover import BURST, FIRST, Pace, pause

#: Seconds between two looks at the schedule in these simulations.
STEP = 0.005
#: Questions that any remote writer may get from one process within a second.
MOST = 10


def asked(
    seconds: float,
    *,
    searching: Callable[[float], bool] = lambda _now: False,
    hurried: Callable[[float], bool] = lambda _now: False,
    interval: float = 1.0,
    took: float = 0.0,
) -> list[float]:
    """When a node is asked within *seconds*, which needs *took* to answer."""
    pace, random, moments, now = Pace(interval), Random(1), [], 0.0
    while now < seconds:
        looks_for = searching(now)
        if pace.due(now, searching=looks_for, hurried=hurried(now)) <= now:
            moments.append(now)
            jitter = random.uniform(1.0, 1.2)
            pace = pace.asked(now, searching=looks_for, jitter=jitter)
            now += took
        now += STEP
    return moments


def within(moments: list[float], begin: float, end: float) -> int:
    return sum(begin <= moment < end for moment in moments)


def test_while_nothing_is_wrong_a_node_is_asked_once_a_second_at_most() -> None:
    moments = asked(60.0)
    assert 49 <= len(moments) <= 60
    gaps = [after - before for before, after in pairwise(moments)]
    assert min(gaps) >= 1.0
    assert max(gaps) <= 1.2 + 2 * STEP


def test_a_search_asks_at_once_then_ever_less_often() -> None:
    # It has been quiet; the writer is lost at 10.0.
    moments = asked(30.0, searching=lambda now: now >= 10.0)
    first = [moment - 10.0 for moment in moments if moment >= 10.0]
    assert first[0] <= STEP
    assert FIRST <= first[1] <= FIRST * 1.2 + 2 * STEP
    counts = [within(moments, 10.0 + n, 11.0 + n) for n in range(10)]
    assert 5 <= counts[0] <= MOST
    assert counts[1] < counts[0]
    assert max(counts[4:]) <= 1


def test_what_one_search_has_used_is_there_again_for_the_next() -> None:
    """Questions in their own time are no reason to have fewer for a search."""

    def searching(now: float) -> bool:
        return now < 3.0 or now >= 15.0

    moments = asked(20.0, searching=searching)
    assert within(moments, 15.0, 16.0) == within(moments, 0.0, 1.0)


def test_a_thousand_sessions_ask_no_more_than_one() -> None:
    """Each of them hurries at every moment."""
    moments = asked(60.0, hurried=lambda _now: True)
    assert within(moments, 0.0, 1.0) <= MOST
    assert max(within(moments, n, n + 1.0) for n in range(10, 60)) <= 2
    assert len(moments) <= BURST + 60 + 1


def test_a_writer_that_comes_and_goes_is_no_reason_for_a_storm() -> None:
    moments = asked(30.0, searching=lambda now: int(now * 10) % 2 == 0)
    assert max(within(moments, n / 10, n / 10 + 1.0) for n in range(290)) <= MOST
    assert within(moments, 20.0, 30.0) <= 2 * 10


def test_what_is_hurried_once_is_asked_once() -> None:
    moments = asked(5.0, hurried=lambda now: 2.5 <= now < 2.5 + STEP)
    assert [m for m in moments if 2.45 < m < 2.55] == [pytest.approx(2.5, abs=STEP)]


def test_a_long_interval_does_not_make_a_search_slow() -> None:
    moments = asked(20.0, interval=3600.0, searching=lambda now: now >= 5.0)
    assert within(moments, 0.0, 5.0) == 1
    assert within(moments, 5.0, 6.0) >= 5
    assert within(moments, 15.0, 20.0) >= 4


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=8),
    st.sampled_from([0.0, 0.03, 0.22]),
)
def test_whatever_happens_a_second_has_few_questions(
    phases: list[tuple[bool, bool]], took: float
) -> None:
    def phase(now: float) -> tuple[bool, bool]:
        return phases[int(now) % len(phases)]

    moments = asked(
        8.0,
        searching=lambda now: phase(now)[0],
        hurried=lambda now: phase(now)[1],
        took=took,
    )
    assert max(within(moments, m, m + 1.0) for m in moments) <= MOST


def test_work_that_was_not_sent_is_tried_again_at_once_and_then_with_patience() -> None:
    pauses = [pause(attempts, 1.0) for attempts in range(100)]
    assert pauses[:3] == [0.0, 0.0, FIRST]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    assert pause(5, 0.5) == pause(5, 1.0) / 2


def test_children_of_one_parent_do_not_pause_in_step() -> None:
    url = "postgresql://app@/shop?node=us-west-2@127.0.0.1:1&region=us-west-2"
    with globaldb.Cluster(url) as cluster:
        random = cluster.runtime.random
        parent = random.getstate()
        drawn = set()
        for _ in range(3):
            random.setstate(parent)
            cluster.runtime.forget_after_fork()
            drawn.add(random.random())
    assert len(drawn) == 3
