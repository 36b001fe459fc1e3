"""Nodes are found by records in the DNS, AWS's API, aliases, and standbys."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic

import psycopg
import pytest
from promises import FAR, HOME, READER, WRITER, until
from seeking import (
    NODES,
    SECOND,
    broken,
    complete,
    failures,
    finding,
    found_by,
    hurried,
    instance,
    look_again,
    near_aurora,
    superuser,
    writer,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pg(module_lab: Callable[[LabSpec], Lab]) -> Lab:
    """PostgreSQL's: the engine makes no difference. Standbys are hidden, but for a while."""
    started = module_lab(near_aurora("postgresql"))
    with psycopg.connect(**superuser(started), autocommit=True) as connection:
        connection.execute("REVOKE pg_read_all_stats FROM app")
    return started


def test_what_the_dns_has_told_stays_known_when_it_fails(pg: Lab):
    given = [f"srv={pg.endpoints.zone()}", "connect_timeout=2"]
    with broken(pg), finding(pg, *given, patterns=False) as cluster:
        until(lambda: complete(cluster))
        for fault in ("servfail", "nxdomain", "drop"):
            pg.dns_fault(fault)
            node = next(iter(cluster.runtime.nodes.values()))
            cluster.runtime.driver.close(node.open(monotonic() + 5))
        cluster.runtime.discovery._watches["srv"].hurry()
        until(lambda: failures(cluster, "srv") > 0)
        assert complete(cluster)


def test_without_an_answer_the_first_connection_says_why(pg: Lab):
    url = found_by(pg, "srv=nowhere.lab", "connect_timeout=2")
    with globaldb.Cluster(url) as cluster:
        with pytest.raises(globaldb.NoNodeAvailableError, match="SRV records of _post"):
            cluster.connect()


def test_the_nodes_of_a_global_database_come_from_the_api(
    pg: Lab, monkeypatch: pytest.MonkeyPatch
):
    api = pg.aws()
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    given = f"global_cluster={api.global_cluster}"
    with finding(pg, given, "connect_timeout=30", patterns=False) as cluster:
        until(lambda: complete(cluster))
        states = cluster.topology.nodes.values()
        assert {(s.source, s.region) for s in states} == {("rds", HOME), ("rds", FAR)}


def test_an_unknown_global_database_is_told_with_those_there_are(
    pg: Lab, monkeypatch: pytest.MonkeyPatch
):
    api = pg.aws()
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    with globaldb.Cluster(found_by(pg, "global_cluster=other")) as cluster:
        with pytest.raises(globaldb.NoNodeAvailableError) as caught:
            cluster.connect()
    assert f"no global database 'other' in this account; it has: {pg.name}" in str(
        caught.value
    )


def test_a_name_that_moves_has_its_new_server_asked_at_once(
    pg: Lab, caplog: pytest.LogCaptureFixture
):
    name = pg.endpoints.global_writer
    with caplog.at_level(logging.INFO, "globaldb"), broken(pg):
        with finding(pg, f"host={name}") as cluster:
            until(lambda: complete(cluster))
            pg.switchover(SECOND)
            until(lambda: "name_moved" in caplog.text)
            until(lambda: SECOND in writer(cluster))
    assert f"target={pg.endpoints.instance(SECOND, HOME)}" in caplog.text


def test_a_name_that_moves_has_its_new_server_asked_who_it_is(pg: Lab):
    with finding(pg, instance(pg, READER)) as cluster:
        until(lambda: complete(cluster))
        [node] = [n for n in cluster.runtime.nodes.values() if WRITER in n.name]
        known = cluster.runtime.discovery._surveys.identifiers
        until(lambda: known.get(node.name) == WRITER)
        known[node.name] = "of-before"
        look_again(cluster)
        assert known[node.name] == "of-before"
        cluster.runtime.discovery._moved(node.address, "elsewhere")
        until(lambda: known.get(node.name) == WRITER)


def test_a_source_that_fails_is_told_of_once_and_hurts_no_other(
    pg: Lab, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, "globaldb"), broken(pg):
        with finding(pg, f"host={pg.endpoints.global_writer}") as cluster:
            until(lambda: complete(cluster))
            pg.dns_fault("servfail")
            hurried(cluster, lambda: failures(cluster, "dns") > 2)
            look_again(cluster)
            assert complete(cluster)
            pg.heal()
            hurried(cluster, lambda: "discovery_recovered source=dns" in caplog.text)
    assert caplog.text.count("discovery_failed") == 1


