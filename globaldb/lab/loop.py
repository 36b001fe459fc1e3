"""Wait for sockets and for instants, with timers exact to some microseconds.

`epoll_wait` counts in milliseconds, which is twice a round trip within a region. So
with a timer pending the loop waits with `select` on the epoll descriptor itself, whose
timeout has microseconds.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeAlias

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
BROKEN: Final = select.EPOLLHUP | select.EPOLLERR
_BATCH: Final = 256
_EARLY: Final = 0.001

Handler: TypeAlias = Callable[[int], None]
Action: TypeAlias = Callable[[], None]


class Loop:
    """One thread's sockets and timers. Handlers must not block."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Action]] = []
        self._count = 0
        self._stopped = False

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Call *handler* with what happened on *descriptor*."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Wait for other *events* on a watched descriptor."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching *descriptor*; call this before it is closed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def watches(self, descriptor: int) -> bool:
        """Whether *descriptor* is watched."""
        return descriptor in self._handlers

    def call_at(self, due: float, action: Action) -> None:
        """Run *action* once `time.monotonic` has reached *due*."""
        self._count += 1
        heapq.heappush(self._timers, (due, self._count, action))

    def stop(self) -> None:
        """Make `run` return after the handler that is running."""
        self._stopped = True

    def run(self) -> None:
        """Serve sockets and timers until `stop`."""
        timers = self._timers
        handlers = self._handlers
        poll = self._epoll.poll
        while not self._stopped:
            if timers:
                self._wait_for_timer()
                ready = poll(0, _BATCH)
            else:
                ready = poll(-1, _BATCH)
            for descriptor, events in ready:
                handler = handlers.get(descriptor)
                if handler is not None:
                    handler(events)
            if timers:
                self._run_timers()

    def _wait_for_timer(self) -> None:
        pause = self._timers[0][0] - monotonic()
        if pause > 0:
            # The kernel may be late by a thousandth of what it is asked to wait: so
            # wake a little before, and wait for the rest.
            early = pause - _EARLY if pause > 2 * _EARLY else pause
            select.select([self._epoll], [], [], early)

    def _run_timers(self) -> None:
        timers = self._timers
        now = monotonic()
        while timers and timers[0][0] <= now:
            heapq.heappop(timers)[2]()
