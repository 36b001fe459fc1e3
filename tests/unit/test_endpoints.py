"""What a name of Aurora says, and what never becomes a host."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from globaldb.core.endpoints import (
    EndpointKind,
    HostPattern,
    parse_endpoint,
    region_of,
    stands_for_others,
)

US = HostPattern("us-west-2", "?.abc1.us-west-2.rds.amazonaws.com")


@pytest.mark.parametrize(
    ("host", "kind", "region", "pattern"),
    [
        (
            "shop.cluster-abc1.us-west-2.rds.amazonaws.com",
            "cluster",
            "us-west-2",
            "?.abc1.us-west-2.rds.amazonaws.com",
        ),
        (
            "SHOP.Cluster-RO-abc1.US-West-2.rds.amazonaws.com.",
            "reader",
            "us-west-2",
            "?.abc1.us-west-2.rds.amazonaws.com",
        ),
        (
            "batch.cluster-custom-abc1.eu-west-1.rds.amazonaws.com",
            "custom",
            "eu-west-1",
            "?.abc1.eu-west-1.rds.amazonaws.com",
        ),
        (
            "shop-1.abc1.ap-south-1.rds.amazonaws.com",
            "instance",
            "ap-south-1",
            "?.abc1.ap-south-1.rds.amazonaws.com",
        ),
        ("shop.global-abc1.global.rds.amazonaws.com", "global", None, None),
        ("pool.proxy-abc1.us-west-2.rds.amazonaws.com", "proxy", "us-west-2", None),
        (
            "more.endpoint.proxy-abc1.us-west-2.rds.amazonaws.com",
            "proxy",
            "us-west-2",
            None,
        ),
        (
            "many.shardgrp-abc1.us-west-2.rds.amazonaws.com",
            "limitless",
            "us-west-2",
            None,
        ),
        (
            "shop.cluster-abc1.rds.cn-north-1.amazonaws.com.cn",
            "cluster",
            "cn-north-1",
            "?.abc1.rds.cn-north-1.amazonaws.com.cn",
        ),
        (
            "shop-1.abc1.cn-northwest-1.rds.amazonaws.com.cn",
            "instance",
            "cn-northwest-1",
            "?.abc1.cn-northwest-1.rds.amazonaws.com.cn",
        ),
        (
            "shop.cluster-ro-abc1.rds.us-gov-west-1.amazonaws.com",
            "reader",
            "us-gov-west-1",
            "?.abc1.rds.us-gov-west-1.amazonaws.com",
        ),
        (
            "shop-1.abc1.rds.us-iso-east-1.c2s.ic.gov",
            "instance",
            "us-iso-east-1",
            "?.abc1.rds.us-iso-east-1.c2s.ic.gov",
        ),
        (
            "shop-1.abc1.us-east-1.rds-fips.amazonaws.com",
            "instance",
            "us-east-1",
            "?.abc1.us-east-1.rds-fips.amazonaws.com",
        ),
    ],
)
def test_the_name_of_an_endpoint_tells_what_it_is(host, kind, region, pattern):
    found = parse_endpoint(host)
    assert (found.kind.value, found.region) == (kind, region)
    assert (found.pattern and found.pattern.host) == pattern


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "10.0.0.1",
        "/var/run/postgresql",
        "shop.cluster-abc1.us-west-2.rds.amazonaws.com.evil.example",
        "rds.amazonaws.com",
        "a@b.abc1.us-west-2.rds.amazonaws.com",
        "shop.cluster-abc1.us-west-2.rds.amazonaws.comet",
    ],
)
def test_other_names_are_no_endpoints(host):
    assert parse_endpoint(host) is None


def test_the_label_global_is_no_region():
    for host in (
        "shop.global-abc1.global.rds.amazonaws.com",
        "shop.cluster-abc1.global.rds.amazonaws.com",
    ):
        found = parse_endpoint(host)
        assert (found.kind, found.region) == (EndpointKind.GLOBAL, None)


def test_names_before_instances_are_told_from_instances_and_poolers():
    suffix = "us-west-2.rds.amazonaws.com"
    assert stands_for_others(f"shop.cluster-abc1.{suffix}")
    assert stands_for_others(f"shop.cluster-ro-abc1.{suffix}")
    assert not stands_for_others(f"shop-1.abc1.{suffix}")
    assert not stands_for_others(f"pool.proxy-abc1.{suffix}")


def test_a_pattern_makes_the_place_of_an_instance():
    place = ("shop-1.abc1.us-west-2.rds.amazonaws.com", 5432)
    assert US.place("Shop-1", 5432) == place
    assert HostPattern("r", "?.x", 7).place("a", 5432) == ("a.x", 7)
    assert HostPattern("r", "127.44.1.?").place("3", 1) == ("127.44.1.3", 1)


@pytest.mark.parametrize(
    "instance",
    ["", "a@evil.example", "a/b", "a b", "a.b", "a:1", "-a", "a?b", "a\x00", "é", "?"],
)
def test_what_is_no_identifier_makes_no_place(instance):
    assert US.place(instance, 5432) is None


@given(st.text(max_size=80))
def test_no_text_of_a_server_leads_outside_of_the_pattern(instance):
    place = US.place(instance, 5432)
    if place is not None:
        label, _, rest = place[0].partition(".")
        assert rest == "abc1.us-west-2.rds.amazonaws.com"
        assert label == instance.lower()


def test_a_host_tells_its_region_by_pattern_or_by_name():
    lab = HostPattern("eu", "?.eu.db.example", 7)
    assert region_of("n1.eu.db.example", 7, [lab]) == "eu"
    assert region_of("N1.EU.db.example.", 7, [lab]) == "eu"
    assert region_of("n1.eu.db.example", 8, [lab]) is None
    assert region_of("n1.n2.eu.db.example", 7, [lab]) is None
    assert region_of(".eu.db.example", 7, [lab]) is None
    assert region_of("a.abc1.us-west-2.rds.amazonaws.com", 1, [lab]) == "us-west-2"
    assert region_of("10.0.0.1", 7, [lab]) is None