@contextmanager
def standbys(lab: Lab, places: dict[str, str]) -> Iterator[None]:
    """Have the writer see its standbys come from *places*, by their names."""
    cases = " ".join(f"WHEN '{n}' THEN '{each}'::inet" for n, each in places.items())
    with closing(psycopg.connect(**superuser(lab), autocommit=True)) as connection:
        [(before,)] = connection.execute(
            "SELECT pg_get_viewdef('pg_stat_replication'::regclass)"
        )
        table = connection.execute("TABLE pg_stat_replication")
        columns = [each.name for each in table.description or ()]
        listed = ", ".join(columns).replace(
            "client_addr",
            f"CASE application_name {cases} ELSE client_addr END AS client_addr",
        )
        view = "CREATE OR REPLACE VIEW pg_catalog.pg_stat_replication AS "
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(f"{view} SELECT {listed} FROM ({before.rstrip(';')}) AS s")
        connection.execute("GRANT pg_read_all_stats TO app")
        try:
            yield
        finally:
            connection.execute("REVOKE pg_read_all_stats FROM app")
            connection.execute(view + before)


@contextmanager
def watching(lab: Lab, *more: str) -> Iterator[globaldb.Cluster]:
    """A cluster that knows the writer, and asks it for its standbys."""
    head, first, *_ = lab.url(FAR).split("&node=")
    wanted = [f"node={first}", "discover_replicas=on", *more]
    url = "&".join([head, f"port={first.rpartition(':')[2]}", *wanted])
    with globaldb.Cluster(url, autocommit=True) as cluster, cluster.connect():
        yield cluster


def test_the_standbys_of_a_writer_are_found_if_that_is_asked_for(pg: Lab):
    places = {node.name: str(pg.options(FAR, node.name)["host"]) for node in pg.nodes}
    with standbys(pg, places):
        url = "&node=".join(pg.url(FAR).split("&node=")[:2])
        with globaldb.Cluster(url, autocommit=True) as cluster, cluster.connect():
            look_again(cluster)
            assert len(cluster.topology.nodes) == 1
        with watching(pg) as cluster:
            until(lambda: len(cluster.topology.nodes) == len(NODES))
            until(lambda: all(s.reachable for s in cluster.topology.nodes.values()))
            sources = sorted(s.source for s in cluster.topology.nodes.values())
            assert sources == ["configuration", "replicas", "replicas"]


def test_a_standby_that_is_seen_no_more_and_does_not_answer_goes(pg: Lab):
    """What copies a database comes from a new address each time."""
    left = {READER: "127.9.9.9", SECOND: str(pg.options(FAR, SECOND)["host"])}
    back = {**left, READER: str(pg.options(FAR, READER)["host"])}

    def seen(cluster: globaldb.Cluster) -> tuple[bool, int]:
        nodes = list(cluster.topology.nodes)
        return "127.9.9.9" in str(nodes), len(nodes)

    with watching(pg) as cluster:
        with standbys(pg, left):
            # One comes after the other.
            hurried(cluster, lambda: seen(cluster) == (True, len(NODES)))
        with standbys(pg, back):
            hurried(cluster, lambda: seen(cluster) == (False, len(NODES)))


def test_who_need_not_prove_its_name_is_told_no_login_for_copying_the_database(
    pg: Lab, caplog: pytest.LogCaptureFixture
):
    places = {READER: "192.0.2.9", SECOND: str(pg.options(FAR, SECOND)["host"])}
    with standbys(pg, places), watching(pg, "sslmode=prefer") as cluster:
        until(lambda: "standby 192.0.2.9 is left out: with the" in caplog.text)
        assert "192.0.2.9" not in str(list(cluster.topology.nodes))
        assert len(cluster.topology.nodes) == len({WRITER, SECOND})


def test_where_nothing_is_to_be_found_nobody_looks(lab: Lab):
    with globaldb.Cluster(lab.url(FAR), autocommit=True) as cluster, cluster.connect():
        until(lambda: all(s.reachable for s in cluster.topology.nodes.values()))
        threads = [each.name for each in threading.enumerate()]
        assert [name for name in threads if "discovery" in name] == []


def test_without_tracking_nodes_are_found_once(pg: Lab):
    with finding(pg, instance(pg, READER), "track_changes=off") as cluster:
        until(lambda: complete(cluster))
        until(lambda: not any("discovery" in t.name for t in threading.enumerate()))


def test_nothing_looks_any_more_once_the_cluster_is_closed(pg: Lab):
    with finding(pg, f"host={pg.endpoints.global_writer}") as cluster:
        until(lambda: complete(cluster))
    assert not any("discovery" in each.name for each in threading.enumerate())
