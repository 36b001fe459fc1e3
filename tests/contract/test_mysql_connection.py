"""A routed connection answers what PyMySQL's does, and for its session alone."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
import pytest
from mysql_family import (
    admin,
    caught_up,
    connected,
    each_engine,
    rows,
    run,
    table,
    value,
)
from promises import FAR, HOME, WRITER, cluster, until

import globaldb
import globaldb.mysql
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

LAST = "SELECT LAST_INSERT_ID()"


@pytest.fixture(scope="module")
def lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    found = shared_labs(engine)
    found.restore()
    found.latency(HOME, FAR, 0.01)
    table(found, "con", "id int auto_increment primary key, v varchar(9)")
    table(found, "child", "parent int")
    return found


@pytest.fixture(scope="module")
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, FAR, autocommit=False) as made:
        yield made


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Any]:
    """A connection as PEP 249 has it: in transactions."""
    with found.connect() as made:
        yield made


@pytest.fixture
def auto(conn: Any) -> Any:
    conn.autocommit(True)
    return conn


@pytest.fixture
def theirs(lab: Lab) -> Iterator[Any]:
    """PyMySQL's own connection to the writer, in autocommit: what others see."""
    with closing(pymysql.connect(**lab.options(FAR, WRITER), autocommit=True)) as raw:
        run(raw, "TRUNCATE con")
        run(raw, "TRUNCATE child")
        yield raw


def stored(theirs: Any) -> list[str]:
    return [v for (v,) in rows(theirs, "SELECT v FROM con ORDER BY id")]


def put(conn: Any, v: str) -> int:
    with conn.cursor() as cur:
        cur.execute("INSERT INTO con (v) VALUES (%s)", (v,))
        return int(cur.lastrowid)


# What it is.


def test_it_is_a_connection_of_pymysqls(conn):
    assert isinstance(conn, pymysql.connections.Connection)
    assert isinstance(conn, globaldb.mysql.Connection)
    assert isinstance(conn.cursor(), pymysql.cursors.Cursor)


def test_it_knows_what_a_connection_knows(conn, theirs):
    for name in (
        "get_server_info",
        "get_proto_info",
        "character_set_name",
        "get_autocommit",
    ):
        conn.autocommit(True)
        assert getattr(conn, name)() == getattr(theirs, name)()
    for name in ("charset", "encoding", "use_unicode", "server_capabilities"):
        assert getattr(conn, name) == getattr(theirs, name)
    assert conn.get_host_info().startswith("socket ")
    assert conn.escape("it's") == theirs.escape("it's")
    assert conn.escape((None, 1, b"x")) == theirs.escape((None, 1, b"x"))


def test_what_talks_to_a_socket_is_told_that_there_is_none(conn):
    with pytest.raises(globaldb.InterfaceError, match="no socket"):
        conn._execute_command(3, "SELECT 1")


# Autocommit and transactions.


def test_autocommit_is_off_at_first_and_may_be_switched(conn, theirs):
    assert (conn.get_autocommit(), conn.autocommit_mode) == (False, False)
    put(conn, "a")
    assert stored(theirs) == []
    conn.autocommit(True)
    assert stored(theirs) == ["a"]
    put(conn, "b")
    assert stored(theirs) == ["a", "b"]
    conn.autocommit(False)
    put(conn, "c")
    conn.rollback()
    assert stored(theirs) == ["a", "b"]


@pytest.mark.parametrize("on", ["SET autocommit = 1", "SET SESSION autocommit = ON"])
def test_autocommit_may_be_switched_in_sql(conn, on):
    assert value(conn, "SELECT @@autocommit") == 0
    run(conn, on)
    assert conn.get_autocommit()
    assert value(conn, "SELECT @@session.autocommit") == 1
    run(conn, "SET @@autocommit = %s", ("off",))
    assert not conn.get_autocommit()


def test_begin_and_commit_are_transactions(auto, theirs):
    auto.begin()
    put(auto, "a")
    assert stored(theirs) == []
    auto.commit()
    auto.begin()
    put(auto, "b")
    auto.rollback()
    assert stored(theirs) == ["a"]


def test_a_block_commits_and_closes(found, theirs):
    with found.connect() as conn:
        put(conn, "a")
    assert not conn.open
    assert stored(theirs) == ["a"]


