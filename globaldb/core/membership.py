"""Which nodes a cluster has: what sources tell, turned into who comes and who goes.

A source may be late, cut off, or wrong, so it is never obeyed at once: what it tells of
a new node is tried by asking that node, and a node it leaves out goes only when it is
left out again and does not answer. Who writes is not decided here at all: a source's
writer is a hint whom to ask first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence  # noqa: TC003 - fields of a dataclass
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from globaldb.core.endpoints import GLOBAL_LABEL

#: Host and port.
Place = tuple[str, int]

#: Looks in a row that must leave a node out, and how many where few nodes are left:
#: a server cut off from the others may know of itself alone.
LOOKS: Final = 2
LOOKS_OF_FEW: Final = 12
#: Members that a source may tell of at most: Aurora has 11 regions of 16 instances.
MOST: Final = 256
#: Characters shown of a name: as many as the longest in the DNS has.
_SHOWN: Final = 63


@dataclass(frozen=True, slots=True)
class Member:
    """One server, as a source knows it."""

    #: What the source calls it: an instance's identifier, or a host.
    id: str
    region: str | None
    #: How it is reached; None where the source cannot tell.
    place: Place | None = None
    #: The source believes that it is the writer.
    writer: bool = False
    #: Seconds behind the writer, as the source has it.
    lag: float | None = None
    #: It is about to be no more, whatever it answers.
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at one source has given."""

    source: str
    members: tuple[Member, ...]
    #: Whether every node of the cluster is in it, or of *region* where that is given.
    complete: bool
    #: Monotonic seconds.
    at: float
    region: str | None = None
    #: What went wrong with a part of the look.
    problems: tuple[str, ...] = ()

    def covers(self, region: str | None) -> bool:
        """Whether a node in *region* would be in it."""
        return self.complete and self.region in (None, region)


@dataclass(frozen=True, slots=True)
class Survey:
    """What one server says of all that it knows, itself among them."""

    #: Its own identifier; None where it does not tell.
    own: str | None
    #: Without places: no server tells those.
    members: tuple[Member, ...]
    #: Every region is in it; else its own alone, which it does not name.
    whole: bool

    @property
    def region(self) -> str | None:
        """The region of the server that was asked, where that is told."""
        found = [member.region for member in self.members if member.id == self.own]
        return found[0] if len(found) == 1 else None


