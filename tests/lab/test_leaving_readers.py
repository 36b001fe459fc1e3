"""What a session has seen at a reader is asked of whoever serves it next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

import mysql_family as family
import pytest
from lab_client import ask, connect
from lab_fixtures import FreshLab
from promises import FAR, HOME, READER, WRITER, cluster, until

import globaldb
from globaldb.core.topology import Role, Topology
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

THIRD = "ap-southeast-2"
OTHERS = ("ap-southeast-2-1", "ap-southeast-2-2")
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.02, (HOME, THIRD): 0.02, (FAR, THIRD): 0.02},
)
#: Seconds: more than any wait for a reader.
BEHIND = 30
COUNT = "SELECT count(*) FROM t"
Connection = Any


@contextmanager
def warm(lab: Lab) -> Iterator[globaldb.Cluster]:
    """A cluster that has an empty table everywhere, and looks no more at its nodes."""
    with cluster(lab, token_secret="s") as found, found.connect() as maker:
        with maker.cursor() as cursor:
            cursor.execute("CREATE TABLE t (n int)")
        for region in (FAR, THIRD):
            assert count(maker, region) == 0
        yield found


def count(conn: Connection, region: str) -> int:
    with conn.using(region=region), conn.cursor() as cursor:
        cursor.execute(COUNT)
        return int(cursor.fetchone()[0])


def count_in_a_transaction(conn: Connection, region: str) -> int:
    with conn.using(region=region), conn.cursor() as cursor:
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute(COUNT)
        [found] = cursor.fetchone()
        cursor.execute("COMMIT")
        return int(found)


def leads_to(lab: Lab, node: str, name: str) -> bool:
    """Whether *node* of the lab is what a cluster in FAR calls *name*."""
    where = lab.options(FAR, node)
    return name.endswith(f"@{where['host']}:{where['port']}")


def test_it_may_have_been_promoted_a_moment_ago(
    fresh_lab: FreshLab, engine: str
) -> None:
    lab = fresh_lab(replace(SPEC, engine=engine))
    with warm(lab) as found, found.connect() as conn:
        assert count(conn, FAR) == 0
        lab.switchover(FAR)
        lab.lag(THIRD, BEHIND)
        ask(lab, FAR, READER, "INSERT INTO t VALUES (1)")
        # Over a connection that has outlived the promotion.
        assert count(conn, FAR) == 1
        assert count(conn, THIRD) == 1


def test_by_now_it_may_be_the_writer_and_known_to_be(fresh_lab: FreshLab) -> None:
    # So what does not wait for its disk is there much later.
    lab = fresh_lab(replace(SPEC, settings={"wal_writer_delay": "10s"}))
    with warm(lab) as found, found.connect() as conn:
        assert count(conn, FAR) == 0
        lab.switchover(FAR)
        with closing(connect(lab, FAR, READER)) as writer:
            writer.execute("SET synchronous_commit = off")
            writer.execute("INSERT INTO t VALUES (1)")
        assert count(conn, FAR) == 1
        found.runtime.monitor.hurry()
        until(lambda: known(found, FAR).role is Role.WRITER)
        until(lambda: known(found, THIRD).position.timeline == 2)
        assert count(conn, THIRD) == 1


def known(found: globaldb.Cluster, region: str) -> Any:
    """What is believed of the one node of *region*."""
    [state] = [each for each in found.topology.nodes.values() if each.region == region]
    return state


def test_it_may_be_one_that_would_let_anybody_write(fresh_lab: FreshLab) -> None:
    """A replica of MariaDB that is not read_only, and writes down nobody's writes."""
    settings = {"log_slave_updates": "OFF"}
    lab = fresh_lab(replace(SPEC, engine="mariadb", settings=settings))
    with family.admin(lab, READER) as reader:
        reader.execute("SET GLOBAL read_only = 0")
    with warm(lab) as found, found.connect() as conn:
        for node in found.runtime.nodes.values():
            # Connections that no probe has asked are all there are then.
            node.pool.drain()
        assert count(conn, FAR) == 0
        lab.lag(THIRD, BEHIND)
        ask(lab, HOME, WRITER, "INSERT INTO t VALUES (1)")
        until(lambda: count(conn, FAR) == 1)
        assert count(conn, THIRD) == 1
        # It could tell what it has shown, and the other one has not that yet.
        assert conn.last_route.reason == "reader_behind"


@pytest.mark.parametrize("look", [count, count_in_a_transaction])
def test_also_of_the_next_but_one(
    fresh_lab: FreshLab, look: Callable[[Connection, str], int]
) -> None:
    lab = fresh_lab(replace(SPEC, regions={HOME: 0, FAR: 1, THIRD: 2}))
    with warm(lab) as found, found.connect() as busy, found.connect() as conn:
        count(busy, THIRD)
        spared = busy.last_route.node
        with busy.using(region=THIRD), busy.transaction():
            busy.execute("SET TRANSACTION READ ONLY")
            busy.execute(COUNT)
            assert busy.last_route.node == spared
            lab.lag(THIRD, BEHIND)
            ask(lab, HOME, WRITER, "INSERT INTO t VALUES (1)")
            until(lambda: count(conn, FAR) == 1)
            # The one at rest is chosen first; nobody has noticed that it is gone.
            gone = next(name for name in OTHERS if not leads_to(lab, name, spared))
            lab.kill(gone)
            for name, node in found.runtime.nodes.items():
                if leads_to(lab, gone, name):
                    node.pool.drain()
            assert look(conn, THIRD) == 1


@pytest.mark.parametrize("handed_on", [False, True])
def test_what_it_shows_of_a_newer_timeline_than_it_names(
    fresh_lab: FreshLab, *, handed_on: bool
) -> None:
    new = "eu-central-1"
    lab = fresh_lab(replace(SPEC, regions={HOME: 0, FAR: 1, THIRD: 1, new: 1}))
    with ExitStack() as opened:
        found = opened.enter_context(warm(lab))
        conn, other = (opened.enter_context(found.connect()) for _ in range(2))
        conn.execute("INSERT INTO t VALUES (1)")
        assert count(conn, FAR) == count(conn, THIRD) == 1
        lab.switchover(new)
        other.execute("DELETE FROM t WHERE n = 0")
        lab.lag(THIRD, BEHIND)
        ask(lab, new, f"{new}-1", "INSERT INTO t VALUES (1)")
        # As a user sees it who may not be told what a reader receives.
        found.runtime.restate(name_the_first_timeline)
        until(lambda: count(conn, FAR) == 2)
        if handed_on:
            token, conn = conn.token, opened.enter_context(found.connect())
            conn.observe(token)
        assert count(conn, THIRD) == 2


def name_the_first_timeline(topology: Topology) -> Topology:
    return replace(
        topology,
        nodes={
            name: replace(state, position=state.position and state.position.on(1))
            if state.role is Role.READER
            else state
            for name, state in topology.nodes.items()
        },
    )
