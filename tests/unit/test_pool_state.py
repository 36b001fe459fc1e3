from __future__ import annotations

import pytest

from globaldb.core.lending import Lease, Outcome, Plan, PoolLimits, Waiter
from globaldb.core.pool_state import PoolBooks
from globaldb.errors import (
    ConfigurationError,
    NoNodeAvailableError,
    PoolTimeoutError,
)


class Desk:
    """The books at a time that the test moves, with connections named a, b, c, ..."""

    def __init__(self, **limits):
        self.now = 100.0
        self.books = PoolBooks[str](
            "us-west-2@10.0.0.1:5432",
            PoolLimits(**limits),
            uniform=lambda low, high: high,
            now=self.now,
        )
        self.names = iter("abcdefghijklmnopqrstuvwxyz")

    def join(self) -> tuple[Waiter[str], Plan[str]]:
        waiter = Waiter[str](lambda: None, since=self.now)
        return waiter, self.books.join(waiter, self.now)

    def open(self) -> str:
        name = next(self.names)
        self.books.opened(name, self.books.generation, self.now)
        return name

    def fail(self, error: Exception | None = None) -> Plan[str]:
        error = error or OSError("connection refused")
        return self.books.open_failed(error, self.books.generation, self.now)

    def borrow_new(self, count: int = 1) -> list[Lease[str]]:
        waiters = [self.join()[0] for _ in range(count)]
        for _ in waiters:
            self.open()
        leases = [waiter.lease for waiter in waiters]
        assert None not in leases
        return [lease for lease in leases if lease is not None]

    def release(self, lease: Lease[str], outcome=Outcome.REUSE) -> Plan[str]:
        return self.books.release(lease, outcome, self.now)

    @property
    def counts(self) -> str:
        stats = self.books.stats()
        return (
            f"{stats.busy} busy, {stats.idle} idle, {stats.connecting} connecting,"
            f" {stats.waiting} waiting"
        )


def test_the_connection_used_last_is_lent_first():
    desk = Desk()
    first, second = desk.borrow_new(2)
    assert desk.books.put(second)
    assert desk.books.put(first)
    assert desk.books.take() is first
    assert desk.books.take() is second
    assert desk.books.take() is None


def test_who_finds_nothing_idle_waits_while_one_connection_is_opened():
    desk = Desk()
    waiter, plan = desk.join()
    assert plan.opens == 1
    assert desk.counts == "0 busy, 0 idle, 1 connecting, 1 waiting"
    desk.open()
    assert waiter.lease is not None
    assert waiter.lease.connection == "a"
    assert desk.counts == "1 busy, 0 idle, 0 connecting, 0 waiting"


def test_no_more_connections_are_opened_than_the_maximum():
    desk = Desk(max_size=2)
    opens = [desk.join()[1].opens for _ in range(5)]
    assert opens == [1, 1, 0, 0, 0]


def test_a_returned_connection_goes_to_the_longest_waiter_and_nobody_else():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    first, _ = desk.join()
    second, _ = desk.join()
    assert not desk.books.put(lease)
    plan = desk.release(lease)
    assert plan.wake == [first]
    assert first.lease is lease
    assert second.lease is None
    assert desk.books.take() is None


def test_a_waiter_takes_a_returned_connection_while_its_own_is_being_opened():
    desk = Desk(max_size=2)
    (lease,) = desk.borrow_new()
    waiter, plan = desk.join()
    assert plan.opens == 1
    desk.release(lease)
    assert waiter.lease is lease
    desk.open()
    assert desk.counts == "1 busy, 1 idle, 0 connecting, 0 waiting"


def test_a_waiter_that_left_is_handed_nothing():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    waiter, _ = desk.join()
    desk.books.leave(waiter)
    desk.release(lease)
    assert waiter.lease is None
    assert desk.counts == "0 busy, 1 idle, 0 connecting, 0 waiting"


def test_leaving_after_the_handover_keeps_the_lease():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    waiter, _ = desk.join()
    desk.release(lease)
    desk.books.leave(waiter)
    assert waiter.lease is lease


