"""The checker of histories finds every violation that is planted in one."""

from __future__ import annotations

import pytest
from histories.checker import check
from histories.history import Event, History, Kind, Outcome, Place, Read, Write


class Tale:
    """A history told line by line; each event takes a second, in the order told."""

    def __init__(self) -> None:
        self.history = History(home="us-west-2")
        self.clock = 0.0

    def tell(self, session, kind, data=None, *, lasting=0.5, **more):
        began = more.pop("began", self.clock)
        self.clock += 1.0
        event = Event(
            session=session,
            kind=kind,
            began=began,
            ended=began + lasting,
            region=more.pop("region", "ap-south-1"),
            data=data,
            **more,
        )
        self.history.events.append(event)
        return self

    def wrote(self, session, number, **more):
        return self.tell(session, Kind.WRITE, Write(number), **more)

    def put(self, session, number, version, **more):
        return self.tell(session, Kind.WRITE, Write(number, 1, version), **more)

    def saw(self, session, *ids, **more):
        return self.tell(session, Kind.READ, Read(ids), **more)

    def got(self, session, version, value, **more):
        read = Read((), 1, version, value)
        return self.tell(session, Kind.READ, read, **more)

    def end(self, *ids, **registers):
        self.history.ids = ids
        self.history.registers = {int(k[1:]): v for k, v in registers.items()}
        return [violation.promise for violation in check(self.history)]


ONCE = "exactly once or an error"
OWN = "session: own write"
MONOTONIC = "session: monotonic reads"
COMMITTED = "only committed data"


def test_a_history_that_keeps_every_promise_is_accepted():
    tale = Tale().wrote("s1", 1).saw("s1", 1).saw("s2").saw("s2", 1)
    tale.put("s2", 2, 1).got("s2", 1, 2).got("s1", 0, 0)
    assert tale.end(1, r1=(1, 2)) == []


def test_a_write_that_is_missing_in_the_end_is_found():
    assert Tale().wrote("s1", 1).end() == [ONCE]


def test_a_write_that_ran_twice_is_found():
    assert Tale().wrote("s1", 1).end(1, 1) == [ONCE]


def test_a_write_that_nobody_made_is_found():
    assert Tale().end(7) == [ONCE]


def test_a_failed_write_that_was_applied_is_found():
    assert Tale().wrote("s1", 1, outcome=Outcome.FAILED).end(1) == [ONCE]


@pytest.mark.parametrize("ids", [(), (1,)])
def test_a_write_of_unknown_outcome_may_be_there_or_not(ids):
    assert Tale().wrote("s1", 1, outcome=Outcome.UNKNOWN).end(*ids) == []


def test_a_write_of_unknown_outcome_that_ran_twice_is_found():
    assert Tale().wrote("s1", 1, outcome=Outcome.UNKNOWN).end(1, 1) == [ONCE]


def test_what_was_applied_after_all_is_seen_by_its_own_session():
    tale = Tale().wrote("s1", 1, outcome=Outcome.UNKNOWN).saw("s2").saw("s1")
    assert tale.end() == []
    assert tale.end(1) == [OWN]


def test_a_lost_update_of_a_register_is_found():
    tale = Tale().put("s1", 1, 1).put("s2", 2, 1)
    assert tale.end(r1=(1, 2)) == [ONCE, ONCE]


def test_a_register_write_that_ran_twice_is_found():
    tale = Tale().put("s1", 1, None, outcome=Outcome.UNKNOWN)
    assert tale.end(r1=(2, 1)) == [ONCE]


def test_a_read_without_the_own_write_is_found():
    assert Tale().wrote("s1", 1).saw("s1").end(1) == [OWN]
    assert Tale().wrote("s1", 1).saw("s1", mode="global").end(1) == [OWN, "global"]


def test_an_own_register_write_that_is_not_seen_is_found():
    assert Tale().put("s1", 1, 1).got("s1", 0, 0).end(r1=(1, 1)) == ["session"]


def test_a_session_that_reads_backwards_is_found():
    tale = Tale().wrote("s1", 1).saw("s2", 1).saw("s2")
    assert tale.end(1) == [MONOTONIC]


def test_a_register_that_goes_back_is_found():
    tale = Tale().put("s1", 1, 1).got("s2", 1, 1).got("s2", 0, 0)
    assert tale.end(r1=(1, 1)) == ["session"]


def test_reading_backwards_across_a_change_from_global_to_session_is_found():
    tale = Tale().wrote("s1", 1).saw("s2", 1, mode="global").saw("s2")
    assert tale.end(1) == [MONOTONIC]


def test_eventual_reads_may_miss_anything():
    tale = Tale().wrote("s1", 1).saw("s1", mode="eventual").saw("s1", 1)
    assert tale.saw("s1", mode="off").end(1) == []


def test_eventual_reads_promise_nothing_to_later_ones():
    tale = Tale().wrote("s1", 1).saw("s2", 1, mode="eventual").saw("s2")
    assert tale.end(1) == []


@pytest.mark.parametrize("mode", ["eventual", "session", "global", "off"])
def test_data_that_was_rolled_back_may_not_be_seen_by_others(mode):
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1)
    tale.saw("s2", 1, mode=mode).tell("s1", Kind.ROLLBACK)
    assert COMMITTED in tale.end()


