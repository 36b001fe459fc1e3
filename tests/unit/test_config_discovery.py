"""How a configuration says where nodes are found beside those it names."""

from __future__ import annotations

from functools import partial

import pytest

from globaldb.config import configure
from globaldb.errors import ConfigurationError

CLUSTER = "shop.cluster-abc1.us-west-2.rds.amazonaws.com"


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


def shown(config):
    return [str(pattern) for pattern in config.host_pattern]


def test_by_default_changes_are_tracked_and_nobody_else_is_asked(read):
    config = read("postgresql://h/db")
    assert (config.track_changes, config.discover_replicas) == (True, False)
    assert (config.global_cluster, config.srv, config.dns_server) == (None, None, None)
    assert config.host_pattern == ()


def test_an_endpoint_of_aurora_tells_its_region_and_how_instances_are_called(read):
    config = read(f"postgresql://{CLUSTER}/db")
    assert [str(node) for node in config.nodes] == [f"us-west-2@{CLUSTER}:5432"]
    assert shown(config) == ["us-west-2@?.abc1.us-west-2.rds.amazonaws.com"]


def test_a_pattern_given_wins_over_the_one_of_an_endpoint(read):
    url = f"postgresql://{CLUSTER}/db?host_pattern=us-west-2@?.internal:7"
    assert shown(read(url)) == ["us-west-2@?.internal:7"]


def test_the_global_endpoint_is_in_no_region_and_tells_no_pattern(read):
    config = read("mysql://shop.global-abc1.global.rds.amazonaws.com/db")
    assert [node.region for node in config.nodes] == [None]
    assert config.host_pattern == ()


def test_patterns_are_repeated_like_nodes_wherever_they_stand(read, tmp_path):
    wanted = ["us@?.us.example", "eu@?.eu.example:7"]
    url = "postgresql://h/db?" + "&".join(f"host_pattern={p}" for p in wanted)
    assert shown(read(url)) == wanted
    assert shown(read(url.replace("?.", "%3F."))) == wanted
    assert shown(read(host="h", host_pattern=wanted)) == wanted
    environ = {"GLOBALDB_HOST_PATTERN": ",".join(wanted)}
    assert shown(configure(environ=environ, folder=tmp_path, home=tmp_path)) == wanted


def test_a_pattern_tells_the_region_of_a_node_named_without_one(read):
    config = read(node=["n1.eu.example:7"], host_pattern="eu@?.eu.example:7")
    assert [str(node) for node in config.nodes] == ["eu@n1.eu.example:7"]


RDS = "us-west-2.rds.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no region"),
        ("?.x", "names no region"),
        (f"us-west-2:?.abc1.{RDS}", "names no region"),
        ("@?.x", "the region of a host_pattern is not a name"),
        ("app:hidden@?.x", "the region of a host_pattern is not a name"),
        ("us@", "for us has no host"),
        ("us@x", "for us is 'x', which has no ?"),
        ("us@?.?.x", "for us is '?.?.x', which has 2 ?"),
        ("us@?/x", "for us has a host that is no name"),
        ("us@? x", "for us has a host that is no name"),
        ("us@hidden@?.x", "for us has a host that is no name"),
        (f"eu-west-1@?.abc1.{RDS}", "which is in us-west-2; a pattern is REGION@HOST"),
        (
            f"us-west-2@?.cluster-abc1.{RDS}",
            f"which no instance is called: theirs is ?.abc1.{RDS}; a pattern is",
        ),
        (
            "us-west-2@?.global-abc1.global.rds.amazonaws.com",
            "which no instance is called; a pattern is REGION@HOST or REGION@HOST:PORT",
        ),
    ],
)
def test_what_is_no_pattern_is_told_what_is_wrong_with_it(read, text, says):
    with pytest.raises(ConfigurationError) as caught:
        read(host="h", host_pattern=[text])
    assert says in str(caught.value)
    assert "for example us-west-2@?.xyz.us-west-2.rds.amazonaws.com" in str(
        caught.value
    )
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("port", ["x", "0", "70000"])
def test_a_pattern_has_a_port_that_can_be_one(read, port):
    with pytest.raises(ConfigurationError, match="a port is a whole number"):
        read(host="h", host_pattern=[f"us@?.x:{port}"])


def test_global_is_refused_as_the_region_of_a_pattern(read):
    with pytest.raises(ConfigurationError, match="'global', which is none"):
        read(host="h", host_pattern="global@?.x")


def test_two_patterns_of_a_region_contradict(read):
    with pytest.raises(ConfigurationError, match="names region us twice"):
        read(host="h", host_pattern=["us@?.x", "us@?.y"])


@pytest.mark.parametrize("source", ["global_cluster", "srv"])
def test_a_source_of_nodes_needs_no_node_beside_it(read, source):
    config = read(f"postgresql:///db?{source}=shop.example&port=7")
    assert (config.nodes, config.default_port) == ((), 7)
    assert not [note for note in config.notes if "region" in note]


def test_a_source_of_nodes_and_nodes_in_one_place_contradict(read):
    with pytest.raises(ConfigurationError, match="the nodes are given in 2 ways"):
        read("postgresql://h/db?global_cluster=shop")


def test_nodes_named_in_a_stronger_place_leave_the_source_out(read):
    config = read("postgresql://h/db", region="eu")
    toml = read("postgresql:///db?global_cluster=shop", node="eu@a")
    assert (config.global_cluster, toml.global_cluster) == (None, None)
    assert [str(node) for node in toml.nodes] == ["eu@a:5432"]


def test_a_cluster_of_the_file_may_be_found_through_a_source(read, tmp_path):
    (tmp_path / "globaldb.toml").write_text('[clusters.a]\nglobal_cluster = "shop"\n')
    assert read(cluster="a").global_cluster == "shop"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql:///db?srv=db.example", "_postgresql._tcp.db.example"),
        ("mysql:///db?srv=db.example", "_mysql._tcp.db.example"),
        ("mysql:///db?srv=_maria._tcp.db.example", "_maria._tcp.db.example"),
    ],
)
def test_the_service_stands_in_front_of_the_name(read, url, name):
    assert read(url).srv == name


@pytest.mark.parametrize("name", ["a b", "a/b", "a@b", "a:1"])
def test_what_is_no_name_has_no_service_records(read, name):
    with pytest.raises(ConfigurationError, match="no name in the DNS"):
        read(srv=name)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("[::1]:53", ("::1", 53)),
    ],
)
def test_the_name_server_is_an_address(read, text, server):
    assert read(host="h", dns_server=text).dns_server == server


@pytest.mark.parametrize("text", ["ns.example", "10.0.0.2:x", "10.0.0", "a b"])
def test_a_name_server_that_is_none_is_refused(read, text):
    with pytest.raises(ConfigurationError):
        read(host="h", dns_server=text)


def test_clusters_found_differently_are_different_clusters(read):
    one = read("postgresql:///db?global_cluster=shop")
    two = read("postgresql:///db?global_cluster=other")
    assert one != two
    assert one == read("postgresql:///db?global_cluster=shop")


def test_standbys_are_asked_for_of_postgresql_alone(read):
    assert read("postgresql://h/db?discover_replicas=on").discover_replicas
    with pytest.raises(ConfigurationError, match="is for PostgreSQL; the engine is"):
        read("mysql://h/db?discover_replicas=on")
