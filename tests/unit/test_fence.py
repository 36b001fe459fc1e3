"""The first fence that both ends have is used, and time alone proves little."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from globaldb.core.fence import (
    Abilities,
    Answer,
    Facts,
    Means,
    best,
    means_between,
    means_for,
    passed,
)
from globaldb.core.position import Lsn, Position

WAIT, _, LSN, _, XID, LAG, WINDOW = Means
LSN_1 = Lsn(100, 1)


def reader(*means: Means, reports_lag: bool = False) -> Abilities:
    return Abilities(standby=True, means=frozenset(means), reports_lag=reports_lag)


@pytest.mark.parametrize(
    ("position", "able", "expected"),
    [
        (Position(LSN_1, frozenset((7,)), 1.0), (WAIT, LSN, XID, LAG), WAIT),
        (Position(LSN_1, frozenset((7,)), 1.0), (LSN, XID, LAG), LSN),
        (Position(LSN_1, frozenset((7,)), 1.0), (XID, LAG), XID),
        (Position(LSN_1, frozenset((7,)), 1.0), (LAG,), LAG),
        (Position(LSN_1, frozenset((7,)), 1.0), (), WINDOW),
        # What the writer could not tell is not asked for.
        (Position(None, frozenset((7,)), 1.0), (WAIT, LSN, XID, LAG), XID),
        # Who has seen more than the own writes is not fenced by their ids.
        (Position(None, None, 1.0), (WAIT, LSN, XID, LAG), LAG),
        (Position(None, frozenset(), 1.0), (XID, LAG), LAG),
        (Position(), (WAIT, LSN, XID, LAG), WINDOW),
    ],
)
def test_the_first_of_the_chain_that_position_and_reader_have(
    position: Position, able: tuple[Means, ...], expected: Means
) -> None:
    assert means_for(position, reader(*able)) is expected


@given(st.frozensets(st.sampled_from([WAIT, LSN, XID, LAG])))
def test_a_writer_that_tells_everything_leaves_the_readers_best(
    able: frozenset[Means],
) -> None:
    writer = Abilities(means=frozenset((LSN, XID, LAG)))
    node = reader(*able)
    assert means_between(writer, node) is best(node)
    assert means_between(Abilities(), node) is WINDOW


def test_only_time_proves_less_than_the_position() -> None:
    assert [means for means in Means if not means.exact] == [LAG, WINDOW]


NEEDS = Position(None, None, 50.0, 900)


@pytest.mark.parametrize(
    ("moment", "horizon", "waited", "expected"),
    [
        (50.0, 900, False, True),
        (49.9, 900, False, False),
        # On a quiet writer the last commit is old: then the window counts.
        (49.9, 900, True, True),
        (None, None, True, True),
        (None, None, False, False),
        # It lacks a transaction that had ended: neither lag nor window may open.
        (60.0, 899, True, False),
        (None, 899, True, False),
    ],
)
def test_what_time_proves(
    moment: float | None, horizon: int | None, *, waited: bool, expected: bool
) -> None:
    answer = Answer(moment, horizon)
    assert passed(NEEDS, answer, reader(LAG), waited=waited) is expected


def test_a_reported_lag_is_believed_rather_than_the_window() -> None:
    able = reader(LAG, reports_lag=True)
    late, unknown = Answer(49.9, 900), Answer(None, 900)
    assert not passed(NEEDS, late, able, waited=True)
    assert passed(NEEDS, unknown, able, waited=True)


def test_what_was_refused_is_left_out_and_looked_at_again() -> None:
    facts = Facts()
    assert facts.may_ask("xid")
    facts.abilities = reader(LSN, XID)
    facts.refused(LSN)
    assert facts.now.means == {XID}
    assert facts.doubted
    facts.abilities = Abilities(parts=frozenset(("lsn", "xid")))
    facts.lacks("xid")
    assert not facts.may_ask("xid")
    assert facts.may_ask("lsn")


def test_what_was_found_of_a_standby_says_nothing_of_it_as_the_writer() -> None:
    facts = Facts()
    facts.abilities = Abilities(standby=True, parts=frozenset(("clock",)))
    assert facts.writer_parts() is None
    assert facts.may_ask("lsn")
    facts.abilities = replace(facts.abilities, standby=False)
    assert facts.writer_parts() == {"clock"}
    assert not facts.may_ask("lsn")
