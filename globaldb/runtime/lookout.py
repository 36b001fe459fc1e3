"""Follows commits to readers that no read waits for, to learn when they catch up.

Where waiting is not worth it, reads go to the writer, and nobody would notice that the
lag has ended. So one of the commits that were not waited for is followed in the
background until the reader shows it.
"""

from __future__ import annotations

import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.fence import HOW_FAR
from globaldb.core.lending import Outcome
from globaldb.core.trip import LinkStatus, Reply, Trip

if TYPE_CHECKING:
    from globaldb.core.position import LogPosition
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

#: Seconds between the beginnings of two watches of a node, at least, and the longest
#: that one lasts.
_EVERY: Final = 0.25
_LONGEST: Final = 2.0

#: Seconds between two looks, at least.
_SHORTEST_PAUSE: Final = 0.002


class Lookout:
    """Follows at most one commit at each node of *cluster*. Safe for threads."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        #: Nodes being watched, and when the last watch of each began.
        self._watched: set[str] = set()
        self._began: dict[str, float] = {}

    def watch(self, node: Node, log: LogPosition, known_at: float) -> None:
        """Learn when *node* shows the commit at *log*, known since *known_at*.

        Nothing is done while another one is followed, or if one was just now.
        """
        now = monotonic()
        with self._lock:
            if node.name in self._watched:
                return
            if now - self._began.get(node.name, float("-inf")) < _EVERY:
                return
            self._watched.add(node.name)
            self._began[node.name] = now
        self._cluster.worker.submit(partial(self._follow, node, log, known_at))

    def stop(self) -> None:
        """Follow nothing any more."""
        self._stopping.set()

    def _follow(self, node: Node, log: LogPosition, known_at: float) -> None:
        try:
            self._look_until_there(node, log, known_at)
        finally:
            with self._lock:
                self._watched.discard(node.name)

    def _look_until_there(self, node: Node, log: LogPosition, known_at: float) -> None:
        learnt, missing = node.catch_up, None
        end = monotonic() + _LONGEST
        while not self._stopping.is_set():
            asked_at = monotonic()
            replayed = self._look(node, asked_at + 1.0)
            if replayed is None:
                return
            age = asked_at - known_at
            if replayed.covers(log):
                if missing is None:
                    learnt.at_most(age, asked_at)
                else:
                    learnt.reached(missing, age, asked_at)
                return
            missing = age
            if asked_at >= end:
                learnt.at_least(age, asked_at)
                return
            pause = learnt.pause(monotonic() - known_at, _SHORTEST_PAUSE)
            self._stopping.wait(min(pause, end - asked_at))

    def _look(self, node: Node, deadline: float) -> LogPosition | None:
        """Ask *node* over a connection that nobody else wants now."""
        lease = node.pool.try_spare()
        if lease is None:
            return None
        link, reply, outcome = lease.connection, Reply(), Outcome.DISCARD
        try:
            # Nobody waits for it: to cancel it could only end what comes next there.
            with link.until(deadline, expendable=True):
                self._cluster.driver.travel(link, None, Trip(guard=HOW_FAR), reply)
            if link.link_status is LinkStatus.IDLE:
                outcome = Outcome.REUSE
        except Exception:  # noqa: BLE001 - the monitor finds out what is the matter
            return None
        finally:
            node.pool.checkin(lease, outcome)
        return node.showed(reply.replayed)
