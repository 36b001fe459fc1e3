"""What real servers say when they fail is taken for what it is.

Each failure is provoked twice: once beneath a plain driver, to see what its error is
taken for, and once beneath a session, to see what the application is told.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from mysql_family import admin as mysql_admin, table as mysql_table
from promises import FAR, HOME, READER, WRITER, admin, caught_up, one, table, until

import globaldb
from globaldb.core.faults import Fault
from globaldb.drivers.psycopg import translate as of_psycopg
from globaldb.drivers.pymysql import translate as of_pymysql
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

Connection = Any


def spec(engine: str) -> LabSpec:
    return LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.01}, engine=engine)


@contextmanager
def session(lab: Lab, region: str = HOME, **options: Any) -> Iterator[Connection]:
    """A session of a cluster of its own: nothing is left of what it has learnt."""
    options = {"autocommit": True, **options}
    with globaldb.Cluster(lab.url(region), **options) as found:
        with found.connect() as conn:
            yield conn


# PostgreSQL.


@pytest.fixture(scope="module")
def postgresql(module_lab: Any) -> Lab:
    started: Lab = module_lab(spec("postgresql"))
    return started


@pytest.fixture
def pg(postgresql: Lab) -> Lab:
    postgresql.restore()
    table(postgresql, "met", "n int")
    return postgresql


@contextmanager
def plain(lab: Lab, node: str = WRITER, **options: Any) -> Iterator[Connection]:
    region = HOME if node == WRITER else FAR
    conn = psycopg.connect(lab.dsn(region, node), **{"autocommit": True, **options})
    with conn:
        yield conn


def met(conn: Connection, sql: str) -> Fault:
    """What the error of *sql* is taken for."""
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(sql)
    return of_psycopg.fault(caught.value, broken=conn.closed)


def end(lab: Lab, pid: int, node: str = WRITER) -> None:
    """End a backend, and wait until it is gone."""
    with admin(lab, node) as root:
        root.execute("SELECT pg_terminate_backend(%s)", (pid,))
        until(lambda: pid not in backends(root))


def backends(root: Connection) -> list[int]:
    return [pid for (pid,) in root.execute("SELECT pid FROM pg_stat_activity")]


def end_who_sleeps(lab: Lab, query: str) -> None:
    """End the backend that runs *query*, once it is asleep in it."""
    asked = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = "
        "'PgSleep' AND query LIKE %s AND pid <> pg_backend_pid()"
    )
    with admin(lab) as root:
        until(lambda: bool(root.execute(asked, (f"%{query}%",)).fetchall()))


def test_a_backend_that_was_ended_is_lost_with_its_transaction(pg: Lab):
    with plain(pg) as conn:
        end(pg, conn.info.backend_pid)
        assert met(conn, "SELECT 1") is Fault.NODE_LOST
        assert met(conn, "SELECT 1") is Fault.NODE_LOST
    with session(pg) as conn, suppress(globaldb.NodeLostError):
        with conn.transaction():
            conn.execute("INSERT INTO met VALUES (1)")
            end(pg, one(conn.execute("SELECT pg_backend_pid()"))[0])
            with pytest.raises(globaldb.NodeLostError) as caught:
                conn.execute("INSERT INTO met VALUES (2)")
            assert caught.value.retryable
            assert isinstance(caught.value, psycopg.OperationalError)
    with admin(pg) as root:
        assert one(root.execute("SELECT count(*) FROM met")) == (0,)


def test_a_write_ended_while_it_ran_is_of_unknown_outcome(pg: Lab):
    write = "INSERT INTO met SELECT 1 FROM pg_sleep(60)"
    with session(pg) as conn:
        killer = threading.Thread(target=end_who_sleeps, args=(pg, "INSERT INTO met"))
        killer.start()
        with pytest.raises(globaldb.OutcomeUnknownError) as caught:
            conn.execute(write)
        killer.join()
    assert not caught.value.retryable


def test_idle_in_a_transaction_for_too_long_is_a_loss(pg: Lab):
    limit = "SET idle_in_transaction_session_timeout = 50"
    with plain(pg, autocommit=False) as conn, admin(pg) as root:
        conn.execute(limit)
        until(lambda: conn.info.backend_pid not in backends(root))
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as told:
            conn.execute("SELECT 1")
        assert of_psycopg.fault(told.value, broken=conn.closed) is Fault.NODE_LOST
        conn.close()
        with session(pg, autocommit=False) as routed:
            routed.execute(limit)
            routed.execute("INSERT INTO met VALUES (1)")
            pid = routed.session.lease.connection.info.backend_pid
            until(lambda: pid not in backends(root))
            with pytest.raises(globaldb.NodeLostError) as caught:
                routed.execute("INSERT INTO met VALUES (2)")
            routed.rollback()
    assert caught.value.retryable


def test_a_reader_that_is_killed_is_lost_and_reads_go_on(pg: Lab):
    with plain(pg, READER) as conn, session(pg, FAR) as routed:
        assert one(routed.execute("SELECT 1")) == (1,)
        assert routed.last_route.role.value == "reader"
        pg.kill(READER)
        assert met(conn, "SELECT 1") is Fault.NODE_LOST
        assert one(routed.execute("SELECT 1")) == (1,)
        assert routed.last_route.role.value == "writer"
        with pytest.raises(psycopg.OperationalError) as refused, plain(pg, READER):
            pass
        assert of_psycopg.opening_fault(refused.value) is Fault.NODE_LOST
    pg.start_node(READER)


def test_a_server_that_shuts_down_is_unavailable_to_others(pg: Lab):
    """In the smart way, which waits for those who are there."""
    with admin(pg, READER) as root, plain(pg, READER) as stays:
        [folder] = one(root.execute("SHOW data_directory"))
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGTERM)

        def refusal() -> psycopg.OperationalError | None:
            try:
                with plain(pg, READER):
                    return None
            except psycopg.OperationalError as error:
                return error

        until(lambda: refusal() is not None)
        said = refusal()
        assert said is not None
        assert "the database system is shutting down" in str(said)
        assert of_psycopg.opening_fault(said) is Fault.UNAVAILABLE
        with session(pg, FAR) as routed:
            assert one(routed.execute("SELECT 1")) == (1,)
            assert routed.last_route.role.value == "writer"
        assert one(stays.execute("SELECT 1")) == (1,)
    pg.kill(READER)
    pg.start_node(READER)


@pytest.fixture
def crowded(pg: Lab) -> Iterator[Lab]:
    """The application's user may have no connection."""
    with admin(pg) as root:
        root.execute("ALTER ROLE app CONNECTION LIMIT 0")
        caught_up(pg)
        yield pg
        root.execute("ALTER ROLE app CONNECTION LIMIT -1")
    caught_up(pg)


