from __future__ import annotations

import itertools
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from random import Random

import pytest

from globaldb.errors import InterfaceError, NoNodeAvailableError, PoolTimeoutError
from globaldb.runtime.pool import Outcome, Pool, PoolLimits
from globaldb.runtime.worker import Worker

SOON = 20.0  # seconds; only a broken pool ever waits that long


class Wire:
    """A resource that notices being used wrongly."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.open = True
        self.dirty = False
        self.user: int | None = None


class Plant:
    """Opens, cleans and closes wires; the test may hold, break or delay it."""

    def __init__(self, seed: int = 1) -> None:
        self.numbers = itertools.count(1)
        self.wires: list[Wire] = []
        self.random = Random(seed)
        self.failing = 0.0  # share of openings and cleanings that fail
        self.gate = threading.Event()
        self.gate.set()
        self.deadlines: list[float] = []

    def open(self, deadline: float) -> Wire:
        self.deadlines.append(deadline)
        assert self.gate.wait(SOON)
        if self.random.random() < self.failing:
            raise OSError("connection refused")
        wire = Wire(next(self.numbers))
        self.wires.append(wire)
        return wire

    def clean(self, wire: Wire) -> None:
        assert wire.open
        assert wire.user is None
        if self.random.random() < self.failing:
            raise OSError("connection reset")
        wire.dirty = False

    def close(self, wire: Wire) -> None:
        assert wire.open
        wire.open = False

    @property
    def living(self) -> list[Wire]:
        return [wire for wire in self.wires if wire.open]


@contextmanager
def pool_of(plant: Plant, **limits):
    worker = Worker()
    pool = Pool[Wire](
        "us-west-2@10.0.0.1:5432",
        open=plant.open,
        close=plant.close,
        clean=plant.clean,
        limits=PoolLimits(**limits),
        worker=worker,
        clock=time.monotonic,
        random=Random(7),
    )
    try:
        yield pool
    finally:
        plant.gate.set()
        pool.close()
        worker.close(SOON)
        assert worker.failures == 0


def soon() -> float:
    return time.monotonic() + SOON


def until(condition, *, tick=None) -> None:
    """Wait for what another thread is about to bring about."""
    patience = threading.Event()
    end = soon()
    while not condition():
        assert time.monotonic() < end
        patience.wait(0.002)
        if tick is not None:
            tick(time.monotonic())


class Borrower(threading.Thread):
    """One thread's checkout, and what came of it."""

    def __init__(self, pool, deadline=None) -> None:
        super().__init__(daemon=True)
        self.pool = pool
        self.deadline = soon() if deadline is None else deadline
        self.lease = None
        self.error = None
        self.start()

    def run(self):
        try:
            self.lease = self.pool.checkout(self.deadline)
        except (NoNodeAvailableError, PoolTimeoutError) as error:
            self.error = error

    def outcome(self):
        self.join(SOON)
        assert not self.is_alive()
        return self


def queue_up(pool, count) -> list[Borrower]:
    """Start borrowers that stand in the queue in a known order."""
    borrowers = []
    for _ in range(count):
        waiting = pool.stats.waiting
        borrowers.append(Borrower(pool))
        until(lambda waiting=waiting: pool.stats.waiting == waiting + 1)
    return borrowers


def test_a_connection_is_opened_lent_and_lent_again():
    plant = Plant()
    with pool_of(plant) as pool:
        lease = pool.checkout()
        assert lease.connection.open
        pool.checkin(lease)
        assert pool.checkout() is lease
        assert len(plant.wires) == 1


def test_the_pool_opens_no_connection_on_the_borrower_s_thread():
    threads = []
    plant = Plant()
    opening = plant.open
    plant.open = lambda deadline: (
        threads.append(threading.current_thread().name),
        opening(deadline),
    )[1]
    with pool_of(plant) as pool:
        pool.checkout()
    assert threads == ["globaldb-worker"]


def test_opening_is_given_a_deadline():
    plant = Plant()
    with pool_of(plant, connect=3.0) as pool:
        before = time.monotonic()
        pool.checkout()
        assert before + 3.0 <= plant.deadlines[0] <= time.monotonic() + 3.0


