"""What is believed about all nodes at one instant; immutable and versioned."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field of a dataclass
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Final

from globaldb.core.gtid import GtidSet  # noqa: TC001 - a field of a dataclass
from globaldb.core.latency import Response
from globaldb.core.position import LogPosition, Lsn, Position


class Role(Enum):
    """The part a node plays now, as it said itself when last asked."""

    WRITER = "writer"
    READER = "reader"
    UNKNOWN = "unknown"


_OLD = "writer of an old timeline"
_SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of a node to the probe."""

    role: Role
    #: False where the node cannot tell how far it is.
    position: LogPosition
    #: Monotonic seconds when the question was sent: the position is at least as new.
    asked_at: float
    #: Seconds from question to answer.
    latency: float
    #: Identity of the database cluster; two nodes that differ do not belong together.
    system: str = ""
    region: str | None = None
    #: Of the writer: the place where its timeline forked off is before this.
    forked_before: Lsn | None = None
    #: Of a writer that was seen to be promoted: that place itself.
    forked_at: Lsn | None = None
    #: Of the writer: its clock, seconds since 1970, when it answered.
    clock: float | None = None
    #: Of the writer: a transaction number above all that have ended.
    horizon: int | None = None
    #: Identity of the server in positions that name servers: MySQL's UUID, MariaDB's id.
    source: str = ""
    #: Of a writer whose positions name servers: every transaction that it has.
    history: GtidSet | None = None

    @property
    def reached(self) -> Position:
        """The position in each form that the node has told."""
        log = self.position or None
        return Position(log, None, self.clock, self.horizon)


