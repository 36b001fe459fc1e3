"""Nodes that nobody has named are found in Aurora's tables, followed, kept in order."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from time import monotonic

import pytest
from promises import FAR, HOME, READER, WRITER, until
from seeking import (
    AURORA,
    NODES,
    NOTED,
    SECOND,
    broken,
    complete,
    finding,
    found_by,
    hurried,
    instance,
    look_again,
    made,
    names,
    near_aurora,
    note,
    writer,
)

from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def labs(module_lab: Callable[[LabSpec], Lab]) -> Callable[[str], Lab]:
    """One of each engine, started when it is wanted."""
    found: dict[str, Lab] = {}

    def lab_of(engine: str) -> Lab:
        if engine not in found:
            found[engine] = module_lab(near_aurora(engine))
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
