"""Nodes that nobody has named are found, followed, and kept in order."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import copy
from time import monotonic
from typing import Any, Final

import psycopg
import pymysql
import pytest
from lab_fixtures import engines
from promises import FAR, HOME, READER, WRITER, until

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SECOND: Final = "us-west-2-2"
NODES: Final = {WRITER, SECOND, READER}
#: Aurora is PostgreSQL or MySQL.
AURORA: Final = [engine for engine in ("postgresql", "mysql") if engine in engines()]
#: Where the instances are noted that the servers tell of.
NOTED: Final = {
    "postgresql": "lab.instances",
    "mysql": "information_aurora.instances",
}


@pytest.fixture(scope="module")
def labs(module_lab: Callable[[LabSpec], Lab]) -> Callable[[str], Lab]:
    """Two regions near each other: it is not distance that these tests are about."""
    found: dict[str, Lab] = {}

    def lab_of(engine: str) -> Lab:
        if engine not in found:
            found[engine] = module_lab(
                LabSpec(
                    engine=engine,
                    aurora=True,
                    regions={HOME: 1, FAR: 1},
                    rtt={(HOME, FAR): 0.01},
                )
            )
        return found[engine]

    return lab_of


@pytest.fixture(params=AURORA)
def aurora(labs: Callable[[str], Lab], request: pytest.FixtureRequest) -> Lab:
    """Each engine's lab, for tests that leave it as it is."""
    return labs(request.param)


@pytest.fixture
def pg(labs: Callable[[str], Lab]) -> Lab:
    """PostgreSQL's, where an engine makes no difference."""
    return labs("postgresql")


@contextmanager
def broken(lab: Lab) -> Iterator[None]:
    """Put *lab* right in the end: all nodes there, all names known, the writer home."""
    try:
        yield
    finally:
        lab.restore()
        if lab.writer().name != WRITER:
            lab.switchover(WRITER)


def found_by(lab: Lab, *more: str, patterns: bool = True) -> str:
    """The URL of a client in `FAR` that names no node yet; *more* is ``name=value``."""
    head, _, node = lab.url(FAR).partition("&node=")
    host, port = lab.dns(FAR)
    off = "sslmode=disable" if lab.spec.engine == "postgresql" else "ssl_mode=disabled"
    parts = [head, off, f"dns_server={host}:{port}", f"port={node.rpartition(':')[2]}"]
    if patterns:
        ends, regions = lab.endpoints, lab.spec.regions
        parts += [f"host_pattern={each}@{ends.pattern(each)}" for each in regions]
    return "&".join([*parts, *more])


@contextmanager
def finding(lab: Lab, *more: str, **given: Any) -> Iterator[globaldb.Cluster]:
    """A cluster that is looking for its nodes, with a session open."""
    url = found_by(lab, *more, **given)
    with globaldb.Cluster(url, autocommit=True) as cluster, cluster.connect():
        yield cluster


def instance(lab: Lab, node: str) -> str:
    region = next(each.region for each in lab.nodes if each.name == node)
    return "host=" + lab.endpoints.instance(node, region)


def names(cluster: globaldb.Cluster) -> list[str]:
    """The first label of every node's host, and those that do not answer."""
    return sorted(
        name.rpartition("@")[2].partition(".")[0] + ("" if state.reachable else "?")
        for name, state in cluster.topology.nodes.items()
    )


def complete(cluster: globaldb.Cluster) -> bool:
    return set(names(cluster)) == NODES and len(cluster.topology.nodes) == len(NODES)


def writer(cluster: globaldb.Cluster) -> str:
    state = cluster.topology.writer
    return "" if state is None else state.name


def note(lab: Lab, *statements: str) -> None:
    """Change what the servers tell of each other."""
    connect: Any = psycopg.connect
    if lab.spec.engine != "postgresql":
        connect = pymysql.connect
    with closing(connect(**superuser(lab), autocommit=True)) as connection:
        for statement in statements:
            connection.cursor().execute(statement.format(NOTED[lab.spec.engine], HOME))


def superuser(lab: Lab) -> dict[str, Any]:
    home = lab.writer()
    return dict(lab.options(home.region, home.name, superuser=True))


