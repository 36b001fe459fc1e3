"""Who comes to a cluster and who leaves it, by what sources tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from globaldb.core.membership import (
    MOST,
    Finding,
    Member,
    Membership,
    Present,
    second_names,
    surveyed,
)

PORT = 5432


def member(name, **more):
    return Member(name, "us", (f"{name}.us", PORT), **more)


def node(name, **more):
    known = {"region": "us", "id": name, "answers": True, **more}
    return Present(f"{name}.us", (f"{name}.us", PORT), **known)


def finding(*members, source="sql", complete=True, **more):
    return Finding(source, members, complete=complete, at=0.0, **more)


def after(*steps):
    """Take in each finding with the nodes there are then; return the last outcome."""
    known, changes = Membership(), None
    for found, nodes in steps:
        known, changes = known.take(found, nodes)
    return known, changes


ABC = finding(member("a"), member("b"), member("c"))
AB = finding(member("a"), member("b"))
NODES = [node("a"), node("b"), node("c")]
LOST = [node("a"), node("b"), node("c", answers=False)]


def test_what_a_source_tells_of_comes():
    _, changes = after((ABC, [node("a")]))
    assert changes.admit == (member("b"), member("c"))
    assert changes.dismiss == ()


def test_taking_in_the_same_again_changes_nothing():
    _, changes = after((ABC, [node("a")]), (ABC, NODES))
    assert (changes.admit, changes.dismiss, changes.remarks) == ((), (), ())


def test_a_node_goes_when_left_out_twice_without_an_answer():
    known, changes = after((ABC, NODES), (AB, LOST))
    assert changes.dismiss == ()
    _, changes = known.take(AB, LOST)
    assert changes.dismiss == (
        ("c.us", "sql no longer has it, and it does not answer"),
    )


def test_a_node_that_answers_stays_however_often_it_is_left_out():
    _, changes = after((ABC, NODES), *[(AB, NODES)] * 20)
    assert changes.dismiss == ()


def test_a_node_left_out_that_takes_itself_for_the_writer_goes():
    """It was detached, and goes on with its own copy of the data."""
    ab = finding(member("a", writer=True), member("b"))
    usurper = [node("a"), node("b"), node("c", claims=True)]
    known, changes = after((ABC, NODES), (ab, usurper))
    assert changes.dismiss == ()
    _, changes = known.take(ab, usurper)
    assert changes.dismiss == (
        ("c.us", "sql no longer has it, and it takes itself for the writer"),
    )
    silent = [node("a", answers=False), node("b"), node("c", claims=True)]
    assert known.take(ab, silent)[1].dismiss == ()
    assert known.take(AB, usurper)[1].dismiss == ()


def test_once_listed_again_the_count_begins_anew():
    _, changes = after((ABC, NODES), (AB, LOST), (ABC, LOST), (AB, LOST))
    assert changes.dismiss == ()


def test_what_the_configuration_names_never_goes():
    nodes = [node("a"), node("b"), node("c", answers=False, named=True)]
    deleted = finding(member("a"), member("b"), member("c", deleted=True))
    _, changes = after((ABC, nodes), (AB, nodes), (AB, nodes), (deleted, nodes))
    assert changes.dismiss == ()


def test_what_the_source_says_is_deleted_goes_at_once_though_it_answers():
    deleted = finding(member("a"), member("b"), member("c", deleted=True))
    _, changes = after((deleted, NODES))
    assert changes.dismiss == (("c.us", "sql says that it is deleted"),)
    _, changes = after((deleted, NODES[:2]))
    assert changes.admit == ()


def test_what_one_source_says_is_deleted_does_not_come_back_by_another():
    """Aurora's tables have an instance for as long as it runs."""
    c = member("c", deleted=True)
    api = finding(member("a"), member("b"), c, source="rds")
    known, changes = after((ABC, NODES), (api, NODES))
    assert [name for name, _ in changes.dismiss] == ["c.us"]
    known, changes = known.without("c.us").take(ABC, NODES[:2])
    assert changes.admit == ()
    # Made anew, it is told of again.
    known, changes = known.take(replace(ABC, source="rds"), NODES[:2])
    assert changes.admit == (member("c"),)


def test_an_answer_without_nodes_is_not_believed():
    known, changes = after((ABC, NODES), (finding(), LOST), (finding(), LOST))
    assert changes.dismiss == ()
    assert "sql tells of 0 nodes" in changes.remarks[0]
    assert known.latest["sql"] == ABC


