"""A COMMIT that was not answered by a server which has gone down since."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from commits import (
    INSERT,
    SPEC,
    WAITING,
    Commit,
    Connection,
    give_out,
    has,
    held_by_a_lock,
    held_by_a_standby,
    other,
    prepare,
    refresh,
    set_standby,
)
from promises import FAR, HOME, admin, caught_up, cluster, counts, one, until

import globaldb
from globaldb.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pair(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    prepare(started)
    return started


@pytest.fixture
def lab(pair: Lab) -> Lab:
    refresh(pair)
    return pair


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab, connect_timeout=30) as found, found.connect() as conn:
        yield conn


def was_told(commit: Commit) -> None:
    """Wait until the one who asks was told that what it wrote is on the disk."""
    flushed = commit.link.facts.flushed
    assert commit.trace.written is not None
    until(lambda: flushed.get(commit.trace.run, 0) >= commit.trace.written)


def test_a_commit_is_told_after_a_switchover(lab: Lab, conn: Connection) -> None:
    commit = held_by_a_standby(lab, conn)
    was_told(commit)
    lab.switchover(other(lab))
    assert commit.wait() is None
    assert one(conn.execute("SELECT n FROM o")) == (1,)
    assert counts(lab, "o") == {1: 1}


def test_a_commit_that_had_arrived_is_told_after_a_failover(
    lab: Lab, conn: Connection
) -> None:
    commit = held_by_a_standby(lab, conn)
    was_told(commit)
    caught_up(lab)
    lab.failover(other(lab))
    assert commit.wait() is None
    assert counts(lab, "o") == {1: 1}


def test_a_transaction_that_had_arrived_without_its_commit_has_failed(
    lab: Lab, conn: Connection
) -> None:
    with held_by_a_lock(lab, conn) as commit:
        with admin(lab, lab.writer().name) as writer:
            # Another one's commit takes what is before it to the disk.
            writer.execute("COMMENT ON TABLE o IS 'flushed'")
        caught_up(lab)
        lab.failover(other(lab))
    assert isinstance(commit.wait(), globaldb.NodeLostError)
    assert counts(lab, "o") == {}


def test_an_id_that_was_given_out_again_tells_nothing_after_a_failover(
    lab: Lab, conn: Connection
) -> None:
    target = other(lab)
    with held_by_a_lock(lab, conn) as commit:
        lab.freeze(FAR, target)
        lab.failover(target)
    where = lab.dsn(HOME, target, superuser=True)
    with psycopg.connect(where, autocommit=True) as writer:
        give_out(writer, commit.trace.xid)
    assert commit.failure is None
    lab.thaw(FAR, target)
    told = commit.wait()
    assert isinstance(told, globaldb.OutcomeUnknownError)
    assert "not known to have received" in str(told)
    assert counts(lab, "o") == {}


def restart(lab: Lab) -> None:
    """Pull the writer's plug, and start it again as it is."""
    writer = lab.writer().name
    lab.kill(writer)
    lab.start_node(writer)


def restart_in_order(lab: Lab) -> None:
    """Shut the writer down, and start it again."""
    writer = lab.writer().name

    def pid() -> int | None:
        nodes = lab.status()["nodes"]
        return next(node["pid"] for node in nodes if node["name"] == writer)

    running = pid()
    assert running is not None
    os.kill(running, signal.SIGINT)
    until(lambda: pid() is None)
    lab.start_node(writer)


def fail_over(lab: Lab) -> None:
    """Have the reader follow what the writer has now, and promote it."""
    caught_up(lab)
    lab.failover(other(lab))


def use_up(lab: Lab, commit: Commit) -> None:
    """Give the id out again at the writer, and have its log grow past the first one."""
    with admin(lab, lab.writer().name) as writer:
        give_out(writer, commit.trace.xid)
        grown = "SELECT pg_current_wal_flush_lsn() - '0/0' > %s"
        while one(writer.execute(grown, (commit.trace.written,))) != (True,):
            writer.execute("COMMENT ON TABLE o IS 'flushed'")
        writer.execute("CHECKPOINT")


def test_a_commit_that_was_flushed_is_told_after_a_crash(
    lab: Lab, conn: Connection
) -> None:
    commit = held_by_a_standby(lab, conn)
    was_told(commit)
    restart(lab)
    with admin(lab, lab.writer().name) as writer:
        set_standby(writer, "")
    assert commit.wait() is None
    assert counts(lab, "o") == {1: 1}