def test_a_lease_is_returned_once():
    desk = Desk()
    (lease,) = desk.borrow_new()
    assert desk.books.put(lease)
    assert not desk.books.put(lease)
    with pytest.raises(KeyError):
        desk.release(lease)
    assert desk.counts == "0 busy, 1 idle, 0 connecting, 0 waiting"


def test_a_discarded_connection_is_closed_and_replaced_for_a_waiter():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    desk.join()
    plan = desk.release(lease, Outcome.DISCARD)
    assert plan.close == ["a"]
    assert plan.opens == 1


def test_a_connection_to_be_cleaned_is_lent_after_the_cleaning():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    waiter, _ = desk.join()
    plan = desk.release(lease, Outcome.CLEAN)
    assert plan.clean == [lease]
    assert waiter.lease is None
    assert desk.counts == "1 busy, 0 idle, 0 connecting, 1 waiting"
    desk.books.cleaned(lease, succeeded=True, now=desk.now)
    assert waiter.lease is lease


def test_nothing_is_opened_for_who_can_have_a_connection_being_cleaned():
    desk = Desk(max_size=2)
    (lease,) = desk.borrow_new()
    desk.release(lease, Outcome.CLEAN)
    assert desk.join()[1].opens == 0
    assert desk.join()[1].opens == 1


def test_a_connection_that_cannot_be_cleaned_is_closed_and_replaced():
    desk = Desk(max_size=1)
    (lease,) = desk.borrow_new()
    desk.join()
    desk.release(lease, Outcome.CLEAN)
    plan = desk.books.cleaned(lease, succeeded=False, now=desk.now)
    assert plan.close == ["a"]
    assert plan.opens == 1
    assert desk.books.stats().errors == 1


def test_an_unused_connection_is_closed_after_max_idle_but_the_minimum_stays():
    desk = Desk(min_size=1, max_idle=60.0)
    early, late = desk.borrow_new(2)
    desk.books.put(early)
    desk.now += 59.0
    desk.books.tick(desk.now)
    desk.books.put(late)
    desk.now += 1.0
    assert desk.books.tick(desk.now).close == ["a"]
    desk.now += 1000.0
    assert desk.books.tick(desk.now).close == []
    assert desk.books.take() is late


def test_of_many_unused_connections_the_minimum_is_left():
    desk = Desk(min_size=1, max_idle=60.0)
    for lease in desk.borrow_new(3):
        desk.books.put(lease)
    desk.now += 60.0
    assert desk.books.tick(desk.now) == Plan(close=["a", "b"])


def test_being_unused_begins_with_the_return():
    desk = Desk(max_idle=60.0)
    (lease,) = desk.borrow_new()
    desk.now += 50.0
    desk.books.tick(desk.now)
    desk.books.put(lease)
    desk.now += 50.0
    assert desk.books.tick(desk.now) == Plan()
    desk.now += 10.0
    assert desk.books.tick(desk.now) == Plan(close=["a"])


def test_an_old_connection_is_replaced_to_keep_the_minimum():
    desk = Desk(min_size=1, max_lifetime=100.0, max_idle=1e9)
    (lease,) = desk.borrow_new()
    desk.books.put(lease)
    desk.now += 99.0
    assert desk.books.tick(desk.now) == Plan()
    desk.now += 1.0
    plan = desk.books.tick(desk.now)
    assert (plan.close, plan.opens) == (["a"], 1)


def test_a_lent_connection_past_its_lifetime_is_closed_at_its_return():
    desk = Desk(max_lifetime=100.0)
    (lease,) = desk.borrow_new()
    desk.now += 100.0
    desk.books.tick(desk.now)
    assert not desk.books.put(lease)
    assert desk.release(lease).close == ["a"]