def test_an_answer_with_nodes_without_number_is_not_believed():
    many = finding(*(member(f"n{i}") for i in range(MOST + 1)))
    _, changes = after((many, NODES))
    assert changes.admit == ()


def test_a_server_that_knows_of_itself_alone_is_believed_late():
    """What is cut off from the others gives this answer too."""
    lonely = finding(member("a"))
    lost = [node("a"), node("b", answers=False), node("c", answers=False)]
    known, changes = after((ABC, NODES), *[(lonely, lost)] * 11)
    assert changes.dismiss == ()
    _, changes = known.take(lonely, lost)
    assert [name for name, _ in changes.dismiss] == ["b.us", "c.us"]


def test_no_finding_leaves_a_cluster_without_nodes():
    lost = [node("a", answers=False), node("b", answers=False)]
    others = finding(member("x"), member("y"))
    _, changes = after((AB, lost), *[(others, lost)] * 20)
    assert [m.id for m in changes.admit] == ["x", "y"]
    assert changes.dismiss == ()


def test_a_node_stays_while_another_source_still_lists_it():
    api = replace(ABC, source="rds")
    known, changes = after((api, NODES), (ABC, NODES), (AB, LOST), (AB, LOST))
    assert changes.dismiss == ()
    known, _ = known.take(replace(AB, source="rds"), LOST)
    _, changes = known.take(AB, LOST)
    assert [name for name, _ in changes.dismiss] == ["c.us"]


def test_a_source_takes_away_only_what_it_has_told_of():
    _, changes = after((AB, LOST), *[(AB, LOST)] * 20)
    assert changes.dismiss == ()


def test_a_source_that_does_not_list_all_takes_nothing_away():
    some = replace(AB, complete=False)
    _, changes = after((ABC, NODES), *[(some, LOST)] * 20)
    assert changes.dismiss == ()


def test_a_list_of_one_region_says_nothing_of_another():
    away = node("c", region="eu", answers=False)
    here = replace(AB, region="us")
    whole = finding(member("a"), member("b"), replace(member("c"), region="eu"))
    nodes = [node("a"), node("b"), away]
    _, changes = after((whole, nodes), *[(here, nodes)] * 20)
    assert changes.dismiss == ()


def test_an_instance_whose_place_nobody_knows_is_remarked_and_kept_out():
    _, changes = after((finding(Member("x", "eu")), NODES))
    assert changes.admit == ()
    [remark] = changes.remarks
    assert remark == (
        "sql tells of 'x' in region 'eu', and nothing tells how it is reached: "
        "give a host_pattern for that region"
    )


def test_a_node_known_by_its_identifier_does_not_come_under_another_name():
    named = Present("10.0.0.1:1", ("10.0.0.1", 1), "us", "a", named=True, answers=True)
    _, changes = after((ABC, [named]))
    assert [m.id for m in changes.admit] == ["b", "c"]


def test_nobody_comes_who_may_be_a_node_that_has_not_answered_yet():
    waiting = Present("10.0.0.1:1", ("10.0.0.1", 1), "us", named=True, pending=True)
    eu = Member("x", "eu", ("x.eu", PORT))
    _, changes = after((finding(member("a"), eu), [waiting]))
    assert [m.id for m in changes.admit] == ["x"]
    silent = replace(waiting, pending=False)
    _, changes = after((finding(member("a"), eu), [silent]))
    assert [m.id for m in changes.admit] == ["a", "x"]


def test_a_member_at_the_place_of_a_node_is_that_node_before_it_answers():
    waiting = node("b", id=None, pending=True)
    hint = finding(member("b", writer=True))
    assert after((hint, [waiting]))[1].hint == "b.us"


def test_an_identifier_of_another_region_is_another_instance():
    away = node("a", region="eu")
    away = replace(away, place=("a.eu", PORT))
    _, changes = after((finding(member("a")), [away]))
    assert [m.id for m in changes.admit] == ["a"]


def test_a_node_known_by_its_place_does_not_come_twice():
    unknown = Present("x", ("A.US.", PORT), None)
    _, changes = after((finding(member("a"), replace(member("b"), id="a")), [unknown]))
    assert [m.place for m in changes.admit] == [("b.us", PORT)]


def test_two_identifiers_of_one_place_come_once():
    twice = finding(member("a"), replace(member("a"), id="other"))
    _, changes = after((twice, []))
    assert [m.id for m in changes.admit] == ["a"]