def test_trying_never_waits_and_never_opens():
    plant = Plant()
    with pool_of(plant) as pool:
        assert pool.try_checkout() is None
        assert plant.deadlines == []
        pool.checkin(pool.checkout())
        assert pool.try_checkout() is not None


def test_a_returned_connection_serves_a_waiter_whose_own_hangs_in_opening():
    plant = Plant()
    with pool_of(plant) as pool:
        lease = pool.checkout()
        plant.gate.clear()
        (borrower,) = queue_up(pool, 1)
        pool.checkin(lease)
        assert borrower.outcome().lease is lease


def test_waiters_are_served_in_the_order_of_their_coming():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lease = pool.checkout()
        for borrower in queue_up(pool, 4):
            pool.checkin(lease)
            assert borrower.outcome().lease is lease


def test_a_waiter_s_deadline_is_kept_and_the_error_explains():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        pool.checkout()
        began = time.monotonic()
        with pytest.raises(PoolTimeoutError) as caught:
            pool.checkout(began + 0.05)
        assert 0.05 <= time.monotonic() - began < SOON
        assert "us-west-2@10.0.0.1:5432" in str(caught.value)
        assert "1 busy, 0 idle, 0 connecting of 1" in str(caught.value)
        assert pool.stats.waiting == 0


def test_without_a_deadline_the_pool_s_own_wait_holds():
    plant = Plant()
    with pool_of(plant, max_size=1, wait=0.02) as pool:
        pool.checkout()
        with pytest.raises(PoolTimeoutError):
            pool.checkout()


def test_a_borrower_may_be_patient_without_end():
    plant = Plant()
    with pool_of(plant) as pool:
        assert pool.checkout(math.inf).connection.open


def test_a_deadline_in_the_past_still_takes_an_idle_connection():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        pool.checkin(pool.checkout())
        lease = pool.checkout(time.monotonic() - 1.0)
        with pytest.raises(PoolTimeoutError):
            pool.checkout(time.monotonic() - 1.0)
        pool.checkin(lease)
        assert pool.stats.idle == 1


def test_a_failed_opening_is_reported_promptly_to_every_waiter(caplog):
    plant = Plant()
    plant.failing = 1.0
    plant.gate.clear()
    with caplog.at_level(logging.WARNING, "globaldb"), pool_of(plant) as pool:
        borrowers = queue_up(pool, 5)
        plant.gate.set()
        errors = [borrower.outcome().error for borrower in borrowers]
        assert [type(error) for error in errors] == [NoNodeAvailableError] * 5
        assert all(isinstance(error.__cause__, OSError) for error in errors)
        # At most one try a thread: the queued ones were called off.
        assert len(plant.deadlines) <= 3
    assert "pool_open_failed pool=us-west-2@10.0.0.1:5432 error=OSError" in caplog.text


def test_a_node_that_failed_is_not_stormed():
    plant = Plant()
    plant.failing = 1.0
    with pool_of(plant, backoff=30.0, max_backoff=30.0) as pool:
        for _ in range(50):
            with pytest.raises(NoNodeAvailableError):
                pool.checkout(soon())
        assert len(plant.deadlines) == 1


def test_a_node_that_came_back_is_used_again():
    plant = Plant()
    plant.failing = 1.0
    with pool_of(plant, backoff=0.001, max_backoff=0.001) as pool:
        with pytest.raises(NoNodeAvailableError):
            pool.checkout(soon())
        plant.failing = 0.0
        borrowed = []

        def came_back() -> bool:
            try:
                borrowed.append(pool.checkout(soon()))
            except NoNodeAvailableError:
                return False
            return True

        until(came_back)
        assert borrowed[0].connection.open


def test_a_used_connection_is_cleaned_before_it_is_lent_again():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lease = pool.checkout()
        lease.connection.dirty = True
        pool.checkin(lease, Outcome.CLEAN)
        again = pool.checkout(soon())
        assert again is lease
        assert not again.connection.dirty


