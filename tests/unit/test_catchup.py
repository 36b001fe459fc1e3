"""Waiting for a reader costs little more than the best choice in hindsight."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, strategies as st

from globaldb.core.catchup import CatchUp

#: Seconds for a trip to the reader, and between two commits.
TRIP, EVERY = 0.001, 0.35

Lag = Callable[[Random, int], float]
seconds = st.floats(0, 5)


def read(
    learnt: CatchUp, now: float, *, lag: float, age: float, writer: float
) -> float:
    """Play one read of a commit of *age* that is visible at *lag*; its latency."""
    if learnt.outlook(age, trip=TRIP, otherwise=writer).cost >= writer:
        watch(learnt, now, lag, age)
        return writer
    if age >= lag:
        learnt.at_most(age, now)
        return TRIP
    at, missing = age + TRIP, age
    found = learnt.outlook(age, trip=TRIP, otherwise=writer, behind=True)
    until = at + found.patience
    while at < until:
        at += min(learnt.pause(at, 0.0005), until - at)
        if at >= lag:
            learnt.reached(missing, at, now)
            return at + TRIP - age
        missing, at = at, at + TRIP
    watch(learnt, now, lag, at)
    return at - age + writer


def watch(learnt: CatchUp, now: float, lag: float, age: float) -> None:
    """Look on in the background, beside a read that went to the writer."""
    if age >= lag:
        learnt.at_most(age, now)
    else:
        learnt.reached(max(age, lag * 0.9), lag, now)


def ratio(lag: Lag, *, writer: float, age: float, reads: int = 200) -> float:
    """Mean latency beside that of the better one of always waiting and never."""
    random, learnt = Random(7), CatchUp()
    ours = waiting = 0.0
    for number in range(reads):
        true = max(lag(random, number), 0.0)
        took = read(learnt, number * EVERY, lag=true, age=age, writer=writer)
        if number >= 5:
            ours += took
            # A loop of looks, a trip and a pause of half a millisecond each, finds it
            # half a round late.
            late = (TRIP + 0.0005) / 2 if true > age else 0.0
            waiting += max(true - age, 0.0) + late + TRIP
    return ours / min(waiting, writer * (reads - 5))


@pytest.mark.parametrize("writer", [0.02, 0.14, 0.22])
@pytest.mark.parametrize("age", [0.0, 0.01, 0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("lag", [0.003, 0.005, 0.02, 0.05, 0.1, 0.3])
def test_a_constant_lag_costs_what_the_better_choice_costs(
    lag: float, age: float, writer: float
) -> None:
    assert ratio(lambda r, _: lag + r.uniform(0, 0.002), writer=writer, age=age) < 1.1


@pytest.mark.parametrize(
    ("lag", "limit"),
    [
        (lambda random, _: random.uniform(0, 0.28), 1.1),
        (lambda random, _: random.choice([0.003, 0.42]), 0.8),
        (lambda random, _: 0.42 if random.random() < 0.1 else 0.003, 0.6),
        (lambda random, _: random.expovariate(1 / 0.07), 1.3),
        (lambda _, number: 0.003 if (number // 20) % 2 else 0.21, 0.8),
        (lambda random, _: random.uniform(0.126, 0.154), 1.1),
    ],
    ids=["jitter", "two_modes", "rare_stalls", "no_memory", "regimes", "a_tie"],
)
def test_an_unsteady_lag_costs_little_more_than_the_better_choice(
    lag: Lag, limit: float
) -> None:
    assert ratio(lag, writer=0.14, age=0.01) < limit


def learnt_from(spans: list[tuple[float, float]]) -> CatchUp:
    learnt = CatchUp()
    for number, (low, more) in enumerate(spans):
        learnt.reached(low, low + more, number)
    return learnt


@given(st.lists(st.tuples(seconds, seconds)), seconds, st.booleans())
def test_no_history_makes_a_wait_longer_than_the_writer_takes(
    spans: list[tuple[float, float]], age: float, behind: bool
) -> None:
    found = learnt_from(spans).outlook(age, trip=TRIP, otherwise=0.14, behind=behind)
    assert 0 <= found.patience <= 0.14 * 1.1
    assert found.cost <= 0.14 + TRIP
    assert learnt_from(spans).pause(age, 0.001) >= 0.001


def test_with_nothing_learnt_half_of_the_other_way_is_spent() -> None:
    for behind in (False, True):
        found = CatchUp().outlook(0.0, trip=TRIP, otherwise=0.2, behind=behind)
        assert found == (None, pytest.approx(0.1), TRIP)


def test_after_a_lag_ends_a_few_commits_bring_the_reader_back() -> None:
    learnt = learnt_from([(0.29, 0.01)] * 30)
    assert learnt.outlook(0.0, trip=TRIP, otherwise=0.14).cost > 0.14
    for number in range(2):
        learnt.reached(0.0, 0.004, 30 + number)
    assert learnt.outlook(0.0, trip=TRIP, otherwise=0.14).cost < 0.14


def test_after_a_lag_begins_a_few_vain_waits_are_the_last_ones() -> None:
    learnt = learnt_from([(0.0, 0.004)] * 30)
    assert learnt.outlook(0.0, trip=TRIP, otherwise=0.02).cost < 0.02
    for number in range(3):
        learnt.at_least(0.006, 30 + number)
    assert learnt.outlook(0.0, trip=TRIP, otherwise=0.02).cost > 0.02


def test_what_is_known_for_long_gives_way_to_one_new_commit() -> None:
    learnt = learnt_from([(0.29, 0.01)] * 30)
    learnt.reached(0.0, 0.004, 1000)
    assert learnt.expected_wait(0.0) == pytest.approx(0.004, abs=1e-6)


def test_the_wait_still_expected_shrinks_with_the_age_of_the_write() -> None:
    learnt = learnt_from([(0.09, 0.01)] * 5)
    assert learnt.expected_wait(0.0) == pytest.approx(0.1)
    assert learnt.expected_wait(0.07) == pytest.approx(0.03)
    assert learnt.expected_wait(0.2) == 0
    assert learnt.expected_wait(0.2, behind=True) is None


def test_a_commit_that_outlives_the_usual_lag_is_expected_like_the_slow_ones() -> None:
    learnt = learnt_from([(0.0, 0.01), (0.3, 0.01)] * 4)
    found = learnt.outlook(0.05, trip=TRIP, otherwise=0.14, behind=True)
    assert (found.patience, found.cost) == (0.0, 0.14)
    assert found.expected == pytest.approx(0.26)


def test_bounds_are_learnt_from_only_where_they_contradict_what_is_known() -> None:
    learnt = learnt_from([(0.09, 0.01)] * 5)
    learnt.at_most(0.2, 5.0)
    learnt.at_least(0.05, 5.0)
    assert learnt.expected_wait(0.0) == pytest.approx(0.1)
    learnt.at_most(0.02, 5.0)
    assert 0.02 < (learnt.expected_wait(0.0) or 0) < 0.1
    for _ in range(5):
        learnt.at_least(0.4, 6.0)
    assert (learnt.expected_wait(0.0) or 0) > 0.4


def test_the_first_look_comes_when_the_first_commit_came_in_the_past() -> None:
    learnt = learnt_from([(0.09, 0.01), (0.2, 0.01)])
    assert learnt.pause(0.0, 0.001) == pytest.approx(0.09)
    assert learnt.pause(0.095, 0.001) == 0.001
    assert learnt.pause(0.11, 0.001) == pytest.approx(0.09)
    assert 0.001 < learnt.pause(0.3, 0.001) <= 0.02


def test_a_node_that_is_another_one_is_learnt_anew() -> None:
    learnt = learnt_from([(0.3, 0.01)])
    learnt.forget()
    assert learnt.typical is None
    assert learnt.expected_wait(0.0) is None