def test_the_hint_at_the_writer_is_given_when_it_is_news():
    old = finding(member("a", writer=True), member("b"))
    new = finding(member("a"), member("b", writer=True))
    known, changes = after((old, NODES))
    assert changes.hint == "a.us"
    known, changes = known.take(old, NODES)
    assert changes.hint is None
    known, changes = known.take(new, NODES)
    assert changes.hint == "b.us"


def test_two_writers_are_a_hint_at_nobody():
    two = finding(member("a", writer=True), member("b", writer=True))
    assert after((two, NODES))[1].hint is None


# Names that stand in for instances, and second names.

NAME = Present("cluster", ("cluster", PORT), "us", "a", named=True, stands_in=True)
ANSWERING = replace(NAME, answers=True)


def test_the_instance_behind_a_name_comes_beside_it():
    _, changes = after((finding(member("a")), [ANSWERING]))
    assert [m.id for m in changes.admit] == ["a"]


def test_a_name_that_a_source_tells_of_does_not_come_twice():
    told_of = finding(Member("cluster", "us", ("cluster", PORT)))
    assert after((told_of, [ANSWERING]))[1].admit == ()


def test_a_name_goes_once_its_instance_answers_under_its_own():
    waiting = [ANSWERING, node("a", answers=False), node("b")]
    assert second_names(waiting) == ()
    there = [ANSWERING, node("a"), node("b")]
    assert second_names(there) == (("cluster", "its instances are nodes: a.us"),)


def test_a_name_that_leads_nowhere_goes_once_an_instance_of_its_region_answers():
    assert second_names([NAME, node("b", region="eu")]) == ()
    assert [n for n, _ in second_names([NAME, node("b")])] == ["cluster"]
    everywhere = replace(NAME, region=None)
    assert [n for n, _ in second_names([everywhere, node("b")])] == ["cluster"]


def test_a_name_goes_at_once_when_neither_it_nor_its_instance_has_answered():
    name, instance = replace(NAME, pending=True), node("a", answers=False, pending=True)
    assert [n for n, _ in second_names([name, instance])] == ["cluster"]
    assert second_names([name, node("b", answers=False, pending=True)]) == ()


def test_a_name_whose_server_is_not_known_stays_while_it_answers():
    assert second_names([replace(ANSWERING, id=None), node("a")]) == ()


def test_of_two_names_of_a_server_the_one_of_the_configuration_stays():
    found = node("a")
    named = Present("10.0.0.1", ("10.0.0.1", 1), None, "a", named=True)
    assert second_names([found, named]) == (("a.us", "it is 10.0.0.1 by another name"),)
    assert second_names([named, replace(named, name="second", id=None)]) == ()


# What servers tell.


def told(*rows, own="a"):
    return surveyed([(*row, None, None)[:5] for row in rows], own)


def test_a_survey_tells_identifier_role_region_and_lag():
    found = told(("a", "t", "us", None), ("b", "f", "eu", "250"))
    assert found.members == (
        Member("a", "us", writer=True),
        Member("b", "eu", lag=0.25),
    )
    assert (found.own, found.region, found.whole) == ("a", "us", True)


def test_a_survey_of_one_cluster_names_no_region():
    found = told(("a", "1", None), ("b", "0", None, "12.5"))
    assert (found.whole, found.region) == (False, None)
    assert found.members[1].lag == 0.0125


def test_the_label_global_is_no_region_of_an_instance():
    assert told(("a", "t", "global")).members == (Member("a", None, writer=True),)


def test_a_lag_of_minus_one_or_of_nothing_is_none():
    found = told(("a", "t", "us", "-1"), ("b", "f", "us", None), ("c", "f", "us", "x"))
    assert [m.lag for m in found.members] == [None, None, None]


def test_of_two_writers_the_one_noted_last_is_believed():
    rows = [("a", "t", None, None, "100.5"), ("b", "t", None, None, "100.25")]
    assert [m.writer for m in told(*rows).members] == [True, False]
    assert [m.writer for m in told(*reversed(rows)).members] == [False, True]


@pytest.mark.parametrize(
    ("first", "second"), [(None, None), ("1", None), (None, "1"), ("1", "1")]
)
def test_two_writers_without_times_that_differ_are_none(first, second):
    found = told(("a", "t", "us", None, first), ("b", "t", "eu", None, second))
    assert [m.writer for m in found.members] == [False, False]
