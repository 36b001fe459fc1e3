"""The plan of a lab is right, or it is refused with words that help."""

from __future__ import annotations

import pytest

from globaldb.lab import LabSpec, LabSpecError


def test_the_first_region_has_the_writer_and_its_readers() -> None:
    spec = LabSpec(regions={"a": 1, "b": 2, "c": 0})
    assert [(n.name, n.region, n.number) for n in spec.nodes] == [
        ("a-1", "a", 1),
        ("a-2", "a", 2),
        ("b-1", "b", 3),
        ("b-2", "b", 4),
    ]


@pytest.mark.parametrize(
    ("a", "b", "seconds"),
    [
        ("us-west-2", "ap-south-1", 0.220),
        ("ap-southeast-2", "us-west-2", 0.140),
        ("ap-south-1", "ap-southeast-2", 0.150),
        ("us-west-2", "us-west-2", 0.0005),
        ("us-west-2", "eu-west-1", 0.150),
    ],
)
def test_round_trip_times_have_defaults(a: str, b: str, seconds: float) -> None:
    assert LabSpec().round_trip(a, b) == seconds


def test_a_round_trip_time_is_the_same_in_both_directions() -> None:
    spec = LabSpec(rtt={("ap-south-1", "us-west-2"): 0.1})
    assert spec.round_trip("us-west-2", "ap-south-1") == 0.1
    assert spec.round_trip("ap-south-1", "us-west-2") == 0.1


def test_a_plan_survives_json() -> None:
    spec = LabSpec(
        regions={"a": 1, "b": 0},
        rtt={("a", "b"): 0.01},
        direct=True,
        settings={"work_mem": "1MB"},
        name="mine",
        single_address=True,
    )
    assert LabSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": {}}, "at least one region, such as us-west-2=1"),
        ({"regions": {"a": -1}}, "region a: -1 readers; use 0 to 20"),
        ({"regions": {"a": 21}}, "region a: 21 readers; use 0 to 20"),
        ({"regions": {"A b": 1}}, "'A b': use up to 31 lower-case letters"),
        ({"regions": {"a@b": 1}}, "'a@b'"),
        ({"regions": {f"r{n}": 20 for n in range(4)}}, "81 nodes; a lab has at most"),
        (
            {"rtt": {("mars", "us-west-2"): 1}},
            "no region 'mars' in this lab; it has us-west-2, ap-south-1, ap-southeast-2",
        ),
        (
            {"rtt": {("us-west-2", "ap-south-1"): -0.1}},
            "round trip us-west-2/ap-south-1: -0.1 is not between 0 and 10 seconds",
        ),
        (
            {"rtt": {("us-west-2", "ap-south-1"): 220}},
            "220 is not between 0 and 10 seconds",
        ),
        ({"settings": {"a b": "1"}}, "'a b' is not the name of a server setting"),
        (
            {"engine": "oracle"},
            "engine 'oracle': the lab has postgresql, mysql, mariadb",
        ),
        ({"name": "../up"}, "lab name '../up'"),
        (
            {"engine": "mysql", "aurora": "strict"},
            "aurora='strict' is for postgresql, not mysql",
        ),
        ({"engine": "mariadb", "aurora": True, "direct": True}, "needs the proxy"),
    ],
)
def test_an_impossible_plan_is_refused_with_what_is_possible(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(LabSpecError) as caught:
        LabSpec(**options)
    assert message in str(caught.value)