def test_data_may_not_be_seen_before_its_commit():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1)
    tale.saw("s2", 1, mode="eventual").tell("s1", Kind.COMMIT)
    assert tale.end(1) == [COMMITTED]


def test_data_may_be_seen_while_it_is_committed():
    tale = Tale().wrote("s1", 1, lasting=3).saw("s2", 1, began=1, mode="eventual")
    assert tale.end(1) == []


def test_a_register_version_with_the_id_of_another_is_found():
    tale = Tale().put("s1", 1, 1).put("s1", 2, 2).got("s2", 2, 1)
    assert tale.end(r1=(2, 2)) == [COMMITTED]


def test_a_global_read_that_misses_another_session_is_found():
    assert Tale().wrote("s1", 1).saw("s2", mode="global").end(1) == ["global"]
    tale = Tale().put("s1", 1, 1).got("s2", 0, 0, mode="global")
    assert tale.end(r1=(1, 1)) == ["global"]


def test_a_global_read_that_began_before_the_commit_ended_may_miss_it():
    tale = Tale().wrote("s1", 1, lasting=3).saw("s2", began=1, mode="global")
    assert tale.end(1) == []


def test_a_session_read_may_miss_other_sessions():
    assert Tale().wrote("s1", 1).saw("s2").end(1) == []


def test_a_transaction_sees_its_own_writes():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1).saw("s1", 1)
    assert tale.tell("s1", Kind.COMMIT).saw("s1", 1).end(1) == []


def test_a_transaction_that_misses_its_own_write_is_found():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1).saw("s1")
    assert tale.tell("s1", Kind.COMMIT).end(1) == ["a transaction sees itself"]
    tale = Tale().tell("s1", Kind.BEGIN).put("s1", 1, 1).got("s1", 0, 0)
    assert tale.tell("s1", Kind.ROLLBACK).end() == ["a transaction sees itself"]


def test_what_a_savepoint_took_back_may_not_be_there():
    tale = Tale().tell("s1", Kind.BEGIN).tell("s1", Kind.SAVEPOINT).wrote("s1", 1)
    tale.tell("s1", Kind.ROLLBACK_TO).saw("s1", 1).tell("s1", Kind.COMMIT)
    assert tale.end(1) == [ONCE, COMMITTED]


def test_what_a_released_savepoint_held_is_committed():
    tale = Tale().tell("s1", Kind.BEGIN).tell("s1", Kind.SAVEPOINT).wrote("s1", 1)
    tale.tell("s1", Kind.RELEASE).tell("s1", Kind.COMMIT).saw("s1")
    assert tale.end() == [ONCE, OWN]


def test_a_commit_of_unknown_outcome_leaves_its_writes_open():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1)
    tale.tell("s1", Kind.COMMIT, outcome=Outcome.UNKNOWN)
    assert tale.saw("s2", 1).saw("s2", 1).end(1) == []


def test_a_failed_commit_that_was_applied_is_found():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1)
    assert tale.tell("s1", Kind.COMMIT, outcome=Outcome.FAILED).end(1) == [ONCE]


def test_own_uncommitted_data_raises_no_requirement():
    tale = Tale().tell("s1", Kind.BEGIN).wrote("s1", 1).saw("s1", 1)
    assert tale.tell("s1", Kind.ROLLBACK).saw("s1").end() == []


def test_a_token_hands_over_what_its_session_knew():
    tale = Tale().wrote("s1", 1).tell("s1", Kind.TOKEN, label="a").wrote("s1", 2)
    tale.tell("s2", Kind.OBSERVE, label="a").saw("s2", 1)
    assert tale.end(1, 2) == []
    assert tale.saw("s2").end(1, 2) == [MONOTONIC]


def test_a_reopened_session_knows_nothing_until_it_observes():
    tale = Tale().wrote("s1", 1).tell("s1", Kind.TOKEN, label="a")
    tale.tell("s1", Kind.OPEN).saw("s1").tell("s1", Kind.OBSERVE, label="a")
    assert tale.end(1) == []
    assert tale.saw("s1").end(1) == [OWN]


def test_a_write_on_a_reader_is_found():
    place = Place("reader", "ap-south-1", "nearest_reader", "write")
    assert Tale().wrote("s1", 1, place=place).end(1) == ["writes run on the writer"]


def test_a_write_that_ran_with_forwarding_off_is_found():
    promise = "no write forwarding when it is off"
    assert Tale().wrote("s1", 1, mode="off").end(1) == [promise]
    assert Tale().wrote("s1", 1, mode="off", region="us-west-2").end(1) == []


def test_an_error_without_a_reason_is_found():
    tale = Tale().wrote("s1", 1, outcome=Outcome.UNEXPECTED, error="KeyError: 1")
    assert tale.end() == ["errors have a reason"]


def test_a_history_reads_as_a_table():
    tale = Tale().wrote("s1", 1, text="insert 1", place=Place("writer", "us-west-2"))
    tale.saw("s1", 1, text="list").wrote("s2", 2, outcome=Outcome.UNKNOWN, error="cut")
    assert tale.end(1) == []
    lines = str(tale.history).splitlines()
    assert lines[0].split() == ["ms", "who", "mode", "operation", "where", "answer"]
    assert "insert 1" in lines[1]
    assert "writer us-west-2" in lines[1]
    assert "ids 1" in lines[2]
    assert "unknown: cut" in lines[3]
    assert lines[4] == "in the end: ids 1"