def test_a_connection_that_cannot_be_cleaned_is_closed_and_replaced():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lease = pool.checkout()
        plant.failing = 1.0
        pool.checkin(lease, Outcome.CLEAN)
        until(lambda: not lease.connection.open)
        plant.failing = 0.0
        assert pool.checkout(soon()) is not lease
        assert pool.stats.errors == 1


def test_a_discarded_connection_is_closed():
    plant = Plant()
    with pool_of(plant) as pool:
        lease = pool.checkout()
        pool.checkin(lease, Outcome.DISCARD)
        until(lambda: not lease.connection.open)
        assert pool.stats.closed == 1


def test_a_failing_close_is_reported_and_harms_nobody(caplog):
    plant = Plant()

    def fail(wire):
        raise OSError("already gone")

    with caplog.at_level(logging.WARNING, "globaldb"):
        plant.close = fail
        with pool_of(plant) as pool:
            pool.checkin(pool.checkout(), Outcome.DISCARD)
            assert pool.checkout(soon()).connection.open
    assert "pool_close_failed" in caplog.text


def test_a_lease_returned_twice_is_an_error():
    plant = Plant()
    with pool_of(plant) as pool, pool_of(plant) as other:
        lease = pool.checkout()
        pool.checkin(lease)
        with pytest.raises(InterfaceError, match="not on loan"):
            pool.checkin(lease)
        with pytest.raises(InterfaceError, match="not on loan"):
            other.checkin(lease, Outcome.DISCARD)
        assert pool.stats.idle == 1


def test_a_lease_dropped_by_a_finalizer_is_closed_at_the_next_tick():
    plant = Plant()
    with pool_of(plant) as pool:
        lost, kept = pool.checkout(), pool.checkout()
        pool.drop(lost)
        pool.checkin(kept)
        pool.drop(kept)  # returned in time after all
        pool.tick(time.monotonic())
        until(lambda: not lost.connection.open)
        assert pool.stats.busy == 0
        assert pool.try_checkout() is kept


def test_a_lease_that_nobody_holds_any_more_is_closed_at_the_next_tick():
    plant = Plant()
    with pool_of(plant, max_size=2) as pool:
        held, lost = pool.checkout(), [pool.checkout()]
        until(lambda: pool.stats.busy == 2)
        pool.tick(time.monotonic())
        assert pool.stats.busy == 2
        # As an exception does that comes between the loan and whatever would end it.
        lost.clear()
        pool.tick(time.monotonic())
        until(lambda: plant.living == [held.connection])
        pool.checkin(held)
        assert pool.stats.busy == 0


def test_a_lease_that_another_thread_holds_is_left_to_it():
    plant = Plant()
    with pool_of(plant, max_size=3) as pool:
        gate = threading.Event()

        def borrow():
            lease = pool.checkout()
            gate.wait(SOON)
            pool.checkin(lease)

        def walk():
            lease = pool.checkout()
            yield
            pool.checkin(lease)

        thread, steps = threading.Thread(target=borrow), walk()
        thread.start()
        next(steps)
        until(lambda: pool.stats.busy == 2, tick=pool.tick)
        pool.tick(time.monotonic())
        gate.set()
        thread.join(SOON)
        next(steps, None)
        assert pool.stats.busy == 0
        assert len(plant.living) == 2


def test_warming_opens_in_the_background():
    plant = Plant()
    with pool_of(plant) as pool:
        pool.warm(4)
        until(lambda: pool.stats.idle == 4)
        assert repr(pool) == (
            "<Pool us-west-2@10.0.0.1:5432:"
            " 0 busy, 4 idle, 0 connecting, 0 waiting of 10>"
        )


def test_a_tick_keeps_the_minimum_and_retires_the_unused():
    plant = Plant()
    with pool_of(plant, min_size=1, max_idle=0.001) as pool:
        pool.warm(3)
        until(lambda: pool.stats.idle == 3)
        until(lambda: len(plant.living) == 1, tick=pool.tick)
        assert pool.stats.idle == 1


