"""A node is judged by its last readings; a window around the fastest shares the load."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from globaldb.core.latency import Response, within_window

seconds = st.floats(0.0001, 10.0)


def test_nothing_is_known_before_the_first_reading_which_is_taken_as_it_is() -> None:
    assert Response().seconds is None
    assert Response().read(0.25).seconds == 0.25


@given(st.lists(seconds, min_size=3, max_size=3), seconds)
def test_one_reading_among_three_does_not_decide(
    before: list[float], outlier: float
) -> None:
    response = Response(shares=True)
    for reading in (max(before), outlier, max(before)):
        response = response.read(reading)
    assert response.seconds == max(before)


def test_a_node_that_is_away_is_judged_by_its_worst_reading() -> None:
    shares = Response((0.001, 0.001, 0.9), shares=True)
    response = shares.judged(near=False, now=1.0)
    assert response.seconds == 0.001
    assert response.read(0.9).read(0.001).seconds == 0.9
    assert response.judged(near=False, now=2.0) is response


def test_what_was_read_long_ago_is_forgotten() -> None:
    response = Response()
    for number in range(100):
        response = response.read(float(number))
    assert response.readings == tuple(range(99, 91, -1))


@pytest.mark.parametrize(
    ("latencies", "chosen"),
    [
        ({}, set()),
        ({"a": 0.0005}, {"a"}),
        ({"a": 0.0005, "b": 0.0154, "c": 0.0156}, {"a", "b"}),
        # Far away the factor allows more than the window.
        ({"a": 0.100, "b": 0.190, "c": 0.210}, {"a", "b"}),
    ],
)
def test_the_window_is_the_larger_of_milliseconds_and_factor(
    latencies: dict[str, float], chosen: set[str]
) -> None:
    assert within_window(latencies, window=0.015, factor=2.0) == chosen


@given(st.dictionaries(st.text(max_size=3), seconds, min_size=1))
def test_the_fastest_is_always_in_and_nobody_slower_than_who_is_out(
    latencies: dict[str, float],
) -> None:
    chosen = within_window(latencies, window=0.015, factor=2.0)
    assert min(latencies, key=latencies.__getitem__) in chosen
    slowest = max(latencies[name] for name in chosen)
    assert all(latencies[name] > slowest for name in latencies.keys() - chosen)


def test_who_shares_the_load_may_be_a_little_beyond_the_window() -> None:
    times = {"a": 0.001, "b": 0.018, "c": 0.018, "d": 0.021}
    found = within_window(times, window=0.015, factor=2.0, sharing={"b", "d"})
    assert found == {"a", "b"}