#: The source of nodes that the configuration names.
CONFIGURED: Final = "configuration"


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node at one instant."""

    name: str
    region: str | None
    role: Role = Role.UNKNOWN
    position: LogPosition | None = None
    sampled_at: float | None = None
    #: How it has answered lately.
    response: Response = field(default_factory=Response)
    #: Why the last probe failed; None while the node answers.
    problem: str | None = None
    #: Who has told that there is this node.
    source: str = CONFIGURED
    #: It called itself the writer, and another one was believed: so it is not believed
    #: again before it has been a reader, or the other one is the writer no more.
    overruled: bool = False

    @property
    def latency(self) -> float | None:
        """Seconds that it is judged by when nodes are chosen; None before any."""
        return self.response.seconds

    @property
    def reachable(self) -> bool:
        """Whether the node answered when it was last asked."""
        return self.problem is None and self.role is not Role.UNKNOWN

    @property
    def answers(self) -> bool:
        """Whether it answered when it was last asked, believed or not."""
        return self.reachable or self.problem in (_OLD, _SUPERSEDED)

    @property
    def claims(self) -> bool:
        """Whether it says that it is the writer, believed or not."""
        return self.answers and (self.role is Role.WRITER or self.problem is not None)


@dataclass(frozen=True, slots=True)
class Topology:
    """Every node at one instant. ``version`` grows with each change that matters.

    ``epoch`` is the newest timeline that any node has told of. A process that has seen
    an epoch never believes a writer of an older one again.
    """

    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    version: int = 0
    epoch: int = 0

    @classmethod
    def of(cls, nodes: Mapping[str, str | None]) -> Topology:
        """Start from *nodes*, name to region, with nothing known of their roles."""
        states = {name: NodeState(name, region) for name, region in nodes.items()}
        return cls(MappingProxyType(states))

    def admit(
        self, name: str, region: str | None, source: str = CONFIGURED
    ) -> Topology:
        """Return the topology with node *name* too, of which nothing is known yet."""
        nodes = {**self.nodes, name: NodeState(name, region, source=source)}
        return self._next(nodes, self.epoch, changed=True)

    def placed(self, name: str, region: str) -> Topology:
        """Return the topology after it was found out that node *name* is in *region*.

        What the configuration says of that stands.
        """
        before = self.nodes.get(name)
        if before is None or before.region is not None:
            return self
        nodes = {**self.nodes, name: replace(before, region=region)}
        return self._next(nodes, self.epoch, changed=True)

    def dismiss(self, name: str) -> Topology:
        """Return the topology without node *name*. What epoch it had seen stays known."""
        nodes = {known: state for known, state in self.nodes.items() if known != name}
        return self._next(nodes, self.epoch, changed=True)

    @property
    def writer(self) -> NodeState | None:
        """The node that may be written to, or None while none is known."""
        for state in self.nodes.values():
            if state.role is Role.WRITER and state.problem is None:
                return state
        return None

    @property
    def readers(self) -> tuple[NodeState, ...]:
        """The readers that answered when last asked."""
        return tuple(
            state
            for state in self.nodes.values()
            if state.role is Role.READER and state.problem is None
        )

    def observe(self, name: str, sample: Sample) -> Topology:
        """Return the topology after *name* answered.

        A node is the writer when it says so and no node with a newer epoch
        disagrees: an old writer that came back is UNKNOWN until it has rejoined.
        """
        before, timeline = self.nodes[name], sample.position.timeline
        claims = sample.role is Role.WRITER
        why_not = self._why_not(before, timeline) if claims else None
        response = before.response
        if not response.readings:
            response = response.read(sample.latency)
        state = replace(
            before,
            role=sample.role if why_not is None else Role.UNKNOWN,
            region=before.region or sample.region,
            position=sample.position,
            sampled_at=sample.asked_at,
            response=response,
            problem=why_not,
            overruled=why_not is not None,
        )
        nodes = dict(self.nodes)
        nodes[name] = state
        if state.role is Role.WRITER:
            _demote_others(nodes, name)
        known = self._next(nodes, self.epoch, changed=not _same_part(before, state))
        if claims:
            return replace(known, epoch=max(known.epoch, timeline))
        # A reader that follows a promotion may be heard of before the new writer is.
        return known.learned(timeline) if sample.position else known

    def _why_not(self, node: NodeState, timeline: int) -> str | None:
        """Say why *node*, which says that it is the writer, is not; None if it is.

        Of two in one epoch the one that is believed stays so while it answers: the
        other one was promoted from an older state. Where no epochs are told, the one
        that came last was promoted.
        """
        if timeline > self.epoch:
            return None
        if 0 < timeline < self.epoch:
            return _OLD
        rivals = [
            state
            for state in self.nodes.values()
            if state.name != node.name and state.role is Role.WRITER
        ]
        lasting = timeline and any(state.problem is None for state in rivals)
        return _SUPERSEDED if rivals and (node.overruled or lasting) else None

    def lose(self, name: str, problem: str) -> Topology:
        """Return the topology after *name* did not answer, for the reason given."""
        before = self.nodes[name]
        # When it is back, it is judged by how it answers then.
        state = replace(before, problem=problem, response=Response())
        nodes = dict(self.nodes)
        nodes[name] = state
        return self._next(nodes, self.epoch, changed=before.problem is None)

    def restated(self, nodes: Mapping[str, NodeState], *, changed: bool) -> Topology:
        """Return the topology with other states of the same nodes."""
        return self._next(dict(nodes), self.epoch, changed=changed)

    def touched(self) -> Topology:
        """Return the same topology as a new version: decisions are made anew."""
        return self._next(dict(self.nodes), self.epoch, changed=True)

    def learned(self, epoch: int) -> Topology:
        """Return the topology after *epoch* was heard of from elsewhere (a token)."""
        if epoch <= self.epoch:
            return self
        nodes = {
            name: replace(state, role=Role.UNKNOWN, problem=_OLD, overruled=True)
            if state.role is Role.WRITER
            else state
            for name, state in self.nodes.items()
        }
        return self._next(nodes, epoch, changed=True)

    def demote(self, name: str) -> Topology:
        """Return the topology after *name* turned out not to be the writer."""
        before = self.nodes[name]
        nodes = dict(self.nodes)
        nodes[name] = replace(before, role=Role.UNKNOWN)
        changed = before.role is not Role.UNKNOWN
        return self._next(nodes, self.epoch, changed=changed)

    def _next(
        self, nodes: dict[str, NodeState], epoch: int, *, changed: bool
    ) -> Topology:
        return Topology(
            MappingProxyType(nodes), self.version + (1 if changed else 0), epoch
        )


def _demote_others(nodes: dict[str, NodeState], writer: str) -> None:
    """Two writers cannot both be right."""
    for name, state in nodes.items():
        if name != writer and state.role is Role.WRITER:
            nodes[name] = replace(
                state, role=Role.UNKNOWN, problem=_SUPERSEDED, overruled=True
            )


def _same_part(before: NodeState, after: NodeState) -> bool:
    """Whether a node still plays the part it did: no decision has to change."""
    return (
        before.role is after.role
        and before.problem == after.problem
        and before.region == after.region
        and before.position is not None
        and after.position is not None
        and before.position.timeline == after.position.timeline
    )
