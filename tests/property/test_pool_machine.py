from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from globaldb.core.lending import Lease, Outcome, Plan, PoolLimits, Waiter
from globaldb.core.pool_state import PoolBooks
from globaldb.errors import NoNodeAvailableError


class PoolMachine(RuleBasedStateMachine):
    """Any order of loans, returns, failures and drains keeps the books balanced.

    The machine plays the borrowers and the worker, and remembers where every
    connection must be.
    """

    @initialize(
        low=st.integers(0, 2),
        more=st.integers(1, 3),
        max_waiting=st.sampled_from([0, 0, 3]),
    )
    def begin(self, low, more, max_waiting):
        self.now = 0.0
        self.limits = PoolLimits(
            min_size=low,
            max_size=low + more,
            max_waiting=max_waiting,
            max_idle=30.0,
            max_lifetime=100.0,
        )
        self.books = PoolBooks[int](
            "n", self.limits, uniform=lambda low, high: high, now=self.now
        )
        self.opened = 0
        self.closed: list[int] = []
        self.lent: set[Lease[int]] = set()
        self.cleaning: set[Lease[int]] = set()
        self.queue: list[Waiter[int]] = []
        self.openings: list[int] = []
        self.open_for_business = True

    def carry_out(self, plan: Plan[int]):
        """Do what the shell does with a plan; who waited longest is answered first."""
        self.closed += plan.close
        self.cleaning |= set(plan.clean)
        assert plan.wake == self.queue[: len(plan.wake)]
        del self.queue[: len(plan.wake)]
        for waiter in plan.wake:
            assert (waiter.lease is None) != (waiter.error is None)
            if waiter.lease is not None:
                self.lend(waiter.lease)
        self.openings += [plan.generation] * plan.opens

    def begin_opening(self, data) -> int:
        index = data.draw(st.integers(0, len(self.openings) - 1))
        return self.openings.pop(index)

    def lend(self, lease: Lease[int]):
        assert lease not in self.lent
        assert lease not in self.cleaning
        assert lease.connection not in self.closed
        assert lease.generation == self.books.generation
        self.lent.add(lease)

    @rule()
    def try_checkout(self):
        lease = self.books.take()
        if lease is not None:
            self.lend(lease)

    @rule()
    def wait_for_one(self):
        waiter = Waiter[int](lambda: None, since=self.now)
        plan = self.books.join(waiter, self.now)
        if waiter.error is not None and plan.wake == [waiter]:
            self.refused_at_once(waiter)
            return
        self.queue.append(waiter)
        self.carry_out(plan)

    def refused_at_once(self, waiter):
        full = len(self.queue) == self.limits.max_waiting > 0
        down = self.books.last_error is not None and self.books.size == 0
        assert full or down or not self.open_for_business
        if not full:
            assert isinstance(waiter.error, NoNodeAvailableError)

    @rule(data=st.data())
    def give_up_waiting(self, data):
        if self.queue:
            index = data.draw(st.integers(0, len(self.queue) - 1))
            waiter = self.queue.pop(index)
            self.books.leave(waiter)
            assert waiter.lease is None

    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def give_back(self, data, outcome):
        if not self.lent:
            return
        lease = data.draw(
            st.sampled_from(sorted(self.lent, key=lambda one: one.connection))
        )
        self.lent.remove(lease)
        if outcome is Outcome.REUSE and self.books.put(lease):
            return
        self.carry_out(self.books.release(lease, outcome, self.now))

    @rule(data=st.data(), succeeded=st.booleans())
    def finish_cleaning(self, data, succeeded):
        if not self.cleaning:
            return
        lease = data.draw(
            st.sampled_from(sorted(self.cleaning, key=lambda one: one.connection))
        )
        self.cleaning.remove(lease)
        self.carry_out(self.books.cleaned(lease, succeeded=succeeded, now=self.now))

    @precondition(lambda self: self.openings)
    @rule(data=st.data())
    def open_succeeds(self, data):
        generation = self.begin_opening(data)
        called_off = self.books.may_open(generation, self.now)
        if called_off is not None:
            self.carry_out(called_off)
            return
        self.opened += 1
        self.carry_out(self.books.opened(self.opened, generation, self.now))

    @precondition(lambda self: self.openings)
    @rule(data=st.data())
    def open_fails(self, data):
        generation = self.begin_opening(data)
        called_off = self.books.may_open(generation, self.now)
        if called_off is not None:
            self.carry_out(called_off)
            return
        self.carry_out(self.books.open_failed(OSError("refused"), generation, self.now))

    @precondition(lambda self: self.openings)
    @rule(data=st.data(), seconds=st.floats(0.0, 5.0))
    def open_late(self, data, seconds):
        """The opening took its time, and the node failed or drained meanwhile."""
        generation = self.begin_opening(data)
        self.now += seconds
        self.opened += 1
        self.carry_out(self.books.opened(self.opened, generation, self.now))

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, 31.0, 101.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.carry_out(self.books.tick(self.now))

    @rule(size=st.integers(0, 6))
    def warm(self, size):
        self.carry_out(self.books.warm(size, self.now))

    @rule()
    def drain(self):
        self.carry_out(self.books.drain(self.now))

    @precondition(lambda self: self.opened > 5)
    @rule()
    def close(self):
        self.open_for_business = False
        self.carry_out(self.books.close(self.now))

    @invariant()
    def sizes_agree(self):
        stats = self.books.stats()
        assert stats.busy == len(self.lent) + len(self.cleaning)
        assert stats.waiting == len(self.queue)
        assert self.books.size == stats.idle + stats.busy + stats.connecting
        assert stats.connecting == self.openings.count(self.books.generation)
        assert self.books.size <= self.limits.max_size

    @invariant()
    def every_connection_is_in_one_place(self):
        stats = self.books.stats()
        assert stats.created == self.opened
        assert stats.closed == len(self.closed) == len(set(self.closed))
        assert stats.created == stats.idle + stats.busy + stats.closed

    @invariant()
    def who_waits_has_something_to_wait_for(self):
        stats = self.books.stats()
        if stats.waiting:
            assert stats.idle == 0
            assert stats.busy + stats.connecting > 0

    @invariant()
    def loans_add_up(self):
        stats = self.books.stats()
        assert stats.borrowed - stats.returned == len(self.lent)

    def teardown(self):
        """After closing and the last return, every connection ever opened is closed."""
        if not hasattr(self, "books"):
            return
        self.carry_out(self.books.close(self.now))
        for lease in self.lent:
            self.carry_out(self.books.release(lease, Outcome.REUSE, self.now))
        for lease in self.cleaning:
            self.carry_out(self.books.cleaned(lease, succeeded=True, now=self.now))
        assert len(self.closed) == self.opened
        assert self.books.size == 0
        assert self.queue == []


PoolMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestPoolMachine = PoolMachine.TestCase
