"""A COMMIT that was not answered: what the database can tell, and what it cannot."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, admin, caught_up, cluster, counts, one, table, until

import globaldb
from globaldb.core.outcome import End, Inquiry, Trace
from globaldb.core.topology import Role
from globaldb.core.trip import Reply, Trip
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: Nothing reaches a disk, or a reader, before somebody commits.
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.02},
    settings={
        "wal_writer_delay": "10s",
        "bgwriter_delay": "10s",
        "max_prepared_transactions": "5",
    },
)
LOCK = 4711
Connection = Any
INSERT = "INSERT INTO o VALUES (%s)"


@pytest.fixture(scope="module")
def pair(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    with admin(started, started.writer().name) as writer:
        writer.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END'"
        )
    return started


@pytest.fixture
def lab(pair: Lab) -> Lab:
    pair.restore()
    for node in pair.nodes:
        with admin(pair, node.name) as server:
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
    table(pair, "o")
    with admin(pair, pair.writer().name) as writer:
        writer.execute(
            "CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON o DEFERRABLE "
            "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()"
        )
        writer.execute("CHECKPOINT")
    caught_up(pair)
    with admin(pair, other(pair)) as reader:
        # From now on it says which timeline it follows: until then, an older one.
        reader.execute("CHECKPOINT")
    return pair


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab, connect_timeout=30) as found, found.connect() as conn:
        yield conn


class Commit:
    """A transaction whose COMMIT has been sent, and its connection lost since."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.failure: Exception | None = None
        conn.execute("BEGIN")
        conn.execute(INSERT, (1,))
        trace = conn.session.transaction.trace
        assert trace is not None
        self.trace: Trace = trace
        self.link = conn.session.lease.connection
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._conn.commit()
        except globaldb.Error as error:
            self.failure = error

    def send(self) -> None:
        self._thread.start()

    def lose(self) -> None:
        """Have the network reset the connection."""
        with socket.socket(fileno=os.dup(self.link.pgconn.socket)) as way:
            way.shutdown(socket.SHUT_RDWR)

    def wait(self) -> Exception | None:
        """Wait for what the application is told."""
        self._thread.join(40)
        assert not self._thread.is_alive()
        return self.failure


def has(server: Any, query: str, *values: Any) -> Callable[[], bool]:
    return lambda: server.execute(query, values).rowcount > 0


WAITING = "SELECT FROM pg_stat_activity WHERE wait_event = '{}'"
#: The last part of the question what became of it.
ASKED = (
    "SELECT FROM pg_stat_activity WHERE usename = 'app' AND query_start > %s "
    "AND query LIKE 'SELECT pg\\_catalog.pg\\_current\\_wal\\_flush\\_lsn(),%%'"
)


@contextmanager
def held_by_a_lock(lab: Lab, conn: Connection) -> Iterator[Commit]:
    """A COMMIT that waits inside the block before it is written to the log."""
    commit = Commit(conn)
    with admin(lab, lab.writer().name) as writer:
        writer.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        commit.send()
        until(has(writer, WAITING.format("advisory")))
        commit.lose()
        yield commit


def held_by_a_standby(lab: Lab, conn: Connection) -> Commit:
    """A COMMIT that is in the log, and waits for a standby that does not exist."""
    with admin(lab, lab.writer().name) as writer:
        set_standby(writer, "nobody")
        commit = Commit(conn)
        commit.send()
        until(has(writer, WAITING.format("SyncRep")))
        commit.lose()
        return commit


def was_told(commit: Commit) -> None:
    """Wait until the one who asks was told that what it wrote is on the disk."""
    flushed = commit.link.facts.flushed
    assert commit.trace.written is not None
    until(lambda: flushed.get(commit.trace.run, 0) >= commit.trace.written)


def set_standby(writer: Any, name: str) -> None:
    writer.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    writer.execute("SELECT pg_reload_conf()")
    until(lambda: one(writer.execute("SHOW synchronous_standby_names")) == (name,))


def other(lab: Lab) -> str:
    writer = lab.writer().name
    return next(node.name for node in lab.nodes if node.name != writer)


def give_out(server: Any, xid: int) -> None:
    """Use transaction ids up to *xid*, all of them committed."""
    while one(server.execute("SELECT pg_current_xact_id()::text::bigint")) < (xid,):
        pass
    assert status(server, xid) == "committed"


def status(server: Any, xid: int) -> str:
    return str(one(server.execute(f"SELECT pg_xact_status('{xid}')"))[0])


