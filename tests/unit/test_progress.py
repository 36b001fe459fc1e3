"""What the writer said of itself bounds ages: of positions, and of what readers show."""

from __future__ import annotations

from hypothesis import given, strategies as st

from globaldb.core.position import Lsn
from globaldb.core.progress import Ages, Progress


def told(
    *answers: tuple[float, int], commit: bool = True, timeline: int = 1
) -> Progress:
    """A writer asked at these times, answering after 0.1 s with these positions."""
    progress = Progress()
    for asked_at, value in answers:
        progress.note(
            Lsn(value, timeline),
            asked_at=asked_at,
            answered_at=asked_at + 0.1,
            commit=commit,
        )
    return progress


def known_at(progress: Progress, value: int) -> float | None:
    first = progress.first(Lsn(value, 1))
    return None if first is None else first.answered_at


def test_a_position_since_a_moment_was_asked_for_after_it() -> None:
    progress = told((1.0, 10), (2.0, 20), (3.0, 30))
    assert [progress.since(moment) for moment in (0.5, 1.0, 1.5, 3.0, 3.5)] == [
        Lsn(10, 1),
        Lsn(10, 1),
        Lsn(20, 1),
        Lsn(30, 1),
        None,
    ]


def test_a_position_is_as_old_as_the_first_answer_at_or_behind_it() -> None:
    progress = told((1.0, 10), (2.0, 20), (3.0, 20))
    assert [known_at(progress, value) for value in (5, 10, 15, 20, 25)] == [
        1.1,
        1.1,
        2.1,
        2.1,
        None,
    ]


def test_an_answer_that_was_overtaken_makes_no_position_older() -> None:
    progress = told((2.0, 20), (2.5, 10), (1.0, 30))
    assert known_at(progress, 10) == 2.1
    assert known_at(progress, 30) == 1.1
    # Whatever was asked at 1.0 is further on than what was asked at 2.0.
    assert progress.since(1.5) == Lsn(20, 1)
    assert progress.since(2.0) == Lsn(20, 1)
    assert progress.since(2.1) is None


def test_a_look_at_a_reader_tells_the_ages_of_what_it_has_and_lacks() -> None:
    progress = told((1.0, 10), (2.0, 20), (3.0, 30))
    assert progress.ages(Lsn(25, 1), 3.6) == Ages(3.6 - 2.1, 3.6 - 3.1)
    assert progress.ages(Lsn(30, 1), 3.6) == Ages(3.6 - 3.1, None)
    assert progress.ages(Lsn(5, 1), 3.6) == Ages(None, 3.6 - 1.1)


def test_only_a_commit_of_this_process_tells_when_it_was_made() -> None:
    progress = told((1.0, 10), (2.0, 20), commit=False)
    assert progress.ages(Lsn(15, 1), 3.0) == Ages(None, 3.0 - 2.1)


def test_positions_of_another_timeline_are_not_compared() -> None:
    progress = told((1.0, 10), timeline=2)
    assert progress.first(Lsn(5, 1)) is None
    assert progress.ages(Lsn(50, 1), 2.0) == Ages(None, None)
    progress.note(Lsn(99, 1), asked_at=2.0, answered_at=2.1)
    assert progress.since(1.5) is None
    progress.note(Lsn(5, 3), asked_at=3.0, answered_at=3.1)
    assert progress.since(0.0) == Lsn(5, 3)


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 99)), max_size=2000))
def test_however_much_was_told_little_is_kept_and_all_of_it_in_order(
    answers: list[tuple[float, int]],
) -> None:
    progress = told(*answers)
    kept = progress._told
    assert len(kept) <= 512
    values = [each.position.value for each in kept if isinstance(each.position, Lsn)]
    assert len(values) == len(kept)
    assert values == sorted(values)
    assert kept == sorted(kept, key=lambda each: each.asked_at)