def test_a_full_server_is_no_lost_server(crowded: Lab):
    with pytest.raises(psycopg.OperationalError) as said, plain(crowded):
        pass
    assert of_psycopg.opening_fault(said.value) is Fault.CAPACITY
    with pytest.raises(globaldb.NoNodeAvailableError) as caught, session(crowded):
        pass
    assert "too many connections for role" in str(caught.value)
    assert caught.value.retryable


def test_a_full_server_is_no_lost_server_to_those_it_has_let_in(pg: Lab):
    options = {"pool_max_size": 1, "probe_interval": 0.1}
    with session(pg, autocommit=False, **options) as conn, admin(pg) as root:
        conn.execute("INSERT INTO met VALUES (1)")
        cluster, name = conn.session.cluster, conn.session.node.name
        root.execute("ALTER ROLE app CONNECTION LIMIT 0")
        try:
            for _ in range(3):
                last = asked_at(cluster, name)
                until(lambda last=last: asked_at(cluster, name) > last)
            assert cluster.topology.writer.name == name
            conn.commit()
        finally:
            root.execute("ALTER ROLE app CONNECTION LIMIT -1")
        assert one(root.execute("SELECT count(*) FROM met")) == (1,)


def asked_at(cluster: Any, name: str) -> float:
    """When the monitor last began to ask a node."""
    return float(cluster.monitor._watches[name].pace.asked_at)


