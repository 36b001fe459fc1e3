"""Whatever sources tell, in whatever order, a cluster keeps its nodes in order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from globaldb.core.membership import (
    Finding,
    Member,
    Membership,
    Present,
    second_names,
)

PORT = 5432
IDS = st.sampled_from("abcd")
REGIONS = st.sampled_from(["us", "eu", None])


def place(name, region):
    return f"{name}.{region or 'us'}", PORT


MEMBERS = st.builds(
    lambda name, region, known, writer, deleted: Member(
        name, region, place(name, region) if known else None, writer, None, deleted
    ),
    IDS,
    REGIONS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
FINDINGS = st.builds(
    Finding,
    st.sampled_from(["sql", "rds", "srv"]),
    st.lists(MEMBERS, max_size=6).map(tuple),
    st.booleans(),
    st.just(0.0),
    REGIONS,
)


class Cluster(RuleBasedStateMachine):
    """Nodes as the keeper has them, with findings of every kind."""

    @initialize(named=st.lists(IDS, min_size=1, max_size=2, unique=True))
    def start(self, named):
        self.known = Membership()
        self.nodes = [
            Present(f"seed-{n}", (f"10.0.0.{ord(n)}", PORT), "us", named=True)
            for n in named
        ]
        name = Present("name", ("name", PORT), None, named=True, stands_in=True)
        self.nodes.append(name)
        self.named = {node.name for node in self.nodes if not node.stands_in}

    @rule(finding=FINDINGS)
    def look(self, finding):
        self.known, changes = self.known.take(finding, self.nodes)
        for member in changes.admit:
            assert member.place is not None
            name = f"{member.place[0]}"
            assert name not in [node.name for node in self.nodes]
            self.nodes.append(Present(name, member.place, member.region))
            self.known = self.known.admitted(name, finding.source)
        self.dismiss(changes.dismiss)
        _, again = self.known.take(finding, self.nodes)
        assert again.admit == ()

    @rule(data=st.data())
    def one_answers(self, data):
        """Or no longer does; a server says who it is, and keeps to it."""
        index = data.draw(st.integers(0, len(self.nodes) - 1))
        node = self.nodes[index]
        own = node.name.removeprefix("seed-")[0] if not node.stands_in else "a"
        self.nodes[index] = replace(node, answers=not node.answers, id=own)

    @rule()
    def tidy(self):
        self.dismiss(second_names(self.nodes))
        assert second_names(self.nodes) == ()
        known = [
            (n.id, n.region) for n in self.nodes if n.id is not None and not n.stands_in
        ]
        assert len(set(known)) == len(known)

    def dismiss(self, going):
        gone = {name for name, _ in going}
        for name in gone:
            self.known = self.known.without(name)
        self.nodes = [node for node in self.nodes if node.name not in gone]

    @invariant()
    def somebody_is_left(self):
        assert self.nodes

    @invariant()
    def nodes_of_the_configuration_are_left(self):
        assert self.named <= {node.name for node in self.nodes}

    @invariant()
    def no_place_is_two_nodes(self):
        places = [node.place for node in self.nodes]
        assert len(set(places)) == len(places)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
