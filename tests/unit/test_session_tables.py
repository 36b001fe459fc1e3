"""A session that keeps its books by table requires no less, only of fewer reads."""

from __future__ import annotations

from globaldb.core.position import Lsn, Position
from globaldb.core.session import OLDER_TIMELINE, POSITION_UNKNOWN, SessionState
from globaldb.core.table_floors import TableFloors
from globaldb.core.timelines import Timelines

A, B = frozenset("a"), frozenset("b")


def at(value: int, timeline: int = 1) -> Position:
    return Position(Lsn(value, timeline))


def keeping(*tables: str) -> SessionState:
    """A session's books by table, with a write to *tables* announced."""
    books = SessionState(tables=TableFloors())
    assert books.tables is not None
    books.tables.touch(frozenset(tables), afresh=True)
    return books


def test_only_reads_of_the_written_table_require_the_write():
    books = keeping("a")
    books.captured(at(5), 1.0)
    assert (books.requirement(A), books.requirement(B)) == (at(5), None)
    assert books.requirement(None) == books.floor == at(5)


def test_without_books_by_table_every_read_requires_everything():
    books = SessionState()
    books.captured(at(5), 1.0)
    assert books.requirement(B) == at(5)
    books.lost_position()
    assert books.needs_writer(1, B) == POSITION_UNKNOWN


def test_a_position_for_the_whole_counts_for_every_table():
    books = keeping("a")
    books.captured(at(5), 1.0, whole=True)
    assert books.requirement(B) == at(5)


def test_a_write_does_not_cover_what_the_last_reader_has_shown():
    books = keeping("a")
    books.read("reader", 1.0)
    books.captured(at(5), 2.0)
    assert books.read_node == "reader"
    assert not books.left(at(3), 0.5)
    assert books.left(at(4), 3.0)
    assert (books.requirement(A), books.requirement(B)) == (at(5), at(4))


def test_what_was_read_at_the_writer_is_required_of_everything():
    books = keeping("a")
    books.read("reader", 1.0)
    assert books.tables is not None
    books.tables.touch(None, afresh=True)
    books.captured(at(5), 2.0)
    assert (books.read_node, books.requirement(B)) == (None, at(5))


def test_a_read_at_the_writer_raises_every_floor_but_begins_no_window():
    books = keeping("a")
    books.captured(Position(Lsn(5, 1), moment=5.0), 1.0)
    books.read("reader", 2.0)
    assert books.tables is not None
    books.tables.touch(None, afresh=True)
    books.read_at_writer(Position(Lsn(8, 1), moment=8.0), 3.0)
    assert books.read_node is None
    assert books.requirement(A) == Position(Lsn(8, 1), moment=5.0)
    assert books.requirement(B) == Position(Lsn(8, 1), moment=0.0)


def test_a_read_at_the_writer_cures_a_lost_position():
    books = keeping("a")
    books.captured(at(5), 1.0)
    books.lost_position()
    assert books.tables is not None
    books.tables.touch(None, afresh=True)
    books.read_at_writer(at(8), 3.0)
    assert books.needs_writer(1, A) is None
    assert books.requirement(A) == at(8)


def test_a_lost_position_sends_only_reads_of_its_tables_to_the_writer():
    books = keeping("a")
    books.lost_position()
    assert books.needs_writer(1, A) == POSITION_UNKNOWN
    assert books.needs_writer(1, B) is None
    assert books.needs_writer(1) == POSITION_UNKNOWN


def test_a_token_is_required_of_everything():
    books = keeping("a")
    books.require(at(7))
    assert (books.requirement(A), books.requirement(B)) == (at(7), at(7))


def test_a_promotion_makes_one_requirement_of_all():
    books = keeping("a")
    books.captured(at(5), 1.0)
    assert books.outdated(2)
    books.promoted(Timelines(), 2)
    for reads in (A, B, None):
        assert books.needs_writer(2, reads) == OLDER_TIMELINE


def test_positions_of_two_timelines_are_not_told_apart_by_table():
    books = keeping("a")
    books.captured(at(5), 1.0)
    assert books.tables is not None
    books.tables.touch(B, afresh=True)
    books.captured(at(3, timeline=2), 2.0)
    assert books.apart == at(5)
    assert books.requirement(frozenset("c")) == at(3, timeline=2)
    assert books.outdated(2)
