"""Positions of MySQL and MariaDB: compared, joined, and told in a token."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from globaldb.core import token_gtid
from globaldb.core.gtid import GtidSet, MariadbGtid, binlog_state
from globaldb.core.position import Lsn, Position
from globaldb.core.session import SessionState
from globaldb.errors import DataError

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4e11fa47-71ca-11e1-9e33-c80aa9429562"

runs = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)
sources = st.sampled_from([A, B, f"{A}:tag_1"])
sets = st.dictionaries(sources, st.lists(runs, min_size=1, max_size=6)).map(GtidSet.of)
triples = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 99))
positions = st.lists(triples, max_size=6).map(MariadbGtid.of)


def members(gtids: GtidSet) -> set[tuple[str, int]]:
    return {
        (name, number)
        for name, found in gtids.sources
        for first, last in found
        for number in range(first, last + 1)
    }


def test_a_set_is_read_as_mysql_writes_it():
    text = f"{A}:1-5:7:9-10,\n{B.upper()}:3:tag_a:1-2"
    assert str(GtidSet.parse(text)) == f"{A}:1-5:7:9-10,{B}:3,{B}:tag_a:1-2"
    assert not GtidSet.parse("")


@pytest.mark.parametrize(
    "text", [A, f"{A}:", f"{A}:0", f"{A}:5-3", "x:1", f"{A}:1-2-3"]
)
def test_what_is_no_set_is_refused(text):
    with pytest.raises(DataError):
        GtidSet.parse(text)


@given(sets, sets)
def test_covering_and_joining_are_those_of_sets(one, other):
    assert one.covers(other) == (members(one) >= members(other))
    assert members(one.merge(other)) == members(one) | members(other)
    assert one.size == len(members(one))
    assert GtidSet.parse(str(one)) == one


@given(st.lists(st.integers(1, 500), max_size=80))
def test_a_position_of_many_commits_stays_short_and_requires_each(numbers):
    position = Position(GtidSet())
    for number in numbers:
        position = position.merge(Position(GtidSet.of({A: [(number, number)]})))
    assert isinstance(position.log, GtidSet)
    assert all(len(found) <= 16 for _, found in position.log.sources)
    assert position.log.covers(GtidSet.of({A: [(n, n) for n in numbers]}))


@given(sets, sets)
def test_what_a_reader_is_known_to_have_is_never_rounded_up(one, other):
    assert members(one.merge(other)) <= members(one) | members(other)


@given(positions, positions)
def test_a_position_of_mariadb_covers_by_domain(one, other):
    joined = one.merge(other)
    assert joined.covers(one)
    assert joined.covers(other)
    assert one.covers(other) == (joined.size == one.size)
    assert MariadbGtid.parse(str(one)) == one


def test_a_position_of_mariadb_does_not_look_at_the_server():
    assert MariadbGtid.parse("0-2-11").covers(MariadbGtid.parse("0-1-10"))
    assert not MariadbGtid.parse("0-2-11").covers(MariadbGtid.parse("1-1-1"))


def test_what_was_lost_is_missing_from_the_state_of_the_log():
    state = binlog_state("0-1-100,0-2-150")
    assert state.covers(MariadbGtid.parse("0-1-100").history())
    assert not state.covers(MariadbGtid.parse("0-1-101").history())
    assert state.last("2") == 150
    assert binlog_state("0-11-5").last("1") == 0


def test_positions_of_two_databases_are_not_joined():
    for one, other in ((GtidSet(), MariadbGtid()), (MariadbGtid(), Lsn(1, 1))):
        assert not one.covers(other)
        with pytest.raises(DataError):
            one.merge(other)


@given(st.one_of(sets, positions))
def test_a_token_tells_the_position_it_was_made_of(log):
    text = token_gtid.written(log)
    assert re.fullmatch(token_gtid.PATTERN, text)
    assert token_gtid.read(text) == log


def test_a_commits_own_position_takes_nothing_from_what_was_required():
    books = SessionState()
    for number in (3, 7):
        own = GtidSet.of({A: [(number, number)]}, timeline=2)
        books.captured(Position(own, frozenset()), 1.0)
    assert books.floor is not None
    assert str(books.floor.log) == f"{A}:3:7"


def test_what_the_writer_has_never_had_is_given_up_when_it_tells_all():
    books = SessionState()
    books.require(Position(GtidSet.of({A: [(99, 99)]}, timeline=2)))
    whole = GtidSet.of({A: [(1, 50)]}, timeline=2)
    books.captured(Position(whole), 1.0)
    assert books.floor is not None
    assert books.floor.log == whole
