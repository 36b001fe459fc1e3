"""What a read requires covers every write of its tables, and no other."""

from __future__ import annotations

import pytest
from hypothesis import find, given, strategies as st
from hypothesis.errors import NoSuchExample

from globaldb.core.position import Lsn, Position
from globaldb.core.table_floors import TableFloors

A, B, C = frozenset("a"), frozenset("b"), frozenset("c")


def at(value: int) -> Position:
    return Position(Lsn(value, 1), None, float(value))


def value(floors: TableFloors, tables: frozenset[str]) -> int | None:
    """The number that reads of *tables* require; 0 for nothing, None if unknown."""
    floor = floors.required(tables)
    if floor is None:
        return 0
    lsn = None if floor.position is None else floor.position.log
    return None if lsn is None else lsn.value


def wrote(floors: TableFloors, tables: frozenset[str] | None, position: int) -> None:
    """One write outside of a transaction, as a session keeps it."""
    floors.touch(tables, afresh=True)
    if floors.narrow:
        floors.captured(at(position), float(position))
    else:
        floors.all_captured(at(position), float(position))


def test_reads_of_a_table_that_was_written_require_it_and_others_nothing():
    floors = TableFloors()
    wrote(floors, A, 5)
    assert (value(floors, A), value(floors, B), value(floors, A | B)) == (5, 0, 5)


def test_a_write_of_nobody_knows_what_counts_for_all():
    floors = TableFloors()
    wrote(floors, A, 5)
    wrote(floors, None, 7)
    assert (value(floors, A), value(floors, B), len(floors)) == (7, 7, 0)


def test_what_was_not_announced_is_not_narrow():
    floors = TableFloors()
    assert not floors.narrow
    floors.touch(A, afresh=True)
    floors.ended()
    assert not floors.narrow


def test_the_tables_of_a_transaction_add_up_until_its_end():
    floors = TableFloors()
    floors.touch(A, afresh=False)
    floors.touch(B, afresh=False)
    floors.captured(at(9), 9.0)
    floors.ended()
    wrote(floors, C, 11)
    assert (value(floors, A), value(floors, B), value(floors, C)) == (9, 9, 11)


def test_one_unknown_statement_makes_its_transaction_unknown():
    floors = TableFloors()
    for tables in (A, None, B):
        floors.touch(tables, afresh=False)
    assert not floors.narrow


def test_a_lost_position_sends_only_reads_of_its_tables_to_the_writer():
    floors = TableFloors()
    wrote(floors, B, 3)
    floors.touch(A, afresh=True)
    floors.lost_position()
    assert (value(floors, A), value(floors, B), value(floors, C)) == (None, 3, 0)
    assert value(floors, A | B) is None


def test_the_next_position_is_behind_every_lost_one():
    floors = TableFloors()
    floors.touch(A, afresh=True)
    floors.lost_position()
    wrote(floors, B, 6)
    assert (value(floors, A), value(floors, B), value(floors, C)) == (6, 6, 0)


def test_a_lost_position_of_unknown_tables_is_cured_by_the_next_one_too():
    floors = TableFloors()
    floors.touch(None, afresh=True)
    floors.lost_position()
    assert value(floors, C) is None
    wrote(floors, B, 6)
    assert value(floors, C) == 6


def test_a_token_counts_for_every_table():
    floors = TableFloors()
    wrote(floors, A, 5)
    floors.require(at(9))
    assert (value(floors, A), value(floors, B)) == (9, 9)
    wrote(floors, A, 12)
    assert (value(floors, A), value(floors, B)) == (12, 9)


def test_a_form_that_a_token_lacks_cannot_be_fenced_by():
    floors = TableFloors()
    wrote(floors, A, 5)
    floors.require(Position(None, None, 7.0))
    floor = floors.required(A)
    assert floor is not None
    assert floor.position == Position(None, None, 7.0)


def test_beyond_the_bound_the_oldest_floor_becomes_that_of_all():
    floors = TableFloors(most=2)
    for position, name in enumerate("abc", start=1):
        wrote(floors, frozenset(name), position)
    assert len(floors) == 2
    assert [value(floors, frozenset(name)) for name in "abcd"] == [1, 2, 3, 1]


