"""The monitor: asks every node once a second what it is, one thread a node.

A node that hangs keeps only its own thread waiting. While no session is open, nothing
is asked.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from globaldb.core.lending import Outcome
from globaldb.core.topology import Role
from globaldb.errors import InterfaceError, PoolTimeoutError

if TYPE_CHECKING:
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

logger = logging.getLogger("globaldb")

#: Probes go on for this many seconds after the last session closed, so that an
#: application that opens a session per request always finds a fresh topology.
_LINGER = 60.0

#: Idle connections to have at a node in use: the probe's, and the next statement's.
_SPARE = 2


class Monitor:
    """The probing threads of one cluster. They start with its first session."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wake: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._needed_at = 0.0
        self._started = threading.Event()

    def start(self) -> None:
        """Ask from now on; wakes threads that rest because no session was open."""
        rested = monotonic() - self._needed_at > _LINGER
        self._needed_at = monotonic()
        if self._started.is_set():
            if rested:
                self.hurry()
            return
        with self._lock:
            if self._started.is_set() or self._stopping.is_set():
                return
            self._started.set()
            for node in self._cluster.nodes.values():
                self._begin(node)

    def watch(self, node: Node) -> None:
        """Ask *node* too, which has come to the cluster; if nodes are asked at all."""
        with self._lock:
            if self._started.is_set() and not self._stopping.is_set():
                self._begin(node)

    def forget(self, name: str) -> None:
        """Ask node *name* no more: it has left the cluster."""
        with self._lock:
            wake = self._wake.get(name)
            self._wake = {k: w for k, w in self._wake.items() if k != name}
            # Those of nodes that have left earlier have ended meanwhile.
            self._threads = [each for each in self._threads if each.is_alive()]
        if wake is not None:
            wake.set()

    def _begin(self, node: Node) -> None:
        wake = threading.Event()
        self._wake = {**self._wake, node.name: wake}
        thread = threading.Thread(
            target=self._watch,
            args=(node, wake),
            name=f"globaldb-monitor-{node.name}",
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)

    def hurry(self, name: str | None = None) -> None:
        """Ask node *name* now, or all of them."""
        for node, wake in self._wake.items():
            if name is None or node == name:
                wake.set()

    def stop(self) -> None:
        """End the threads; waits for those that are not waiting for a node."""
        self._stopping.set()
        self.hurry()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2.0)

    def _watch(self, node: Node, wake: threading.Event) -> None:
        interval = self._cluster.config.probe_interval
        while self._wake.get(node.name) is wake and not self._stopping.is_set():
            wake.clear()
            try:
                self._probe(node)
                node.pool.tick(monotonic())
            except Exception:
                # The thread must live on: a node nobody watches is never used again.
                logger.exception("monitor_failed node=%s", node.name)
            # Jitter keeps many processes from asking in step.
            pause = interval * self._cluster.random.uniform(0.9, 1.1)
            if self._resting():
                pause = _LINGER
            wake.wait(pause)

    def _resting(self) -> bool:
        if len(self._cluster.sessions):
            self._needed_at = monotonic()
        return monotonic() - self._needed_at > _LINGER

    def _keep_spare(self, node: Node) -> None:
        """Have one more connection than is used where the application's work goes.

        The probe borrows one: were it the only one, a statement that comes meanwhile
        would wait a round trip for it.
        """
        cluster = self._cluster
        used = node.state.role is Role.WRITER or node.state in cluster.near()
        stats = node.pool.stats
        if used and stats.idle < _SPARE:
            node.pool.warm(stats.busy + _SPARE)

    def _probe(self, node: Node) -> None:
        deadline = monotonic() + self._cluster.config.connect_timeout
        try:
            lease = node.pool.checkout(deadline)
        except PoolTimeoutError:
            # All its connections are in use, or hang: one more tells which.
            self._probe_apart(node)
            return
        except InterfaceError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the node's state
            self._lose(node, error)
            return
        outcome = Outcome.DISCARD
        try:
            sample = self._cluster.driver.sample(lease.connection, deadline)
            if node.state.latency is None:
                # The first answer pays for what later ones find warm, and it alone says
                # how near the node is until the next probe.
                again = self._cluster.driver.sample(lease.connection, deadline)
                sample = replace(again, latency=min(sample.latency, again.latency))
            outcome = Outcome.REUSE
        except Exception as error:  # noqa: BLE001 - as above
            self._lose(node, error)
        else:
            self._cluster.observe(node.name, sample)
            self._cluster.catalog.look()
            self._keep_spare(node)
        finally:
            node.pool.checkin(lease, outcome)

    def _probe_apart(self, node: Node) -> None:
        """Ask over a connection of its own."""
        cluster = self._cluster
        driver, patience = cluster.driver, cluster.config.connect_timeout
        try:
            link = driver.open(cluster.config, node.address, monotonic() + patience)
            try:
                link.facts = node.facts
                sample = driver.sample(link, monotonic() + patience)
            finally:
                driver.close(link)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the node's state
            self._lose(node, error)
        else:
            cluster.observe(node.name, sample)

    def _lose(self, node: Node, error: Exception) -> None:
        if self._stopping.is_set():
            return
        if not node.state.reachable and node.state.problem is not None:
            # Twice in a row: what waits for an answer from it waits in vain.
            for link in node.pool.lent:
                self._cluster.driver.give_up(link)
        text = " ".join(str(error).split())
        self._cluster.lose(node.name, text or type(error).__name__)
