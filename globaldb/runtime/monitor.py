"""The monitor: asks every node once a second what it is, one thread a node.

A node that hangs keeps only its own thread waiting; the others notice how long its
answer has been missing. While no session is open, nothing is asked.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.core.failover import Pace
from globaldb.core.faults import HOPELESS, WELL
from globaldb.core.selection import evaluate
from globaldb.core.topology import Role
from globaldb.runtime import events, probe

if TYPE_CHECKING:
    from globaldb.core.topology import Sample
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

logger = logging.getLogger("globaldb")

#: Probes go on for this many seconds after the last session closed, so that an
#: application that opens a session per request always finds a fresh topology.
_LINGER: Final = 60.0

#: Idle connections to have at a node in use: the probe's, and the next statement's.
_SPARE: Final = 2

#: Evaluations without an answer after which a reader's statements are given up.
_SILENT: Final = 2

#: A thread that wakes later than this share of the interval was itself held up: what
#: it finds overdue may have been answered long ago.
_LATE: Final = 0.5

#: By how much a pause is longer than it would be: many processes must not ask in step.
_JITTER: Final = (1.0, 1.2)


class _Watch:
    """One node and the thread that asks it. Written by that thread, read by all."""

    def __init__(self, node: Node, pace: Pace) -> None:
        self.node = node
        self.pace = pace
        self.wake = threading.Event()
        #: Something about the node was not as believed: ask ahead of time.
        self.hurried = False
        #: When the question was sent that is not answered yet.
        self.asking_since: float | None = None
        #: When, and how often in a row, that was held against it.
        self.overdue_at = 0.0
        self.overdue = 0
        self._answered = 0

    def sent(self, now: float) -> None:
        """Take note of a question."""
        self.hurried = False
        self.node.least = float("inf")
        self._answered = self._answers()
        self.overdue = 0
        self.asking_since = now

    @property
    def answers(self) -> bool:
        """Whether any statement has come back from the node since the question."""
        return self._answers() > self._answered

    def _answers(self) -> int:
        # A transaction keeps its connection, however often it is answered.
        return self.node.pool.answered + self.node.answered


class Monitor:
    """The probing threads of one cluster. They start with its first session."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watches: dict[str, _Watch] = {}
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
            watch = self._watches.get(name)
            self._watches = {k: w for k, w in self._watches.items() if k != name}
            # Those of nodes that have left earlier have ended meanwhile.
            self._threads = [each for each in self._threads if each.is_alive()]
        if watch is not None:
            watch.wake.set()

    def _begin(self, node: Node) -> None:
        watch = _Watch(node, Pace(self._cluster.config.probe_interval))
        self._watches = {**self._watches, node.name: watch}
        thread = threading.Thread(
            target=self._run,
            args=(watch,),
            name=f"globaldb-monitor-{node.name}",
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)

    def hurry(self, name: str | None = None) -> None:
        """Ask node *name*, or all of them, ahead of time, as far as that is rationed."""
        for node, watch in self._watches.items():
            if name is None or node == name:
                watch.hurried = True
                watch.wake.set()

    def search(self) -> None:
        """Look for the writer: every node is asked in quick succession at first.

        Asking for it again changes nothing while none is found.
        """
        for watch in self._watches.values():
            watch.wake.set()

    def stop(self) -> None:
        """End the threads; waits for those that are not waiting for a node."""
        self._stopping.set()
        self.search()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2.0)

    def _run(self, watch: _Watch) -> None:
        while self._watched(watch):
            try:
                self._tick(watch)
            except Exception:
                # The thread must live on: a node nobody watches is never used again.
                logger.exception("monitor_failed node=%s", watch.node.name)
                watch.wake.wait(self._cluster.config.probe_interval)

    def _watched(self, watch: _Watch) -> bool:
        running = self._watches.get(watch.node.name) is watch
        return running and not self._stopping.is_set()

    def _tick(self, watch: _Watch) -> None:
        """Wait until the node is to be asked, or something has changed; then ask."""
        watch.wake.clear()
        now = monotonic()
        searching = self._searching
        if self._resting() and not watch.hurried:
            watch.node.pool.tick(now)
            watch.wake.wait(_LINGER)
            return
        due = watch.pace.due(now, searching=searching, hurried=watch.hurried)
        if due > now:
            watch.wake.wait(due - now)
            return
        jitter = self._cluster.random.uniform(*_JITTER)
        watch.pace = watch.pace.asked(now, searching=searching, jitter=jitter)
        self._ask(watch, now)
        watch.node.pool.tick(monotonic())
        if now - due < _LATE * watch.pace.interval:
            self._hold_silence_against(watch)

    @property
    def _searching(self) -> bool:
        """Whether a writer is missed. At first each node is being asked anyway."""
        cluster = self._cluster
        missed = cluster.awaiting.sessions or cluster.reign
        return cluster.topology.writer is None and bool(missed)

    def _resting(self) -> bool:
        if len(self._cluster.sessions):
            self._needed_at = monotonic()
        return monotonic() - self._needed_at > _LINGER

    def _ask(self, watch: _Watch, now: float) -> None:
        watch.sent(now)
        try:
            sample = probe.ask(self._cluster, watch.node)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the node's state
            self._lose(watch, error)
        else:
            self._heard(watch.node, sample)
        finally:
            watch.asking_since = None

    def _heard(self, node: Node, sample: Sample) -> None:
        cluster, name = self._cluster, node.name
        first = not node.state.response.readings
        node.silent = node.barred = False
        cluster.observe(name, sample)
        self._evaluate(name, None if first else min(sample.latency, node.least))
        cluster.catalog.look()
        self._keep_spare(node)

    def _keep_spare(self, node: Node) -> None:
        """Have more connections than are used where the application's work goes.

        The probe borrows one: were it the only one, a statement that comes meanwhile
        would wait a round trip for it. While sessions wait for a writer, every node may
        become it.
        """
        cluster = self._cluster
        used = node.state.role is Role.WRITER or node.state in cluster.near()
        stats = node.pool.stats
        if (used or cluster.awaiting.sessions) and stats.idle < _SPARE:
            node.pool.warm(stats.busy + _SPARE)

    def _lose(self, watch: _Watch, error: Exception) -> None:
        node, cluster = watch.node, self._cluster
        if not self._watched(watch):
            return
        if watch.answers:
            # It takes no new connection, but it answers on those there are. Or did: the
            # next question tells.
            watch.hurried = True
            logger.warning("probe_failed node=%s error=%s", node.name, _text(error))
            return
        fault = cluster.driver.opening_fault(error)
        node.barred = fault in HOPELESS
        if fault in WELL and node.pool.stats.busy:
            # It lives: whom it let in before goes on, and a hurry brings no password.
            logger.warning("login_refused node=%s", node.name)
            return
        # What waits for an answer from it waits in vain; a write is given up later,
        # because then nobody knows what has become of it.
        again = not node.state.reachable and node.state.problem is not None
        if again or node.state.role is Role.READER:
            node.give_up(_text(error))
        cluster.lose(node.name, _text(error))

    def _hold_silence_against(self, asker: _Watch) -> None:
        """Evaluate the nodes whose answer has been missing for an interval, or again."""
        now = monotonic()
        for watch in self._watches.values():
            since = watch.asking_since
            if since is None or watch is asker:
                continue
            if now - max(since, watch.overdue_at) < watch.pace.interval:
                continue
            watch.overdue_at = now
            if not watch.answers:
                self._overdue(watch, now - since)

    def _overdue(self, watch: _Watch, age: float) -> None:
        node, cluster = watch.node, self._cluster
        watch.overdue += 1
        if age > (node.state.latency or 0.0):
            self._evaluate(node.name, age)
        if watch.overdue < _SILENT:
            return
        node.silent = True
        reads = node.state.role is Role.READER and cluster.config.forwarding != "native"
        if reads:
            node.give_up(f"an answer is missing for {age:.1f} s")

    def _evaluate(self, name: str, reading: float | None) -> None:
        """Take in how long *name* took to answer, in seconds, or has not answered yet.

        With None only what was known is judged again.
        """
        cluster, config = self._cluster, self._cluster.config
        changed = cluster.restate(
            lambda topology: evaluate(
                topology,
                name,
                reading,
                now=monotonic(),
                window=config.latency_window,
                factor=config.latency_factor,
            )
        )
        if changed:
            events.shares_changed(cluster.near(), cluster.topology)


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