def test_a_block_that_raises_rolls_back_and_closes(found, theirs):
    def fail() -> None:
        with found.connect() as conn:
            put(conn, "a")
            raise KeyError(conn)

    with pytest.raises(KeyError) as caught:
        fail()
    assert not caught.value.args[0].open
    assert stored(theirs) == []


# The end, and another beginning.


def test_a_closed_connection_says_so(found):
    conn = found.connect()
    cur = conn.cursor()
    conn.close()
    assert not conn.open
    for act in (conn.close, conn.ping, conn.commit, lambda: cur.execute("SELECT 1")):
        with pytest.raises(pymysql.err.Error):
            act()


def test_a_ping_may_begin_another_session(found, theirs):
    conn = found.connect()
    put(conn, "a")
    conn.close()
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        conn.ping(reconnect=True)
    assert not conn.get_autocommit()
    put(conn, "b")
    conn.commit()
    conn.ping()
    conn.close()
    assert stored(theirs) == ["b"]


def test_a_ping_begins_no_transaction(conn):
    conn.ping()
    assert not conn.session.transaction.active
    assert conn.session.lease is None


def test_a_thread_number_is_that_of_a_pinned_connection(auto, lab):
    number = auto.thread_id()
    assert value(auto, "SELECT CONNECTION_ID()") == number
    pinned = auto.session.lease.connection
    with admin(lab) as cursor:
        cursor.execute(f"KILL {number}")
    until(pinned.hung_up)
    with pytest.raises(pymysql.err.OperationalError):
        run(auto, "SELECT 1")
    assert value(auto, "SELECT 2") == 2


# Settings of the session go where its statements go.


@contextmanager
def everywhere(conn: Any) -> Iterator[Callable[[str], set[Any]]]:
    """Ask on a reader and on the writer."""

    def ask(sql: str) -> set[Any]:
        found = set()
        for route in ("reader", "writer"):
            with conn.using(route=route):
                found.add(value(conn, sql))
        return found

    yield ask


def test_the_database_in_use_is_the_sessions(auto, lab):
    with admin(lab) as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS test_other")
    caught_up(lab)
    auto.select_db("test_other")
    with everywhere(auto) as ask:
        assert ask("SELECT DATABASE()") == {"test_other"}


def test_the_encoding_is_the_sessions(auto):
    auto.set_character_set("latin1")
    assert (auto.encoding, auto.character_set_name()) == ("cp1252", "latin1")
    with everywhere(auto) as ask:
        assert ask("SELECT @@character_set_client") == {"latin1"}
        assert ask("SELECT 'Pißata'") == {"Pißata"}


