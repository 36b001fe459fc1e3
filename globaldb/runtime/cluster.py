"""The composition root: one database cluster as one process sees it."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import replace
from functools import partial
from itertools import count
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from globaldb.core.reigns import Reigns
from globaldb.core.selection import less_loaded
from globaldb.core.shapes import Shapes
from globaldb.core.timelines import Timelines
from globaldb.core.topology import CONFIGURED, Role, Topology
from globaldb.errors import InterfaceError
from globaldb.runtime import events
from globaldb.runtime.awaiting import Awaiting
from globaldb.runtime.catalog import CatalogKeeper
from globaldb.runtime.discovery.keeper import Discovery
from globaldb.runtime.entrance import Entrance
from globaldb.runtime.freshness import Freshness, ask_writer
from globaldb.runtime.heard import Heard
from globaldb.runtime.lookout import Lookout
from globaldb.runtime.members import Members
from globaldb.runtime.monitor import Monitor
from globaldb.runtime.nearby import Nearby
from globaldb.runtime.node import Node
from globaldb.runtime.session_store import open_store
from globaldb.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from globaldb.config import Config, NodeAddress
    from globaldb.core.knowledge import Knowledge
    from globaldb.core.topology import NodeState, Sample
    from globaldb.runtime.port import Driver

_sessions = count(1)


class ClusterRuntime:
    """Topology, pools and monitor of one cluster, shared by its sessions.

    Making one opens nothing and starts nothing; the first `ready` does. Safe for
    threads.
    """

    def __init__(self, config: Config, driver: Driver, knowledge: Knowledge) -> None:
        self.config = config
        self.driver = driver
        self.knowledge = knowledge
        #: Text to statement, remembering what was asked for lately.
        self.lookup = knowledge.cache.lookup
        self.random = Random()
        self.entrance = Entrance(config, driver)
        self.worker = Worker(threads=_threads(len(config.nodes)))
        self._members = Members(Node(address, self) for address in config.nodes)
        #: Others may yet come to the nodes there are.
        self.may_grow = False
        self._changed = threading.Condition()
        self.topology = Topology.of({n.name: n.region for n in self.nodes.values()})
        #: Who shares the reads.
        self.nearby = Nearby(config)
        self.heard = Heard()
        self.freshness = self._new_freshness()
        self.lookout = Lookout(self)
        self.system = ""
        #: Grows whenever another node than before is found to be the writer.
        self.reign = 0
        self._reigning: str | None = None
        #: Who was the writer, where positions do not tell that by themselves.
        self.reigns = Reigns()
        #: The promotions this process has seen or heard of.
        self.timelines = Timelines()
        self.monitor = Monitor(self)
        self.discovery = Discovery(self)
        self.catalog = CatalogKeeper(self)
        #: What transactions turned out to be.
        self.shapes = Shapes()
        #: Where sessions of one user in several processes agree; None without it.
        self.store = open_store(config)
        self.sessions: weakref.WeakSet[Any] = weakref.WeakSet()
        self._closed = False
        self.awaiting = Awaiting(self, self._changed)
        _clusters.add(self)

    # Sessions.

    def next_session(self) -> int:
        """Return a number no other session of this process has."""
        return next(_sessions)

    def ready(self, deadline: float) -> None:
        """Wait until some node answers.

        Raises `NoNodeAvailableError` when every node has failed, or *deadline*
        passes.
        """
        self._refuse_closed()
        self.monitor.start()
        self.awaiting.seeking = not self.nodes
        self.discovery.start()
        self.awaiting.first(deadline)

    @property
    def home_region(self) -> str | None:
        """The region sessions are in: as configured, else that of the nearest node."""
        if self.config.region is not None:
            return self.config.region
        near = self.near()
        return near[0].region if near else None

    def near(
        self, *, region: str | None = None, without: Collection[str] = ()
    ) -> tuple[NodeState, ...]:
        """Return the nodes that should share the reads now."""
        return self.nearby.nodes(self.topology, region=region, without=without)

    def pick(
        self, *, region: str | None = None, without: Collection[str] = ()
    ) -> Node | None:
        """Choose a node for reads: near, and the less loaded of two."""
        candidates = self.near(region=region, without=without)
        if not candidates:
            return None
        chosen = less_loaded(
            candidates, lambda name: self.node(name).load, self.random.sample
        )
        return self.node(chosen.name)

    # Which nodes there are.

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes there are, by name; another mapping when one comes or goes."""
        return self._members.present

    def find(self, name: str) -> Node | None:
        """Return the node called *name*, None for one that left long ago."""
        return self._members.find(name)

    def node(self, name: str) -> Node:
        """Return the node called *name*, also one that has left a moment ago."""
        node = self.find(name)
        if node is None:
            raise KeyError(name)
        return node

    def admit(self, address: NodeAddress, source: str = CONFIGURED) -> Node:
        """Use the node at *address* too, from now on, as *source* tells; return it.

        Its role is not known before it has been asked.
        """
        with self._changed:
            known = self.nodes.get(str(address))
            if known is not None:
                return known
            node = Node(address, self)
            self._members.add(node)
            self.awaiting.seeking = False
            self.worker.allow(_threads(len(self.nodes)))
            self.topology = self.topology.admit(node.name, node.region, source)
            self._changed.notify_all()
        events.node_admitted(node.name, source, self.topology.version)
        self.monitor.watch(node)
        return node

    def dismiss(self, name: str, why: str) -> None:
        """Use node *name* no more. What is lent of it is closed at its return."""
        with self._changed:
            node = self.nodes.get(name)
            if node is None:
                return
            self._members.remove(node)
            self.awaiting.left(name)
            self.topology = self.topology.dismiss(name)
            self._changed.notify_all()
        events.node_dismissed(name, why, self.topology.version)
        self.monitor.forget(name)
        node.pool.close()

    @property
    def alone(self) -> bool:
        """Whether the cluster is one node, and stays so."""
        return len(self.nodes) == 1 and not self.may_grow

    # What nodes say.

    def observe(self, name: str, sample: Sample) -> None:
        """Take in one answer of node *name*."""
        with self._changed:
            if name not in self.nodes:
                return
            if self.system and sample.system and sample.system != self.system:
                problem = (
                    f"it belongs to another database cluster ({sample.system}, "
                    f"not {self.system})"
                )
                self.topology = self.topology.lose(name, problem)
                self.awaiting.failed(name)
            else:
                self.system = sample.system or self.system
                before, node = self.topology, self.nodes[name]
                sample = self._numbered(sample)
                self.timelines = self.timelines.observe(
                    before.nodes[name], sample, node.replayed
                )
                node.saw(sample.position)
                node.took(sample.latency)
                self.topology = before.observe(name, sample)
                self._dethrone(before)
                if sample.role is Role.WRITER:
                    self._reigns(node, sample)
                elif sample.position:
                    self._compare(name, sample)
                self._report(name, before)
            self._changed.notify_all()

    def _dethrone(self, before: Topology) -> None:
        """Send and await nothing at a writer that another one was promoted over."""
        after = self.topology
        if not 0 < before.epoch < after.epoch:
            return
        for name, state in before.nodes.items():
            if state.role is Role.WRITER and after.nodes[name].role is not Role.WRITER:
                self.nodes[name].give_up("another node was promoted over it")
                self.nodes[name].pool.drain()

    def _numbered(self, sample: Sample) -> Sample:
        """Return *sample* with the epoch where its positions do not tell it."""
        contested = self.topology.writer is not None
        self.reigns, epoch = self.reigns.observe(sample, contested=contested)
        if not epoch:
            return sample
        return replace(sample, position=sample.position.on(epoch))

    def _reigns(self, node: Node, sample: Sample) -> None:
        """Take in what the writer has told of itself."""
        writer = self.topology.writer
        if writer is None or writer.name != node.name:
            return
        if self._reigning != node.name:
            self._reigning = node.name
            self.reign = node.facts.reign = self.reign + 1
        node.facts.epoch = sample.position.timeline
        self.heard.sampled(sample)

    def _compare(self, name: str, sample: Sample) -> None:
        """Learn of a reader's lag from which commits it has, and which not yet."""
        present, absent = self.heard.ages(sample)
        learnt, now = self.nodes[name].catch_up, monotonic()
        if present is not None and present >= 0:
            learnt.at_most(present, now)
        if absent is not None:
            learnt.at_least(absent, now)

    def lose(self, name: str, problem: str) -> None:
        """Take in that node *name* does not answer, and why."""
        with self._changed:
            if name not in self.nodes:
                return
            before = self.topology
            self.topology = before.lose(name, problem)
            self.awaiting.failed(name)
            self._report(name, before)
            newly = self.topology.version != before.version
            self._changed.notify_all()
        if newly:
            self.doubt(name)
            self.node(name).pool.refuse(problem)
            self.node(name).pool.drain()
            if self.topology.writer is None:
                self.monitor.search()

    def demoted(self, name: str) -> None:
        """Take in that node *name* has refused a write as a standby does."""
        with self._changed:
            if name not in self.nodes:
                return
            before = self.topology
            self.topology = before.demote(name)
            self._report(name, before)
        self.monitor.search()

    def learn(self, epoch: int) -> None:
        """Take in that a promotion to timeline *epoch* has happened somewhere."""
        with self._changed:
            before = self.topology
            self.topology = before.learned(epoch)
            self._dethrone(before)
        if self.topology is not before:
            self.monitor.search()

    def suspect(self, name: str) -> None:
        """Have node *name* asked at once: something about it was not as believed."""
        self.doubt(name)
        self.monitor.start()
        self.monitor.hurry(name)

    def doubt(self, name: str) -> None:
        """Let no decision stand that was made while *name* was believed in."""
        self.node(name).doubt()
        self.touch()

    def touch(self) -> None:
        """Have every decision made anew, for what the topology does not show."""
        self.restate(Topology.touched)

    def restate(self, change: Callable[[Topology], Topology]) -> bool:
        """Replace the topology by what *change* makes of it; True for a new version."""
        with self._changed:
            before = self.topology
            self.topology = change(before)
            return self.topology.version != before.version

    def _report(self, name: str, before: Topology) -> None:
        if self.topology.version == before.version:
            return
        self.discovery.hurry()
        topology = self.topology
        events.node_changed(topology.nodes[name], topology.version, topology.epoch)

    # The end.

    def close(self) -> None:
        """Close every connection and end every thread of this cluster."""
        if self._closed:
            return
        self._closed = True
        self.discovery.stop()
        self.monitor.stop()
        self.lookout.stop()
        for node in self.nodes.values():
            node.pool.close()
        self.worker.close(wait=2.0)
        if self.store is not None:
            self.store.close()
        with self._changed:
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def forget_after_fork(self) -> None:
        """Start over in a forked child: its parent's connections are not its own."""
        self._changed = threading.Condition()
        self.awaiting = Awaiting(self, self._changed)
        # Else all children of one parent would pause, and choose, in step.
        self.random.seed()
        self.entrance.forget_after_fork(self._resume)
        for node in self.nodes.values():
            node.pool.forget_after_fork()
        self.monitor = Monitor(self)
        self.discovery = Discovery(self)
        self.catalog = self.catalog.after_fork()
        self.heard.forget_after_fork()
        self.freshness = self._new_freshness()
        self.lookout = Lookout(self)
        for session in list(self.sessions):
            session.forget_after_fork()

    def _resume(self) -> None:
        """Watch the nodes, and who comes and goes, as the parent did."""
        self.monitor.start()
        self.discovery.start()

    def __repr__(self) -> str:
        writer = self.topology.writer
        return (
            f"<Cluster {self.config.engine} of {len(self.nodes)} nodes, "
            f"writer {writer.name if writer else 'not known'}, "
            f"{len(self.topology.readers)} readers>"
        )

    def _new_freshness(self) -> Freshness:
        return Freshness(partial(ask_writer, self), longest=self.config.connect_timeout)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise InterfaceError("the cluster is closed")


def _threads(nodes: int) -> int:
    return 2 * nodes + 1


#: Every cluster of this process, for the child of a fork.
_clusters: weakref.WeakSet[ClusterRuntime] = weakref.WeakSet()


def _after_fork() -> None:
    for cluster in list(_clusters):
        cluster.forget_after_fork()


os.register_at_fork(after_in_child=_after_fork)
