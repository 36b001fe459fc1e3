"""Where the one story waits: the blocking world, behind coroutines that never suspend.

`globaldb.runtime.flow` is written once, as coroutines over a `Shell`. Here every wait
blocks the calling thread and returns, so that a single ``send(None)`` drives a story to
its end.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from globaldb.core.trip import LinkStatus, Reply
from globaldb.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from globaldb.core.lending import Lease
    from globaldb.core.trip import Trip
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.freshness import Newest
    from globaldb.runtime.node import Node

T = TypeVar("T")


class Shell(Protocol):
    """Everything that waits."""

    #: The connection a statement is running on.
    busy: Any
    #: A cancel is on its way.
    cancelling: bool

    async def borrow(self, node: Node, deadline: float | None) -> Lease[Any]:
        """Check a connection to *node* out."""

    async def travel(
        self, link: Any, call: Any, trip: Trip, deadline: float | None
    ) -> Reply:
        """Make one round trip. Errors of the database and of the link are replies."""

    async def sleep(self, seconds: float) -> None:
        """Pause."""

    async def newest(self, deadline: float | None) -> Newest | None:
        """Learn where the writer is now, together with others that ask."""

    async def await_writer(self, deadline: float) -> Node:
        """Wait for a writer to be known."""

    async def await_any(self, deadline: float) -> None:
        """Wait for a node that may serve reads."""

    async def ask(self, question: Callable[[], T]) -> T:
        """Return the answer to a *question* that blocks, but not for long."""

    def cancel(self, act: Callable[[Any], None]) -> None:
        """Let *act* cancel what runs now, if anything does. From any thread."""

    def ended(self, link: Any) -> None:
        """Say that no statement runs on *link* any more."""


class BlockingShell:
    """The world in which waiting blocks the thread. One for each session."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        #: The connection a statement is running on, for `cancel`.
        self.busy: Any = None
        #: A cancel is on its way: whoever ends a statement now must wait for it.
        self.cancelling = False
        self._cancel = threading.Lock()

    async def borrow(self, node: Node, deadline: float | None) -> Lease[Any]:
        """Check a connection to *node* out of its pool, within ``pool_wait``."""
        if deadline is not None:
            longest = time.monotonic() + self._cluster.config.pool_wait
            deadline = min(deadline, longest)
        return node.pool.checkout(deadline)

    async def travel(
        self, link: Any, call: Any, trip: Trip, deadline: float | None
    ) -> Reply:
        """Make one round trip. Errors of the database and of the link are replies."""
        reply = Reply(asked_at=time.monotonic())
        self.busy = link
        try:
            with link.until(deadline, expendable=trip.expendable):
                self._cluster.driver.travel(link, call, trip, reply)
        except Exception as error:
            if reply.sent and not self._cluster.driver.knows(error):
                # Raised by a signal handler in the middle of it: an interruption,
                # like Ctrl-C, and not the statement's own end.
                raise
            _take(error, trip, reply)
        finally:
            # Before `ended`, which may close a connection that is perfectly well.
            reply.status = link.link_status
            self.ended(link)
        return reply

    async def sleep(self, seconds: float) -> None:
        """Pause the calling thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - this shell blocks, by its name

    async def newest(self, deadline: float | None) -> Newest | None:
        """Learn where the writer is now, together with others that ask."""
        return self._cluster.freshness.newest(deadline)

    async def await_writer(self, deadline: float) -> Node:
        """Wait for a writer to be known."""
        return self._cluster.awaiting.writer(deadline)

    async def await_any(self, deadline: float) -> None:
        """Wait for a node that may serve reads."""
        self._cluster.awaiting.reader(deadline)

    async def ask(self, question: Callable[[], T]) -> T:
        """Return the answer to a *question* that blocks, but not for long."""
        return question()

    def ended(self, link: Any) -> None:
        """Say that no statement runs on *link* any more.

        A cancel that was on its way may still arrive: it must not meet the next
        statement of somebody else, so the connection is given up, unless it is in a
        transaction, which is this session's own.
        """
        self.busy = None
        if self.cancelling:
            with self._cancel:
                if link.link_status is LinkStatus.IDLE:
                    link.close()

    def cancel(self, act: Callable[[Any], None]) -> None:
        """Let *act* cancel what runs now, if anything does. From any thread."""
        with self._cancel:
            self.cancelling = True
            try:
                link = self.busy
                if link is not None:
                    act(link)
            finally:
                self.cancelling = False


def _take(error: Exception, trip: Trip, reply: Reply) -> None:
    """Put what a trip raised where it belongs: to the statement, or behind it."""
    late = isinstance(error, DeadlineExceededError)
    if reply.done and (trip.capture or late):
        # It was cancelled too late: it has succeeded.
        reply.position_problem = error
    elif reply.error is None:
        reply.error = error
    elif late:
        # The server's answer to the cancel; the deadline is the reason for it.
        error.__cause__ = reply.error
        reply.error = error


def drive(story: Coroutine[Any, Any, T]) -> T:
    """Run *story* to its end on the calling thread."""
    try:
        story.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    story.close()
    msg = "a story over a blocking shell suspended"
    raise RuntimeError(msg)
