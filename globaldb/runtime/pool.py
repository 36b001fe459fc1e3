"""A pool of connections to one node: the books, a lock, and waiting done right.

The lock guards bookkeeping, never I/O: opening, cleaning and closing happen on the
worker's threads. A borrower that finds nothing idle therefore takes whatever comes
first, a connection somebody returns or one newly opened.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from globaldb.core.lending import (
    Lease,
    Outcome,
    Plan,
    PoolLimits,
    PoolStats,
    Waiter,
)
from globaldb.core.pool_state import PoolBooks
from globaldb.errors import InterfaceError
from globaldb.runtime.unheld import unheld

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from globaldb.runtime.worker import Worker

__all__ = ["Lease", "Outcome", "Pool", "PoolLimits", "PoolStats"]

C = TypeVar("C")

REUSE: Final = Outcome.REUSE

logger = logging.getLogger("globaldb")


class Pool(Generic[C]):
    """Connections to the node *name*, lent one at a time as `Lease` objects.

    ``open(deadline)`` returns a new connection or raises; ``clean(connection)`` makes
    a used one as good as new or raises; ``close(connection)`` ends one;
    ``abandon(connection)`` keeps one that belongs to the parent process from ever
    speaking to the server in a forked child. All but the last run on *worker*.
    Deadlines are instants of *clock*, which counts seconds and never goes back.
    """

    def __init__(
        self,
        name: str,
        *,
        open: Callable[[float], C],  # noqa: A002 - the word for it
        close: Callable[[C], None],
        clean: Callable[[C], None],
        limits: PoolLimits,
        worker: Worker,
        clock: Callable[[], float],
        random: Random,
        abandon: Callable[[C], None] | None = None,
    ) -> None:
        self.name: Final = name
        self.limits: Final = limits
        self._open_connection: Final = open
        self._close_connection: Final = close
        self._clean_connection: Final = clean
        self._abandon_connection: Final = abandon
        self._worker: Final = worker
        self._clock: Final = clock
        self._lock = threading.Lock()
        self._books = PoolBooks[C](name, limits, uniform=random.uniform, now=clock())
        self._dropped: deque[Lease[C]] = deque()
        # In a forked child: the parent's connections, kept from garbage collection.
        self._abandoned: set[Lease[C]] = set()

    def checkout(self, deadline: float | None = None) -> Lease[C]:
        """Borrow a connection: the one used last, else the first to come.

        Waits until *deadline*, or ``limits.wait`` seconds when none is given. Raises
        PoolTimeoutError when nothing came in time or too many wait already, and
        NoNodeAvailableError when the pool is closed, or has no connection and cannot
        open one.
        """
        with self._lock:
            lease = self._books.take()
        if lease is None:
            return self._wait(deadline)
        return lease

    def try_checkout(self) -> Lease[C] | None:
        """Borrow an idle connection, or answer None at once."""
        with self._lock:
            return self._books.take()

    def try_spare(self) -> Lease[C] | None:
        """Borrow an idle connection that no session counts on, or answer None."""
        with self._lock:
            return self._books.take_spare()

    def checkin(self, lease: Lease[C], outcome: Outcome = REUSE) -> None:
        """Give a connection back; the longest waiter gets it, if anybody waits.

        With ``Outcome.CLEAN`` it is cleaned in the background first, with
        ``Outcome.DISCARD`` closed. Raises InterfaceError when *lease* is not on loan.
        """
        if outcome is REUSE:
            with self._lock:
                if self._books.put(lease):
                    return
        now = self._clock()
        with self._lock:
            if lease in self._abandoned:
                return
            try:
                plan = self._books.release(lease, outcome, now)
            except KeyError:
                raise InterfaceError(
                    f"{lease!r} is not on loan from pool {self.name}:"
                    f" it was returned before, or belongs to another pool"
                ) from None
        self._carry_out(plan)

    def drop(self, lease: Lease[C]) -> None:
        """Give a connection up from a finalizer: it is closed at the next `tick`.

        A finalizer may run anywhere, also on a thread that holds this pool's lock, so
        this takes no lock.
        """
        self._dropped.append(lease)

    def warm(self, size: int) -> None:
        """Open connections in the background until *size* exist, within the limits."""
        now = self._clock()
        with self._lock:
            plan = self._books.warm(size, now)
        self._carry_out(plan)

    def drain(self) -> None:
        """Trust no connection opened until now: the node has changed its role or life.

        Idle ones are closed at once, lent ones at their return; who waits goes on
        waiting, for a new one.
        """
        now = self._clock()
        with self._lock:
            plan = self._books.drain(now)
        self._carry_out(plan)

    def refuse(self, why: str) -> None:
        """Let all who wait go elsewhere, with NoNodeAvailableError: nothing will come."""
        now = self._clock()
        with self._lock:
            plan = self._books.refuse(why, now)
        self._carry_out(plan)

    def adopt(self, connection: C) -> None:
        """Take in a connection that the caller has opened; closed if there is no room."""
        now = self._clock()
        with self._lock:
            plan = self._books.adopt(connection, now)
        self._carry_out(plan)

    def prune(self, dead: Callable[[C], bool]) -> None:
        """Close the idle connections that *dead*, which must not wait, says are."""
        leases = []
        while (lease := self.try_checkout()) is not None:
            leases.append(lease)
        for lease in reversed(leases):
            self.checkin(lease, Outcome.DISCARD if dead(lease.connection) else REUSE)

    def tick(self, now: float) -> None:
        """Keep house, about once a second: ages, the minimum, another attempt."""
        with self._lock:
            self._dropped.extend(unheld(self._books.lent))
        while self._dropped:
            with suppress(InterfaceError):  # returned in time after all
                self.checkin(self._dropped.popleft(), Outcome.DISCARD)
        with self._lock:
            plan = self._books.tick(now)
        self._carry_out(plan)

    def close(self) -> None:
        """Close what is idle, refuse who waits; what is lent is closed at its return.

        Closing runs on the worker, whose own ``close`` waits for it.
        """
        now = self._clock()
        with self._lock:
            plan = self._books.close(now)
        self._carry_out(plan)

    def forget_after_fork(self) -> None:
        """Begin afresh in a forked child, where every connection is the parent's.

        None of them is closed, nor left to garbage collection, which would close it:
        the server would hear a goodbye on a connection that the parent still uses.
        """
        # The thread that held the old lock may not exist in this process.
        self._lock = threading.Lock()
        leases = self._books.forget(self._clock())
        self._abandoned.update(leases)
        if self._abandon_connection is None:
            return
        for lease in leases:
            try:
                self._abandon_connection(lease.connection)
            except Exception as error:  # noqa: BLE001 - the others have their turn
                self._report("pool_abandon_failed", error)

    @property
    def lent(self) -> list[C]:
        """The connections on loan at this instant."""
        with self._lock:
            return [lease.connection for lease in self._books.lent]

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        with self._lock:
            return self._books.full

    @property
    def answered(self) -> int:
        """How often a borrower gave a connection back that was as good as before."""
        return self._books.answered

    @property
    def stats(self) -> PoolStats:
        """All counters at this instant."""
        with self._lock:
            return self._books.stats()

    def __repr__(self) -> str:
        stats = self.stats
        return (
            f"<Pool {self.name}: {stats.busy} busy, {stats.idle} idle,"
            f" {stats.connecting} connecting, {stats.waiting} waiting"
            f" of {self.limits.max_size}>"
        )

    # Waiting.

    def _wait(self, deadline: float | None) -> Lease[C]:
        began = self._clock()
        if deadline is None:
            deadline = began + self.limits.wait
        answered = threading.Event()
        waiter = Waiter[C](answered.set, since=began)
        try:
            with self._lock:
                plan = self._books.join(waiter, began)
            self._carry_out(plan)
            patience = min(deadline - self._clock(), threading.TIMEOUT_MAX)
            answered.wait(max(0.0, patience))
            with self._lock:
                self._books.leave(waiter)
        except BaseException:
            # Ctrl-C, most likely: a connection may have been handed over meanwhile.
            self._step_out(waiter)
            raise
        if waiter.lease is not None:
            return waiter.lease
        if waiter.error is not None:
            raise waiter.error
        waited = self._clock() - began
        with self._lock:
            error = self._books.timeout_error(waited)
        raise error

    def _step_out(self, waiter: Waiter[C]) -> None:
        with self._lock:
            self._books.leave(waiter)
        if waiter.lease is not None:
            self.checkin(waiter.lease)

    # Work.

    def _carry_out(self, plan: Plan[C]) -> None:
        for waiter in plan.wake:
            waiter.wake()
        if plan.opens or plan.clean or plan.close:
            opening = partial(self._open_one, plan.generation)
            self._worker.submit(
                *[opening] * plan.opens,
                *[partial(self._clean_one, lease) for lease in plan.clean],
                *[partial(self._close_one, connection) for connection in plan.close],
            )

    def _open_one(self, generation: int) -> None:
        now = self._clock()
        with self._lock:
            plan = self._books.may_open(generation, now)
        if plan is not None:
            self._carry_out(plan)
            return
        try:
            connection = self._open_connection(now + self.limits.connect)
        except BaseException as error:
            self._report("pool_open_failed", error)
            now = self._clock()
            with self._lock:
                plan = self._books.open_failed(error, generation, now)
            self._carry_out(plan)
            if not isinstance(error, Exception):
                raise
            return
        now = self._clock()
        with self._lock:
            plan = self._books.opened(connection, generation, now)
        self._carry_out(plan)

    def _clean_one(self, lease: Lease[C]) -> None:
        succeeded = False
        try:
            self._clean_connection(lease.connection)
            succeeded = True
        except Exception as error:  # noqa: BLE001 - the connection is closed instead
            self._report("pool_clean_failed", error)
        finally:
            now = self._clock()
            with self._lock:
                plan = self._books.cleaned(lease, succeeded=succeeded, now=now)
            self._carry_out(plan)

    def _close_one(self, connection: C) -> None:
        try:
            self._close_connection(connection)
        except Exception as error:  # noqa: BLE001 - it is gone either way
            self._report("pool_close_failed", error)

    def _report(self, event: str, error: BaseException) -> None:
        logger.warning("%s pool=%s error=%s", event, self.name, type(error).__name__)
