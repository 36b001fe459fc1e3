"""The same calls on PyMySQL and on globaldb: what one answers, the other has to."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from mysql_family import admin, connected, each_engine, rows, run, table
from promises import FAR, HOME, WRITER, cluster, until
from pymysql.constants import CLIENT
from pymysql.cursors import Cursor, DictCursor, SSCursor, SSDictCursor

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

SIDES = ("pymysql", "globaldb")
CLASSES = (Cursor, DictCursor, SSCursor, SSDictCursor)
PROCEDURE = "CREATE PROCEDURE app.two(n INT) BEGIN SELECT n; SELECT n + 1, 'x'; END"


class Shouting(DictCursor):
    """A user's own cursor: rows are made otherwise, and statements are counted."""

    seen: list[str]

    def execute(self, query: Any, args: Any = None) -> int:
        self.seen = [*getattr(self, "seen", []), query]
        return super().execute(query, args)

    def _conv_row(self, row: Any) -> Any:
        return {name.upper(): value for name, value in super()._conv_row(row).items()}


@pytest.fixture(scope="module")
def lab(shared_labs: Callable[[str], Lab], engine: str) -> Lab:
    found = shared_labs(engine)
    found.restore()
    found.latency(HOME, FAR, 0.01)
    table(found, "cur", "id int auto_increment primary key, v varchar(9)")
    with admin(found) as cursor:
        cursor.execute("DROP PROCEDURE IF EXISTS app.two")
        cursor.execute(PROCEDURE)
    return found


@pytest.fixture(scope="module")
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, FAR, autocommit=True) as made:
        yield made


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Any]:
    """Our connection, from afar and in autocommit."""
    with found.connect() as made:
        yield made


def opened(lab: Lab, side: str, **options: Any) -> Any:
    """Return either side's connection, in autocommit."""
    if side == "globaldb":
        return connected(lab, FAR, autocommit=True, **options)
    raw = pymysql.connect(**lab.options(FAR, WRITER), autocommit=True, **options)
    return closing(raw)


@pytest.fixture
def both(lab: Lab, conn: Any) -> Iterator[list[Any]]:
    """PyMySQL's connection to the writer, and ours; the table holds three rows."""
    with opened(lab, "pymysql") as theirs, conn.using(consistency="global"):
        run(theirs, "TRUNCATE cur")
        run(theirs, "INSERT INTO cur (v) VALUES ('a'), ('b'), (NULL)")
        yield [theirs, conn]


def same(both: list[Any], ask: Any) -> Any:
    theirs, ours = (ask(conn) for conn in both)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("kind", [*CLASSES, Shouting])
def test_rows_and_what_is_said_of_them_are_pymysqls(both, kind):
    def ask(conn: Any) -> Any:
        with conn.cursor(kind) as cur:
            assert isinstance(cur, kind)
            count = cur.execute("SELECT id, v, v FROM cur WHERE id > %s", (0,))
            said = count, cur.rowcount, cur.description, cur.lastrowid, cur._executed
            first = cur.fetchone(), cur.rownumber
            return said, first, cur.fetchmany(1), cur.fetchall(), cur.fetchone()

    assert same(both, ask)[0][1] in (3, 2**64 - 1)


@pytest.mark.parametrize("kind", CLASSES)
def test_writes_say_what_pymysqls_say(both, kind):
    def ask(conn: Any) -> Any:
        run(conn, "TRUNCATE cur")
        with conn.cursor(kind) as cur:
            said = [cur.execute("INSERT INTO cur (v) VALUES (%s), ('z')", ("y",))]
            said += [cur.rowcount, cur.lastrowid, cur.description, cur.fetchone()]
            said += [conn.insert_id(), conn.affected_rows()]
            many = cur.executemany("INSERT INTO cur (v) VALUES (%s)", [("1",), ("2;",)])
            return [*said, many, cur.rowcount, bytes(cur._executed), cur.lastrowid]

    assert same(both, ask)[:3] == [2, 2, 1]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_procedures_results_come_one_after_the_other(both, kind):
    def ask(conn: Any) -> Any:
        with conn.cursor(kind) as cur:
            args = cur.callproc("two", (5,))
            found = [cur.fetchall()]
            while cur.nextset():
                found.append((cur.fetchall(), cur.rowcount, cur.description))
            return args, found

    assert len(same(both, ask)[1]) == 3


@pytest.mark.parametrize("kind", [DictCursor, SSCursor])
def test_scrolling_and_mogrifying_are_pymysqls(both, kind):
    def ask(conn: Any) -> Any:
        with conn.cursor(kind) as cur:
            cur.execute("SELECT id FROM cur ORDER BY id")
            cur.scroll(1)
            return cur.fetchone(), cur.rownumber, cur.mogrify("%s %s", (None, "a'b"))

    same(both, ask)