def test_a_commit_that_was_not_answered_is_seen_by_its_session_at_a_reader(
    lab: Lab,
) -> None:
    # Beside the reader, wherever an earlier test has left the writer.
    reader = next(each for each in lab.nodes if each.name == other(lab))
    with cluster(lab, reader.region, connect_timeout=30) as found:
        with found.connect() as conn:
            commit = held_by_a_standby(lab, conn)
            with admin(lab, lab.writer().name) as writer:
                set_standby(writer, "")
            assert commit.wait() is None
            caught_up(lab)
            with conn.using(route="reader"):
                assert one(conn.execute("SELECT n FROM o")) == (1,)
            assert conn.last_route.role is Role.READER
            assert not conn.session.books.position_unknown


def test_a_commit_under_way_is_asked_for_again_until_it_has_ended(
    lab: Lab, conn: Connection
) -> None:
    with held_by_a_lock(lab, conn) as commit, admin(lab, lab.writer().name) as writer:
        [now] = one(writer.execute("SELECT clock_timestamp()"))
        until(has(writer, ASKED, now))
        assert status(writer, commit.trace.xid) == "in progress"
        assert commit.failure is None
    assert commit.wait() is None
    assert counts(lab, "o") == {1: 1}


def test_a_commit_that_never_ends_is_ended(lab: Lab) -> None:
    with cluster(lab, connect_timeout=1.5) as found, found.connect() as conn:
        with held_by_a_lock(lab, conn) as commit:
            told = commit.wait()
        assert isinstance(told, globaldb.NodeLostError)
        assert "rolled back" in str(told)
    assert counts(lab, "o") == {}


def test_a_transaction_whose_commit_does_not_arrive_is_ended(
    lab: Lab, conn: Connection
) -> None:
    asking = conn.session.cluster.driver
    commit = Commit(conn)
    with cluster(lab) as found, found.connect() as another:
        another.execute("BEGIN")
        another.execute("CREATE TEMP TABLE mine ()")
        link = another.session.lease.connection

        def told(trace: Trace, end: End) -> str | None:
            reply = Reply()
            asking.travel(link, None, Trip(inquiry=Inquiry(trace, end)), reply)
            return None if reply.told is None else reply.told.status

        # Whoever has its number in another run of the server is left alone.
        for run in ({"started": "1.5"}, {"recovered": 1 << 20}):
            stranger = replace(commit.trace, run=replace(commit.trace.run, **run))
            told(stranger, End.BUSY)
        assert told(commit.trace, End.WAITING) == "in progress"
        until(lambda: told(commit.trace, End.NO) == "aborted")
        another.rollback()
    commit.send()
    assert isinstance(commit.wait(), globaldb.NodeLostError)


def test_a_commit_that_waits_for_a_standby_is_left_alone(lab: Lab) -> None:
    with cluster(lab, connect_timeout=1.5) as found, found.connect() as conn:
        commit = held_by_a_standby(lab, conn)
        told = commit.wait()
        assert isinstance(told, globaldb.OutcomeUnknownError)
        assert "still under way" in str(told)
    with admin(lab, lab.writer().name) as writer:
        assert has(writer, WAITING.format("SyncRep"))()
        set_standby(writer, "")
    until(lambda: counts(lab, "o") == {1: 1})


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