def test_a_lifetime_is_shortened_by_at_most_a_tenth():
    asked = []
    books = PoolBooks[str](
        "n",
        PoolLimits(max_lifetime=100.0),
        uniform=lambda low, high: asked.append((low, high)) or 0.95,
        now=0.0,
    )
    waiter = Waiter[str](lambda: None, since=0.0)
    books.join(waiter, 0.0)
    books.opened("a", 0, 1.0)
    assert asked == [(0.9, 1.0)]
    assert waiter.lease is not None
    assert waiter.lease.expires_at == pytest.approx(96.0)


def test_the_minimum_is_kept_from_the_first_tick_on():
    desk = Desk(min_size=2)
    assert desk.books.tick(desk.now).opens == 2
    assert desk.books.tick(desk.now).opens == 0


def test_warming_opens_what_is_missing_within_the_maximum():
    desk = Desk(max_size=3)
    assert desk.books.warm(2, desk.now).opens == 2
    assert desk.books.warm(2, desk.now).opens == 0
    assert desk.books.warm(9, desk.now).opens == 1


def test_a_drain_closes_idle_connections_now_and_lent_ones_at_their_return():
    desk = Desk()
    lent, idle = desk.borrow_new(2)
    desk.books.put(idle)
    assert desk.books.drain(desk.now).close == ["b"]
    assert not desk.books.put(lent)
    assert desk.release(lent).close == ["a"]
    assert desk.books.stats().generation == 1
    assert desk.books.size == 0


def test_waiters_survive_a_drain_and_get_only_what_was_opened_after_it():
    desk = Desk(max_size=1)
    waiter, _ = desk.join()
    before = desk.books.generation
    plan = desk.books.drain(desk.now)
    assert (plan.opens, plan.generation) == (1, before + 1)
    late = desk.books.opened("late", before, desk.now)
    assert late.close == ["late"]
    assert waiter.lease is None
    desk.open()
    assert waiter.lease is not None
    assert waiter.lease.connection == "a"
    assert desk.books.stats().created == 2


def test_who_waits_for_a_node_that_does_not_answer_is_told_why():
    desk = Desk(max_size=1)
    [lent] = desk.borrow_new()
    waiter, _ = desk.join()
    plan = desk.books.refuse("an answer is missing", desk.now)
    assert plan.wake == [waiter]
    assert isinstance(waiter.error, NoNodeAvailableError)
    assert "an answer is missing" in str(waiter.error)
    # What is lent, and who comes later, is not concerned.
    later, _ = desk.join()
    desk.release(lent)
    assert later.lease is lent


def test_a_connection_that_somebody_else_has_opened_serves_who_waits():
    desk = Desk(max_size=2)
    waiter, _ = desk.join()
    desk.books.adopt("mine", desk.now)
    assert waiter.lease is not None
    assert waiter.lease.connection == "mine"
    # The one being opened is the second: there is no room for a third.
    assert desk.books.full
    assert desk.books.adopt("too many", desk.now).close == ["too many"]
    desk.open()
    assert desk.counts == "1 busy, 1 idle, 0 connecting, 0 waiting"


def test_a_connection_adopted_ends_the_pause_after_a_failure():
    desk = Desk()
    desk.join()
    desk.fail()
    desk.books.adopt("mine", desk.now)
    assert desk.books.take() is not None
    assert desk.join()[1].opens == 1


def test_only_what_comes_back_in_good_order_counts_as_an_answer():
    desk = Desk()
    first, second, third = desk.borrow_new(3)
    assert desk.books.answered == 0
    assert desk.books.put(first)
    desk.release(second)
    desk.release(third, Outcome.DISCARD)
    assert desk.books.answered == 2


def test_a_drain_ends_the_pause_after_a_failure():
    desk = Desk(backoff=10.0, max_backoff=10.0)
    desk.join()
    desk.fail()
    desk.books.drain(desk.now)
    assert [desk.join()[1].opens for _ in range(3)] == [1, 1, 1]


def test_an_opening_begun_before_a_drain_may_fail_without_consequence():
    desk = Desk(max_size=1)
    waiter, _ = desk.join()
    desk.books.drain(desk.now)
    plan = desk.books.open_failed(OSError("gone"), 0, desk.now)
    assert plan.wake == []
    assert waiter.error is None
    assert desk.counts == "0 busy, 0 idle, 1 connecting, 1 waiting"


