"""Discovery of one cluster: sources are watched, and what they tell is carried out."""

from __future__ import annotations

import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.config.address import NodeAddress, address_of
from globaldb.core.endpoints import EndpointKind, parse_endpoint, stands_for_others
from globaldb.core.membership import Membership, Present, second_names, shown
from globaldb.core.topology import Topology
from globaldb.errors import ConfigurationError
from globaldb.runtime import events
from globaldb.runtime.discovery.names import Names
from globaldb.runtime.discovery.replicas import Replicas
from globaldb.runtime.discovery.sources import aliases_of, api_of, records_of
from globaldb.runtime.discovery.surveys import Surveys
from globaldb.runtime.discovery.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.core.endpoints import HostPattern
    from globaldb.core.membership import Changes, Finding, Member
    from globaldb.core.topology import NodeState
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.discovery.source import Source
    from globaldb.runtime.node import Node

#: Nothing is asked when no session was open for this many seconds.
_LINGER: Final = 60.0
#: Remarks that are remembered, so that each is logged once.
_REMARKS: Final = 256


class Discovery:
    """Finds the nodes of *cluster* that its configuration does not name.

    Threads start with the first session, one for each source there is; without
    Aurora and without a source in the configuration there are none. Raises
    `ConfigurationError` when what a source takes is not installed.
    """

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._cluster = cluster
        config = cluster.config
        self._patterns = {pattern.region: pattern for pattern in config.host_pattern}
        self._surveys = Surveys(cluster, self._hosts)
        self._aliases = aliases_of(config, self._moved)
        self._sources: list[Source] = [*api_of(config), *records_of(config)]
        if self._aliases is not None:
            self._sources.append(self._aliases)
        if config.discover_replicas:
            names = None if config.dns_server is None else Names(config.dns_server)
            self._sources.append(Replicas(cluster, names))
        #: Held while findings are carried out, one after the other.
        self._lock = threading.Lock()
        #: Held while a thread is started, and nothing else is done.
        self._starting = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._membership = Membership()
        self._remarks: set[str] = set()
        self._needed_at = monotonic()
        self._started = self._stopped = False
        cluster.may_grow |= any(source.adds for source in self._sources)

    def start(self) -> None:
        """Look from now on, also after a rest; at once while no node is known."""
        rested = self._resting()
        self._needed_at = monotonic()
        if not self._started:
            self._started = True
            for source in self._sources:
                self._watch(source)
            # Nodes may have answered already.
            self.hurry()
        elif rested or not self._cluster.nodes:
            for watch in self._watches.values():
                watch.hurry()

    def hurry(self) -> None:
        """Look where more may be known now: a node was lost, or has changed.

        The first of Aurora's nodes that answers begins the watch of what they tell.
        """
        if self._stopped:
            return
        if not self._started:
            # In a forked child nobody may have.
            self.start()
        if self._surveys.name not in self._watches:
            nodes = self._cluster.nodes.values()
            if any(self._surveys.concerns(node) for node in nodes):
                self._cluster.may_grow = True
                self._watch(self._surveys)
        for watch in self._watches.values():
            if watch.source.urgent:
                watch.hurry()

    def stop(self) -> None:
        """End the threads."""
        self._stopped = True
        for watch in list(self._watches.values()):
            watch.stop(wait=2.0)

    def _watch(self, source: Source) -> None:
        with self._starting:
            if self._stopped or source.name in self._watches:
                return
            watch = Watch(
                source,
                take=self._take,
                failed=self._failed,
                resting=self._resting,
                patience=self._cluster.config.connect_timeout,
                random=self._cluster.random,
            )
            self._watches = {**self._watches, source.name: watch}
            watch.start()

    def _resting(self) -> bool:
        if len(self._cluster.sessions):
            self._needed_at = monotonic()
        return monotonic() - self._needed_at > _LINGER

    def _hosts(self) -> Iterable[HostPattern]:
        return self._patterns.values()

    # What is found.

    def _take(self, finding: Finding) -> bool:
        """Carry *finding* out; return whether its source need not be asked again."""
        with self._lock:
            if self._stopped:
                return True
            self._place()
            present = self._present()
            self._membership, changes = self._membership.take(finding, present)
            for problem in (*finding.problems, *changes.remarks):
                self._remark(problem)
            for member in changes.admit:
                self._admit(member, finding.source)
            self._dismiss(changes.dismiss)
            self._dismiss(second_names(self._present()))
            self._return_to_names()
        if not self._cluster.nodes:
            found = f"{finding.source} tells of no node that can be reached"
            self._cluster.awaiting.sought(
                "; ".join((*finding.problems, *changes.remarks)) or found
            )
        self._hint(changes)
        if self._cluster.config.track_changes or finding.problems:
            return False
        # Who may yet turn out to be one of those that were told of kept it out.
        return not any(node.pending for node in present) and not any(
            node.stands_in for node in self._present()
        )

    def _place(self) -> None:
        """Note where nodes are that were named without a region."""
        for name, region in list(self._surveys.regions.items()):
            node = self._cluster.nodes.get(name)
            if node is not None and node.region is None:
                node.region = region
                self._cluster.restate(
                    partial(Topology.placed, name=name, region=region)
                )

    def _failed(self, problem: str) -> None:
        """Take in that a source has told nothing, which may be all there is."""
        with self._lock:
            self._return_to_names()
        if not self._cluster.nodes:
            self._cluster.awaiting.sought(problem)

    def _admit(self, member: Member, source: str) -> None:
        assert member.place is not None  # noqa: S101 - what `Changes` promises
        host, port = member.place
        try:
            address = address_of(member.region, host, port)
        except ConfigurationError as error:
            self._remark(f"{source} tells of {shown(member.id)}: {error}")
            return
        endpoint = parse_endpoint(host)
        if endpoint is not None and endpoint.pattern is not None:
            # Others may be reading the one there is.
            known = {endpoint.pattern.region: endpoint.pattern, **self._patterns}
            self._patterns = known
        self._cluster.may_grow = True
        node = self._cluster.admit(address, source)
        self._membership = self._membership.admitted(node.name, source)

    def _dismiss(self, going: Iterable[tuple[str, str]]) -> None:
        for name, why in going:
            self._membership = self._membership.without(name)
            self._cluster.dismiss(name, why)

    def _return_to_names(self) -> None:
        """Take names of the configuration back while nothing else answers."""
        cluster = self._cluster
        if any(node.answers or node.pending for node in self._present()):
            return
        for address in cluster.config.nodes:
            if str(address) not in cluster.nodes:
                cluster.admit(address)

    def _hint(self, changes: Changes) -> None:
        """Have the node asked that is said to be the writer, if that is news."""
        writer, name = self._cluster.topology.writer, changes.hint
        believed = writer is not None and writer.name == name
        if name is not None and name in self._cluster.nodes and not believed:
            self._cluster.suspect(name)

    def _moved(self, address: NodeAddress, target: str) -> None:
        """Have a name asked anew that has come to lead to another server."""
        name = str(address)
        events.name_moved(name, target)
        self._surveys.forget(name)
        node = self._cluster.nodes.get(name)
        if node is not None:
            # Its connections lead to where the name led before.
            node.pool.drain()
            self._cluster.suspect(name)
        self.hurry()

    def _present(self) -> list[Present]:
        named = set(self._cluster.config.nodes)
        behind = frozenset() if self._aliases is None else self._aliases.stand_ins
        states = self._cluster.topology.nodes
        return [
            Present(
                node.name,
                (node.address.host, node.address.port),
                # A label of the configuration's own would make two nodes of one.
                self._surveys.regions.get(node.name) or states[node.name].region,
                id=self._identifier(node),
                named=node.address in named,
                stands_in=node.address in behind
                or stands_for_others(node.address.host),
                answers=states[node.name].answers,
                claims=states[node.name].claims,
                pending=self._pending(node, states[node.name]),
            )
            for node in self._cluster.nodes.values()
            if node.name in states
        ]

    def _pending(self, node: Node, state: NodeState) -> bool:
        if state.sampled_at is None:
            return state.problem is None
        return state.answers and self._surveys.owes(node)

    def _identifier(self, node: Node) -> str | None:
        """Return which instance *node* is: as it says itself, else by its name."""
        own = self._surveys.identifiers.get(node.name)
        if own is not None:
            return own
        endpoint = parse_endpoint(node.address.host)
        if endpoint is not None and endpoint.kind is EndpointKind.INSTANCE:
            return endpoint.name
        instances = {} if self._aliases is None else self._aliases.instances
        return instances.get(node.address)

    def _remark(self, text: str) -> None:
        if text in self._remarks or len(self._remarks) >= _REMARKS:
            return
        self._remarks.add(text)
        events.discovery_remark(text)
