"""The checker finds every violation that is planted in a history, and nothing else."""

from __future__ import annotations

import pytest

from globaldb.verify import (
    Disturbance,
    History,
    Kind,
    Operation,
    Outcome,
    Place,
    Promise,
    check,
)

READER = Place("reader", "ap-south-1-1", "ap-south-1", "nearest_reader")
WRITER = Place("writer", "us-west-2-1", "us-west-2", "transaction")


class Tale:
    """A history told line by line; each operation takes half of its own second."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.disturbances: list[Disturbance] = []
        self.clock = 0.0

    def tell(self, session: int, kind: Kind, key: str = "", *made: int, **more) -> Tale:
        began = more.pop("began", self.clock)
        ended = more.pop("ended", began + 0.5)
        self.clock += 1.0
        version, value = made or (0, more.pop("value", 0))
        about = {"version": version, "value": value, "place": READER, **more}
        operation = Operation(session, kind, began, ended, key=key, **about)
        self.operations.append(operation)
        return self

    def wrote(self, session: int, key: str, *made: int, **more) -> Tale:
        return self.tell(session, Kind.WRITE, key, *made, **more)

    def saw(self, session: int, key: str, *made: int, **more) -> Tale:
        return self.tell(session, Kind.READ, key, *made, **more)

    def committed(self, session: int, transaction: int, **more) -> Tale:
        return self.tell(session, Kind.COMMIT, transaction=transaction, **more)

    def rolled_back(self, session: int, transaction: int) -> Tale:
        return self.tell(session, Kind.ROLLBACK, transaction=transaction)

    def handed(self, teller: int, hearer: int) -> Tale:
        self.tell(teller, Kind.TOKEN, value=len(self.operations))
        return self.tell(hearer, Kind.OBSERVE, value=len(self.operations) - 1)

    def failover(self, lasting: float = 1.0) -> Tale:
        disturbance = Disturbance(self.clock, self.clock + lasting, "failover", True)
        self.disturbances.append(disturbance)
        self.clock += lasting
        return self

    def end(self, **final: tuple[int, int]) -> list[Promise]:
        """Return the promises that were broken, when the writer holds *final*."""
        return [violation.promise for violation in self.check(final).violations]

    def check(self, final, **options):
        if not final:
            # What the writes say that were told.
            for each in self.operations:
                if each.kind is Kind.WRITE and each.version:
                    final[each.key] = (each.version, each.value)
        history = History(self.operations, final, self.disturbances)
        return check(history, **options)


def test_a_history_that_keeps_every_promise_is_accepted():
    tale = Tale().wrote(1, "r1", 1, 101).saw(1, "r1", 1, 101).saw(2, "r1", 0, 0)
    tale.wrote(2, "c1", 1, 0).saw(2, "c1", 1, 0).saw(2, "r1", 1, 101).handed(2, 3)
    tale.saw(3, "c1", 1, 0).wrote(1, "l1.1", 1, 1).saw(3, "l1.1", 0, 0)
    tale.saw(2, "r1", 1, 101, transaction=1).wrote(2, "r1", 2, 102, transaction=1)
    tale.saw(2, "r1", 2, 102, transaction=1).committed(2, 1)
    tale.saw(3, "r1", 2, 102, mode="global")
    assert tale.end() == []


# What a session may rely on.


def test_an_own_write_that_is_missed_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).saw(1, "r1", 0, 0)
    assert tale.end() == [Promise.OWN_WRITES]


def test_a_read_that_goes_back_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 1, 101).saw(2, "r1", 0, 0)
    assert tale.end() == [Promise.MONOTONIC_READS]


def test_a_read_that_goes_back_in_another_register_is_found():
    """Who has seen a write has seen everything acknowledged before it began."""
    tale = Tale().wrote(1, "r1", 1, 101).wrote(3, "r2", 1, 102)
    assert tale.saw(2, "r2", 1, 102).saw(2, "r1", 0, 0).end() == [
        Promise.MONOTONIC_READS
    ]


def test_seeing_a_session_s_later_write_without_its_earlier_one_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).wrote(1, "r2", 1, 102)
    assert tale.saw(2, "r2", 1, 102).saw(2, "r1", 0, 0).end() == [
        Promise.MONOTONIC_WRITES
    ]


def test_a_session_s_writes_that_were_applied_in_another_order_are_found():
    tale = Tale().wrote(2, "r1", 1, 101).wrote(1, "r1", 3, 102).wrote(1, "r1", 2, 103)
    assert tale.end(r1=(3, 102)) == [Promise.MONOTONIC_WRITES]


def test_a_token_that_brings_nothing_along_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).handed(1, 2).saw(2, "r1", 0, 0)
    assert tale.end() == [Promise.HANDED_OVER]


def test_an_eventual_read_may_miss_anything():
    tale = Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 1, 101)
    for session in (1, 2):
        tale.saw(session, "r1", 0, 0, mode="eventual")
    assert tale.end() == []


def test_an_eventual_read_that_is_too_old_is_found():
    tale = Tale().wrote(1, "r1", 1, 101)
    tale.saw(2, "r1", 0, 0, began=2.0, mode="eventual")
    assert tale.check({}, max_staleness=2.0).violations == []
    [violation] = tale.check({}, max_staleness=1.0).violations
    assert violation.promise is Promise.STALENESS


def test_another_session_s_write_may_be_missed_in_session_mode():
    assert Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 0, 0).end() == []


def test_a_global_read_that_misses_an_acknowledged_write_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 0, 0, mode="global")
    assert tale.end() == [Promise.FRESH]


def test_a_global_read_may_miss_what_was_acknowledged_while_it_ran():
    tale = Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 0, 0, began=0.4, mode="global")
    assert tale.end() == []


def test_a_snapshot_may_miss_what_came_after_it():
    tale = Tale().saw(2, "r2", 0, 0, mode="global", transaction=1)
    tale.wrote(1, "r1", 1, 101)
    tale.saw(2, "r1", 0, 0, mode="global", transaction=1, since=0.0)
    assert tale.committed(2, 1).end() == []


def test_a_read_that_failed_says_nothing():
    tale = Tale().wrote(1, "r1", 1, 101).saw(1, "r1", outcome=Outcome.FAILED)
    assert tale.end() == []


# What happens to a write.


def test_an_acknowledged_write_that_is_not_there_in_the_end_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).wrote(1, "r1", 2, 102)
    assert tale.end(r1=(1, 101)) == [Promise.LOST]


def test_an_acknowledged_write_that_another_took_the_place_of_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).wrote(2, "r1", 1, 102)
    assert tale.end(r1=(1, 102)) == [Promise.LOST]


def test_a_write_to_what_was_there_before_an_acknowledged_one_is_found():
    tale = Tale().wrote(3, "r1", 2, 101).wrote(2, "r1", 1, 102)
    assert tale.end(r1=(2, 101)) == [Promise.LOST]


def test_two_values_in_one_version_are_found():
    tale = Tale()
    for value in (101, 102):
        tale.wrote(1, "r1", value=value, outcome=Outcome.UNKNOWN)
    tale.saw(2, "r1", 1, 101).saw(3, "r1", 1, 102)
    assert tale.end(r1=(1, 102)) == [Promise.LOST]


def test_a_row_that_is_missing_is_found():
    tale = Tale().wrote(1, "l1.1", 1, 1).wrote(1, "l1.1", 2, 2).saw(2, "l1.1", 2, 1)
    assert tale.end(**{"l1.1": (2, 1)}) == [Promise.LOST, Promise.LOST]


def test_a_row_that_was_inserted_twice_is_found():
    tale = Tale().wrote(1, "l1.1", 1, 1).saw(2, "l1.1", 1, 2)
    assert tale.end(**{"l1.1": (1, 2)}) == [Promise.TWICE, Promise.TWICE]


def test_a_counter_that_was_counted_twice_is_found():
    tale = Tale().wrote(1, "c1", 1, 0).saw(2, "c1", 2, 0)
    assert tale.end(c1=(2, 0)) == [Promise.TWICE, Promise.TWICE]


def test_a_value_that_was_written_twice_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).saw(2, "r1", 2, 101)
    assert tale.end(r1=(2, 101)) == [Promise.TWICE, Promise.TWICE]


def test_a_value_of_unknown_outcome_that_is_there_twice_is_found():
    tale = Tale().wrote(1, "r1", value=101, outcome=Outcome.UNKNOWN)
    tale.saw(2, "r1", 1, 101).saw(2, "r1", 2, 101)
    assert Promise.TWICE in tale.end(r1=(2, 101))


@pytest.mark.parametrize("there", [(0, 0), (1, 101)])
def test_a_write_of_unknown_outcome_may_be_there_or_not(there):
    tale = Tale().wrote(1, "r1", value=101, outcome=Outcome.UNKNOWN)
    assert tale.saw(1, "r1", *there).end(r1=there) == []


def test_a_failed_write_that_was_applied_is_found():
    tale = Tale().wrote(1, "r1", value=101, outcome=Outcome.FAILED)
    assert Promise.REFUSED in tale.saw(2, "r1", 1, 101).end(r1=(1, 101))


def test_a_failed_write_that_nobody_saw_is_found_in_the_end():
    tale = Tale().wrote(1, "c1", outcome=Outcome.FAILED)
    assert tale.end(c1=(1, 0)) == [Promise.TWICE]


def test_a_statement_that_does_not_return_is_found():
    assert Tale().saw(1, "r1", outcome=Outcome.HUNG).end() == [Promise.ENDS]


@pytest.mark.parametrize("failover", [True, False])
def test_a_loss_that_no_failover_explains_is_found(failover):
    tale = Tale().failover() if failover else Tale()
    error = "CausalityLostError: a failover has lost what this session had written"
    tale.saw(1, "r1", outcome=Outcome.FAILED, error=error)
    assert tale.end() == ([] if failover else [Promise.SAID_LOST])


# Only committed data, and transactions.


def test_a_value_that_nobody_wrote_is_found():
    assert Tale().saw(1, "r1", 1, 7).end(r1=(0, 0)) == [Promise.COMMITTED]


def test_a_write_that_is_seen_before_it_is_committed_is_found():
    tale = Tale().wrote(1, "r1", 1, 101, transaction=1).saw(2, "r1", 1, 101)
    assert tale.committed(1, 1).end() == [Promise.COMMITTED]


def test_a_write_that_was_rolled_back_and_seen_is_found():
    tale = Tale().wrote(1, "r1", 1, 101, transaction=1).rolled_back(1, 1)
    assert Promise.COMMITTED in tale.saw(2, "r1", 1, 101).end(r1=(0, 0))


def test_a_transaction_that_was_left_open_is_rolled_back():
    tale = Tale().wrote(1, "r1", 1, 101, transaction=1).wrote(1, "r2", 1, 102)
    assert tale.end(r2=(1, 102)) == []


def test_a_transaction_that_misses_its_own_write_is_found():
    tale = Tale().wrote(1, "r1", 1, 101, transaction=1)
    tale.saw(1, "r1", 0, 0, transaction=1)
    assert tale.committed(1, 1).end() == [Promise.ITSELF]


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.FAILED])
def test_a_transaction_sees_what_it_could_not_commit(outcome):
    tale = Tale().wrote(1, "r1", 1, 101, transaction=1)
    tale.saw(1, "r1", 1, 101, transaction=1).committed(1, 1, outcome=outcome)
    tale.wrote(2, "r1", 1, 102).saw(1, "r1", 1, 102)
    assert tale.end() == []


def told_of_an_upgrade(place: Place) -> Tale:
    """A transaction reads, another one writes the same, the first goes on to write."""
    tale = Tale().saw(1, "r1", 0, 0, transaction=1, place=place)
    tale.wrote(2, "r1", 1, 101)
    return tale.wrote(1, "r1", 2, 102, transaction=1).committed(1, 1)


def test_a_write_derived_from_what_a_reader_was_late_with_is_found():
    assert told_of_an_upgrade(READER).end() == [Promise.UPGRADE]


def told_of_a_move(*seen: int) -> Tale:
    """A transaction reads at a reader, then at the writer, where it writes later."""
    tale = Tale().wrote(2, "r1", 1, 101)
    tale.saw(1, "r1", *seen, transaction=1)
    tale.saw(1, "r2", 0, 0, transaction=1, place=WRITER)
    tale.wrote(2, "r1", 2, 102)
    tale.wrote(1, "r2", 1, 103, transaction=1, place=WRITER)
    return tale.committed(1, 1, place=WRITER)


def test_what_was_current_when_the_reader_was_left_may_change_before_the_write():
    assert told_of_a_move(1, 101).end() == []


def test_what_was_not_current_when_the_reader_was_left_is_found():
    tale = told_of_a_move(0, 0)
    assert tale.end() == [Promise.UPGRADE]


def test_what_was_current_on_the_writer_may_change_before_the_write():
    """As READ COMMITTED has it on one server."""
    assert told_of_an_upgrade(WRITER).end() == []


def test_a_transaction_that_reads_the_past_on_the_writer_is_found():
    tale = Tale().wrote(2, "r1", 1, 101).saw(1, "r1", 0, 0, transaction=1, place=WRITER)
    tale.wrote(1, "r2", 1, 102, transaction=1)
    assert tale.committed(1, 1).end() == [Promise.UPGRADE]


def test_upgrades_are_not_judged_where_nothing_is_promised():
    assert told_of_an_upgrade(READER).check({}, upgrades=False).violations == []


def test_a_transaction_that_failed_may_have_read_the_past():
    tale = Tale().saw(1, "r1", 0, 0, transaction=1).wrote(2, "r1", 1, 101)
    tale.wrote(1, "r1", transaction=1, outcome=Outcome.FAILED).rolled_back(1, 1)
    assert tale.end() == []


# Unplanned failovers.


def test_what_a_failover_lost_is_told_apart():
    tale = Tale().wrote(1, "r1", 1, 101).failover().saw(1, "r1", 0, 0)
    tale.wrote(2, "r1", 1, 102).saw(1, "r1", 1, 102)
    found = tale.check({"r1": (1, 102)})
    assert found.violations == []
    assert {each.promise for each in found.lost} == {Promise.OWN_WRITES, Promise.LOST}


def test_what_is_lost_after_a_failover_is_found():
    tale = Tale().wrote(1, "r1", 1, 101).failover().wrote(1, "r1", 2, 102)
    tale.saw(1, "r1", 1, 101).saw(2, "r1", 1, 101, mode="global")
    assert tale.end(r1=(2, 102)) == [Promise.OWN_WRITES, Promise.FRESH]


def test_a_switchover_loses_nothing():
    tale = Tale().wrote(1, "r1", 1, 101)
    tale.disturbances.append(Disturbance(1.0, 2.0, "switchover"))
    assert tale.saw(1, "r1", 0, 0).end() == [Promise.OWN_WRITES]


def test_a_violation_shows_the_operations_that_contradict_each_other():
    tale = Tale().wrote(1, "r1", 1, 101).saw(1, "r2", 0, 0).saw(1, "r1", 0, 0)
    [violation] = tale.check({}).violations
    assert violation.operations == (tale.operations[0], tale.operations[2])
    assert violation.what == "r1 version 1 was known, and r1 version 0 was read"
