"""The books of one pool: who holds which connection, who waits, what comes next.

Nothing in here opens, closes, waits or reads a clock. Every method decides, reserves
what it decided, and returns the work as a `Plan` for the caller to do after it has
released its lock. What was promised to a waiter is out of everybody else's reach from
the moment of the decision, not from the moment the waiter wakes up.

Three rules keep the books honest: sizes are counted from the containers, never kept
beside them; while anybody waits nothing is idle; and whoever waits has something to
wait for, else it is refused at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from globaldb.core.lending import (
    Lease,
    Outcome,
    Plan,
    PoolLimits,
    PoolStats,
    Waiter,
    summary,
)
from globaldb.errors import NoNodeAvailableError, OperationalError, PoolTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Set as AbstractSet

C = TypeVar("C")


class PoolBooks(Generic[C]):
    """Who holds which connection of one node, and who waits for one.

    Not safe for threads by itself: the caller holds one lock around every call.
    ``uniform(low, high)`` is where chance comes in.
    """

    def __init__(
        self,
        name: str,
        limits: PoolLimits,
        *,
        uniform: Callable[[float, float], float],
        now: float,
    ) -> None:
        self.name: Final = name
        self.limits: Final = limits
        self.generation = 0
        self.closed = False
        self.connecting = 0
        self.last_error: BaseException | None = None
        self._uniform = uniform
        # As of the last slow step or tick: the fast path reads no clock.
        self._now = now
        self._idle: list[Lease[C]] = []  # least recently used first
        self._lent: set[Lease[C]] = set()
        self._cleaning: set[Lease[C]] = set()
        self._waiters: deque[Waiter[C]] = deque()
        self._failures = 0  # failed opens in a row
        self._retry_at = now
        self._created = 0
        self._borrowed = 0
        self._borrow_time = 0.0
        self._returned = 0
        self._discarded = 0
        self._closed_count = 0
        self._abandoned = 0
        self._errors = 0

    @property
    def size(self) -> int:
        """Connections there are or will be: idle, lent, being cleaned or opened."""
        return len(self._idle) + self._busy + self.connecting

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return self.size >= self.limits.max_size

    @property
    def answered(self) -> int:
        """How often a connection was returned that its borrower was content with."""
        return self._returned - self._discarded

    @property
    def _busy(self) -> int:
        return len(self._lent) + len(self._cleaning)

    @property
    def lent(self) -> AbstractSet[Lease[C]]:
        """What is on loan."""
        return self._lent

    # The fast path: no clock, no plan, no waiter.

    def take(self) -> Lease[C] | None:
        """Lend the warmest idle connection, or None when none is idle."""
        if not self._idle:
            return None
        lease = self._idle.pop()
        self._lent.add(lease)
        self._borrowed += 1
        return lease

    def take_spare(self) -> Lease[C] | None:
        """Lend the coldest of several idle connections: nobody is about to miss it."""
        if len(self._idle) < 2:
            return None
        lease = self._idle.pop(0)
        self._lent.add(lease)
        self._borrowed += 1
        return lease

    def put(self, lease: Lease[C]) -> bool:
        """Take a good connection back, or answer False: `release` must decide."""
        if (
            self._waiters
            or lease.generation != self.generation
            or lease.expires_at <= self._now
            or lease not in self._lent
        ):
            return False
        self._lent.remove(lease)
        self._idle.append(lease)
        lease.idle_since = self._now
        self._returned += 1
        return True

    # Borrowers.

    def join(self, waiter: Waiter[C], now: float) -> Plan[C]:
        """Queue *waiter*; it may be answered at once, by a lease or an error."""
        plan = self._plan(now)
        limit = self.limits.max_waiting
        if self.closed:
            self._refuse(waiter, self._closed_error(), plan)
        elif limit and len(self._waiters) >= limit and not self._idle:
            self._refuse(waiter, self._crowded_error(), plan)
        else:
            self._waiters.append(waiter)
            self._settle(plan)
        return plan

    def leave(self, waiter: Waiter[C]) -> None:
        """Strike *waiter* off the queue: from here on nothing is handed to it."""
        if waiter.lease is None and waiter.error is None and waiter in self._waiters:
            self._waiters.remove(waiter)

    def release(self, lease: Lease[C], outcome: Outcome, now: float) -> Plan[C]:
        """Take *lease* back: to a waiter, to the idle ones, to be cleaned or closed.

        Raises KeyError when *lease* is not on loan.
        """
        plan = self._plan(now)
        self._lent.remove(lease)
        self._returned += 1
        self._discarded += outcome is Outcome.DISCARD
        if outcome is Outcome.DISCARD or not self._good(lease):
            self._close(lease, plan)
        elif outcome is Outcome.CLEAN:
            self._cleaning.add(lease)
            plan.clean.append(lease)
        else:
            self._shelve(lease)
        self._settle(plan)
        return plan

    # Reports of finished work.

    def cleaned(self, lease: Lease[C], *, succeeded: bool, now: float) -> Plan[C]:
        """Note the end of a cleaning; a connection that cannot be cleaned is closed."""
        plan = self._plan(now)
        self._cleaning.remove(lease)
        if not succeeded:
            self._errors += 1
        if succeeded and self._good(lease):
            self._shelve(lease)
        else:
            self._close(lease, plan)
        self._settle(plan)
        return plan

    def may_open(self, generation: int, now: float) -> Plan[C] | None:
        """Ask again just before opening: None to go on, else the opening is off.

        An opening may have stood in a queue while others to the same node failed.
        """
        if generation == self.generation and now >= self._retry_at:
            return None
        plan = self._plan(now)
        if generation == self.generation:
            self.connecting -= 1
            self._settle(plan)
        return plan

    def opened(self, connection: C, generation: int, now: float) -> Plan[C]:
        """Welcome a new connection; one begun before a drain is closed again."""
        plan = self._plan(now)
        self._created += 1
        if generation != self.generation:
            self._closed_count += 1
            plan.close.append(connection)
            return plan
        self.connecting -= 1
        self._welcome(connection, plan)
        return plan

    def adopt(self, connection: C, now: float) -> Plan[C]:
        """Welcome a connection that somebody else has opened, if there is room."""
        plan = self._plan(now)
        self._created += 1
        if self.closed or self.full:
            self._closed_count += 1
            plan.close.append(connection)
        else:
            self._welcome(connection, plan)
        return plan

    def _welcome(self, connection: C, plan: Plan[C]) -> None:
        now = self._now
        self._trust(now)
        ends = now + self.limits.max_lifetime * self._uniform(0.9, 1.0)
        lease = Lease(
            connection, opened_at=now, expires_at=ends, generation=self.generation
        )
        self._shelve(lease)
        self._settle(plan)

    def open_failed(self, error: BaseException, generation: int, now: float) -> Plan[C]:
        """Note a failed open and back off; refuse the waiters if nothing can come."""
        plan = self._plan(now)
        self._errors += 1
        if generation != self.generation:
            return plan
        self.connecting -= 1
        # Frames would keep alive whatever their variables hold, passwords included.
        self.last_error = error.with_traceback(None)
        # Openings that fail together are one failure of the node.
        if now >= self._retry_at:
            ceiling = self.limits.backoff * 2.0 ** min(self._failures, 60)
            ceiling = min(ceiling, self.limits.max_backoff)
            self._retry_at = now + self._uniform(ceiling / 2, ceiling)
            self._failures += 1
        self._settle(plan)
        return plan

    # The owner's wishes.

    def warm(self, size: int, now: float) -> Plan[C]:
        """Open connections until *size* exist, as far as the limits let."""
        plan = self._plan(now)
        self._open(size - self.size, plan)
        return plan

    def tick(self, now: float) -> Plan[C]:
        """Retire what is too old or unused, replace what is missing, try again."""
        plan = self._plan(now)
        unused_since = now - self.limits.max_idle
        spare = self.size - self.limits.min_size
        kept: list[Lease[C]] = []
        for lease in self._idle:  # least recently used first, so these go first
            unused = spare > 0 and lease.idle_since <= unused_since
            if unused or not self._good(lease):
                self._close(lease, plan)
                spare -= 1
            else:
                kept.append(lease)
        self._idle = kept
        self._settle(plan)
        return plan

    def drain(self, now: float) -> Plan[C]:
        """Begin a new generation: nothing opened before is lent again."""
        plan = self._plan(now)
        self._begin_generation(plan)
        self._trust(now)
        self._settle(plan)
        return plan

    def refuse(self, why: str, now: float) -> Plan[C]:
        """Tell all who wait that they wait in vain, and why."""
        plan = self._plan(now)
        while self._waiters:
            error = NoNodeAvailableError(f"{self.name} does not answer: {why}")
            self._refuse(self._waiters.popleft(), error, plan)
        return plan

    def close(self, now: float) -> Plan[C]:
        """Refuse everybody from now on; what is lent is closed at its return."""
        plan = self._plan(now)
        self.closed = True
        self._begin_generation(plan)
        while self._waiters:
            self._refuse(self._waiters.popleft(), self._closed_error(), plan)
        return plan

    def forget(self, now: float) -> list[Lease[C]]:
        """Strike everything out without closing it, and return what was known.

        In a forked child the connections still belong to the parent, and whoever
        waited or was opening one has no thread here.
        """
        leases = [*self._idle, *self._lent, *self._cleaning]
        self._idle.clear()
        self._lent.clear()
        self._cleaning.clear()
        self._waiters.clear()
        self.connecting = 0
        self.generation += 1
        self._trust(now)
        self._abandoned += len(leases)
        return leases

    # What the numbers say.

    def stats(self) -> PoolStats:
        """Return all counters at this instant."""
        return PoolStats(
            name=self.name,
            busy=self._busy,
            connecting=self.connecting,
            idle=len(self._idle),
            waiting=len(self._waiters),
            created=self._created,
            borrowed=self._borrowed,
            borrow_time_us=round(self._borrow_time * 1e6),
            returned=self._returned,
            closed=self._closed_count,
            abandoned=self._abandoned,
            errors=self._errors,
            generation=self.generation,
        )

    def timeout_error(self, waited: float) -> PoolTimeoutError:
        """Say why a borrower that left after *waited* seconds got nothing."""
        error = PoolTimeoutError(
            f"no connection of pool {self.name} became free within {waited:.3g} s"
            f" ({self._sizes()}{self._last_failure()}); finish transactions and close"
            f" connections sooner, or raise pool_max_size or pool_wait"
        )
        error.__cause__ = self.last_error
        return error

    # Steps.

    def _plan(self, now: float) -> Plan[C]:
        self._now = now
        return Plan(generation=self.generation)

    def _settle(self, plan: Plan[C]) -> None:
        """Serve the queue in order, open what is missing, refuse who waits in vain."""
        while self._waiters and self._idle:
            waiter = self._waiters.popleft()
            lease = self._idle.pop()
            self._lent.add(lease)
            waiter.lease = lease
            self._borrowed += 1
            self._borrow_time += max(0.0, self._now - waiter.since)
            plan.wake.append(waiter)
        coming = self.connecting + len(self._cleaning)
        missing = self.limits.min_size - self.size
        self._open(max(len(self._waiters) - coming, missing), plan)
        if self._waiters and not (self._busy or self.connecting):
            while self._waiters:
                self._refuse(self._waiters.popleft(), self._failed_error(), plan)

    def _open(self, wanted: int, plan: Plan[C]) -> None:
        """Reserve room for up to *wanted* openings."""
        if self.closed or self._now < self._retry_at:
            return
        room = self.limits.max_size - self.size
        if self._failures:
            # One messenger at a time to a node that did not answer.
            room = min(room, 1 - self.connecting)
        count = max(0, min(wanted, room))
        self.connecting += count
        plan.opens += count

    def _begin_generation(self, plan: Plan[C]) -> None:
        """Close what is idle, and disown what is lent or being opened."""
        self.generation += 1
        plan.generation = self.generation
        self.connecting = 0
        for lease in self._idle:
            self._close(lease, plan)
        self._idle.clear()

    def _trust(self, now: float) -> None:
        """Forget failures: the next opening may begin at once."""
        self._failures = 0
        self._retry_at = now
        self.last_error = None

    def _good(self, lease: Lease[C]) -> bool:
        return lease.generation == self.generation and lease.expires_at > self._now

    def _shelve(self, lease: Lease[C]) -> None:
        lease.idle_since = self._now
        self._idle.append(lease)

    def _close(self, lease: Lease[C], plan: Plan[C]) -> None:
        self._closed_count += 1
        plan.close.append(lease.connection)

    # Answers.

    def _refuse(
        self, waiter: Waiter[C], error: OperationalError, plan: Plan[C]
    ) -> None:
        waiter.error = error
        plan.wake.append(waiter)

    def _closed_error(self) -> OperationalError:
        return NoNodeAvailableError(
            f"pool {self.name} is closed; its cluster was closed or the node left it"
        )

    def _crowded_error(self) -> OperationalError:
        return PoolTimeoutError(
            f"pool {self.name} has as many waiters as max_waiting allows"
            f" ({self._sizes()}{self._last_failure()}); try again later, or raise the"
            f" pool's max_size or its max_waiting"
        )

    def _failed_error(self) -> OperationalError:
        error = NoNodeAvailableError(
            f"pool {self.name} has no connection and cannot open one"
            f" ({self._sizes()}{self._last_failure()}); next attempt in"
            f" {self._retry_at - self._now:.3g} s; check that the node is up and that"
            f" address and credentials are right"
        )
        error.__cause__ = self.last_error
        return error

    def _sizes(self) -> str:
        return (
            f"{self._busy} busy, {len(self._idle)} idle, {self.connecting} connecting"
            f" of {self.limits.max_size}; {len(self._waiters)} waiting"
        )

    def _last_failure(self) -> str:
        if self.last_error is None:
            return ""
        return f"; last open failed with {summary(self.last_error)}"
