"""Which nodes there are, and what TLS each gets."""

from __future__ import annotations

from functools import partial

import pytest

from globaldb.config import NodeAddress, configure, parse_node
from globaldb.config.nodes import default_host
from globaldb.errors import ConfigurationError


@pytest.fixture
def read(tmp_path):
    return partial(configure, environ={}, folder=tmp_path, home=tmp_path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("us-west-2@10.0.0.1:5432", "us-west-2@10.0.0.1:5432"),
        ("db.example", "db.example:1"),
        ("eu@[::1]", "eu@[::1]:1"),
        ("eu@/var/run:5432", "eu@/var/run:5432"),
        ("eu@%2Fvar%2Frun:5432", "eu@/var/run:5432"),
        ("eu@h:", "eu@h:1"),
    ],
)
def test_a_node_prints_as_it_is_written(text, shown):
    assert str(parse_node(text, 1)) == shown


@pytest.mark.parametrize(
    "text", ["@h", "us@", "us@[::1]x", "us@a/b", "us@h:x", "us@/a,/b", "us@::1"]
)
def test_what_is_no_node_is_refused(text):
    with pytest.raises(ConfigurationError):
        parse_node(text, 1)


def test_nodes_of_a_keyword_replace_the_host_of_the_url(read):
    config = read("postgresql://app@h/shop", node=["us@a:1", "eu@b:2"])
    assert [str(node) for node in config.nodes] == ["us@a:1", "eu@b:2"]
    assert (config.user, config.database, config.source("node")) == (
        "app",
        "shop",
        "keyword",
    )


def test_two_ways_to_name_nodes_in_one_place_contradict(read):
    with pytest.raises(
        ConfigurationError, match=r"node \(URL\) and host \(URL\); choose one"
    ):
        read("postgresql://h/db?node=us@a:1")


def test_a_node_listed_twice_is_refused(read):
    with pytest.raises(ConfigurationError, match="node eu@A:1 is listed twice"):
        read(node=["us@a:1", "eu@A:1"])


def test_without_a_host_the_local_socket_is_taken_if_there_is_one(tmp_path):
    (tmp_path / ".s.PGSQL.5432").touch()
    folders = [str(tmp_path / "none"), str(tmp_path)]
    assert default_host("postgresql", 5432, folders) == str(tmp_path)
    assert default_host("postgresql", 5433, folders) == "localhost"
    assert default_host("mysql", 5432, folders) == "localhost"


def test_without_a_host_pghost_and_pgport_are_taken(read):
    config = read(environ={"PGHOST": "h", "PGPORT": "6000", "PGUSER": "u"})
    assert config.nodes == (NodeAddress(None, "h", 6000),)
    assert config.source("host") == "PGHOST"


def test_a_list_of_hosts_in_pghost_is_refused(read):
    with pytest.raises(ConfigurationError, match="several hosts stand in one place"):
        read(environ={"PGHOST": "h1,h2"})


def test_a_region_without_node_is_remarked_and_allowed(read):
    config = read(node=["us@a", "eu@b"], region="ap")
    assert config.notes == ("no node is in region ap; the nearest will be used",)


@pytest.mark.parametrize("nodes", [["us@a", "ap@b"], ["us@a", "b"]])
def test_a_region_that_some_node_has_or_may_have_is_not_remarked(read, nodes):
    assert read(node=nodes, region="ap").notes == ()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.8.7", "[::1]", "/run"]
)
def test_on_this_machine_tls_is_off_unless_asked_for(read, host):
    (node,) = read(node=host).nodes
    assert read(node=host).tls_for(node) == {"sslmode": "disable"}
    asked = read(node=host, sslmode="require", sslcert="/c")
    assert asked.tls_for(node) == {"sslmode": "require", "sslcert": "/c"}


@pytest.mark.parametrize(
    "host", ["db.example", "10.0.0.1", "[2001:db8::1]", "localhost.example", "127.1"]
)
def test_off_this_machine_the_server_proves_its_name(read, host):
    config = read(node=host)
    assert config.tls_for(config.nodes[0]) == {
        "sslmode": "verify-full",
        "sslrootcert": "system",
    }


def test_a_given_sslmode_wins_and_a_weak_one_is_remarked(read):
    config = read(node=["us@a:1", "us@localhost:1"], sslmode="require")
    assert config.tls_for(config.nodes[0]) == {"sslmode": "require"}
    assert config.notes == ("node us@a:1 need not prove who it is (sslmode=require)",)


def test_given_certificates_are_used(read):
    config = read("postgresql://h/db?sslrootcert=/ca&sslkey=/k&channel_binding=require")
    expected = {"sslmode": "verify-full", "sslrootcert": "/ca", "sslkey": "/k"}
    assert config.tls_for(config.nodes[0]) == expected


def test_the_root_certificates_of_libpq_are_found(read, tmp_path):
    (tmp_path / ".postgresql").mkdir()
    root = tmp_path / ".postgresql" / "root.crt"
    root.touch()
    config = read("postgresql://h/db")
    assert config.tls_for(config.nodes[0])["sslrootcert"] == str(root)


def test_mysql_parses_and_refuses_what_is_postgresqls(read):
    config = read("mysql://h/db", environ={"PGUSER": "u", "PGSSLMODE": "require"})
    assert (config.engine, config.user) == ("mysql", None)
    with pytest.raises(
        ConfigurationError, match=r"sslmode \(URL\) is an option of PostgreSQL"
    ):
        read("mysql://h/db?sslmode=require")