def test_a_closed_cursor_says_so(both):
    def ask(conn: Any) -> Any:
        cur = conn.cursor()
        cur.close()
        cur.close()
        with pytest.raises(pymysql.err.ProgrammingError, match="closed") as caught:
            cur.execute("SELECT 1")
        return caught.value.args

    same(both, ask)


def test_a_users_cursor_class_stays_on_top(found):
    with found.connect(cursorclass=Shouting) as conn, conn.cursor() as cur:
        cur.execute("SELECT 1 AS one")
        assert (cur.fetchone(), cur.seen) == ({"ONE": 1}, ["SELECT 1 AS one"])
        assert cur.route.role is Role.READER


def test_a_cursor_made_by_its_class_is_routed_too(conn):
    cur = DictCursor(conn)
    cur.execute("SELECT 1 AS one")
    assert cur.fetchall() == [{"one": 1}]
    assert conn.last_route.role is Role.READER


# Several statements.


@pytest.mark.parametrize("side", SIDES)
def test_several_statements_are_refused_unless_asked_for(lab, side):
    with opened(lab, side) as conn:
        with pytest.raises(pymysql.err.ProgrammingError) as caught:
            run(conn, "INSERT INTO cur (v) VALUES ('no'); DELETE FROM cur")
        assert caught.value.args[0] == 1064
        assert rows(conn, "SELECT COUNT(*) FROM cur WHERE v = 'no'") == [(0,)]


@pytest.mark.parametrize("side", SIDES)
def test_several_statements_answer_one_after_the_other(lab, side):
    flag = CLIENT.MULTI_STATEMENTS
    with opened(lab, side, client_flag=flag) as conn:
        with conn.cursor() as cur:
            cur.execute("SELECT 1; DO 0; SELECT 2, 3; nonsense")
            found = [cur.fetchall()]
            while len(found) < 3 and cur.nextset():
                found.append(cur.fetchall())
            assert [list(each) for each in found] == [[(1,)], [], [(2, 3)]]
            with pytest.raises(pymysql.err.ProgrammingError):
                cur.nextset()
            # What another cursor says ends it.
            cur.execute("SELECT 1; SELECT 2")
            assert rows(conn, "SELECT 3") == [(3,)]
            assert cur.nextset() is None


def test_a_semicolon_in_a_value_is_a_value(conn):
    told = "it's; DELETE FROM cur; -- \\"
    assert rows(conn, "SELECT %s, 1", (told,)) == [(told, 1)]
    assert conn.last_route.role is Role.READER
    conn.begin()
    assert rows(conn, "SELECT %s, 2", (told,)) == [(told, 2)]
    conn.rollback()


# What stands in a text counts, and not what it was made of.


def test_a_placeholder_inside_quotes_does_not_hide_what_is_put_there(conn):
    assert rows(conn, "SELECT '%s'", (1,)) == [("1",)]
    assert conn.last_route.role is Role.READER
    # The value ends the string, and what is in it is run.
    assert rows(conn, "SELECT '%s'", ("+ GET_LOCK(0x61, 0) +",)) == [(1.0,)]
    assert conn.last_route.role is Role.WRITER


def test_a_converter_that_writes_more_than_a_literal_is_seen(found):
    class Lock:
        """Becomes a call."""

    converters = {
        **pymysql.converters.conversions,
        Lock: lambda _value, _mapping: "GET_LOCK('converted', 0)",
    }
    with found.connect(conv=converters) as conn:
        assert rows(conn, "SELECT %s", (1,)) == [(1,)]
        assert conn.last_route.role is Role.READER
        assert rows(conn, "SELECT %s", (Lock(),)) == [(1,)]
        assert conn.last_route.role is Role.WRITER


def test_what_is_set_from_a_value_is_set_on_every_connection(conn):
    run(conn, "SET @told = %s", ("x;'y",))
    for route in ("reader", "writer"):
        with conn.using(route=route):
            assert rows(conn, "SELECT @told, (SELECT 1)") == [("x;'y", 1)]


# Unbuffered.


@pytest.mark.parametrize(
    ("sql", "asked", "told"),
    [
        ("SELECT id FROM cur UNION SELECT 70", "SELECT FOUND_ROWS()", None),
        ("SELECT CAST('x' AS SIGNED)", "SHOW WARNINGS", 1292),
        ("SELECT CAST('x' AS SIGNED)", "SELECT @@warning_count", 1),
    ],
)
def test_what_a_read_at_the_writer_has_left_is_its_own_or_refused(
    lab, sql, asked, told
):
    """The position asked for behind it leaves something, too."""
    with connected(lab, FAR) as conn, conn.using(route="writer"):
        read = rows(conn, sql)
        with contextlib.suppress(globaldb.ProgrammingError):
            assert (told or len(read)) in rows(conn, asked)[0]
        read = rows(conn, sql)
        assert (told or len(read)) in rows(conn, asked)[0], "refused no more"