def test_a_wrong_password_is_nothing_that_waiting_helps(pg: Lab):
    dsn = psycopg.conninfo.make_conninfo(pg.dsn(HOME, WRITER), password="wrong")
    with pytest.raises(psycopg.OperationalError) as said:
        psycopg.connect(dsn)
    assert of_psycopg.opening_fault(said.value) is Fault.CREDENTIALS
    with pytest.raises(globaldb.NoNodeAvailableError) as caught:
        with session(pg, password="wrong"):
            pass
    assert "password authentication failed" in str(caught.value)
    assert not caught.value.retryable


def test_a_database_that_is_not_there_is_nothing_that_waiting_helps(pg: Lab):
    dsn = psycopg.conninfo.make_conninfo(pg.dsn(HOME, WRITER), dbname="none")
    with pytest.raises(psycopg.OperationalError) as said:
        psycopg.connect(dsn)
    assert of_psycopg.opening_fault(said.value) is Fault.REFUSED
    with pytest.raises(globaldb.NoNodeAvailableError) as caught:
        with session(pg, database="none"):
            pass
    assert not caught.value.retryable


def test_a_conflict_with_replay_is_not_what_its_code_says(pg: Lab):
    with admin(pg, READER) as root:
        root.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        root.execute("SELECT pg_reload_conf()")
    with plain(pg, READER, autocommit=False) as conn, admin(pg) as root:
        conn.execute("SELECT n FROM met")
        root.execute("ALTER TABLE met ADD COLUMN m int")
        caught_up(pg)
        with pytest.raises(psycopg.errors.SerializationFailure) as caught:
            conn.execute("SELECT 1")
        assert of_psycopg.fault(caught.value, broken=conn.closed) is (
            Fault.RECOVERY_CONFLICT
        )
    with admin(pg, READER) as root:
        root.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
        root.execute("SELECT pg_reload_conf()")


READ_ONLY = (
    "INSERT INTO met VALUES (1)",
    "SELECT * FROM met FOR UPDATE",
    "CREATE TEMP TABLE t (n int)",
    "SELECT pg_current_wal_lsn()",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1",
)


def test_a_standby_refuses_and_nothing_else_is_meant(pg: Lab):
    with plain(pg, READER) as conn:
        faults = {sql: met(conn, sql) for sql in READ_ONLY}
    assert faults == dict.fromkeys(READ_ONLY, Fault.READ_ONLY)


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT nothing", Fault.STATEMENT),
        ("SELECT pg_read_file('/none')", Fault.STATEMENT),
        ("SET statement_timeout = 20; SELECT pg_sleep(60)", Fault.CANCELLED),
        ("SET temp_file_limit = 0; SELECT 1", Fault.STATEMENT),
    ],
)
def test_a_statements_own_error_is_the_applications(postgresql: Lab, sql, fault):
    with plain(postgresql) as conn:
        assert met(conn, sql) is fault
    with session(postgresql) as conn, pytest.raises(psycopg.Error) as caught:
        conn.execute(sql)
    assert isinstance(caught.value, globaldb.DatabaseError)
    assert not caught.value.retryable


def test_a_server_that_does_not_know_what_became_of_it_is_believed(pg: Lab):
    """As Aurora's forwarding says it, on a connection that goes on."""
    doubt = "DO $$BEGIN RAISE 'in doubt' USING ERRCODE = '08007'; END$$"
    with session(pg) as conn:
        with pytest.raises(globaldb.OutcomeUnknownError, match="does not know") as told:
            conn.execute(doubt)
        assert isinstance(told.value, psycopg.errors.TransactionResolutionUnknown)
        conn.execute("BEGIN")
        conn.execute("INSERT INTO met VALUES (1)")
        with pytest.raises(globaldb.NodeLostError):
            conn.execute(doubt)
        conn.execute("ROLLBACK")
        assert one(conn.execute("SELECT count(*) FROM met")) == (0,)


# MySQL and MariaDB.


@pytest.fixture(scope="module")
def mariadb(module_lab: Any) -> Lab:
    started: Lab = module_lab(spec("mariadb"))
    return started


@pytest.fixture
def maria(mariadb: Lab) -> Lab:
    mariadb.restore()
    mysql_table(mariadb, "met", "n int primary key, v int")
    return mariadb


