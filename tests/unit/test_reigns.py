"""Who is the writer, where positions name servers: told from what each one has."""

from __future__ import annotations

from globaldb.core.gtid import GtidSet, MariadbGtid, binlog_state
from globaldb.core.reigns import Reigns
from globaldb.core.timelines import Fate, Timelines
from globaldb.core.topology import NodeState, Role, Sample, Topology


def sample(
    server: int, state: str, role: Role = Role.WRITER, at: float = 1.0
) -> Sample:
    history = binlog_state(state)
    newest = MariadbGtid.parse(state)
    return Sample(role, newest, at, 0.001, source=str(server), history=history)


def heard(*samples: Sample) -> tuple[Reigns, list[int]]:
    reigns, epochs = Reigns(), []
    for each in samples:
        reigns, epoch = reigns.observe(each)
        epochs.append(epoch)
    return reigns, epochs


def test_positions_that_name_no_servers_are_left_alone():
    plain = Sample(Role.WRITER, GtidSet(), 1.0, 0.001)
    assert heard(plain, plain)[1] == [0, 0]


def test_a_writer_reigns_until_another_one_follows():
    first, then = sample(1, "0-1-100"), sample(1, "0-1-110")
    successor = sample(2, "0-1-110,0-2-111")
    assert heard(first, then, successor)[1] == [2, 2, 3]


def test_a_writer_that_knows_nothing_of_its_successor_is_of_an_older_reign():
    old, successor = sample(1, "0-1-100"), sample(2, "0-1-100,0-2-105")
    back = sample(1, "0-1-103")
    assert heard(old, successor, back)[1] == [2, 3, 1]
    assert heard(successor, back)[1] == [2, 1]


def test_a_successor_that_lost_transactions_reigns_all_the_same():
    old = sample(1, "0-1-100")
    as_reader = sample(2, "0-1-98", Role.READER)
    assert heard(old, as_reader, sample(2, "0-1-98,0-2-99"))[1] == [2, 2, 3]
    assert heard(old, sample(2, "0-1-98,0-2-99"))[1] == [2, 3]


def test_an_old_writer_that_came_back_in_order_may_reign_again():
    there = sample(1, "0-1-100"), sample(2, "0-1-100,0-2-105")
    follows = sample(1, "0-1-100,0-2-107", Role.READER)
    again = sample(1, "0-1-108,0-2-107")
    assert heard(*there, follows, again)[1] == [2, 3, 3, 4]
    assert heard(*there, again)[1] == [2, 3, 4]


def test_of_two_that_follow_each_other_and_both_claim_one_reigns_on():
    """Each has all that the other one wrote: changing sides would never end."""
    one, two = sample(1, "0-1-100"), sample(2, "0-1-100,0-2-101")
    reigns, _ = heard(one, two)
    reigns, epoch = reigns.observe(sample(1, "0-1-102,0-2-101"), contested=True)
    assert epoch == 1
    reigns, epoch = reigns.observe(sample(2, "0-1-102,0-2-103"), contested=True)
    assert epoch == 3
    # The one that reigns is lost.
    assert reigns.observe(sample(1, "0-1-104,0-2-103"))[1] == 4


def test_an_old_writer_is_not_believed_because_its_successor_pauses():
    """The successor restarts, read only until somebody opens it."""
    old, successor = sample(1, "0-1-100"), sample(2, "0-1-100,0-2-105")
    writes_on = sample(2, "0-1-100,0-2-110")
    pauses = sample(2, "0-1-100,0-2-110", Role.READER)
    back = sample(1, "0-1-103")
    assert heard(old, successor, writes_on, pauses, back)[1] == [2, 3, 3, 3, 1]
    assert heard(old, successor, writes_on, pauses, writes_on)[1][-1] == 3


def test_an_old_writer_is_not_believed():
    topology = Topology.of({"one": None, "two": None})
    _, (first, second, third) = heard(
        sample(1, "0-1-100"), sample(2, "0-1-100,0-2-105"), sample(1, "0-1-103")
    )
    for name, number, epoch in (
        ("one", 1, first),
        ("two", 2, second),
        ("one", 1, third),
    ):
        told = sample(number, "0-1-100")
        position = told.position.on(epoch)
        told = Sample(Role.WRITER, position, 1.0, 0.001, source=told.source)
        topology = topology.observe(name, told)
    assert topology.writer is not None
    assert topology.writer.name == "two"


def test_what_the_new_writer_lacks_is_lost():
    new = sample(2, "0-1-98,0-2-99")
    told = Sample(
        Role.WRITER,
        new.position.on(3),
        1.0,
        0.001,
        source="2",
        history=new.history,
    )
    timelines = Timelines().observe(NodeState("two", None), told)
    assert timelines.fate(MariadbGtid.parse("0-1-98", 2), 3) is Fate.SURVIVES
    assert timelines.fate(MariadbGtid.parse("0-1-99", 2), 3) is Fate.LOST
    assert timelines.fate(MariadbGtid.parse("0-1-98", 2), 4) is Fate.UNKNOWN