def test_one_instance_and_patterns_are_enough_to_find_all_nodes(aurora: Lab):
    with finding(aurora, instance(aurora, READER)) as cluster:
        until(lambda: complete(cluster))
        assert WRITER in writer(cluster)
        sources = {s.name: s.source for s in cluster.topology.nodes.values()}
        assert sorted(sources.values()) == ["aurora", "aurora", "configuration"]
        with cluster.connect() as conn:
            cursor = conn.cursor()
            cursor.execute("SHOW GLOBALDB NODES")
            column = [each[0] for each in cursor.description].index("source")
            assert {row[0]: row[column] for row in cursor.fetchall()} == sources


def test_the_global_name_gives_way_to_the_instances(aurora: Lab):
    with finding(aurora, f"host={aurora.endpoints.global_writer}") as cluster:
        until(lambda: complete(cluster))
        assert len({s.region for s in cluster.topology.nodes.values()}) == 2


def test_the_name_of_all_readers_gives_way_to_the_instances_too(aurora: Lab):
    """It leads to another with each connection."""
    with finding(aurora, f"host={aurora.endpoints.reader(HOME)}") as cluster:
        until(lambda: complete(cluster))


def test_without_patterns_a_name_leads_to_the_instances_of_its_region(pg: Lab):
    name = f"host={pg.endpoints.writer(HOME)}"
    with finding(pg, name, patterns=False) as cluster:
        until(lambda: names(cluster) == [WRITER, SECOND])


def test_an_instance_that_is_removed_goes_and_one_that_is_made_comes(pg: Lab):
    with broken(pg), finding(pg, instance(pg, READER)) as cluster:
        until(lambda: complete(cluster))
        pg.kill(SECOND)
        note(pg, f"DELETE FROM {{}} WHERE server_id = '{SECOND}'")
        hurried(cluster, lambda: names(cluster) == [READER, WRITER])
        note(pg, made(SECOND, HOME))
        pg.start_node(SECOND)
        hurried(cluster, lambda: complete(cluster))


def test_a_region_that_is_added_is_found(pg: Lab):
    note(pg, f"DELETE FROM {{}} WHERE server_id = '{READER}'")
    try:
        with finding(pg, instance(pg, SECOND)) as cluster:
            until(lambda: names(cluster) == [WRITER, SECOND])
            look_again(cluster)
            assert names(cluster) == [WRITER, SECOND]
            note(pg, made(READER, FAR))
            hurried(cluster, lambda: complete(cluster))
    finally:
        note(pg, f"{made(READER, FAR)} ON CONFLICT DO NOTHING")


def made(node: str, region: str) -> str:
    return (
        "INSERT INTO {} (node, server_id, aws_region)"
        f" VALUES ('{node}', '{node}', '{region}')"
    )


def test_a_switchover_is_followed(aurora: Lab):
    with broken(aurora), finding(aurora, instance(aurora, SECOND)) as cluster:
        until(lambda: complete(cluster))
        aurora.switchover(FAR)
        until(lambda: READER in writer(cluster))
        until(lambda: complete(cluster))


@pytest.fixture
def noted(pg: Lab) -> Iterator[Lab]:
    """A lab whose notes of instances are put right in the end."""
    yield pg
    known = ", ".join(f"'{each}'" for each in NODES)
    note(pg, f"DELETE FROM {{}} WHERE node NOT IN ({known})")


def test_nothing_a_server_tells_becomes_an_address_of_its_own(
    noted: Lab, caplog: pytest.LogCaptureFixture
):
    evil = ["a@evil.example", "a/b", "a b", "a.evil.example", "a:1", "x?y", ""]
    evil += ["it''s", '"', "a\nb", "a\x1b[2J", "\u202e", "9" * 64, "8" * 100_000]
    rows = [f"('{each}', '{each}', '{HOME}')" for each in evil]
    rows += [f"('{n}-1', '{n}-1', '{n}')" for n in ("mars", "global", "m" * 100_000)]
    note(
        noted,
        f"INSERT INTO lab.instances (node, server_id, aws_region)"
        f" VALUES {', '.join(rows)}",
    )
    with caplog.at_level(logging.WARNING, "globaldb"):
        with finding(noted, instance(noted, READER)) as cluster:
            until(lambda: complete(cluster))
            until(lambda: remarks(caplog) == len(rows))
            cluster.runtime.discovery.hurry()
            until(lambda: complete(cluster))
    assert remarks(caplog) == len(rows)
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if len(text) > 400 or not text.isprintable()] == []