def test_a_drain_serves_waiters_with_connections_opened_after_it():
    plant = Plant()
    with pool_of(plant, max_size=2) as pool:
        lent, idle = pool.checkout(), pool.checkout()
        pool.checkin(idle)
        pool.drain()
        until(lambda: not idle.connection.open)
        fresh = pool.checkout(soon())
        assert fresh.generation == 1
        pool.checkin(lent)
        until(lambda: not lent.connection.open)
        assert pool.stats.busy == 1


def test_a_connection_whose_opening_began_before_a_drain_is_closed():
    plant = Plant()
    plant.gate.clear()
    with pool_of(plant, max_size=1) as pool:
        (borrower,) = queue_up(pool, 1)
        until(lambda: len(plant.deadlines) == 1)
        pool.drain()
        plant.gate.set()
        assert borrower.outcome().lease.generation == 1
        until(lambda: len(plant.living) == 1)
        assert plant.living == [borrower.lease.connection]


def test_pruning_closes_the_dead_among_the_idle_and_keeps_the_order_of_the_rest():
    plant = Plant()
    with pool_of(plant, max_size=3) as pool:
        first, second, third = (pool.checkout() for _ in range(3))
        for lease in (first, second, third):
            pool.checkin(lease)
        pool.prune(lambda wire: wire is second.connection)
        until(lambda: not second.connection.open)
        assert pool.try_checkout() is third
        assert pool.try_checkout() is first
        assert pool.try_checkout() is None


def test_who_waits_can_be_sent_elsewhere_while_the_others_keep_what_they_have():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lent = pool.checkout()
        (borrower,) = queue_up(pool, 1)
        pool.refuse("an answer is missing for 2 s")
        assert "missing for 2 s" in str(borrower.outcome().error)
        assert lent.connection.open
        pool.checkin(lent)
        assert pool.answered == 1


def test_a_connection_opened_elsewhere_is_lent_like_any_other():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        wire = plant.open(soon())
        pool.adopt(wire)
        assert pool.full
        assert pool.checkout().connection is wire
        other = plant.open(soon())
        pool.adopt(other)
        until(lambda: not other.open)


def test_closing_answers_waiters_and_closes_everything_in_the_end():
    plant = Plant()
    with pool_of(plant, max_size=2) as pool:
        first, second = pool.checkout(), pool.checkout()
        (borrower,) = queue_up(pool, 1)
        pool.close()
        assert isinstance(borrower.outcome().error, NoNodeAvailableError)
        with pytest.raises(NoNodeAvailableError, match="closed"):
            pool.checkout()
        pool.checkin(first)
        pool.checkin(second, Outcome.CLEAN)
        until(lambda: plant.living == [])
        assert pool.stats.closed == 2


def test_an_interrupted_wait_leaves_no_place_in_the_queue():
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lease = pool.checkout()

        def interrupt():
            until(lambda: pool.stats.waiting == 1)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            pool.checkout(soon())
        thread.join(SOON)
        assert pool.stats.waiting == 0
        pool.checkin(lease)
        assert pool.try_checkout() is lease