def test_where_nothing_was_left_nothing_is_refused(lab):
    with connected(lab, FAR) as conn, conn.using(route="writer"):
        assert rows(conn, "SELECT 1") == [(1,)]
        assert rows(conn, "SHOW WARNINGS") == []
        assert rows(conn, "SHOW COUNT(*) WARNINGS") == [(0,)]


MANY = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)"


def test_an_unbuffered_cursor_holds_its_connection_until_the_last_row(conn):
    cur = conn.cursor(SSCursor)
    cur.execute(f"{MANY} SELECT n FROM s")
    assert cur.fetchone() == (1,)
    assert conn.session.lease is not None
    assert len(cur.fetchall()) == 899
    assert conn.session.lease is None
    assert cur.fetchone() is None


def test_closing_an_unbuffered_cursor_gives_its_connection_back(conn):
    with conn.cursor(SSDictCursor) as cur:
        cur.execute(f"{MANY} SELECT n FROM s")
        assert cur.fetchmany(2) == [{"n": 1}, {"n": 2}]
    assert conn.session.lease is None
    assert rows(conn, "SELECT 1") == [(1,)]


def test_rows_forgotten_with_their_connection_are_given_back(lab):
    with cluster(lab, FAR, probe_interval=1) as found:
        conn = found.connect()
        cur = conn.cursor(SSCursor)
        cur.execute(f"{MANY} SELECT n FROM s")
        cur.fetchone()
        del conn, cur
        gc.collect()
        nodes = found.runtime.nodes.values()
        until(lambda: all(node.pool.stats.busy == 0 for node in nodes))


def test_unbuffered_rows_that_came_too_late_are_read_by_nobody(conn):
    for _ in range(2):
        with conn.using(timeout=0.1), conn.cursor(SSCursor) as cur:
            with pytest.raises(globaldb.DeadlineExceededError):
                cur.execute("SELECT SLEEP(5)")
        gc.collect()
        assert rows(conn, "SELECT 1") == [(1,)]


def test_autocommit_is_the_sessions_whatever_a_connection_begins_with(lab):
    for word in ("SET autocommit = 0", "SET autocommit = 0, @first = 1"):
        with connected(lab, FAR, init_command=word) as conn:
            run(conn, "INSERT INTO cur VALUES (90, '')")
            conn.close()
        with admin(lab) as writer:
            assert writer.execute("DELETE FROM cur WHERE id = 90") == 1


@pytest.mark.parametrize("then", ["execute", "commit", "autocommit", "ping"])
def test_what_is_left_of_unbuffered_rows_is_thrown_away_with_a_warning(conn, then):
    cur = conn.cursor(SSCursor)
    cur.execute(f"{MANY} SELECT n FROM s")
    cur.fetchone()
    act = {
        "execute": lambda: run(conn, "DO 0"),
        "commit": conn.commit,
        "autocommit": lambda: conn.autocommit(True),
        "ping": conn.ping,
    }[then]
    with pytest.warns(UserWarning, match="left incomplete"):
        act()
    assert conn.session.lease is None
    assert cur.fetchone() is None


def test_a_forgotten_unbuffered_cursor_is_in_nobodys_way(conn):
    cur = conn.cursor(SSCursor)
    cur.execute(f"{MANY} SELECT n FROM s")
    cur.fetchone()
    del cur
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(conn, "SELECT 7") == [(7,)]
    assert conn.session.lease is None


def test_an_error_between_unbuffered_rows_leaves_the_session_well(conn):
    one_or_many = "(SELECT o.n FROM s AS o WHERE s.n > 500)"
    cur = conn.cursor(SSCursor)
    with pytest.raises(pymysql.err.MySQLError, match="more than 1 row"):
        cur.execute(f"{MANY} SELECT n, {one_or_many} FROM s") and cur.fetchall()
    assert conn.session.lease is None
    assert rows(conn, "SELECT 8") == [(8,)]


def test_closing_the_connection_ends_what_is_unbuffered(lab):
    with connected(lab, FAR, autocommit=True) as conn:
        cur = conn.cursor(SSCursor)
        cur.execute(f"{MANY} SELECT n FROM s")
        cur.fetchone()
        conn.close()
        pools = [node.pool.stats for node in conn.session.cluster.nodes.values()]
        assert sum(stats.busy for stats in pools) == 0


def test_unbuffered_rows_of_a_transaction_are_its_own(conn):
    conn.autocommit(False)
    run(conn, "INSERT INTO cur (v) VALUES ('mine')")
    with conn.cursor(SSCursor) as cur:
        cur.execute("SELECT v FROM cur WHERE v = 'mine'")
        assert cur.fetchall() == [("mine",)]
    conn.rollback()
    assert rows(conn, "SELECT v FROM cur WHERE v = 'mine'") == []