def test_a_list_without_end_is_not_believed(
    noted: Lab, caplog: pytest.LogCaptureFixture
):
    many = "SELECT 'n-' || n, 'n-' || n, '{1}' FROM generate_series(1, 10000) AS n"
    with caplog.at_level(logging.WARNING, "globaldb"):
        with finding(noted, instance(noted, READER)) as cluster:
            until(lambda: complete(cluster))
            note(noted, f"INSERT INTO {{0}} (node, server_id, aws_region) {many}")
            hurried(cluster, lambda: "tells of 10003 nodes" in caplog.text)
            assert complete(cluster)


def test_the_nearest_node_is_asked_and_the_writer_far_away_is_not(aurora: Lab):
    with finding(aurora, instance(aurora, WRITER), "probe_interval=60") as cluster:
        until(lambda: complete(cluster))
        until(lambda: len(cluster.runtime.discovery._surveys.identifiers) == len(NODES))
        look_again(cluster)
        aurora.reset_counters()
        for _ in range(3):
            look_again(cluster)
        trips = {
            link.node: link.round_trips
            for link in aurora.counters()
            if link.client_region == FAR
        }
    assert (trips[WRITER], trips[SECOND]) == (0, 0)
    assert trips[READER] >= 3


def remarks(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("nothing tells how it is reached")


def test_two_who_are_told_to_be_the_writer_change_nothing(aurora: Lab):
    with finding(aurora, instance(aurora, READER)) as cluster:
        until(lambda: complete(cluster))
        before = cluster.runtime.reign
        aurora.claim(READER)
        try:
            look_again(cluster)
            assert (WRITER in writer(cluster), cluster.runtime.reign) == (True, before)
        finally:
            aurora.claim(None)


def look_again(cluster: globaldb.Cluster) -> None:
    """Wait until Aurora's tables were read once more."""
    before = surveyed_at(cluster)
    cluster.runtime.discovery.hurry()
    until(lambda: surveyed_at(cluster) > before)


def surveyed_at(cluster: globaldb.Cluster) -> float:
    latest = cluster.runtime.discovery._membership.latest.get("aurora")
    return 0.0 if latest is None else latest.at


@contextmanager
def asking(lab: Lab, name: str) -> Iterator[Callable[..., set[str] | None]]:
    """Yield what asks node *name* whom it knows, in other ways than those given."""
    with finding(lab, instance(lab, name)) as cluster:
        until(lambda: complete(cluster))
        [node] = [n for each, n in cluster.runtime.nodes.items() if name in each]
        link = node.open(monotonic() + 5)

        def ask(*ways: str) -> set[str] | None:
            link.facts = copy(node.facts)
            for way in ways:
                link.facts.sees_nothing_in(way)
            found = cluster.runtime.driver.survey(link, monotonic() + 5)
            return None if found is None else {each.id for each in found.members}

        yield ask
        cluster.runtime.driver.close(link)


def test_what_was_not_heard_of_for_minutes_is_no_instance_any_more(aurora: Lab):
    """Rows of what was deleted stay for a while in what one region tells."""
    notes, mysql = NOTED[aurora.spec.engine], aurora.spec.engine == "mysql"
    now = "UTC_TIMESTAMP(6)" if mysql else "now()"
    columns = "server_id, aws_region, session_id, writes, seen_at"
    columns, node = (columns, "") if mysql else (f"node, {columns}", "'{0}', ")
    ghost = (
        f"INSERT INTO {notes} ({columns}) VALUES ({node}'{{0}}', '{HOME}', 'x', false,"
        f" {now} - INTERVAL {{1}})"
    )
    minutes = ("1 MINUTE", "10 MINUTE") if mysql else ("'1 minute'", "'10 minutes'")
    with asking(aurora, SECOND) as ask:
        note(aurora, *map(ghost.format, ("late-1", "gone-1"), minutes))
        try:
            until(lambda: ask() == NODES | {"late-1", "gone-1"})
            region = ask("aurora_global", "aurora_instances")
            assert region == {WRITER, SECOND, "late-1"}
        finally:
            note(aurora, f"DELETE FROM {notes} WHERE server_id IN ('late-1', 'gone-1')")


def test_a_server_that_tells_of_nobody_for_a_moment_is_asked_again(aurora: Lab):
    """So does one that is being promoted."""
    notes, kept = NOTED[aurora.spec.engine], f"{NOTED[aurora.spec.engine]}_kept"
    with asking(aurora, READER) as ask:
        assert ask() == NODES
        note(aurora, f"CREATE TABLE {kept} AS SELECT * FROM {notes}")
        try:
            note(aurora, f"DELETE FROM {notes}")
            until(lambda: ask() is None)
        finally:
            note(aurora, f"INSERT INTO {notes} SELECT * FROM {kept}")
            note(aurora, f"DROP TABLE {kept}")
        until(lambda: ask() == NODES)


def test_who_may_not_ask_of_all_regions_is_told_of_one(pg: Lab):
    view = "FUNCTION pg_catalog.aurora_global_db_instance_status()"
    note(pg, f"REVOKE EXECUTE ON {view} FROM PUBLIC")
    try:
        with finding(pg, instance(pg, SECOND)) as cluster:
            until(lambda: names(cluster) == [WRITER, SECOND])
    finally:
        note(pg, f"GRANT EXECUTE ON {view} TO PUBLIC")


# SRV records, the RDS API, and names that move.


def test_the_records_of_a_service_list_the_nodes(aurora: Lab):
    patterns = [
        f"host_pattern={region}@{aurora.endpoints.host('?', region)}"
        for region in aurora.spec.regions
    ]
    name = f"srv={aurora.endpoints.zone()}"
    with finding(aurora, name, *patterns, patterns=False) as cluster:
        until(lambda: complete(cluster))
        states = cluster.topology.nodes.values()
        assert {state.source for state in states} == {"srv"}
        assert {state.region for state in states} == {HOME, FAR}


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


def test_a_node_named_without_a_region_is_where_it_says_it_is(aurora: Lab):
    host = aurora.options(FAR, READER)["host"]
    with finding(aurora, f"host={host}", patterns=False) as cluster:
        until(lambda: [s.region for s in cluster.topology.nodes.values()] == [FAR])
        with cluster.connect() as conn:
            conn.cursor().execute("SELECT 1")
            assert conn.last_route.region == FAR


def test_a_node_whose_region_is_named_otherwise_is_one_node_all_the_same(pg: Lab):
    """Two pools of one server would take turns in being the writer."""
    spot = pg.options(FAR, READER)
    with finding(pg, f"node=moon@{spot['host']}:{spot['port']}") as cluster:
        until(lambda: len(cluster.topology.nodes) == len(NODES))
        look_again(cluster)
        look_again(cluster)
        assert len(cluster.topology.nodes) == len(NODES)
        assert cluster.runtime.reign == 1


def test_who_was_too_busy_to_say_who_it_is_is_asked_again(pg: Lab):
    """Else it may become two nodes, of which each is the writer in turn."""
    one = "pool_max_size=1"
    with finding(pg, instance(pg, READER), one, "probe_interval=60") as cluster:
        until(lambda: complete(cluster))
        surveys = cluster.runtime.discovery._surveys
        [node] = [n for n in cluster.runtime.nodes.values() if WRITER in n.name]
        until(lambda: surveys.identifiers.get(node.name) == WRITER)
        lease = node.pool.checkout(monotonic() + 5)
        del surveys.identifiers[node.name]
        look_again(cluster)
        node.pool.checkin(lease)
        look_again(cluster)
        until(lambda: surveys.identifiers.get(node.name) == WRITER)


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


def failures(cluster: globaldb.Cluster, source: str) -> int:
    return cluster.runtime.discovery._watches[source]._failures


def hurried(cluster: globaldb.Cluster, condition: Callable[[], bool]) -> None:
    """Wait for *condition* with a look as soon as one may be taken."""

    def looked() -> bool:
        cluster.runtime.discovery.hurry()
        return condition()

    until(looked)


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
    with watching(pg) as cluster:
        with standbys(pg, left):
            hurried(cluster, lambda: len(cluster.topology.nodes) == len(NODES))
            assert "127.9.9.9" in str(list(cluster.topology.nodes))
        with standbys(pg, back):
            hurried(cluster, lambda: "127.9.9.9" not in str([*cluster.topology.nodes]))
            assert len(cluster.topology.nodes) == len(NODES)


def test_who_need_not_prove_its_name_is_told_no_login_for_copying_the_database(
    pg: Lab, caplog: pytest.LogCaptureFixture
):
    places = {READER: "192.0.2.9", SECOND: str(pg.options(FAR, SECOND)["host"])}
    with standbys(pg, places), watching(pg, "sslmode=prefer") as cluster:
        until(lambda: "standby 192.0.2.9 is left out: with the" in caplog.text)
        assert "192.0.2.9" not in str(list(cluster.topology.nodes))
        assert len(cluster.topology.nodes) == len({WRITER, SECOND})


# What is not done.


def test_where_nothing_is_to_be_found_nobody_looks(lab: Lab):
    with globaldb.Cluster(lab.url(FAR), autocommit=True) as cluster, cluster.connect():
        until(lambda: all(s.reachable for s in cluster.topology.nodes.values()))
        threads = [each.name for each in threading.enumerate()]
        assert [name for name in threads if "discovery" in name] == []


def test_without_tracking_nodes_are_found_once(pg: Lab):
    with finding(pg, instance(pg, READER), "track_changes=off") as cluster:
        until(lambda: complete(cluster))
        until(lambda: not any("discovery" in t.name for t in threading.enumerate()))


def test_without_tracking_too_nodes_are_looked_for_until_all_are_known(pg: Lab):
    """Nobody comes who may be the node that has not answered yet."""
    spots = [pg.options(FAR, node) for node in (READER, SECOND)]
    nodes = [
        f"node={region}@{spot['host']}:{spot['port']}"
        for region, spot in zip((FAR, HOME), spots, strict=True)
    ]
    with broken(pg):
        pg.freeze(FAR, SECOND)
        with finding(pg, *nodes, "track_changes=off", "connect_timeout=30") as cluster:
            look_again(cluster)
            assert len(cluster.topology.nodes) == len(nodes)
            pg.thaw(FAR, SECOND)
            until(lambda: len(cluster.topology.nodes) == len(NODES))
            until(lambda: not any("discovery" in t.name for t in threading.enumerate()))


def test_nothing_looks_any_more_once_the_cluster_is_closed(pg: Lab):
    with finding(pg, f"host={pg.endpoints.global_writer}") as cluster:
        until(lambda: complete(cluster))
    assert not any("discovery" in each.name for each in threading.enumerate())


def test_a_forked_child_follows_the_nodes_by_itself(pg: Lab):
    """The threads of its parent are not there; nodes come to it all the same."""
    program = """
import os, sys, threading, time, globaldb
cluster = globaldb.Cluster(sys.argv[1], autocommit=True)
conn = cluster.connect()
def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, cluster.topology
        time.sleep(0.01)
known = lambda: len(cluster.topology.nodes) == 3 and cluster.topology.writer
until(known)
child = os.fork()
if child == 0:
    gone = [n for n in cluster.topology.nodes if n.startswith("us-west-2@")]
    for name in gone:
        cluster.runtime.dismiss(name, "as if it had never been found")
    conn.execute("SELECT 1")
    until(known)
    names = [each.name for each in threading.enumerate()]
    assert len([n for n in names if n == "globaldb-discovery-aurora"]) == 1, names
    cluster.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
until(known)
cluster.close()
print("followed")
"""
    url = found_by(pg, instance(pg, READER))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("followed\n", 0), done.stderr


@pytest.mark.parametrize("aurora", [e for e in AURORA if e == "mysql"], indirect=True)
def test_a_lag_of_mysql_counts_the_way_to_its_region(aurora: Lab):
    """Its tables tell how late an instance is behind the storage of its region."""
    behind_storage = 0.015
    with finding(aurora, instance(aurora, READER)) as cluster:
        until(lambda: complete(cluster))

        def late() -> float:
            look_again(cluster)
            latest = cluster.runtime.discovery._membership.latest["aurora"]
            [member] = [m for m in latest.members if m.id == READER]
            return member.lag or 0.0

        until(lambda: late() > behind_storage)
