"""Nodes say what they are, and no writer of an older epoch is ever believed again."""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from globaldb.core.position import Lsn
from globaldb.core.topology import Role, Sample, Topology

W, R = Role.WRITER, Role.READER
REGIONS = {"us-1": "us", "ap-1": "ap", "eu-1": None}


def sample(role: Role, timeline: int = 1, value: int = 10) -> Sample:
    return Sample(role, Lsn(value, timeline), asked_at=5.0, latency=0.1, region="heard")


def start(**roles: Role) -> Topology:
    topology = Topology.of(REGIONS)
    for name, role in roles.items():
        topology = topology.observe(name.replace("_", "-"), sample(role))
    return topology


def test_at_first_nothing_is_known() -> None:
    topology = Topology.of(REGIONS)
    assert topology.writer is None
    assert topology.readers == ()
    assert not any(state.reachable for state in topology.nodes.values())
    assert topology.version == topology.epoch == 0


def test_roles_are_what_the_nodes_say() -> None:
    topology = start(us_1=W, ap_1=R)
    assert topology.writer is topology.nodes["us-1"]
    assert topology.readers == (topology.nodes["ap-1"],)
    assert topology.epoch == 1


def test_a_region_is_learnt_where_none_is_configured() -> None:
    topology = start(us_1=W, eu_1=R)
    regions = {name: state.region for name, state in topology.nodes.items()}
    assert regions == {"us-1": "us", "ap-1": "ap", "eu-1": "heard"}


def test_a_position_comes_with_each_sample_and_a_response_time_with_the_first() -> None:
    topology = start(us_1=W)
    again = Sample(W, Lsn(20, 1), asked_at=6.0, latency=0.2)
    state = topology.observe("us-1", again).nodes["us-1"]
    assert (state.position, state.sampled_at) == (Lsn(20, 1), 6.0)
    assert state.latency == 0.1


def test_a_promotion_supersedes_the_old_writer_at_once() -> None:
    topology = start(us_1=W, ap_1=R).observe("ap-1", sample(W, 2))
    assert topology.writer is topology.nodes["ap-1"]
    assert topology.nodes["us-1"].problem == "superseded"
    assert topology.epoch == 2


def test_an_old_writer_that_comes_back_is_not_believed_until_it_has_rejoined() -> None:
    topology = start(us_1=W, ap_1=R).observe("ap-1", sample(W, 2))
    topology = topology.lose("ap-1", "no answer")
    topology = topology.observe("us-1", sample(W, 1))
    assert topology.writer is None
    assert topology.nodes["us-1"].problem == "writer of an old timeline"
    topology = topology.observe("us-1", sample(R, 2))
    assert topology.nodes["us-1"] in topology.readers


def test_of_two_writers_of_one_epoch_the_one_that_is_believed_stays_so() -> None:
    """Both were promoted from the same state: changing sides would write to both."""
    topology = start(us_1=W)
    for name in ("ap-1", "us-1", "ap-1"):
        topology = topology.observe(name, sample(W))
        assert topology.writer is topology.nodes["us-1"]
    assert topology.nodes["ap-1"].problem == "superseded"
    assert topology.nodes["ap-1"].claims
    lost = topology.lose("us-1", "refused")
    # A moment of silence is no reason to go to the other one.
    assert lost.observe("ap-1", sample(W)).writer is None
    over = lost.observe("us-1", sample(R))
    assert over.observe("ap-1", sample(W)).writer is not None


def test_who_claims_to_be_the_writer_when_the_old_one_is_lost_replaces_it() -> None:
    topology = start(us_1=W, ap_1=R).lose("us-1", "refused")
    topology = topology.observe("ap-1", sample(W))
    assert topology.writer is topology.nodes["ap-1"]
    topology = topology.observe("us-1", sample(W))
    assert topology.writer is topology.nodes["ap-1"]


def test_where_no_epochs_are_told_the_writer_that_came_last_stays_it() -> None:
    topology = start(us_1=R, ap_1=R)
    for name in ("us-1", "ap-1", "us-1", "ap-1", "us-1"):
        topology = topology.observe(name, sample(W, timeline=0))
    assert topology.writer is topology.nodes["ap-1"]
    topology = topology.lose("ap-1", "no answer")
    assert topology.observe("us-1", sample(W, timeline=0)).writer is None
    # It has restarted meanwhile, and still believes in itself.
    back = topology.lose("us-1", "refused").observe("us-1", sample(W, timeline=0))
    assert back.writer is None
    gone = back.dismiss("ap-1").observe("us-1", sample(W, timeline=0))
    assert gone.writer is gone.nodes["us-1"]


def test_a_reader_of_a_newer_timeline_tells_of_the_promotion() -> None:
    topology = start(us_1=W, ap_1=R).observe("ap-1", sample(R, timeline=2))
    assert topology.writer is None
    assert topology.nodes["us-1"].problem == "writer of an old timeline"
    assert topology.observe("us-1", sample(W, 1)).writer is None
    assert topology.observe("eu-1", sample(W, 2)).writer is not None


