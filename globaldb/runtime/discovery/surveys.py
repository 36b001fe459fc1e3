"""Nodes from Aurora's own tables: each server tells of all, the nearest is asked.

Aurora is recognised by what a node has, which is found out with the first probe.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.config.address import REGION
from globaldb.core.endpoints import EndpointKind, parse_endpoint
from globaldb.core.lending import Outcome
from globaldb.core.membership import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from globaldb.core.endpoints import HostPattern
    from globaldb.core.membership import Member, Survey
    from globaldb.runtime.cluster import ClusterRuntime
    from globaldb.runtime.node import Node

logger = logging.getLogger("globaldb")

#: Seconds between two looks while nothing happens, and while there is no writer.
_QUIET: Final = 5.0
_SEARCHING: Final = 1.0
#: Seconds that one node is waited for before the next is asked.
_PATIENCE: Final = 1.0
#: How often a node is asked who it is, if it does not answer.
_TRIES: Final = 3
#: Nodes asked in one look, at most.
_ASKED: Final = 3


class Surveys:
    """What the servers of *cluster* tell of each other.

    *patterns* returns how the instances of each region are reached, as far as known.
    """

    name: Final = "aurora"
    urgent: Final = True
    adds: Final = True

    def __init__(
        self,
        cluster: ClusterRuntime,
        patterns: Callable[[], Iterable[HostPattern]],
    ) -> None:
        self._cluster = cluster
        self._patterns = patterns
        #: What nodes call themselves, as long as they answer; None where they do not.
        self.identifiers: dict[str, str | None] = {}
        #: How often each was asked for that in vain.
        self._tries: dict[str, int] = {}
        #: Where nodes say that they are, where they know.
        self.regions: dict[str, str] = {}

    @property
    def pause(self) -> float:
        """Seconds until it is worth asking again."""
        return _QUIET if self._cluster.topology.writer is not None else _SEARCHING

    def concerns(self, node: Node) -> bool:
        """Whether *node* is one of Aurora's, and the same whenever it is asked.

        Behind a proxy another may answer each time.
        """
        if not node.facts.now.views:
            return False
        endpoint = parse_endpoint(node.address.host)
        return endpoint is None or endpoint.kind is not EndpointKind.PROXY

    def owes(self, node: Node) -> bool:
        """Whether *node* is yet to be asked who it is."""
        return self.concerns(node) and node.name not in self.identifiers

    def forget(self, name: str) -> None:
        """Ask node *name* again who it is: it may be another server by now."""
        self.identifiers.pop(name, None)
        self._tries.pop(name, None)

    def look(self, deadline: float) -> Finding | None:
        """Ask the nearest node; None when none of Aurora's answers now.

        Nodes that have not said yet who they are are asked for that. Raises what the
        last node did when all that were asked refused, or failed.
        """
        nodes = self._answering()
        known = {node.name for node in nodes}
        for name in self.identifiers.keys() - known:
            # It may be another server by the time it comes back.
            self.forget(name)
        finding = self._find(nodes[:_ASKED], deadline)
        for node in nodes:
            if node.name not in self.identifiers:
                self._identify(node, deadline)
        return finding

    def _answering(self) -> list[Node]:
        states = self._cluster.topology.nodes.values()
        near = sorted(
            (state for state in states if state.answers),
            key=lambda state: (state.latency is None, state.latency),
        )
        nodes = (self._cluster.node(state.name) for state in near)
        return [node for node in nodes if self.concerns(node)]

    def _find(self, nodes: Iterable[Node], deadline: float) -> Finding | None:
        problem: Exception | None = None
        for node in nodes:
            try:
                survey = self._survey(node, deadline)
            except Exception as error:  # noqa: BLE001 - raised again if nobody answers
                problem = error
                continue
            if survey is not None:
                return self._finding(survey, node)
        if problem is not None:
            raise problem
        return None

    def _identify(self, node: Node, deadline: float) -> None:
        try:
            self._survey(node, deadline)
        except Exception as error:  # noqa: BLE001 - the monitor sees what is the matter
            logger.debug("identity_unknown node=%s error=%s", node.name, error)
            tries = self._tries[node.name] = self._tries.get(node.name, 0) + 1
            if tries < _TRIES:
                # It may be busy; who it is decides whether there are two names of it.
                return
        # Nobody waits for what it does not tell.
        self.identifiers.setdefault(node.name, None)

    def _survey(self, node: Node, deadline: float) -> Survey | None:
        """Ask *node* over a pooled connection."""
        until = min(deadline, monotonic() + _PATIENCE)
        lease = node.pool.checkout(until)
        outcome = Outcome.DISCARD
        try:
            survey = self._cluster.driver.survey(lease.connection, until)
            outcome = Outcome.REUSE
        finally:
            node.pool.checkin(lease, outcome)
        if survey is not None:
            self.identifiers[node.name] = survey.own
            if survey.region is not None and REGION.fullmatch(survey.region):
                self.regions[node.name] = survey.region
        return survey

    def _finding(self, survey: Survey, node: Node) -> Finding:
        patterns = {pattern.region: pattern for pattern in self._patterns()}
        region = None if survey.whole else node.state.region
        if region is None and not survey.whole and len(patterns) == 1:
            [region] = patterns
        members = tuple(
            self._placed(replace(m, region=m.region or region), patterns)
            for m in survey.members
        )
        complete = survey.whole or region is not None
        return Finding(
            self.name, members, complete=complete, at=monotonic(), region=region
        )

    def _placed(self, member: Member, patterns: dict[str, HostPattern]) -> Member:
        pattern = None if member.region is None else patterns.get(member.region)
        if pattern is None:
            return member
        port = self._cluster.config.default_port
        return replace(member, place=pattern.place(member.id, port))