def surveyed(rows: Iterable[Sequence[str | None]], own: str | None) -> Survey:
    """Return the survey in *rows*, as texts or as nothing.

    A row is an identifier, whether it writes (``t`` or ``1``), the region, the lag in
    milliseconds, and a time. Of several that write the newest does; where times do not
    tell which that is, none does.
    """
    members, times = [], []
    for identifier, writes, region, lag, noted_at in rows:
        late = _number(lag)
        member = Member(
            identifier or "",
            None if region in ("", GLOBAL_LABEL) else region,
            writer=writes in ("t", "1"),
            lag=None if late is None or late < 0 else late / 1000,
        )
        members.append(member)
        times.append(_number(noted_at))
    writer = _newest(members, times)
    return Survey(
        own,
        tuple(replace(m, writer=index == writer) for index, m in enumerate(members)),
        whole=any(member.region is not None for member in members),
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _newest(members: Sequence[Member], times: Sequence[float | None]) -> int | None:
    """Return the place of the member that is the writer, if that is certain."""
    writers = [index for index, member in enumerate(members) if member.writer]
    if len(writers) < 2:
        return writers[0] if writers else None
    known = [(at, index) for index in writers if (at := times[index]) is not None]
    known.sort()
    if len(known) < len(writers) or known[-1][0] == known[-2][0]:
        return None
    return known[-1][1]


@dataclass(frozen=True, slots=True)
class Present:
    """One node of the cluster as it is now."""

    name: str
    place: Place
    region: str | None
    #: What it calls itself; None where it does not, or was not asked.
    id: str | None = None
    #: The configuration names it: no source can take it away.
    named: bool = False
    #: Its name leads to instances that have names of their own.
    stands_in: bool = False
    answers: bool = False
    #: It says that it is the writer.
    claims: bool = False
    #: It was asked for the first time, and has neither answered nor failed: which
    #: server it is may yet turn out.
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What follows from a finding."""

    #: Each has a place.
    admit: tuple[Member, ...] = ()
    #: Names of nodes, and why they go.
    dismiss: tuple[tuple[str, str], ...] = ()
    #: The node to ask first whether it is the writer, when that is news.
    hint: str | None = None
    #: What somebody should know of.
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """What the sources have told so far; a value, and `take` gives the next one."""

    #: The last usable finding of each source.
    latest: Mapping[str, Finding] = field(default_factory=dict)
    #: The sources that have told of a node, by its name.
    origins: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: By source and node: looks in a row that have left it out.
    omitted: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def take(
        self, finding: Finding, nodes: Sequence[Present]
    ) -> tuple[Membership, Changes]:
        """Take *finding* in; return what is known now, and what is to be done.

        *nodes* are those of the cluster. The same finding taken in twice admits
        nothing more, and no finding leaves a cluster without nodes.
        """
        if not 0 < len(finding.members) <= MOST:
            problem = f"{finding.source} tells of {len(finding.members)} nodes"
            return self, Changes(remarks=(f"{problem}, which is not believed",))
        hinted = self._hint(finding)
        latest = {**self.latest, finding.source: finding}
        omitted = self._omissions(finding, nodes)
        known = replace(self, latest=MappingProxyType(latest), omitted=omitted)
        admit, remarks = _newcomers(finding, latest.values(), nodes)
        for node in nodes:
            if _lists(finding, node):
                known = known.admitted(node.name, finding.source)
        changes = Changes(
            admit=admit,
            dismiss=_leaving(known, finding, nodes),
            hint=None if hinted is None else _named(hinted, nodes),
            remarks=remarks,
        )
        return known, changes

    def admitted(self, name: str, source: str) -> Membership:
        """Take note that *source* has told of node *name*."""
        if source in self.origins.get(name, ()):
            return self
        origins = {
            **self.origins,
            name: self.origins.get(name, frozenset()) | {source},
        }
        return replace(self, origins=MappingProxyType(origins))

    def without(self, name: str) -> Membership:
        """Take note that node *name* has gone."""
        origins = {k: v for k, v in self.origins.items() if k != name}
        omitted = {k: v for k, v in self.omitted.items() if k[1] != name}
        return replace(self, origins=MappingProxyType(origins), omitted=omitted)

    def _hint(self, finding: Finding) -> Member | None:
        """Return who is the writer by *finding*, when its source had not said so."""
        writer = _writer(finding)
        before = self.latest.get(finding.source)
        old = None if before is None else _writer(before)
        if writer is None or (old is not None and _same(writer, old)):
            return None
        return writer

    def _omissions(
        self, finding: Finding, nodes: Iterable[Present]
    ) -> Mapping[tuple[str, str], int]:
        if not finding.complete:
            return self.omitted
        counted = {k: n for k, n in self.omitted.items() if k[0] != finding.source}
        for node in nodes:
            key = finding.source, node.name
            if not finding.covers(node.region):
                counted |= {key: self.omitted[key]} if key in self.omitted else {}
            elif not _lists(finding, node):
                counted[key] = self.omitted.get(key, 0) + 1
        return MappingProxyType(counted)


def shown(text: str | None) -> str:
    """Return what a source has told as it may be logged: quoted, and not all of it."""
    return repr(text) if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]!r}.."


def second_names(nodes: Sequence[Present]) -> tuple[tuple[str, str], ...]:
    """Return the nodes that are another name of a server, and why each goes.

    A name that stands in for instances goes when one of those answers under its own.
    Of two other names the configuration's stays, then the one that came first.
    """
    going: dict[str, str] = {}
    for node in nodes:
        if node.stands_in:
            instance = _instance_of(node, nodes)
            if instance is not None:
                going[node.name] = f"its instances are nodes: {instance.name}"
    kept: list[Present] = []
    for node in sorted(nodes, key=lambda each: not each.named):
        if node.stands_in:
            continue
        twin = next((each for each in kept if _twins(each, node)), None)
        if twin is None:
            kept.append(node)
        else:
            going[node.name] = f"it is {twin.name} by another name"
    return tuple(going.items())


def _instance_of(name: Present, nodes: Iterable[Present]) -> Present | None:
    """Return an instance that *name* stands in for, and that can take its place."""
    leads = name.id is not None and (name.answers or name.pending)
    for node in nodes:
        if node.stands_in:
            continue
        if leads:
            # Before either has answered, the one is as good as the other.
            ready = node.answers or (node.pending and name.pending)
            fits = _twins(name, node)
        else:
            ready = node.answers and not name.answers
            fits = name.region in (None, node.region)
        if ready and fits:
            return node
    return None


def _twins(one: Present, other: Present) -> bool:
    return (
        one.id is not None
        and one.id == other.id
        and _compatible(one.region, other.region)
    )


def _newcomers(
    finding: Finding, latest: Iterable[Finding], nodes: Sequence[Present]
) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Return the members that are no nodes yet, and what is remarkable of others.

    *latest* is what each source has told last: what one knows to be about to be deleted
    others go on telling of until it is.
    """
    admit: dict[Place, Member] = {}
    remarks = []
    gone = [member for each in latest for member in each.members if member.deleted]
    for member in finding.members:
        if any(_same(member, each) for each in gone) or any(
            _is(member, node) and not (node.stands_in and member.place)
            for node in nodes
        ):
            continue
        if any(_may_be(member, node) for node in nodes):
            # The next look knows more.
            continue
        if member.place is None:
            remarks.append(
                f"{finding.source} tells of {shown(member.id)} in region "
                f"{shown(member.region)}, and nothing tells how it is reached: give a "
                "host_pattern for that region"
            )
        elif not any(_at(member.place, node) for node in nodes):
            admit.setdefault(_plain(member.place), member)
    return tuple(admit.values()), tuple(remarks)


def _leaving(
    known: Membership, finding: Finding, nodes: Sequence[Present]
) -> tuple[tuple[str, str], ...]:
    going = {}
    for node in nodes:
        why = None if node.named else _why_gone(known, finding, node, nodes)
        if why is not None:
            going[node.name] = why
    if len(going) == len(nodes):
        return ()
    return tuple(going.items())


def _why_gone(
    known: Membership, finding: Finding, node: Present, nodes: Iterable[Present]
) -> str | None:
    listed = _lists(finding, node)
    if not listed and any(_is(member, node) for member in finding.members):
        return f"{finding.source} says that it is deleted"
    theirs = [
        each for each in nodes if finding.source in known.origins.get(each.name, ())
    ]
    stays = node.answers and not _usurps(finding, node, nodes)
    if listed or node not in theirs or stays:
        return None
    left = sum(_lists(finding, each) for each in theirs)
    looks = LOOKS_OF_FEW if 2 * left <= len(theirs) else LOOKS
    if known.omitted.get((finding.source, node.name), 0) < looks:
        return None
    others = (f for source, f in known.latest.items() if source != finding.source)
    if any(_lists(other, node) for other in others):
        return None
    why = "takes itself for the writer" if node.answers else "does not answer"
    return f"{finding.source} no longer has it, and it {why}"


def _usurps(finding: Finding, node: Present, nodes: Iterable[Present]) -> bool:
    """Whether *node* takes itself for the writer beside the one that is listed.

    So does what was detached from a global database: it goes on with its own copy.
    """
    writer = _writer(finding)
    return (
        node.claims
        and writer is not None
        and any(_is(writer, each) and each.answers for each in nodes)
    )


def _writer(finding: Finding) -> Member | None:
    """Return the only member that is told to be the writer; None where two are."""
    writers = [member for member in finding.members if member.writer]
    return writers[0] if len(writers) == 1 else None


def _named(member: Member, nodes: Iterable[Present]) -> str | None:
    found = (node for node in nodes if _is(member, node))
    best = min(found, key=lambda node: node.stands_in, default=None)
    return None if best is None else best.name


def _lists(finding: Finding, node: Present) -> bool:
    return any(_is(m, node) for m in finding.members if not m.deleted)


def _same(one: Member, other: Member) -> bool:
    if one.place is not None and one.place == other.place:
        return True
    return one.id == other.id and _compatible(one.region, other.region)


def _is(member: Member, node: Present) -> bool:
    """Whether *node* is the server that *member* tells of."""
    if node.id is not None and node.id == member.id:
        return _compatible(node.region, member.region)
    return member.place is not None and _at(member.place, node)


def _may_be(member: Member, node: Present) -> bool:
    """Whether *node* may turn out to be the server that *member* tells of."""
    unknown = node.pending and node.id is None and not node.stands_in
    return unknown and _compatible(node.region, member.region)


def _at(place: Place, node: Present) -> bool:
    return _plain(place) == _plain(node.place)


def _plain(place: Place) -> Place:
    return place[0].lower().removesuffix("."), place[1]


def _compatible(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