def test_all_waiters_are_refused_at_once_when_nothing_else_can_come():
    desk = Desk(max_size=2)
    waiters = [desk.join()[0] for _ in range(3)]
    assert desk.fail().wake == []
    refused = desk.fail().wake
    assert refused == waiters
    errors = [waiter.error for waiter in waiters]
    assert all(isinstance(error, NoNodeAvailableError) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert isinstance(errors[0].__cause__, OSError)


def test_waiters_wait_on_while_a_lent_connection_can_still_come():
    desk = Desk(max_size=2)
    (lease,) = desk.borrow_new()
    waiter, _ = desk.join()
    assert desk.fail().wake == []
    assert desk.release(lease).wake == [waiter]
    assert waiter.lease is lease


def test_waiters_are_refused_when_the_last_lent_connection_turns_out_broken():
    desk = Desk(max_size=2)
    (lease,) = desk.borrow_new()
    waiter, _ = desk.join()
    desk.fail()
    assert desk.release(lease, Outcome.DISCARD).wake == [waiter]
    assert isinstance(waiter.error, NoNodeAvailableError)


def test_after_a_failure_borrowers_are_refused_until_the_pause_is_over():
    desk = Desk(backoff=0.5)
    desk.join()
    desk.fail()
    waiter, plan = desk.join()
    assert plan.opens == 0
    assert isinstance(waiter.error, NoNodeAvailableError)
    assert "next attempt in 0.5 s" in str(waiter.error)
    desk.now += 0.5
    waiter, plan = desk.join()
    assert plan.opens == 1
    assert waiter.error is None


def test_pauses_double_up_to_the_cap_and_end_with_a_success():
    desk = Desk(backoff=0.1, max_backoff=0.3)
    pauses = []
    for _ in range(4):
        desk.join()
        desk.fail()
        refused, _ = desk.join()
        pauses.append(str(refused.error).partition("next attempt in ")[2][:3])
        desk.now += 10.0
    assert pauses == ["0.1", "0.2", "0.3", "0.3"]
    (lease,) = desk.borrow_new()
    desk.release(lease, Outcome.DISCARD)
    desk.join()
    desk.fail()
    refused, _ = desk.join()
    assert "next attempt in 0.1 s" in str(refused.error)


def test_openings_that_fail_together_count_as_one_failure():
    desk = Desk(max_size=8, backoff=0.1)
    for _ in range(8):
        desk.join()
    for _ in range(8):
        desk.fail()
    refused, _ = desk.join()
    assert "next attempt in 0.1 s" in str(refused.error)


def test_one_opening_at_a_time_tries_a_node_that_failed():
    desk = Desk(max_size=8)
    desk.join()
    desk.fail()
    desk.now += 1.0
    assert [desk.join()[1].opens for _ in range(4)] == [1, 0, 0, 0]
    desk.open()
    assert desk.books.connecting == 3


def test_a_queued_opening_is_called_off_once_the_node_failed():
    desk = Desk(max_size=2)
    first, _ = desk.join()
    second, _ = desk.join()
    assert desk.books.may_open(0, desk.now) is None
    desk.fail()
    plan = desk.books.may_open(0, desk.now)
    assert plan is not None
    assert plan.wake == [first, second]
    assert desk.counts == "0 busy, 0 idle, 0 connecting, 0 waiting"


def test_a_queued_opening_from_before_a_drain_is_called_off():
    desk = Desk()
    desk.join()
    desk.books.drain(desk.now)
    assert desk.books.may_open(0, desk.now) is not None
    assert desk.books.may_open(1, desk.now) is None
    assert desk.books.connecting == 1


def test_a_tick_tries_again_for_those_who_wait_on_a_lent_connection():
    desk = Desk(max_size=2)
    desk.borrow_new()
    desk.join()
    desk.fail()
    assert desk.books.tick(desk.now).opens == 0
    desk.now += 1.0
    assert desk.books.tick(desk.now).opens == 1


def test_closing_refuses_who_waits_and_who_comes_later():
    desk = Desk(max_size=2)
    lent, idle = desk.borrow_new(2)
    waiter, _ = desk.join()
    desk.release(idle)
    idle_again, _ = waiter.lease, desk.books.put(waiter.lease)
    plan = desk.books.close(desk.now)
    assert plan.close == [idle_again.connection]
    late, _ = desk.join()
    assert isinstance(late.error, NoNodeAvailableError)
    assert "closed" in str(late.error)
    assert desk.release(lent).close == ["a"]
    assert desk.books.size == 0


def test_closing_answers_everybody_in_the_queue():
    desk = Desk(max_size=1)
    waiters = [desk.join()[0] for _ in range(3)]
    assert desk.books.close(desk.now).wake == waiters
    assert desk.books.opened("a", 0, desk.now).close == ["a"]
    assert desk.books.tick(desk.now) == Plan(generation=1)


def test_a_full_queue_turns_the_next_borrower_away():
    desk = Desk(max_size=1, max_waiting=2)
    waiters = [desk.join()[0] for _ in range(3)]
    assert [waiter.error for waiter in waiters[:2]] == [None, None]
    assert isinstance(waiters[2].error, PoolTimeoutError)
    assert "max_waiting" in str(waiters[2].error)


def test_a_timeout_says_where_how_long_how_many_and_what_to_try():
    desk = Desk(max_size=2)
    desk.borrow_new()
    desk.join()
    desk.fail(OSError("no route to host\nsecond line"))
    message = str(desk.books.timeout_error(5.0))
    assert message == (
        "no connection of pool us-west-2@10.0.0.1:5432 became free within 5 s"
        " (1 busy, 0 idle, 0 connecting of 2; 1 waiting; last open failed with"
        " OSError: no route to host); finish transactions and close connections"
        " sooner, or raise pool_max_size or pool_wait"
    )


@pytest.mark.parametrize(
    "text",
    [
        "bad conninfo: host=h password=hunter2 user=app",
        "bad conninfo: password='hunter2 hunter2'",
        "cannot reach postgresql://app:hunter2@h/db",
        "Password: hunter2",
    ],
)
def test_messages_keep_secrets(text):
    desk = Desk()
    waiter, _ = desk.join()
    desk.fail(OSError(text))
    assert "***" in str(waiter.error)
    assert "hunter2" not in str(waiter.error)


def test_the_books_keep_no_frames_of_a_failed_opening_alive():
    desk = Desk()
    desk.join()
    with pytest.raises(OSError, match="refused") as caught:
        raise OSError("refused")
    desk.fail(caught.value)
    assert desk.books.last_error is caught.value
    assert desk.books.last_error.__traceback__ is None


def test_time_waited_and_loans_are_counted():
    desk = Desk(max_size=1)
    desk.join()
    desk.now += 0.25
    desk.open()
    stats = desk.books.stats()
    assert (stats.borrowed, stats.borrow_time_us) == (1, 250_000)
    assert (stats.created, stats.returned, stats.closed) == (1, 0, 0)


def test_a_forked_child_starts_empty_and_closes_nothing():
    desk = Desk(max_size=3)
    lent, idle, cleaning = desk.borrow_new(3)
    desk.books.put(idle)
    desk.release(cleaning, Outcome.CLEAN)
    assert set(desk.books.forget(desk.now)) == {lent, idle, cleaning}
    assert desk.counts == "0 busy, 0 idle, 0 connecting, 0 waiting"
    assert desk.books.stats().abandoned == 3
    assert not desk.books.put(lent)
    _, plan = desk.join()
    assert (plan.opens, plan.close) == (1, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_size": -1},
        {"min_size": 3, "max_size": 2},
        {"max_size": 0},
        {"max_lifetime": 0.0},
        {"max_idle": -1.0},
        {"connect": 0.0},
        {"backoff": 0.0},
        {"wait": -1.0},
        {"max_waiting": -1},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PoolLimits(**wrong)
