"""Nodes come to a cluster and leave it while it is in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from promises import FAR, HOME, READER, WRITER, admin, one, table, until

import globaldb
from globaldb.config.address import parse_node
from globaldb.lab import Lab, LabSpec

#: A reader beside the writer.
BESIDE = "us-west-2-2"


@pytest.fixture(scope="module")
def near(module_lab: Callable[[LabSpec], Lab]) -> Lab:
    """Two regions so far from each other that readers are kept apart, and no farther."""
    return module_lab(LabSpec(regions={HOME: 1, FAR: 1}, rtt={(HOME, FAR): 0.04}))


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    """A cluster that knows the writer alone, as an application at the reader has it."""
    table(lab, "visits")
    with globaldb.Cluster(only(lab, WRITER), autocommit=True) as cluster:
        cluster.runtime.may_grow = True
        cluster.connect().close()
        yield cluster


def only(lab: Lab, node: str) -> str:
    """The URL that names *node* alone."""
    head, *nodes = lab.url(FAR).split("&node=")
    [place] = [
        place for place, each in zip(nodes, lab.nodes, strict=True) if each.name == node
    ]
    return f"{head}&node={place}"


def address(lab: Lab, node: str) -> str:
    return only(lab, node).rpartition("=")[2]


def admit(found: globaldb.Cluster, lab: Lab, node: str) -> str:
    """Have the cluster use *node* too, and wait until it has answered."""
    name = found.runtime.admit(parse_node(address(lab, node), 5432)).name
    until(lambda: found.topology.nodes[name].reachable)
    return name


def count(conn: psycopg.Connection) -> int:
    [(number,)] = conn.execute("SELECT count(*) FROM visits")
    return number


def test_a_reader_that_comes_serves_the_sessions_there_are(
    lab: Lab, found: globaldb.Cluster
) -> None:
    with found.connect() as conn:
        assert count(conn) == 0
        assert conn.last_route.role.value == "writer"
        conn.execute("INSERT INTO visits VALUES (1)")
        name = admit(found, lab, READER)
        # What it has written, it reads, wherever that is.
        assert count(conn) == 1
        until(lambda: count(conn) == 1 and conn.last_route.node == name)


def test_what_was_read_before_others_came_is_not_unread(
    lab: Lab, found: globaldb.Cluster
) -> None:
    lab.lag(FAR, 3600)
    try:
        with found.connect() as conn, admin(lab) as beside:
            beside.execute("INSERT INTO visits VALUES (1)")
            assert count(conn) == 1
            admit(found, lab, READER)
            assert count(conn) == 1
            assert conn.last_route.role.value == "writer"
    finally:
        lab.restore()


def test_a_session_goes_on_elsewhere_when_its_reader_leaves(
    lab: Lab, found: globaldb.Cluster
) -> None:
    name = admit(found, lab, READER)
    with found.connect() as conn:
        until(lambda: count(conn) == 0 and conn.last_route.node == name)
        found.runtime.dismiss(name, "it was closed down")
        assert count(conn) == 0
        assert conn.last_route.role.value == "writer"
        assert name not in found.topology.nodes
        assert len(conn.execute("SHOW GLOBALDB NODES").fetchall()) == 1
        assert admit(found, lab, READER) == name
        until(lambda: count(conn) == 0 and conn.last_route.node == name)


def test_a_node_that_comes_again_need_not_have_what_it_has_shown(
    lab: Lab, found: globaldb.Cluster
) -> None:
    name = admit(found, lab, READER)
    with found.connect() as conn:
        until(lambda: count(conn) == 0 and conn.last_route.node == name)
        found.runtime.dismiss(name, "its address was given to another")
        assert admit(found, lab, READER) == name
        assert count(conn) == 0
        assert conn.last_route.reason == "last_reader_gone"


def test_a_reader_that_may_have_become_older_tells_nothing_of_what_it_has_shown(
    lab: Lab, found: globaldb.Cluster
) -> None:
    name, _ = admit(found, lab, READER), admit(found, lab, BESIDE)
    with found.connect() as conn:
        until(lambda: count(conn) == 0 and conn.last_route.node == name)
        found.runtime.doubt(name)
        doubted_at = time.monotonic()
        until(lambda: (found.topology.nodes[name].sampled_at or 0) > doubted_at)
        with conn.using(region=HOME):
            assert count(conn) == 0
        assert conn.last_route.reason == "last_reader_gone"


def test_a_transaction_ends_on_the_node_that_leaves(
    lab: Lab, found: globaldb.Cluster
) -> None:
    admit(found, lab, READER)
    [writer] = [n for n in found.runtime.nodes if n.startswith("us-west-2@")]
    with found.connect() as conn:
        with conn.transaction():
            conn.execute("INSERT INTO visits VALUES (7)")
            found.runtime.dismiss(writer, "it was renamed")
            conn.execute("INSERT INTO visits VALUES (8)")
        with admin(lab) as beside:
            assert one(beside.execute("SELECT count(*) FROM visits")) == (2,)
        done = threading.Event()

        def write() -> None:
            conn.execute("INSERT INTO visits VALUES (9)")
            done.set()

        waiting = threading.Thread(target=write)
        waiting.start()
        admit(found, lab, WRITER)
        assert done.wait(30)
        waiting.join()


def test_nothing_is_left_of_a_node_that_has_left(
    lab: Lab, found: globaldb.Cluster
) -> None:
    name = admit(found, lab, READER)
    with found.connect() as conn:
        until(lambda: count(conn) == 0 and conn.last_route.node == name)
    mine = f"globaldb-monitor-{name}"
    assert mine in [thread.name for thread in threading.enumerate()]
    with admin(lab, READER) as reader:
        connections = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
        before = one(reader.execute(connections))
        found.runtime.dismiss(name, "it was closed down")
        until(lambda: mine not in [thread.name for thread in threading.enumerate()])
        until(lambda: one(reader.execute(connections)) < before)


def test_a_node_that_left_long_ago_tells_nothing_of_what_it_has_shown(
    lab: Lab, found: globaldb.Cluster
) -> None:
    name = admit(found, lab, READER)
    with found.connect() as conn:
        until(lambda: count(conn) == 0 and conn.last_route.node == name)
        found.runtime.dismiss(name, "it was closed down")
        for port in range(1, 100):
            other = found.runtime.admit(parse_node(f"{HOME}@127.0.0.1:{port}", 5432))
            found.runtime.dismiss(other.name, "it never was there")
        assert found.runtime.find(name) is None
        assert count(conn) == 0
        assert conn.last_route.role.value == "writer"