def test_an_interrupt_after_the_handover_gives_the_connection_back(monkeypatch):
    plant = Plant()
    with pool_of(plant, max_size=1) as pool:
        lease = pool.checkout()

        class Interrupted(threading.Event):
            def wait(self, timeout=None):
                pool.checkin(lease)
                assert self.is_set()
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(threading, "Event", Interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.checkout(soon())
        assert pool.stats.busy == 0
        assert pool.try_checkout() is lease


class Customer(threading.Thread):
    """Borrows and returns at random, and checks that nobody shares its wire."""

    def __init__(self, pool, seed, rounds):
        super().__init__(daemon=True)
        self.pool, self.random, self.rounds = pool, Random(seed), rounds
        self.answers: dict[str, int] = {}
        self.faults: list[str] = []

    def run(self):
        for _ in range(self.rounds):
            answer = self.once()
            self.answers[answer] = self.answers.get(answer, 0) + 1

    def once(self) -> str:
        patience = self.random.choice([0.0, 0.001, 1.0, SOON])
        try:
            lease = self.pool.checkout(time.monotonic() + patience)
        except (PoolTimeoutError, NoNodeAvailableError) as error:
            return type(error).__name__
        wire = lease.connection
        if wire.user is not None or wire.dirty or not wire.open:
            self.faults.append(f"wire {wire.number} was not free, clean and open")
        wire.user = self.ident
        outcome = self.random.choices(list(Outcome), [90, 8, 2])[0]
        wire.dirty = outcome is not Outcome.REUSE
        if self.random.random() < 0.1:
            os.sched_yield()
        if wire.user != self.ident:
            self.faults.append(f"wire {wire.number} was lent twice")
        wire.user = None
        self.pool.checkin(lease, outcome)
        return "served"


def test_sixteen_threads_share_five_connections_and_nothing_is_lost():
    plant = Plant()
    plant.failing = 0.2
    rounds = 2000
    sizes = set()
    with pool_of(plant, max_size=5, backoff=0.0005, max_backoff=0.002) as pool:
        customers = [Customer(pool, seed, rounds) for seed in range(16)]
        for customer in customers:
            customer.start()
        ticks = itertools.count()

        def housekeeping(now):
            pool.tick(now)
            if next(ticks) % 50 == 49:
                pool.drain()
            stats = pool.stats
            sizes.add(stats.busy + stats.idle + stats.connecting)

        until(
            lambda: not any(customer.is_alive() for customer in customers),
            tick=housekeeping,
        )
        assert [fault for customer in customers for fault in customer.faults] == []
        served = sum(customer.answers["served"] for customer in customers)
        assert served > 1000
        assert sum(sum(one.answers.values()) for one in customers) == 16 * rounds
        assert max(sizes) <= 5
        until(lambda: pool.stats.busy + pool.stats.connecting == 0)
        stats = pool.stats
        assert stats.borrowed == stats.returned == served
        assert stats.waiting == 0
        until(lambda: len(plant.living) == stats.idle)
        assert stats.created == stats.idle + stats.closed == len(plant.wires)
    assert plant.living == []


def test_a_forked_child_uses_connections_of_its_own_and_closes_none_of_the_parent_s():
    script = """
import gc, os, socket, threading, time
from random import Random
from globaldb.runtime.pool import Outcome, Pool, PoolLimits
from globaldb.runtime.worker import Worker

class Line:
    # Says goodbye when it is closed or collected, as a driver's connection does.
    def __init__(self):
        self.mine, self.server = socket.socketpair()
        self.server.setblocking(False)
    def close(self):
        self.mine.send(b"X")
    __del__ = close
    def heard(self):
        try:
            return self.server.recv(10)
        except BlockingIOError:
            return b""

abandoned = []
pool = Pool("n", open=lambda deadline: Line(), close=Line.close, clean=print,
            limits=PoolLimits(), worker=Worker(), clock=time.monotonic,
            random=Random(1), abandon=abandoned.append)
os.register_at_fork(after_in_child=pool.forget_after_fork)
lent, idle = pool.checkout(), pool.checkout()
pool.checkin(idle)
holding = threading.Event()
def hold_the_lock():
    with pool._lock:
        holding.set()
        threading.Event().wait(1.0)
threading.Thread(target=hold_the_lock, daemon=True).start()
holding.wait()
pid = os.fork()
if pid == 0:
    ok = pool.stats.busy == pool.stats.idle == 0 and pool.stats.abandoned == 2
    ok = ok and set(abandoned) == {lent.connection, idle.connection}
    own = pool.checkout(time.monotonic() + 20)
    ok = ok and own not in (lent, idle)
    pool.checkin(lent, Outcome.DISCARD)
    pool.checkin(own)
    del lent, idle
    abandoned.clear()
    gc.collect()
    pool.tick(time.monotonic() + 1e6)
    pool.close()
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), lent.connection.heard(),
      idle.connection.heard(), pool.checkout() is idle)
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert result.stdout.split() == ["0", "b''", "b''", "True"], result.stderr