@contextmanager
def bare(lab: Lab, node: str = WRITER, **options: Any) -> Iterator[Connection]:
    region = HOME if node == WRITER else FAR
    given = {**lab.options(region, node), "autocommit": True, **options}
    conn = pymysql.connect(**given)
    try:
        yield conn
    finally:
        if conn.open:
            conn.close()


def run(conn: Connection, sql: str) -> Any:
    with conn.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def found(conn: Connection, sql: str) -> Fault:
    with pytest.raises(pymysql.err.MySQLError) as caught:
        run(conn, sql)
    return of_pymysql.fault(caught.value, broken=not conn.open)


def test_a_connection_that_was_killed_is_lost_with_its_transaction(maria: Lab):
    with mysql_admin(maria) as root, bare(maria) as conn:
        root.execute(f"KILL {conn.thread_id()}")
        assert found(conn, "SELECT 1") is Fault.NODE_LOST
        with session(maria) as routed:
            run(routed, "BEGIN")
            run(routed, "INSERT INTO met VALUES (1, 1)")
            root.execute(f"KILL {routed.thread_id()}")
            with pytest.raises(globaldb.NodeLostError) as caught:
                run(routed, "INSERT INTO met VALUES (2, 2)")
            routed.rollback()
            assert run(routed, "SELECT * FROM met") == ()
    assert caught.value.retryable
    assert isinstance(caught.value, pymysql.err.OperationalError)


def test_a_write_killed_while_it_ran_is_of_unknown_outcome_on_mariadb(maria: Lab):
    sleeping = (
        "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'"
    )

    def kill() -> None:
        with mysql_admin(maria) as root:
            until(lambda: bool(root.execute(sleeping)))
            root.execute(f"KILL {root.fetchall()[0][0]}")

    with session(maria) as conn:
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(globaldb.OutcomeUnknownError) as caught:
            run(conn, "INSERT INTO met SELECT SLEEP(60), 1")
        killer.join()
    assert not caught.value.retryable


@pytest.fixture
def crowded_mariadb(mariadb: Lab) -> Iterator[Lab]:
    """All connections that the user ``few`` may have are taken."""
    with mysql_admin(mariadb) as root:
        root.execute(
            "CREATE OR REPLACE USER few IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1"
        )
    with ExitStack() as stack:
        for node in (WRITER, READER):
            until(lambda node=node: enters(mariadb, node, stack))
        yield mariadb


FEW = {"user": "few", "password": "few", "database": None}
NOT_LET_IN = {
    "password": ({"password": "wrong"}, Fault.CREDENTIALS, False),
    "database": ({"database": "none"}, Fault.REFUSED, False),
    "connections": (FEW, Fault.CAPACITY, True),
}


def enters(lab: Lab, node: str, stack: ExitStack) -> bool:
    """Whether the user is let in, and stays: its last connection may not be gone."""
    with suppress(pymysql.err.MySQLError):
        stack.enter_context(bare(lab, node, **FEW))
        return True
    return False


@pytest.mark.parametrize(
    ("given", "fault", "retryable"), NOT_LET_IN.values(), ids=NOT_LET_IN
)
def test_who_is_not_let_in_is_told_whether_waiting_helps(
    crowded_mariadb: Lab, given: dict[str, str | None], fault: Fault, retryable: bool
):
    with pytest.raises(pymysql.err.MySQLError) as said, bare(crowded_mariadb, **given):
        pass
    assert of_pymysql.opening_fault(said.value) is fault
    options = {name: value for name, value in given.items() if value}
    with pytest.raises(globaldb.NoNodeAvailableError) as caught:
        with session(crowded_mariadb, **options):
            pass
    assert caught.value.retryable is retryable


def signal_of(number: int) -> str:
    """A statement that fails as Aurora's write forwarding does."""
    return f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}"


