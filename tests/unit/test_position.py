"""Positions compare within a timeline, join across them, and skip page headers."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from globaldb.core.position import Lsn, Position, before_page_header
from globaldb.errors import DataError

PAGE, SEGMENT = 8192, 16 * 1024 * 1024

values = st.integers(0, (1 << 64) - 1)
lsns = st.builds(Lsn, values, st.integers(1, 4))


@given(values, st.integers(0, 9))
def test_what_postgresql_prints_is_read_back(value: int, timeline: int) -> None:
    text = f"{value >> 32:X}/{value & 0xFFFFFFFF:X}"
    assert Lsn.parse(text, timeline) == Lsn(value, timeline)
    assert str(Lsn(value, timeline)) == f"{text}@{timeline}"


@pytest.mark.parametrize(
    "text", ["", "/", "0", "0/", "/0", "x/0", "0/x", "123456789/0", "0/123456789"]
)
def test_what_is_no_position_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(DataError, match="is not a log position") as caught:
        Lsn.parse(text, 1)
    assert repr(text) in str(caught.value)


@given(lsns, lsns)
def test_a_merge_covers_both_on_one_timeline_and_keeps_the_newer_of_two(
    a: Lsn, b: Lsn
) -> None:
    joined = a.merge(b)
    assert joined == b.merge(a)
    assert joined in (a, b)
    assert joined.timeline == max(a.timeline, b.timeline)
    assert all(joined.covers(x) for x in (a, b) if x.timeline == joined.timeline)


@given(lsns, lsns, lsns)
def test_covering_is_an_order_within_a_timeline_only(a: Lsn, b: Lsn, c: Lsn) -> None:
    assert a.covers(a)
    assert a.covers(b) <= (a.timeline == b.timeline and a.value >= b.value)
    assert not (a.covers(b) and b.covers(c)) or a.covers(c)


@given(values, values)
def test_an_unknown_timeline_covers_nothing_and_is_covered_by_nothing(
    a: int, b: int
) -> None:
    assert not Lsn(a, 0).covers(Lsn(b, 0))
    assert not Lsn(a, 0).covers(Lsn(b, 1))
    assert not Lsn(a, 1).covers(Lsn(b, 0))


@pytest.mark.parametrize(
    ("inserted", "expected"),
    [
        (5 * PAGE + 24, 5 * PAGE),
        (5 * PAGE + 32, 5 * PAGE + 32),
        (5 * PAGE, 5 * PAGE),
        (5 * PAGE + 40, 5 * PAGE + 40),
        (3 * SEGMENT + 40, 3 * SEGMENT),
        (3 * SEGMENT + 48, 3 * SEGMENT + 48),
        (3 * SEGMENT, 3 * SEGMENT),
    ],
)
def test_an_insert_position_steps_back_over_a_page_header(
    inserted: int, expected: int
) -> None:
    assert before_page_header(inserted) == expected


@given(st.sampled_from([4096, 8192, 32768]), st.integers(0, 1 << 30))
def test_stepping_back_never_loses_a_record(page: int, inserted: int) -> None:
    value = before_page_header(inserted, page_size=page, segment_size=128 * page)
    # Only a header lies between: the end of the last record is not before it.
    assert value == inserted or (value % page == 0 and inserted - value in (24, 40))


@pytest.mark.parametrize("written", [(5, 7), (7, 5), (7, 7)])
def test_of_two_positions_the_further_one_says_who_told_it(
    written: tuple[int, int],
) -> None:
    one, other = written
    told = Position(Lsn(one, 1), read=True)
    joined = told.merge(Position(Lsn(other, 1)))
    assert joined.log == Lsn(7, 1)
    assert joined.read is (one > other)