def test_a_reader_that_cannot_tell_how_far_it_is_tells_of_no_promotion() -> None:
    topology = start(us_1=W).observe("ap-1", sample(R, timeline=2, value=0))
    assert topology.writer is topology.nodes["us-1"]


def test_an_epoch_learnt_from_a_token_ends_the_belief_in_an_older_writer() -> None:
    topology = start(us_1=W, ap_1=R).learned(2)
    assert topology.writer is None
    assert topology.readers == (topology.nodes["ap-1"],)
    assert topology.observe("us-1", sample(W, 1)).writer is None
    assert topology.observe("us-1", sample(W, 2)).writer is not None


def test_an_epoch_known_already_teaches_nothing() -> None:
    topology = start(us_1=W)
    assert topology.learned(1) is topology
    assert topology.learned(0) is topology


def test_a_lost_node_keeps_its_reason_and_serves_nothing() -> None:
    topology = start(us_1=W, ap_1=R).lose("ap-1", "refused").lose("us-1", "refused")
    assert (topology.writer, topology.readers) == (None, ())
    assert topology.nodes["us-1"].problem == "refused"


def test_a_demoted_writer_is_unknown_until_it_answers() -> None:
    topology = start(us_1=W).demote("us-1")
    assert topology.writer is None
    assert topology.observe("us-1", sample(R)).readers != ()


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        (lambda t: t.observe("us-1", sample(W, 1, 99)), False),
        (lambda t: t.observe("ap-1", sample(R, 1, 99)), False),
        (lambda t: t.observe("ap-1", sample(R, 2)), True),
        (lambda t: t.observe("ap-1", sample(W, 2)), True),
        (lambda t: t.observe("eu-1", sample(R)), True),
        (lambda t: t.lose("ap-1", "refused"), True),
        (lambda t: t.lose("ap-1", "refused").observe("ap-1", sample(R)), True),
        (lambda t: t.demote("us-1"), True),
        (lambda t: t.learned(1), False),
        (lambda t: t.learned(2), True),
    ],
)
def test_the_version_grows_with_what_may_change_a_decision(change, grows) -> None:  # type: ignore[no-untyped-def]
    topology = start(us_1=W, ap_1=R)
    assert (change(topology).version > topology.version) is grows


def test_losing_or_demoting_twice_is_one_change() -> None:
    lost = start(us_1=W, ap_1=R).lose("ap-1", "refused")
    assert lost.lose("ap-1", "timed out").version == lost.version
    demoted = start(us_1=W).demote("us-1")
    assert demoted.demote("us-1").version == demoted.version


class TopologyMachine(RuleBasedStateMachine):
    """Any order of answers, losses and hearsay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Topology.of(REGIONS)
        self.newest = 0
        self.before = self.now

    def step(self, after: Topology) -> None:
        self.before, self.now = self.now, after

    @rule(
        name=st.sampled_from([*REGIONS]),
        role=st.sampled_from([W, R]),
        timeline=st.integers(1, 4),
    )
    def answer(self, name: str, role: Role, timeline: int) -> None:
        self.newest = max(self.newest, timeline)
        self.step(self.now.observe(name, sample(role, timeline)))

    @rule(name=st.sampled_from([*REGIONS]))
    def lose(self, name: str) -> None:
        self.step(self.now.lose(name, "no answer"))

    @rule(name=st.sampled_from([*REGIONS]))
    def demote(self, name: str) -> None:
        self.step(self.now.demote(name))

    @rule(epoch=st.integers(1, 4))
    def learn(self, epoch: int) -> None:
        self.newest = max(self.newest, epoch)
        self.step(self.now.learned(epoch))

    @invariant()
    def the_writer_is_of_the_newest_epoch_ever_heard_of(self) -> None:
        writer = self.now.writer
        assert self.now.epoch == self.newest
        if writer is not None:
            assert writer.position is not None
            assert writer.position.timeline == self.newest

    @invariant()
    def there_is_one_writer_at_most(self) -> None:
        assert sum(state.role is W for state in self.now.nodes.values()) <= 1

    @invariant()
    def who_serves_changes_only_with_the_version(self) -> None:
        def serving(topology: Topology) -> object:
            return (
                topology.writer and topology.writer.name,
                [state.name for state in topology.readers],
                topology.epoch,
            )

        same = serving(self.before) == serving(self.now)
        assert same or self.now.version > self.before.version


TestTopologyMachine = TopologyMachine.TestCase
TestTopologyMachine.settings = settings(max_examples=60, stateful_step_count=25)


def test_a_node_that_comes_is_not_believed_to_be_anything() -> None:
    before = Topology.of({"a": None})
    after = before.admit("b", "eu-west-1")
    assert after.nodes["b"].role is Role.UNKNOWN
    assert not after.nodes["b"].reachable
    assert after.version == before.version + 1
    assert "b" not in before.nodes


def test_an_old_writer_is_not_believed_again_when_the_new_one_has_left() -> None:
    topology = Topology.of({"a": None, "b": None})
    topology = topology.observe("b", sample(W, timeline=2)).dismiss("b")
    assert topology.writer is None
    assert topology.observe("a", sample(W, timeline=1)).writer is None
