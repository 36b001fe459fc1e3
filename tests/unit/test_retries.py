"""Pauses between attempts grow, have a limit, and are a matter of chance."""

from __future__ import annotations

from random import Random

from globaldb.core.retries import Retries


def longest(_low: float, high: float) -> float:
    return high


def test_pauses_double_up_to_the_longest():
    left = Retries(9)
    pauses = []
    for _ in range(8):
        pauses.append(left.delay(longest))
        left = left.spend()
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_pause_is_anything_up_to_the_longest():
    drawn = [Retries(1).delay(Random(7).uniform) for _ in range(2)]
    assert drawn[0] == drawn[1]
    many = Random(7)
    pauses = [Retries(1).delay(many.uniform) for _ in range(2000)]
    assert min(pauses) >= 0.0
    assert max(pauses) <= 0.05
    assert abs(sum(pauses) / len(pauses) - 0.025) < 0.002


def test_each_attempt_is_spent_once():
    left = Retries(2)
    assert (left.spend().left, left.spend().spend().left, left.left) == (1, 0, 2)


def test_any_number_of_attempts_has_a_pause():
    assert Retries(1, spent=5000).delay(longest) == 2.0
