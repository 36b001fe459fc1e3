"""Transactions on MySQL and MariaDB when something breaks: all of them, or an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from mysql_family import (
    admin,
    caught_up,
    connected,
    each_engine,
    near,
    run,
    table,
    value,
)
from promises import FAR, until

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

Connection = Any
READ = "SELECT v FROM mt WHERE id = %s"
UPDATE = "UPDATE mt SET v = v + 1 WHERE id = %s"


@pytest.fixture(scope="module")
def started(engine: str, module_lab: Any) -> Lab:
    found: Lab = module_lab(near(engine))
    return found


@pytest.fixture
def lab(started: Lab) -> Lab:
    started.restore()
    table(started, "mt", "id int primary key, v int")
    with admin(started) as writer:
        writer.execute("INSERT INTO mt VALUES (1, 0), (2, 0), (3, 0)")
    caught_up(started)
    return started


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with connected(lab, autocommit=False) as connection:
        yield connection


def test_a_transaction_that_is_answered_is_kept_though_nobody_else_is(lab, conn):
    """A busy server lets nobody in for a while: those who are there go on."""
    run(conn, UPDATE, (1,))
    monitor = conn.session.cluster.monitor
    watch = monitor._watches[conn.session.node.name]
    for _ in range(3):
        watch.sent(time.monotonic())
        run(conn, UPDATE, (1,))
        monitor._lose(watch, TimeoutError("timed out"))
    run(conn, UPDATE, (1,))
    conn.commit()
    assert value(conn, READ, (1,)) == 5


def test_a_savepoint_outlives_the_reader_its_transaction_has_read_at(lab, conn):
    run(conn, "SAVEPOINT before")
    assert value(conn, READ, (1,)) == 0
    lab.cut(FAR, "ap-south-1-1", "request", containing="ROLLBACK TO")
    run(conn, "ROLLBACK TO SAVEPOINT before")
    run(conn, UPDATE, (1,))
    run(conn, "ROLLBACK TO SAVEPOINT before")
    run(conn, UPDATE, (2,))
    conn.commit()
    assert [value(conn, READ, (key,)) for key in (1, 2)] == [0, 1]


def test_a_look_of_the_background_that_is_late_ends_nothing_of_anybody(lab, conn):
    cluster = conn.session.cluster
    [reader] = [n for n in cluster.nodes.values() if n.state.role is Role.READER]
    reader.pool.warm(2)
    until(lambda: reader.pool.stats.idle > 1)
    lab.latency(FAR, FAR, 0.05)
    cluster.lookout._look(reader, time.monotonic())
    left = list(iter(reader.pool.try_checkout, None))
    assert left
    assert not any(lease.connection.spoiled for lease in left)
    for lease in left:
        reader.pool.checkin(lease)


@pytest.mark.filterwarnings("error")
def test_rows_that_were_never_asked_for_are_not_said_to_be_left(lab, conn):
    run(conn, UPDATE, (1,))
    link = conn.session.lease.connection
    with admin(lab) as root:
        root.execute(f"KILL {link.server_thread_id[0]}")
    until(link.hung_up)
    cursor = conn.cursor(pymysql.cursors.SSCursor)
    with pytest.raises(globaldb.NodeLostError):
        cursor.execute("SELECT id FROM mt")
    with pytest.raises(globaldb.InternalError):
        run(conn, UPDATE, (1,))
    conn.rollback()
    assert run(conn, UPDATE, (2,)) == 1


def test_what_no_rollback_undoes_is_not_to_be_repeated(lab, conn):
    with admin(lab) as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS plain (n int) ENGINE = MyISAM")
    caught_up(lab)
    value(conn, READ, (1,))
    with admin(lab) as other:
        other.execute(UPDATE % 1)
    with pytest.raises(globaldb.OperationalError) as caught:
        run(conn, "INSERT INTO plain VALUES (1)")
    assert caught.value.args[0] == 1213
    assert "look before you repeat it" in str(caught.value)
    assert not caught.value.retryable
