"""A session's books require, of the next node, everything it wrote or saw."""

from __future__ import annotations

from hypothesis import given, strategies as st

from globaldb.core.position import Lsn, Position
from globaldb.core.session import SessionState

positions = st.integers(0, 50).map(lambda value: Position(Lsn(value, 1)))


def at(value: int, timeline: int = 1) -> Position:
    return Position(Lsn(value, timeline))


def floor(books: SessionState) -> Lsn:
    assert books.floor is not None
    assert books.floor.log is not None
    return books.floor.log


def test_a_new_session_requires_nothing() -> None:
    books = SessionState()
    assert books.floor is None
    assert not books.needs_writer(9)


@given(st.lists(positions, min_size=1))
def test_the_floor_covers_every_position_ever_captured_or_observed(
    seen: list[Position],
) -> None:
    books = SessionState()
    for number, position in enumerate(seen):
        if number % 2:
            books.require(position)
        else:
            books.captured(position, 0.0)
        for each in seen[: number + 1]:
            assert each.log is not None
            assert floor(books).covers(each.log)


def test_a_capture_knows_the_position_again_and_covers_the_reads_before_it() -> None:
    books = SessionState()
    books.read("ap-1", 1.0)
    books.lost_position()
    assert books.needs_writer(1)
    books.captured(at(5), 2.5)
    assert not books.needs_writer(1)
    assert books.read_node is None
    assert (books.floor, books.floor_at) == (at(5), 2.5)


def test_a_token_does_not_make_an_unknown_position_known() -> None:
    books = SessionState()
    books.lost_position()
    books.require(at(5))
    assert books.needs_writer(1)


def test_a_sample_older_than_the_last_read_does_not_let_the_session_leave() -> None:
    books = SessionState()
    books.read("ap-1", 2.0)
    assert not books.left(at(9), asked_at=1.9)
    assert (books.read_node, books.floor) == ("ap-1", None)


def test_a_read_elsewhere_does_not_forget_the_node_that_was_not_left() -> None:
    books = SessionState()
    books.read("ap-1", 1.0)
    books.read("us-1", 2.0)
    assert (books.read_node, books.read_ended_at) == ("ap-1", 1.0)
    books.read("ap-1", 3.0)
    assert books.read_ended_at == 3.0


def test_leaving_a_node_requires_of_the_next_what_the_last_read_can_have_seen() -> None:
    books = SessionState()
    books.captured(at(3), 1.0)
    books.read("ap-1", 2.0)
    assert books.left(at(9), asked_at=2.0)
    assert (books.read_node, books.floor) == (None, at(9))


def test_leaving_never_lowers_the_floor() -> None:
    books = SessionState()
    books.captured(at(30), 1.0)
    books.read("ap-1", 2.0)
    assert books.left(at(9), asked_at=3.0)
    assert books.floor == at(30)


def test_a_position_of_an_older_timeline_needs_the_writer() -> None:
    books = SessionState()
    books.captured(at(30), 1.0)
    assert not books.needs_writer(1)
    assert books.needs_writer(2)
    books.captured(at(20, 2), 2.0)
    assert books.floor == at(20, 2)
    assert not books.needs_writer(2)


def test_a_position_that_nobody_has_been_at_is_required_only_until_a_capture() -> None:
    books = SessionState()
    books.require(at(1 << 60))
    books.captured(at(5), 1.0)
    assert books.floor == at(5)


def test_a_position_of_a_newer_timeline_than_is_believed_in_needs_the_writer() -> None:
    books = SessionState()
    books.require(at(5, 3))
    assert books.needs_writer(2) == "position_of_newer_timeline"
    assert not books.needs_writer(3)
    # While no writer is known nobody knows better than the token.
    assert not books.needs_writer(0)


@given(st.permutations([at(7, 1), at(3, 2)]), st.booleans())
def test_no_position_of_another_timeline_is_forgotten(
    positions: list[Position], captured: bool
) -> None:
    books = SessionState()
    for position in positions:
        if captured:
            books.captured(position, 1.0)
        else:
            books.require(position)
    assert {books.floor, books.apart} == set(positions)
    assert books.outdated(2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "lost", "read", "leave"]), positions),
        max_size=30,
    )
)
def test_no_order_of_events_lets_a_session_go_to_a_node_behind_what_it_saw(
    events: list[tuple[str, Position]],
) -> None:
    """A reader at exactly the floor must have everything the session saw elsewhere."""
    books = SessionState()
    written = seen = head = 0
    for now, (kind, position) in enumerate(events, start=1):
        assert position.log is not None
        value = position.log.value
        head = max(head, value)
        if kind == "write":
            books.captured(at(head), float(now))
            written = seen = head
        elif kind == "lost":
            books.lost_position()
            written = head
        elif kind == "read":
            # A reader that satisfies the fence; it may be ahead of it.
            seen = max(seen, floor(books).value if books.floor else 0)
            books.read("ap-1", float(now))
        elif books.read_node is not None:
            assert books.left(at(max(seen, value)), float(now))
        known = floor(books).value if books.floor else 0
        assert books.needs_writer(1) or known >= written
        assert books.position_unknown or books.read_node or known >= seen


def test_one_that_inherits_goes_on_where_the_other_was() -> None:
    before, after = SessionState(), SessionState()
    before.captured(at(5), 2.5)
    before.read("ap-1", 3.0)

    after.inherit(before)

    assert after == before


def test_one_that_inherits_requires_the_further_of_both() -> None:
    mine, other = SessionState(), SessionState()
    mine.captured(at(9), 1.0)
    other.captured(at(5), 2.5)

    mine.inherit(other)

    assert floor(mine) == Lsn(9, 1)
    assert mine.raised_at == 2.5


def test_one_that_inherits_what_it_has_keeps_the_age_of_it() -> None:
    mine, other = SessionState(), SessionState()
    mine.captured(at(5), 1.0)
    other.captured(at(5), 2.5)

    mine.inherit(other)

    assert (mine.raised_at, mine.floor_at) == (1.0, 1.0)


def test_one_that_inherits_a_position_that_is_not_known_needs_the_writer() -> None:
    mine, other = SessionState(), SessionState()
    other.lost_position()

    mine.inherit(other)

    assert mine.needs_writer(1)


def test_one_that_inherits_reads_of_another_reader_needs_the_writer() -> None:
    mine, other = SessionState(), SessionState()
    mine.read("ap-1", 1.0)
    other.read("ap-2", 2.0)

    mine.inherit(other)

    assert mine.needs_writer(1)


def test_one_that_inherits_keeps_what_is_on_another_timeline() -> None:
    mine, other = SessionState(), SessionState()
    other.captured(at(5), 1.0)
    other.captured(at(7, 2), 2.0)

    mine.inherit(other)

    assert (mine.apart, mine.floor) == (at(5), at(7, 2))