def test_what_has_gone_with_the_connection_is_told_after_the_commit(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("CREATE TEMP TABLE mine AS SELECT 2 AS n")
    lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")
    with conn.transaction():
        conn.execute(INSERT, (1,))
    assert counts(lab, "o") == {1: 1}
    with pytest.raises(globaldb.NodeLostError, match="temporary tables"):
        conn.execute("INSERT INTO o SELECT n FROM mine")
    with pytest.raises(globaldb.ProgrammingError):
        conn.execute("SELECT n FROM mine")
    assert counts(lab, "o") == {1: 1}


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
def test_a_transaction_that_only_read_has_nothing_to_lose(
    lab: Lab, conn: Connection, isolation: str
) -> None:
    def read() -> None:
        with conn.using(route="writer"), conn.transaction():
            conn.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            conn.execute("SELECT n FROM o")
            lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")

    serializable = pytest.raises(globaldb.NodeLostError, match="rolled back")
    with serializable if isolation == "SERIALIZABLE" else nullcontext():
        read()


def test_a_failed_transaction_was_rolled_back_whatever_the_network_does(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN")
    conn.execute(INSERT, (1,))
    with pytest.raises(globaldb.ProgrammingError):
        conn.execute("SELECT nonsense")
    lab.cut(FAR, lab.writer().name, "reply", containing="COMMIT")
    assert conn.execute("COMMIT").statusmessage == "ROLLBACK"
    assert counts(lab, "o") == {}


def test_what_is_not_followed_in_the_log_is_not_told_after_it_was_lost(
    conn: Connection,
) -> None:
    """A temporary table's rows use the id, and leave no trace of it in the log."""
    transaction = conn.session.transaction
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT 1 FROM o FOR UPDATE")
        assert transaction.trace is None
        conn.execute("CREATE TEMP TABLE mine (n int)")
        first = transaction.trace
        with conn.cursor() as cursor, cursor.copy("COPY mine FROM STDIN") as rows:
            rows.write_row((1,))
        assert transaction.trace == first.blurred()
        conn.execute("LOCK TABLE mine")
        assert transaction.trace == first.blurred()
        conn.execute(INSERT, (1,))
        assert transaction.trace.xid == first.xid
        assert transaction.trace.written > first.written
        told = transaction.trace
        conn.execute("SELECT n FROM o")
        assert transaction.trace is told
    assert transaction.trace is None


def insert_many(conn: Connection) -> None:
    conn.cursor().executemany(INSERT, [(1,), (2,)])


def insert_many_and_look(conn: Connection) -> None:
    cursor = conn.cursor()
    rows = [(1,), (2,)]
    cursor.executemany(INSERT + " RETURNING n", rows, returning=True)
    assert [each.fetchone() for each in cursor.results()] == rows


def insert_one_then_many(conn: Connection) -> None:
    conn.execute(INSERT, (1,))
    conn.cursor().executemany(INSERT, [(2,)])


def copy(conn: Connection) -> None:
    with conn.cursor() as cursor, cursor.copy("COPY o FROM STDIN") as rows:
        rows.write_row((1,))
        rows.write_row((2,))


@pytest.mark.parametrize("when", ["reply", "request"])
@pytest.mark.parametrize(
    ("write", "followed"),
    [
        (insert_many, True),
        (insert_many_and_look, True),
        (insert_one_then_many, True),
        (copy, False),
    ],
)
def test_what_the_driver_says_by_itself_is_asked_for_too(
    lab: Lab,
    conn: Connection,
    write: Callable[[Connection], None],
    when: str,
    *,
    followed: bool,
) -> None:
    lost = pytest.raises(globaldb.NodeLostError)
    with lost if when == "request" else nullcontext(), conn.transaction():
        write(conn)
        trace = conn.session.transaction.trace
        assert trace is not None
        assert (trace.written is not None) == followed
        lab.cut(FAR, lab.writer().name, when, containing="COMMIT")
    assert counts(lab, "o") == ({} if when == "request" else {1: 1, 2: 1})


@pytest.mark.parametrize("when", ["reply", "request"])
def test_a_write_outside_a_transaction_can_be_resolved_for_another_trip(
    lab: Lab, when: str
) -> None:
    with cluster(lab, resolve_autocommit=True) as found, found.connect() as conn:
        lab.cut(FAR, lab.writer().name, when, containing="INSERT INTO o")
        conn.execute(INSERT, (0,))
        lab.cut(FAR, lab.writer().name, when, containing="COMMIT")
        try:
            [row] = conn.execute(INSERT + " RETURNING n", (1,)).fetchall()
            assert (row, when) == ((1,), "reply")
        except globaldb.NodeLostError:
            assert when == "request"
        with pytest.raises(globaldb.DataError):
            conn.execute("INSERT INTO o VALUES (1 / 0)")
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        # What may be in no transaction is sent as ever.
        conn.execute("VACUUM o")
    expected = {0: 1, 1: 1} if when == "reply" else {0: 1}
    assert counts(lab, "o") == expected


def test_a_transaction_that_may_be_prepared_was_not_certainly_lost(
    lab: Lab, conn: Connection
) -> None:
    conn.set_autocommit(False)
    conn.tpc_begin("one")
    conn.execute(INSERT, (1,))
    lab.cut(FAR, lab.writer().name, "reply", containing="PREPARE TRANSACTION")
    with pytest.raises(globaldb.OutcomeUnknownError):
        conn.tpc_prepare()
    with admin(lab, lab.writer().name) as writer:
        prepared = "SELECT gid FROM pg_prepared_xacts"
        assert one(writer.execute(prepared)) == ("one",)
        conn.close()
        with globaldb.connect(lab.url(FAR), autocommit=True) as another:
            another.tpc_rollback("one")
        assert writer.execute(prepared).fetchall() == []
