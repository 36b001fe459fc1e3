"""Response times are smoothed, and a window around the fastest shares the load."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from globaldb.core.latency import SMOOTHING, smoothed, within_window

seconds = st.floats(0.0001, 10.0)


def test_the_first_sample_is_taken_as_it_is() -> None:
    assert smoothed(None, 0.25) == 0.25


@given(seconds, seconds)
def test_a_sample_moves_the_mean_a_fifth_of_the_way(before: float, now: float) -> None:
    after = smoothed(before, now)
    assert min(before, now) - 1e-12 <= after <= max(before, now) + 1e-12
    assert after - before == pytest.approx(SMOOTHING * (now - before))


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