def test_a_crash_before_the_commit_is_a_failure_although_the_id_is_used_again(
    lab: Lab, conn: Connection
) -> None:
    with held_by_a_lock(lab, conn) as commit:
        lab.freeze(FAR, lab.writer().name)
        restart(lab)
    where = lab.dsn(HOME, lab.writer().name, superuser=True)
    with psycopg.connect(where, autocommit=True) as writer:
        give_out(writer, commit.trace.xid)
    assert commit.failure is None
    lab.thaw(FAR, lab.writer().name)
    assert isinstance(commit.wait(), globaldb.NodeLostError)
    assert counts(lab, "o") == {}


@pytest.mark.parametrize("then", [restart, restart_in_order, fail_over])
def test_an_id_that_was_given_out_again_tells_nothing_after_the_next_fault(
    lab: Lab, conn: Connection, then: Callable[[Lab], None]
) -> None:
    """Nothing in the server that answers shows the crash before the last one."""
    victim = lab.writer().name
    with held_by_a_lock(lab, conn) as commit:
        lab.freeze(FAR, victim)
        restart(lab)
    use_up(lab, commit)
    then(lab)
    assert commit.failure is None
    lab.thaw(FAR, victim)
    told = commit.wait()
    assert isinstance(told, globaldb.OutcomeUnknownError)
    assert "may be another one's" in str(told)
    assert counts(lab, "o") == {}


def test_a_promoted_server_that_has_crashed_does_not_tell_what_it_had_received(
    lab: Lab,
) -> None:
    # Where the network keeps the next writer, and the log, away from us.
    here = lab.writer().region
    with cluster(lab, here, connect_timeout=30) as found, found.connect() as conn:
        with held_by_a_lock(lab, conn) as commit:
            lab.partition(HOME, FAR)
            with admin(lab, lab.writer().name) as writer:
                writer.execute("COMMENT ON TABLE o IS 'flushed'")
            was_told(commit)
            lab.failover(other(lab))
        use_up(lab, commit)
        restart(lab)
        assert commit.failure is None
        lab.heal()
        told = commit.wait()
    assert isinstance(told, globaldb.OutcomeUnknownError)
    assert "not known to have received" in str(told)
    assert counts(lab, "o") == {}


@pytest.fixture
def silent(lab: Lab) -> Iterator[Connection]:
    """A server that does not tell of its recoveries, as Aurora does not."""
    function = "ON FUNCTION pg_last_wal_replay_lsn()"
    with admin(lab, lab.writer().name) as writer:
        writer.execute(f"REVOKE EXECUTE {function} FROM PUBLIC")
    caught_up(lab)
    with cluster(lab, connect_timeout=30) as found, found.connect() as conn:
        writing = found.topology.writer
        assert writing is not None
        pool = found.runtime.nodes[writing.name].pool
        # One for the monitor, and one for who asks: as there are after some probes.
        pool.warm(3)
        until(lambda: pool.stats.idle == 3)
        yield conn
    with admin(lab, lab.writer().name) as writer:
        writer.execute(f"GRANT EXECUTE {function} TO PUBLIC")


def waits(lab: Lab, victim: str) -> bool:
    """Whether the COMMIT is still held at the writer, or nobody can say."""
    try:
        with admin(lab, victim) as writer:
            return has(writer, WAITING.format("advisory"))()
    except psycopg.OperationalError:
        return True


def test_an_id_that_was_given_out_again_after_a_crash_nobody_tells_of_tells_nothing(
    lab: Lab, silent: Connection
) -> None:
    """Only the backends are restarted, so the server has been up since before."""
    victim = lab.writer().name
    with held_by_a_lock(lab, silent) as commit:
        assert commit.trace.run.recovered is None
        lab.freeze(FAR, victim)
        with admin(lab, victim) as writer:
            waiting = WAITING.format("advisory").replace("SELECT", "SELECT pid")
            [backend] = one(writer.execute(waiting))
        os.kill(backend, signal.SIGKILL)
        until(lambda: not waits(lab, victim))
    use_up(lab, commit)
    assert commit.failure is None
    lab.thaw(FAR, victim)
    told = commit.wait()
    assert isinstance(told, globaldb.OutcomeUnknownError)
    assert "whether it has crashed" in str(told)
    assert counts(lab, "o") == {}


@pytest.mark.parametrize("when", ["reply", "request"])
def test_a_connection_from_before_tells_that_there_was_no_crash(
    lab: Lab, silent: Connection, when: str
) -> None:
    lost = pytest.raises(globaldb.NodeLostError)
    with lost if when == "request" else nullcontext(), silent.transaction():
        silent.execute(INSERT, (1,))
        lab.cut(FAR, lab.writer().name, when, containing="COMMIT")
    assert counts(lab, "o") == ({} if when == "request" else {1: 1})