def test_write_forwarding_that_fails_leaves_it_open_what_became_of_a_write(
    maria: Lab,
):
    with session(maria) as conn:
        with pytest.raises(globaldb.OutcomeUnknownError, match="does not know") as told:
            run(conn, signal_of(63976))
        assert "63976" in str(told.value)
        run(conn, "BEGIN")
        run(conn, "INSERT INTO met VALUES (1, 1)")
        with pytest.raises(globaldb.NodeLostError):
            run(conn, signal_of(63976))
        conn.rollback()
        with mysql_admin(maria) as root:
            root.execute("SELECT count(*) FROM met")
            assert root.fetchone() == (0,)


def test_write_forwarding_without_a_connection_to_spare_may_have_one_later(
    mariadb: Lab,
):
    with session(mariadb) as conn:
        for number in (1040, 63952):
            with pytest.raises(pymysql.err.OperationalError) as caught:
                run(conn, signal_of(number))
            assert (caught.value.errno, caught.value.retryable) == (number, True)


def test_a_replica_refuses_and_nothing_else_is_meant(maria: Lab):
    with bare(maria, READER) as conn:
        assert found(conn, "INSERT INTO met VALUES (1, 1)") is Fault.READ_ONLY
        assert found(conn, "CREATE TABLE other (n int)") is Fault.READ_ONLY
    # What the application has asked for itself.
    with bare(maria) as conn:
        run(conn, "START TRANSACTION READ ONLY")
        assert found(conn, "INSERT INTO met VALUES (1, 1)") is Fault.STATEMENT


def test_a_writer_that_turns_read_only_before_a_commit_has_applied_nothing(maria: Lab):
    with mysql_admin(maria) as root, session(maria, autocommit=False) as conn:
        run(conn, "INSERT INTO met VALUES (1, 1)")
        root.execute("SET GLOBAL read_only = 1")
        try:
            with pytest.raises(globaldb.NoNodeAvailableError) as caught:
                conn.commit()
        finally:
            root.execute("SET GLOBAL read_only = 0")
        conn.rollback()
        root.execute("SELECT count(*) FROM met")
        assert root.fetchone() == (0,)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT nothing", Fault.STATEMENT),
        (
            "SET STATEMENT max_statement_time = 0.02 FOR SELECT SLEEP(9)",
            Fault.CANCELLED,
        ),
        ("KILL QUERY CONNECTION_ID()", Fault.CANCELLED),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 60000", Fault.STATEMENT),
    ],
)
def test_a_statements_own_error_is_the_applications_on_mariadb(
    mariadb: Lab, sql, fault
):
    with bare(mariadb) as conn:
        assert found(conn, sql) is fault
    with session(mariadb) as conn, pytest.raises(pymysql.err.MySQLError) as caught:
        run(conn, sql)
    assert isinstance(caught.value, globaldb.DatabaseError)
    assert not caught.value.retryable


def test_a_lock_not_had_in_time_leaves_the_transaction_and_a_deadlock_does_not(
    maria: Lab,
):
    with bare(maria, autocommit=False) as conn, bare(maria, autocommit=False) as other:
        run(conn, "INSERT INTO met VALUES (1, 0), (2, 0), (3, 0)")
        conn.commit()
        run(conn, "SET innodb_lock_wait_timeout = 1")
        run(other, "UPDATE met SET v = 1 WHERE n IN (1, 2)")
        assert found(conn, "UPDATE met SET v = 2 WHERE n = 1") is Fault.STATEMENT
        run(conn, "UPDATE met SET v = 2 WHERE n = 3")
        run(conn, "SET innodb_lock_wait_timeout = 50")
        waits = threading.Thread(
            target=run, args=(other, "SELECT * FROM met FOR UPDATE")
        )
        waits.start()
        assert found(conn, "UPDATE met SET v = 2 WHERE n = 1") is Fault.ROLLED_BACK
        waits.join(30)
        other.rollback()


def test_a_record_that_has_changed_since_the_snapshot_is_a_retry(maria: Lab):
    with bare(maria, autocommit=False) as conn, bare(maria) as other:
        run(other, "INSERT INTO met VALUES (1, 0)")
        run(conn, "SET innodb_snapshot_isolation = ON")
        run(conn, "SELECT * FROM met")
        run(other, "UPDATE met SET v = 1")
        assert found(conn, "UPDATE met SET v = 2") is Fault.ROLLED_BACK
