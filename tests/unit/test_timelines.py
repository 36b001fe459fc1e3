"""What became of a position in a promotion is known, or is not guessed."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st

from globaldb.core.position import Lsn, Position
from globaldb.core.session import OLDER_TIMELINE, SessionState
from globaldb.core.timelines import Fate, Fork, Timelines
from globaldb.core.topology import NodeState, Role, Sample

SURVIVES, LOST, UNKNOWN = Fate.SURVIVES, Fate.LOST, Fate.UNKNOWN


def node(role: Role, value: int, timeline: int, name: str = "a") -> NodeState:
    return NodeState(name, "here", role, Lsn(value, timeline))


def answer(timeline: int, forked_before: int | None, value: int = 999) -> Sample:
    upper = None if forked_before is None else Lsn(forked_before, timeline)
    return Sample(Role.WRITER, Lsn(value, timeline), 0.0, 0.0, forked_before=upper)


def promoted(
    *steps: tuple[int, int | None, int | None], known: Timelines | None = None
) -> Timelines:
    """Promotions as (new timeline, replayed by the reader before it, bound after)."""
    known = known or Timelines()
    for timeline, lower, upper in steps:
        before = (
            NodeState("a", "here")
            if lower is None
            else node(Role.READER, lower, timeline - 1)
        )
        known = known.observe(before, answer(timeline, upper))
    return known


@pytest.mark.parametrize(
    ("value", "fate"),
    [(99, SURVIVES), (100, SURVIVES), (101, UNKNOWN), (120, UNKNOWN), (121, LOST)],
)
def test_a_position_survives_below_the_fork_and_is_lost_above(
    value: int, fate: Fate
) -> None:
    assert promoted((2, 100, 120)).fate(Lsn(value, 1), 2) is fate


def test_a_position_of_the_same_timeline_survives() -> None:
    assert Timelines().fate(Lsn(5, 3), 3) is SURVIVES


@pytest.mark.parametrize(
    ("lsn", "epoch"), [(Lsn(5, 1), 2), (Lsn(5, 0), 2), (Lsn(5, 3), 2)]
)
def test_what_nobody_saw_is_unknown(lsn: Lsn, epoch: int) -> None:
    assert Timelines().fate(lsn, epoch) is UNKNOWN


def test_without_a_lower_bound_only_a_loss_is_known() -> None:
    known = promoted((2, None, 120))
    assert known.fate(Lsn(121, 1), 2) is LOST
    assert known.fate(Lsn(1, 1), 2) is UNKNOWN


def test_without_an_upper_bound_only_survival_is_known() -> None:
    known = promoted((2, 100, None))
    assert known.fate(Lsn(100, 1), 2) is SURVIVES
    assert known.fate(Lsn(1 << 60, 1), 2) is UNKNOWN


def test_a_promotion_that_was_seen_leaves_nothing_open() -> None:
    seen = replace(answer(2, 120), forked_at=Lsn(110, 2))
    known = promoted((2, 100, None)).observe(node(Role.WRITER, 999, 2), seen)
    assert known.told[2, "a"] == Fork(110, 110)
    # Not where its parent may have been any older timeline.
    stranger = Timelines().observe(NodeState("a", "here"), seen)
    assert stranger.told[2, "a"] == Fork(None, 120)


def test_a_chain_is_followed_from_fork_to_fork() -> None:
    known = promoted((2, 100, 110), (3, 200, 210))
    assert known.fate(Lsn(100, 1), 3) is SURVIVES
    # Beyond the first fork, although the second comes later.
    assert known.fate(Lsn(111, 1), 3) is LOST
    assert known.fate(Lsn(105, 1), 3) is UNKNOWN
    assert known.fate(Lsn(111, 2), 3) is SURVIVES
    assert known.fate(Lsn(211, 1), 3) is LOST


def test_a_promotion_that_nobody_saw_breaks_the_chain() -> None:
    known = promoted((2, 100, 110), (4, 300, 310))
    assert known.fate(Lsn(1, 1), 4) is UNKNOWN
    # It may have begun on timeline 1 as well as on 3, so nothing is certain below.
    assert known.fate(Lsn(200, 1), 4) is UNKNOWN
    # Beyond the newest fork everything is on the newest timeline.
    assert known.fate(Lsn(311, 1), 4) is LOST


def test_a_timeline_far_ahead_is_unknown_at_once() -> None:
    assert promoted((2, 100, 110)).fate(Lsn(1, 1), 1 << 32) is UNKNOWN


@pytest.mark.parametrize(
    "before",
    [
        node(Role.WRITER, 100, 1),
        node(Role.UNKNOWN, 100, 1),
        node(Role.READER, 100, 2),
        NodeState("a", "here", Role.READER),
    ],
)
def test_only_a_reader_of_the_timeline_before_can_have_been_promoted_from_there(
    before: NodeState,
) -> None:
    known = Timelines().observe(before, answer(3, None))
    assert known.fork(3).lower == (100 if before == node(Role.READER, 100, 2) else None)


def test_what_a_read_has_seen_replayed_counts_as_the_monitors_sample_does() -> None:
    known = Timelines().observe(
        node(Role.READER, 100, 1), answer(2, None), replayed=Lsn(105, 1)
    )
    assert known.fate(Lsn(105, 1), 2) is SURVIVES


def test_a_reader_tells_nothing_of_a_fork() -> None:
    sample = Sample(Role.READER, Lsn(5, 2), 0.0, 0.0)
    assert Timelines().observe(node(Role.READER, 1, 1), sample) == Timelines()


def test_a_bound_outlives_a_restart_that_forgets_it() -> None:
    known = promoted((2, 100, 110))
    known = known.observe(node(Role.WRITER, 999, 2), answer(2, None))
    assert known.fate(Lsn(111, 1), 2) is LOST


def test_later_answers_of_a_node_do_not_blur_what_it_said_before() -> None:
    known = promoted((2, 100, 110))
    known = known.observe(node(Role.WRITER, 999, 2), answer(2, 900))
    assert known.fate(Lsn(111, 1), 2) is LOST


def test_of_two_nodes_promoted_to_one_number_only_what_both_say_is_certain() -> None:
    known = promoted((2, 100, 110))
    known = known.observe(node(Role.READER, 200, 1, "b"), answer(2, 210))
    fates = [known.fate(Lsn(value, 1), 2) for value in (100, 101, 111, 210, 211)]
    assert fates == [SURVIVES, UNKNOWN, UNKNOWN, UNKNOWN, LOST]


def test_a_node_made_anew_from_an_older_copy_proves_nothing_by_what_it_had() -> None:
    known = promoted((2, 100, 50))
    assert [known.fate(Lsn(value, 1), 2) for value in (40, 60, 100, 101)] == [
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        LOST,
    ]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.data())
def test_a_true_history_is_never_told_wrongly(
    lengths: list[int], data: st.DataObject
) -> None:
    """Timelines that began at known places, seen through blurred glasses."""
    forks, place = [], 0
    for length in lengths:
        place += length
        forks.append(place)
    steps = [
        (
            timeline,
            data.draw(st.none() | st.integers(max(0, fork - 5), fork)),
            data.draw(st.none() | st.integers(fork, fork + 5)),
        )
        for timeline, fork in enumerate(forks, start=2)
    ]
    known = promoted(*steps)
    epoch = len(forks) + 1
    timeline = data.draw(st.integers(1, epoch - 1))
    value = data.draw(st.integers(0, place + 60))
    truth = value <= min(forks[timeline - 1 :])
    assert known.fate(Lsn(value, timeline), epoch) in (
        UNKNOWN,
        SURVIVES if truth else LOST,
    )


def test_what_two_timelines_share_can_be_asked_of_a_reader_of_either() -> None:
    known = promoted((2, 100, 110), (3, 200, 210))
    assert known.shared(Lsn(100, 2), 1) == Lsn(100, 1)
    assert known.shared(Lsn(100, 3), 1) == Lsn(100, 1)
    # Not what came behind the fork, nor what may have.
    assert known.shared(Lsn(101, 2), 1) == Lsn(101, 2)
    assert known.shared(Lsn(100, 1), 2) == Lsn(100, 1)
    assert known.shared(Lsn(100, 2), 0) == Lsn(100, 2)


# What it means for a session.


def books(*positions: tuple[int, int]) -> SessionState:
    found = SessionState()
    for value, timeline in positions:
        found.captured(Position(Lsn(value, timeline)), 1.0)
    return found


def test_what_survived_goes_on_under_the_same_number() -> None:
    session = books((100, 1))
    assert session.outdated(2)
    assert session.promoted(promoted((2, 100, 120)), 2) is None
    assert session.floor == Position(Lsn(100, 2))
    assert not session.needs_writer(2)
    assert not session.outdated(2)


def test_what_was_lost_is_told_once_and_forgotten() -> None:
    session, known = books((121, 1)), promoted((2, 100, 120))
    assert session.promoted(known, 2) == Position(Lsn(121, 1))
    assert session.floor is None
    # What it goes on from is what the writer has now.
    assert session.needs_writer(2)
    assert not session.outdated(2)
    assert session.promoted(known, 2) is None


def test_what_nobody_can_tell_sends_the_session_to_the_writer() -> None:
    session = books((110, 1))
    assert session.promoted(promoted((2, 100, 120)), 2) is None
    assert (session.floor, session.needs_writer(2)) == (None, OLDER_TIMELINE)
    session.captured(Position(Lsn(130, 2)), 2.0)
    assert not session.needs_writer(2)


def test_a_write_after_the_promotion_does_not_hide_what_was_lost_before_it() -> None:
    session = books((121, 1), (130, 2))
    assert session.floor == Position(Lsn(130, 2))
    assert session.promoted(promoted((2, 100, 120)), 2) == Position(Lsn(121, 1))
    assert session.floor == Position(Lsn(130, 2))


def test_an_old_token_does_not_lower_what_is_required_of_the_new_timeline() -> None:
    session = books((130, 2))
    session.require(Position(Lsn(90, 1)))
    assert session.promoted(promoted((2, 100, 120)), 2) is None
    assert session.floor == Position(Lsn(130, 2))


def test_a_position_without_a_log_position_is_left_as_it_is() -> None:
    session = SessionState(floor=Position(moment=5.0))
    assert not session.outdated(2)
    assert session.promoted(Timelines(), 2) is None
    assert session.floor == Position(moment=5.0)


def test_what_a_reader_told_of_its_timeline_proves_no_loss() -> None:
    """It may have followed the promotion before it said so."""
    timelines = Timelines(MappingProxyType({(2, "a"): Fork(lower=100, upper=100)}))
    for read, lost in ((False, True), (True, False)):
        books = SessionState()
        books.require(Position(Lsn(150, 1), read=read))
        assert (books.promoted(timelines, 2) is not None) is lost
        assert books.position_unknown
