"""Waiting until some node answers, or one that takes writes, or one for reads."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from globaldb.core.absence import no_node, no_writer
from globaldb.errors import NoNodeAvailableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from globaldb.core.topology import NodeState
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node


class Awaiting:
    """Whoever waits for a node of *cluster*; *changed* tells of each change to it."""

    def __init__(self, cluster: ClusterRuntime, changed: threading.Condition) -> None:
        self._cluster = cluster
        self.changed = changed
        #: Sessions that wait for a node that will do.
        self.sessions = 0
        #: No node is known yet, and somebody is looking for the first.
        self.seeking = not cluster.nodes
        self._unfound = "no node is known"
        self._failed: set[str] = set()
        #: Until when every node has its first word, which is set once; and whether all
        #: have had it.
        self._until: float | None = None
        self._heard = False

    def failed(self, name: str) -> None:
        """Take in that node *name* has not answered as a node of this cluster."""
        self._failed.add(name)

    def left(self, name: str) -> None:
        """Wait for node *name* no more."""
        self._failed.discard(name)

    def sought(self, problem: str) -> None:
        """Take in that no node was found, and why."""
        with self.changed:
            self.seeking, self._unfound = False, problem
            self.changed.notify_all()

    def first(self, deadline: float) -> None:
        """Wait until some node answers.

        Raises `NoNodeAvailableError` when every node has failed, or *deadline* passes.
        """
        if self._any_reachable():
            return
        self._failed.clear()
        self._cluster.monitor.hurry()
        began = monotonic()
        self._wait_for(lambda: self._any_reachable() or self._all_failed(), deadline)
        if not self._any_reachable():
            barred = self._barred()
            states, waited = self._states(), monotonic() - began
            error = NoNodeAvailableError(
                no_node(states, waited, barred=barred)
                if states
                else f"no node of the cluster is known: {self._unfound}"
            )
            error.retryable = not barred
            raise error

    def writer(self, deadline: float) -> Node:
        """Return the writer, waiting for one to be known until *deadline*.

        At first also for what the other nodes say: the first to answer may be an old
        writer that has come back, and only the new one knows.

        Raises `NoNodeAvailableError` when *deadline* passes, or every node refuses this
        application: no failover helps where its database has been dropped.
        """
        cluster = self._cluster
        if not self._heard:
            self._hear(deadline)
        state = cluster.topology.writer
        if state is None:
            began = monotonic()
            self._failed.clear()
            self._search(
                lambda: cluster.topology.writer is not None or self._refused(), deadline
            )
            state = cluster.topology.writer
            if state is None:
                refused, waited = self._refused(), monotonic() - began
                error = NoNodeAvailableError(
                    no_node(self._states(), waited, barred=True)
                    if refused
                    else no_writer(self._states(), waited)
                )
                if refused:
                    error.retryable = False
                raise error
        return cluster.node(state.name)

    def reader(self, deadline: float) -> None:
        """Wait until a node is known that may serve reads, or until *deadline*."""
        self._search(lambda: bool(self._cluster.near()), deadline)

    def _hear(self, deadline: float) -> None:
        """Give every node that was not asked before half of ``connect_timeout``."""
        if self._until is None:
            self._until = monotonic() + self._cluster.config.connect_timeout / 2
            self._cluster.monitor.start()
        self._wait_for(self._all_heard, min(deadline, self._until))
        self._heard = self._all_heard() or monotonic() >= self._until

    def _all_heard(self) -> bool:
        states = self._states()
        return all(state.sampled_at is not None or state.problem for state in states)

    def _search(self, found: Callable[[], bool], deadline: float) -> None:
        # In a forked child nobody may have started it yet.
        self._cluster.monitor.start()
        with self.changed:
            self.sessions += 1
        try:
            self._cluster.monitor.search()
            self._wait_for(found, deadline)
        finally:
            with self.changed:
                self.sessions -= 1

    def _wait_for(self, condition: Callable[[], bool], deadline: float) -> None:
        with self.changed:
            while not condition() and not self._cluster.closed:
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return
                self.changed.wait(remaining)

    def _any_reachable(self) -> bool:
        states = self._cluster.topology.nodes.values()
        return any(state.reachable for state in states)

    def _all_failed(self) -> bool:
        if self._cluster.closed or self.seeking:
            return self._cluster.closed
        return self._failed >= self._cluster.nodes.keys()

    def _barred(self) -> bool:
        nodes = self._cluster.nodes.values()
        return bool(nodes) and all(node.barred for node in nodes)

    def _refused(self) -> bool:
        """Whether every node has been asked again, and has refused this application."""
        return self._all_failed() and not self._any_reachable() and self._barred()

    def _states(self) -> tuple[NodeState, ...]:
        return tuple(self._cluster.topology.nodes.values())