def test_the_time_of_the_last_write_is_known_by_table():
    floors = TableFloors()
    wrote(floors, A, 5)
    wrote(floors, B, 8)
    floors.touch(C, afresh=True)
    floors.lost_position()
    for tables, expected in ((A, 5.0), (B, 8.0), (A | B, 8.0)):
        floor = floors.required(tables)
        assert floor is not None
        assert floor.position is not None
        assert (floor.at, floors.raised_at(floor.position)) == (expected, expected)


def test_what_was_read_at_the_writer_counts_for_all_but_no_time_begins_anew():
    floors = TableFloors()
    wrote(floors, A, 5)
    floors.saw(Position(Lsn(9, 1), None, 9.0))
    assert (value(floors, A), value(floors, B)) == (9, 9)
    written, other = floors.required(A), floors.required(B)
    assert written is not None
    assert other is not None
    assert (written.at, other.at) == (5.0, 0.0)
    assert written.position == Position(Lsn(9, 1), None, 5.0)
    assert other.position == Position(Lsn(9, 1), None, 0.0)
    assert floors.raised_at(other.position) == 0.0
    wrote(floors, None, 12)
    assert value(floors, B) == 12


def test_what_is_restated_counts_for_all():
    floors = TableFloors()
    wrote(floors, A, 5)
    floors.restate(at(6))
    assert (value(floors, A), value(floors, B)) == (6, 6)


names = st.frozensets(st.sampled_from("abcd"), max_size=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.none() | names),
        st.tuples(st.just("lose"), st.none() | names),
        st.tuples(st.just("token"), st.none()),
        st.tuples(st.just("transaction"), st.none() | names),
        st.tuples(st.just("commit"), st.none()),
    ),
    max_size=14,
)


class Play:
    """The books, and beside them the least that reads of each table must require."""

    def __init__(self, most: int) -> None:
        self.floors = TableFloors(most)
        self.least = dict.fromkeys("abcd", 0)
        self.unknown: set[str] = set()
        self.open: set[str] = set()
        self.inside = False

    def step(self, what: str, tables: frozenset[str] | None, now: int) -> None:
        touched = set("abcd" if tables is None else tables)
        if what == "token":
            self.floors.require(at(now))
            self.least = dict.fromkeys("abcd", now)
        elif what == "transaction":
            self.floors.touch(tables, afresh=not self.inside)
            self.open, self.inside = self.open | touched, True
        elif what == "commit":
            self.end(now, lost=False)
        elif not self.inside:
            self.floors.touch(tables, afresh=True)
            self.open = touched
            self.end(now, lost=what == "lose")

    def end(self, now: int, *, lost: bool) -> None:
        if lost:
            self.floors.lost_position()
            self.unknown |= self.open
        else:
            raised = self.floors.captured if self.floors.narrow else None
            (raised or self.floors.all_captured)(at(now), float(now))
            self.least.update(dict.fromkeys(self.open | self.unknown, now))
            self.unknown = set()
        self.floors.ended()
        self.open, self.inside = set(), False

    def requires_too_little(self, name: str) -> bool:
        found = value(self.floors, frozenset(name))
        if name in self.unknown:
            return found is not None
        return found is not None and found < self.least[name]


def broken(history: list[tuple[str, frozenset[str] | None]], most: int) -> bool:
    """Whether reads of some table require too little at any time in *history*."""
    play = Play(most)
    for now, (what, tables) in enumerate(history, start=1):
        play.step(what, tables, now)
        if any(play.requires_too_little(name) for name in "abcd"):
            return True
    return False


@given(steps, st.integers(1, 4))
def test_no_read_requires_less_than_the_writes_of_its_tables(history, most):
    assert not broken(history, most)


@pytest.mark.parametrize("forgotten", ["touch", "require", "lost_position"])
def test_books_that_forget_are_found_out(monkeypatch, forgotten):
    original = getattr(TableFloors, forgotten)

    def forgets(self: TableFloors, tables: object = None, **options: bool) -> None:
        if forgotten == "touch":
            # Only the last statement of a transaction counts.
            original(self, tables, afresh=True)

    monkeypatch.setattr(TableFloors, forgotten, forgets)
    try:
        history = find(steps, lambda each: broken(each, 4))
    except NoSuchExample:
        pytest.fail("nothing was found")
    assert len(history) <= 3
