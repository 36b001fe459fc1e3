"""Which names are followed, what it means that one moves, and what has to be there."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from time import monotonic

import pytest
from pymysql import err

import globaldb
from globaldb.config import configure, parse_node
from globaldb.config.secret import Login
from globaldb.core.endpoints import HostPattern
from globaldb.core.fence import Abilities
from globaldb.core.membership import Member
from globaldb.drivers.psycopg.driver import parameters
from globaldb.drivers.pymysql.parameters import parameters as mysql_parameters
from globaldb.drivers.pymysql.physical import Physical
from globaldb.errors import ConfigurationError
from globaldb.runtime.discovery.dns import elsewhere, followed, instance_behind
from globaldb.runtime.discovery.names import Trail, is_name

AURORA = "us-west-2.rds.amazonaws.com"


def trail(end, *addresses):
    return Trail(("db.example", end), frozenset(addresses), 5.0)


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "/run", "localhost", "LOCALHOST"])
def test_what_is_no_name_is_asked_of_nobody(host):
    assert not is_name(host)


def test_names_that_may_move_are_followed():
    hosts = [
        f"shop.cluster-abc1.{AURORA}",
        "shop.global-abc1.global.rds.amazonaws.com",
        "db.example",
    ]
    others = [
        f"shop.cluster-ro-abc1.{AURORA}",
        f"shop-1.abc1.{AURORA}",
        f"pool.proxy-abc1.{AURORA}",
        "10.0.0.1",
    ]
    nodes = [parse_node(host, 5432) for host in [*hosts, *others]]
    assert [node.host for node in followed(nodes)] == hosts


def test_a_name_has_moved_when_its_alias_or_all_its_addresses_are_others():
    assert elsewhere(trail("a", "1"), trail("b", "1"))
    assert elsewhere(trail("a", "1", "2"), trail("a", "3"))
    assert not elsewhere(trail("a", "1", "2"), trail("a", "2", "3"))


def test_the_instance_behind_a_name_is_told_by_the_end_of_its_aliases():
    node = parse_node(f"shop.cluster-abc1.{AURORA}:7", 1)
    end = f"shop-1.abc1.{AURORA}"
    ours = HostPattern("us-west-2", f"?.abc1.{AURORA}")
    assert instance_behind(node, trail(end, "1"), [ours]) == Member(
        "shop-1", "us-west-2", (end, 7), writer=True
    )
    assert instance_behind(node, trail("db.example", "1"), [ours]) is None
    own = parse_node("db.example:7", 1)
    assert instance_behind(own, trail(end, "1")) == Member(
        "shop-1", "us-west-2", None, writer=False
    )


@pytest.mark.parametrize(
    ("option", "module", "extra"),
    [
        ({"global_cluster": "shop"}, "boto3", "aws"),
        ({"srv": "db.example"}, "dns", "dns"),
        ({"host": "h", "dns_server": "10.0.0.2"}, "dns", "dns"),
    ],
)
def test_what_is_not_installed_is_named_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, option, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError) as caught:
        globaldb.Cluster(**option)
    assert f"pip install 'globaldb[{extra}]'" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "asked"),
    [(f"pool.proxy-abc1.{AURORA}", False), (f"shop-1.abc1.{AURORA}", True)],
)
def test_nobody_is_asked_who_it_is_through_a_proxy(host, asked):
    with globaldb.Cluster(f"postgresql://app@{host}/shop") as cluster:
        [node] = cluster.runtime.nodes.values()
        node.facts.abilities = Abilities(views=frozenset(("aurora_global",)))
        assert cluster.runtime.discovery._surveys.concerns(node) is asked


# Where a name is, and who a server has to prove to be, are two things.

FOUND = replace(parse_node("db.example:5432", 1), at="127.0.0.1")


def test_libpq_is_told_where_a_name_is_and_goes_on_to_verify_the_name():
    config = configure("postgresql://app@db.example/shop", environ={})
    given = parameters(config, FOUND, Login("app", None))
    assert (given["host"], given["hostaddr"]) == ("db.example", "127.0.0.1")
    assert given["sslmode"] == "verify-full"
    unknown = parameters(config, replace(FOUND, at=None), Login("app", None))
    assert "hostaddr" not in unknown


def test_pymysql_connects_to_where_a_name_is_and_goes_on_to_verify_the_name():
    config = configure("mysql://app@db.example/shop", environ={})
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = replace(FOUND, port=server.getsockname()[1])
        given = mysql_parameters(config, there, Login("app", None), {})
        assert given["host"] == "db.example"
        assert given["ssl"].check_hostname
        with pytest.raises(err.OperationalError):
            # It accepts, and says nothing.
            Physical.reach(given, monotonic() + 0.3)
        accepted, _ = server.accept()
        accepted.close()