def test_quotes_are_escaped_as_the_session_reads_them(auto):
    assert auto.escape("a'b\\") == "'a\\'b\\\\'"
    run(auto, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
    assert auto.escape("a'b\\") == "'a''b\\'"
    told = "a'b\\; DELETE FROM con -- "
    for route in ("reader", "writer", "reader"):
        with auto.using(route=route):
            assert rows(auto, "SELECT %s", (told,)) == [(told,)]


def test_values_are_read_as_the_connection_was_told(found):
    raw = dict.fromkeys(pymysql.converters.decoders)
    with found.connect(conv=raw) as plain, found.connect() as usual:
        for _ in range(3):
            assert rows(plain, "SELECT 1, NULL") == [("1", None)]
            assert rows(usual, "SELECT 1, NULL") == [(1, None)]


# What the connection answers by itself.


def test_tables_of_globaldb_are_ordinary_results(auto):
    with auto.cursor(pymysql.cursors.DictCursor) as cur:
        assert cur.execute("SHOW GLOBALDB NODES") == cur.rowcount > 1
        first = cur.fetchone()
        assert {"node", "region", "role"} <= first.keys()
        assert [each[0] for each in cur.description] == list(first)
        cur.execute("EXPLAIN ROUTE DELETE FROM con")
        facts = {row["name"]: row["value"] for row in cur}
        assert facts["role"] == "writer"
    with auto.cursor(pymysql.cursors.SSCursor) as cur:
        cur.execute("SHOW POOLS")
        assert cur.fetchone()[0]


def test_the_consistency_mode_is_set_and_shown_in_sql(auto):
    name = "aurora_replica_read_consistency"
    for mode in ("eventual", "session", "global", ""):
        run(auto, f"SET {name} = %s", (mode,))
        assert value(auto, f"SELECT @@{name}") == mode
        assert rows(auto, f"SHOW VARIABLES LIKE '{name}'") == [(name, mode)]
    assert auto.consistency is None


# Answers that one connection has.


def test_the_last_id_is_the_sessions_own(auto, theirs):
    number = put(auto, "a")
    assert value(auto, LAST) == number
    assert rows(auto, "SELECT v FROM con") == [("a",)]
    assert value(auto, LAST) == number
    run(auto, "INSERT INTO child VALUES (LAST_INSERT_ID())")
    assert value(theirs, "SELECT MAX(parent) FROM child") == number


def test_the_last_id_is_told_in_a_transaction_and_behind_it(conn, theirs):
    number = put(conn, "a")
    assert value(conn, LAST) == number
    conn.commit()
    assert value(conn, LAST) == number


@pytest.mark.parametrize("ask", [LAST, "INSERT INTO child VALUES (LAST_INSERT_ID())"])
def test_another_sessions_last_id_is_never_told(lab, theirs, ask):
    with connected(lab, FAR, autocommit=True, pool_max_size=1) as conn:
        other = conn.session.cluster
        put(conn, "a")
        with_other = globaldb.mysql.Connection(conn.common)
        assert with_other.session.cluster is other
        put(with_other, "b")
        run(conn, "UPDATE con SET v = 'c' WHERE v = 'a'")
        with pytest.raises(globaldb.ProgrammingError, match="lastrowid"):
            run(conn, ask)
        with_other.close()
        # From now on the connection is kept.
        number = put(conn, "d")
        run(conn, "DELETE FROM con WHERE v = 'c'")
        assert run(conn, ask) == 1
        assert value(conn, LAST) == number


def test_no_number_is_wrong_among_many_sessions(lab, theirs):
    wrong: list[Any] = []

    def work(found: globaldb.Cluster) -> None:
        with found.connect() as conn:
            for turn in range(25):
                number = put(conn, str(turn))
                try:
                    told = value(conn, LAST)
                except globaldb.ProgrammingError:
                    continue
                if told != number:
                    wrong.append((told, number))

    with cluster(lab, FAR, autocommit=True) as found:
        threads = [threading.Thread(target=work, args=(found,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_warnings_come_from_where_they_arose(auto):
    with auto.cursor() as cur:
        cur.execute("DROP TABLE IF EXISTS nowhere")
        assert cur.warning_count == 1
        assert cur.execute("SHOW WARNINGS") == 1
        assert "nowhere" in cur.fetchone()[2]
    with auto.cursor() as cur, auto.using(consistency="eventual"):
        cur.execute("SELECT CAST('x' AS SIGNED)")
        assert auto.last_route.role is Role.READER
        [(_, code, _)] = auto.show_warnings()
        assert code == 1292
        cur.execute("SELECT v FROM con")
        assert auto.show_warnings() == ()


def test_counts_are_of_the_statement_before(auto, theirs):
    put(auto, "a")
    put(auto, "b")
    run(auto, "UPDATE con SET v = CONCAT(v, 'x')")
    assert value(auto, "SELECT ROW_COUNT()") == 2
    rows(auto, "SELECT SQL_CALC_FOUND_ROWS v FROM con LIMIT 1")
    assert value(auto, "SELECT FOUND_ROWS()") == 2


# Errors.


def test_errors_are_of_both_trees(auto, theirs):
    number = put(auto, "a")
    with pytest.raises(pymysql.err.IntegrityError) as caught:
        run(auto, "INSERT INTO con VALUES (%s, 'b')", (number,))
    assert isinstance(caught.value, globaldb.IntegrityError)
    assert caught.value.args[0] == 1062
    assert caught.value.route.role is Role.WRITER


def test_rows_that_matched_are_counted_where_that_was_asked_for(lab, theirs):
    run(theirs, "INSERT INTO con VALUES (1, 'a')")
    same = "UPDATE con SET v = 'a' WHERE id = 1"
    flag = pymysql.constants.CLIENT.FOUND_ROWS
    with connected(lab) as plain, connected(lab, client_flag=flag) as counting:
        assert run(plain, same) == 0
        assert run(counting, same) == 1
