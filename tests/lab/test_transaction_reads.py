"""A transaction reads at a reader until it writes, and what it read still holds then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, WRITER, admin, caught_up, cluster, one, table, until
from psycopg import sql

import globaldb
from globaldb.drivers.psycopg import repeat
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: What the server writes for itself is flushed, and so sent to its reader, at once.
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.03},
    settings={"wal_writer_delay": "10ms"},
)
READ = "SELECT v FROM tr WHERE id = %s"
ALL = "SELECT id, v FROM tr"
UPDATE = "UPDATE tr SET v = v + 1 WHERE id = %s"
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "tr", "id int primary key, v int")
    with admin(near) as writer:
        writer.execute("INSERT INTO tr SELECT n, 0 FROM generate_series(1, 20) n")
    caught_up(near)
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, autocommit=False, failover_wait=3) as warm:
        yield warm


@pytest.fixture
def conn(lab: Lab, found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as connection:
        at_rest(lab, found)
        yield connection


def at_rest(lab: Lab, found: globaldb.Cluster) -> None:
    """Wait for the connections that pools open by themselves, and count anew."""
    pools = [node.pool for node in found.runtime.nodes.values()]
    until(lambda: all(pool.stats.idle >= 2 for pool in pools))
    until(lambda: all(pool.stats.connecting == 0 for pool in pools))
    lab.reset_counters()


def role(connection: Connection) -> str:
    return str(connection.last_route.role.value)


def reason(connection: Connection) -> str:
    return str(connection.last_route.reason)


def value(connection: Connection, key: int) -> int:
    return int(one(connection.execute(READ, (key,)))[0])


def elsewhere(lab: Lab, statement: str) -> None:
    """Somebody else commits, and every reader has it."""
    with admin(lab) as writer:
        writer.execute(statement)
    caught_up(lab)


def held(lab: Lab) -> dict[int, int]:
    with admin(lab) as writer:
        return dict(writer.execute(ALL).fetchall())


# Where it runs.


def test_a_transaction_that_only_reads_stays_with_its_reader(
    lab: Lab, conn: Connection
) -> None:
    for _ in range(3):
        assert value(conn, 1) == 0
        assert role(conn) == "reader"
        assert len(conn.execute(ALL).fetchall()) == 20
        assert role(conn) == "reader"
        conn.commit()

    assert wide(lab) == 0


def wide(lab: Lab) -> int:
    return sum(link.round_trips for link in lab.counters() if link.wide_area)


def test_the_first_write_takes_everything_along_in_one_round_trip(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("SET LOCAL statement_timeout = 5000")
    value(conn, 1)
    with conn.transaction():
        conn.execute(ALL).fetchall()
        assert wide(lab) == 0
        conn.execute(UPDATE, (1,))
        assert wide(lab) == 1
        assert reason(conn) == "transaction_moved"
        assert one(conn.execute("SHOW statement_timeout")) == ("5s",)
    conn.commit()

    assert wide(lab) == 3
    assert held(lab)[1] == 1


def test_the_first_write_tells_its_own_answer(conn: Connection) -> None:
    value(conn, 1)
    cursor = conn.execute(f"{UPDATE} RETURNING id, v", (1,))

    assert cursor.fetchall() == [(1, 1)]
    assert cursor.statusmessage == "UPDATE 1"


def test_a_transaction_that_begins_with_a_write_is_at_the_writer(
    conn: Connection,
) -> None:
    conn.execute(UPDATE, (1,))
    assert (role(conn), reason(conn)) == ("writer", "transaction")
    assert value(conn, 1) == 1
    assert role(conn) == "writer"


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ({"transaction_reads": "writer"}, None),
        ({}, "BEGIN READ WRITE"),
        ({}, "BEGIN ISOLATION LEVEL REPEATABLE READ"),
        ({}, "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        ({"consistency": "global"}, None),
    ],
    ids=["option", "read write", "repeatable read", "serializable", "global"],
)
def test_what_asks_for_more_reads_at_the_writer(
    lab: Lab, options: dict[str, Any], before: str | None
) -> None:
    with cluster(lab, **options) as found, found.connect() as conn:
        conn.execute(before or "BEGIN")
        assert value(conn, 1) == 0
        assert role(conn) == "writer"
        conn.execute(UPDATE, (1,))
        conn.execute("COMMIT")

    assert held(lab)[1] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT now()",
        "SELECT id FROM tr LIMIT 3 OFFSET 1",
        "SELECT id FROM tr LIMIT 3",
        "SELECT random()",
        "SELECT id FROM tr WHERE id = 1 FOR UPDATE",
        "SELECT pg_advisory_xact_lock(7)",
        "SELECT pg_is_in_recovery()",
        "SELECT generate_series(1, 6000)",
        "SELECT repeat('x', 3000000)",
    ],
)
def test_what_cannot_be_compared_runs_at_the_writer_from_there_on(
    lab: Lab, conn: Connection, statement: str
) -> None:
    value(conn, 1)
    assert role(conn) == "reader"
    conn.execute(statement).fetchall()
    assert (role(conn), reason(conn)) == ("writer", "transaction_moved")
    value(conn, 2)
    assert role(conn) == "writer"
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert held(lab)[1] == 1


def test_a_limit_that_cut_nothing_stays_with_the_reader(conn: Connection) -> None:
    found = conn.execute("SELECT id FROM tr WHERE id = 3 LIMIT 21").fetchall()
    assert (found, role(conn)) == ([(3,)], "reader")
    conn.execute(UPDATE, (1,))
    assert reason(conn) == "transaction_moved"


@pytest.mark.parametrize("how", ["stream", "named", "copy", "executemany", "pipeline"])
def test_what_is_not_held_whole_runs_at_the_writer(
    lab: Lab, conn: Connection, how: str
) -> None:
    value(conn, 1)
    if how == "stream":
        assert len(list(conn.cursor().stream(ALL))) == 20
    elif how == "named":
        with conn.cursor("some") as cursor:
            assert len(cursor.execute(ALL).fetchall()) == 20
    elif how == "copy":
        with conn.cursor().copy("COPY tr TO STDOUT") as rows:
            assert len(list(rows.rows())) == 20
    elif how == "executemany":
        conn.cursor().executemany(UPDATE, [(2,), (3,)])
    else:
        with conn.pipeline():
            conn.execute(UPDATE, (2,))
    value(conn, 1)
    assert role(conn) == "writer"
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert held(lab)[1] == 1


# What it has read still holds.


@pytest.mark.parametrize(
    "read",
    [
        READ,
        "SELECT id, v FROM tr WHERE id <= %s ORDER BY id",
        "SELECT sum(v) FROM tr WHERE id >= %s",
        "SELECT id FROM tr WHERE v = 0 AND id >= %s",
    ],
)
def test_a_write_after_a_read_that_has_changed_fails_as_a_serialization_failure(
    lab: Lab, conn: Connection, read: str
) -> None:
    conn.execute(read, (1,)).fetchall()
    assert role(conn) == "reader"
    elsewhere(lab, "UPDATE tr SET v = 40 WHERE id = 1")
    with pytest.raises(psycopg.errors.SerializationFailure) as failure:
        conn.execute("UPDATE tr SET v = 50 WHERE id = 1")

    error: Any = failure.value
    assert isinstance(error, globaldb.OperationalError)
    assert (error.sqlstate, error.retryable) == ("40001", True)
    assert read in str(error)
    assert conn.info.transaction_status is psycopg.pq.TransactionStatus.INERROR
    with pytest.raises(psycopg.InternalError, match="roll back"):
        conn.execute(READ, (1,))
    conn.rollback()
    assert held(lab)[1] == 40
    assert value(conn, 1) == 40


def test_the_difference_is_told_ahead_of_the_error_of_the_write_itself(
    lab: Lab, conn: Connection
) -> None:
    value(conn, 1)
    elsewhere(lab, "UPDATE tr SET v = 40 WHERE id = 1")
    with pytest.raises(psycopg.errors.SerializationFailure):
        conn.execute("INSERT INTO tr VALUES (1, 1)")


def test_a_write_that_fails_by_itself_says_so(lab: Lab, conn: Connection) -> None:
    value(conn, 1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("INSERT INTO tr VALUES (1, 1)")
    conn.rollback()
    with conn.transaction():
        value(conn, 2)
        with pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
            conn.execute("INSERT INTO tr VALUES (1, 1)")
        conn.execute(UPDATE, (2,))

    assert held(lab)[2] == 1


def test_a_table_that_is_gone_is_a_difference(lab: Lab, conn: Connection) -> None:
    elsewhere(lab, "CREATE TABLE brief AS SELECT 1 AS n; GRANT ALL ON brief TO app")
    assert one(conn.execute("SELECT n FROM brief")) == (1,)
    assert role(conn) == "reader"
    lab.lag(FAR, 5)
    with admin(lab) as writer:
        writer.execute("DROP TABLE brief")
    with pytest.raises(psycopg.errors.SerializationFailure, match="FROM brief"):
        conn.execute(UPDATE, (1,))


def test_the_order_of_rows_counts_only_where_the_query_orders(
    lab: Lab, conn: Connection
) -> None:
    """An update moves the row to the end of the table."""
    for query, same in (
        ("SELECT id FROM tr", True),
        ("SELECT id FROM tr ORDER BY v", False),
    ):
        with admin(lab) as writer:
            writer.execute("UPDATE tr SET v = id")
        caught_up(lab)
        conn.execute(query).fetchall()
        elsewhere(lab, "UPDATE tr SET v = 100 WHERE id = 1")
        if same:
            conn.execute(UPDATE, (2,))
            conn.commit()
        else:
            with pytest.raises(psycopg.errors.SerializationFailure):
                conn.execute(UPDATE, (2,))
            conn.rollback()


def test_reads_are_made_again_with_what_they_were_given(
    lab: Lab, conn: Connection
) -> None:
    """Binary answers, lists, NULL, client-side binding, composed queries."""
    conn.execute(READ, (1,), binary=True).fetchall()
    conn.execute("SELECT id FROM tr WHERE id = ANY(%s)", ([1, 2],)).fetchall()
    conn.execute("SELECT %s::text, id FROM tr WHERE id = 1", (None,)).fetchall()
    psycopg.ClientCursor(conn).execute(READ, (3,)).fetchall()
    composed = sql.SQL("SELECT v FROM {} WHERE id = %s").format(sql.Identifier("tr"))
    conn.execute(composed, (4,)).fetchall()
    assert role(conn) == "reader"
    conn.execute(UPDATE, (1,))
    assert reason(conn) == "transaction_moved"
    conn.commit()

    assert held(lab)[1] == 1


def test_a_read_under_settings_of_the_transaction_is_made_again_under_them(
    lab: Lab, conn: Connection
) -> None:
    elsewhere(
        lab, "CREATE SCHEMA IF NOT EXISTS other; GRANT USAGE ON SCHEMA other TO app"
    )
    elsewhere(lab, "CREATE TABLE other.tr AS SELECT 1 AS id, 77 AS v")
    elsewhere(lab, "GRANT SELECT ON other.tr TO app")
    assert value(conn, 1) == 0
    conn.execute("SELECT set_config('search_path', %s, true)", ("other",))
    assert value(conn, 1) == 77
    assert role(conn) == "reader"
    conn.execute("UPDATE public.tr SET v = 5 WHERE id = 1")
    assert value(conn, 1) == 77
    conn.commit()
    assert value(conn, 1) == 5
    conn.rollback()
    elsewhere(lab, "DROP SCHEMA other CASCADE")


def test_savepoints_go_along_as_they_stand(lab: Lab, conn: Connection) -> None:
    value(conn, 1)
    conn.execute("SAVEPOINT a")
    value(conn, 2)
    conn.execute("SAVEPOINT b")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / v FROM tr WHERE id = 3")
    conn.execute("ROLLBACK TO b")
    value(conn, 4)
    conn.execute("RELEASE b")
    assert role(conn) == "reader"
    conn.execute(UPDATE, (1,))
    conn.execute("ROLLBACK TO a")
    conn.execute(UPDATE, (2,))
    conn.commit()

    assert {key: held(lab)[key] for key in (1, 2)} == {1: 0, 2: 1}


def test_local_compares_nothing(lab: Lab) -> None:
    with cluster(lab, autocommit=False, transaction_reads="local") as found:
        with found.connect() as conn:
            assert value(conn, 1) == 0
            elsewhere(lab, "UPDATE tr SET v = 40 WHERE id = 1")
            conn.execute("SELECT now()")
            assert role(conn) == "reader"
            conn.execute(UPDATE, (2,))
            conn.commit()

    assert (held(lab)[1], held(lab)[2]) == (40, 1)


def test_a_block_may_choose(lab: Lab, conn: Connection) -> None:
    with conn.using(transaction_reads="writer"):
        value(conn, 1)
        assert role(conn) == "writer"
        conn.commit()
    until(lambda: (value(conn, 1), conn.rollback(), role(conn))[2] == "reader")


def test_no_increment_is_lost_whoever_else_counts(lab: Lab) -> None:
    """Read, add one, write: the classic that loses updates without a comparison."""
    failures: list[BaseException] = []

    def count(found: globaldb.Cluster) -> None:
        try:
            with found.connect() as conn:
                for _ in range(10):
                    add_one(conn)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    with cluster(lab, autocommit=False) as found:
        threads = [threading.Thread(target=count, args=(found,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert not failures
    assert held(lab)[1] == 30


def add_one(conn: Connection) -> None:
    """Guarded by what the row held, as plain READ COMMITTED needs it, too."""
    while True:
        try:
            seen = value(conn, 1)
            changed = conn.execute(
                "UPDATE tr SET v = %s WHERE id = 1 AND v = %s", (seen + 1, seen)
            )
            conn.commit()
        except globaldb.OperationalError as error:
            if not error.retryable:
                raise
            conn.rollback()
            continue
        if changed.rowcount:
            return


def test_without_the_comparison_a_stale_read_would_be_acted_upon(
    lab: Lab, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above are able to fail."""
    monkeypatch.setattr(repeat, "first_difference", lambda *_: None)
    assert value(conn, 1) == 0
    elsewhere(lab, "UPDATE tr SET v = 40 WHERE id = 1")
    conn.execute("UPDATE tr SET v = 50 WHERE id = 1")
    conn.commit()

    assert held(lab)[1] == 50


# What readers do to it.


def test_a_reader_that_dies_is_left_for_the_writer(lab: Lab, conn: Connection) -> None:
    value(conn, 1)
    lab.kill("ap-south-1-1")
    assert value(conn, 2) == 0
    assert (role(conn), reason(conn)) == ("writer", "transaction_moved")
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert held(lab)[1] == 1


def test_a_transaction_that_only_read_ends_well_without_its_reader(
    lab: Lab, conn: Connection
) -> None:
    value(conn, 1)
    lab.kill("ap-south-1-1")
    conn.commit()
    assert value(conn, 1) == 0


@pytest.fixture
def impatient(lab: Lab) -> Iterator[Lab]:
    """The reader cancels at once what is in the way of its replay."""
    with admin(lab, "ap-south-1-1") as reader:
        reader.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        reader.execute("SELECT pg_reload_conf()")
    elsewhere(lab, "DROP TABLE IF EXISTS locked")
    elsewhere(lab, "CREATE TABLE locked AS SELECT 1 AS n; GRANT ALL ON locked TO app")
    yield lab
    with admin(lab, "ap-south-1-1") as reader:
        reader.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
        reader.execute("SELECT pg_reload_conf()")


def test_a_read_that_replay_cancels_is_repeated_at_the_writer(
    impatient: Lab, conn: Connection
) -> None:
    """A recovery conflict is nothing that the application has to deal with."""
    lab = impatient
    assert one(conn.execute("SELECT n FROM locked")) == (1,)
    assert role(conn) == "reader"
    # Takes the lock that the open transaction is in the way of.
    elsewhere(lab, "ALTER TABLE locked ADD COLUMN m int")
    assert value(conn, 1) == 0
    assert reason(conn) == "transaction_moved"
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert held(lab)[1] == 1


def test_a_snapshot_that_replay_ends_is_no_serialization_failure(
    impatient: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    assert one(conn.execute("SELECT n FROM locked")) == (1,)
    elsewhere(impatient, "ALTER TABLE locked ADD COLUMN m int")
    with pytest.raises(globaldb.NodeLostError) as failure:
        value(conn, 1)

    assert not isinstance(failure.value, psycopg.errors.SerializationFailure)
    assert failure.value.retryable
    conn.rollback()
    assert value(conn, 1) == 0


def test_a_function_that_writes_after_all_takes_the_transaction_along(
    lab: Lab,
) -> None:
    with admin(lab) as writer:
        writer.execute(
            "CREATE OR REPLACE FUNCTION liar() RETURNS int LANGUAGE sql AS "
            "$$ UPDATE tr SET v = v + 1 WHERE id = 9 RETURNING v $$"
        )
    caught_up(lab)
    with cluster(lab, autocommit=False, read_functions="liar") as found:
        with found.connect() as conn:
            value(conn, 1)
            assert role(conn) == "reader"
            assert one(conn.execute("SELECT liar()")) == (1,)
            assert reason(conn) == "transaction_moved"
            conn.commit()

    assert held(lab)[9] == 1


def test_a_move_whose_answer_is_lost_is_made_again(lab: Lab, conn: Connection) -> None:
    """Nothing of it was committed."""
    value(conn, 1)
    lab.cut(FAR, WRITER, "reply", containing="UPDATE")
    conn.execute(UPDATE, (1,))
    conn.commit()

    assert held(lab)[1] == 1


def test_a_move_that_finds_no_writer_ends_the_transaction(
    lab: Lab, conn: Connection
) -> None:
    """What it had read is not verified: it must not go on as another transaction."""
    conn.execute("SAVEPOINT a")
    value(conn, 1)
    lab.kill(WRITER)
    with pytest.raises(globaldb.Error):
        conn.execute(UPDATE, (1,))
    with pytest.raises(psycopg.InternalError, match="roll back"):
        conn.execute(READ, (1,))
    conn.rollback()
    with conn.using(consistency="eventual"):
        assert value(conn, 1) == 0


def test_a_move_that_takes_too_long_ends_the_transaction(
    lab: Lab, conn: Connection
) -> None:
    value(conn, 1)
    conn.execute("SAVEPOINT a")
    with admin(lab) as other, other.transaction():
        other.execute("LOCK TABLE tr")
        with (
            conn.using(timeout="200ms"),
            pytest.raises(globaldb.DeadlineExceededError),
        ):
            conn.execute(UPDATE, (1,))
    with pytest.raises(globaldb.Error):
        conn.execute("ROLLBACK TO a")
    conn.rollback()
    assert value(conn, 1) == 0


def test_nothing_older_than_a_token_is_read_in_the_middle(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    assert value(conn, 1) == 0
    lab.lag(FAR, 5)
    with found.connect() as other:
        other.execute(UPDATE, (1,))
        other.commit()
        conn.observe(other.token)
    with pytest.raises(psycopg.errors.SerializationFailure):
        value(conn, 1)
    conn.rollback()
    assert value(conn, 1) == 1


def test_a_token_from_the_middle_covers_what_was_read(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    with admin(lab) as writer:
        writer.execute("UPDATE tr SET v = 3 WHERE id = 1")
    until(lambda: (value(conn, 1), conn.rollback())[0] == 3)
    assert value(conn, 1) == 3
    with found.connect() as other:
        other.observe(conn.token)
        assert value(other, 1) == 3
    assert value(conn, 2) == 0
    assert role(conn) == "reader"


@pytest.mark.parametrize("ask", ["token", "global", "writer"])
@pytest.mark.parametrize("moored", [False, True], ids=["", "set local"])
def test_a_read_only_transaction_reads_nothing_older_than_asked_for_meanwhile(
    lab: Lab, found: globaldb.Cluster, conn: Connection, ask: str, *, moored: bool
) -> None:
    conn.read_only = True
    if moored:
        conn.execute("SET LOCAL statement_timeout = 5000")
    assert value(conn, 1) == 0
    assert role(conn) == "reader"
    lab.lag(FAR, 5)
    with found.connect() as other:
        other.execute(UPDATE, (1,))
        other.commit()
        token = other.token
    options = {"global": {"consistency": "global"}, "writer": {"route": "writer"}}
    if ask == "token":
        conn.observe(token)
    with conn.using(**options.get(ask, {})):
        if moored:
            with pytest.raises(globaldb.StalenessError):
                value(conn, 1)
        else:
            assert value(conn, 1) == 1


def test_a_snapshot_stays_as_old_as_it_is(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    assert value(conn, 1) == 0
    with found.connect() as other:
        other.execute(UPDATE, (1,))
        other.commit()
        conn.observe(other.token)
    assert value(conn, 1) == 0
    assert role(conn) == "reader"


def test_a_bound_on_staleness_holds_for_each_read_of_a_transaction(lab: Lab) -> None:
    options: dict[str, Any] = {"consistency": "eventual", "max_staleness": 1.0}
    with cluster(lab, autocommit=False, probe_interval=0.2, **options) as found:
        with found.connect() as conn:
            until(lambda: (value(conn, 1), conn.rollback(), role(conn))[2] == "reader")
            value(conn, 1)
            assert role(conn) == "reader"
            lab.lag(FAR, 30)
            with admin(lab) as writer:
                writer.execute("UPDATE tr SET v = 3 WHERE id = 2")
            until(lambda: (value(conn, 1), role(conn))[1] == "writer", limit=5)
            assert value(conn, 2) == 3
            conn.execute(UPDATE, (1,))
            conn.commit()

    assert held(lab)[1] == 1


# What is learnt.


def test_transactions_that_turn_out_to_write_go_on_beginning_at_the_reader(
    conn: Connection,
) -> None:
    """At the writer each of their reads would be a trip."""
    places = []
    for _ in range(5):
        value(conn, 1)
        places.append((role(conn), reason(conn)))
        conn.execute(UPDATE, (1,))
        conn.commit()
        until(lambda: (value(conn, 1), conn.rollback(), role(conn))[2] == "reader")

    assert set(places) == {("reader", "transaction_reads")}


def start_over(lab: Lab, conn: Connection) -> None:
    """Have a transaction read what is different by the time it writes."""
    value(conn, 1)
    lab.lag(FAR, 5)
    try:
        with admin(lab) as writer:
            writer.execute("UPDATE tr SET v = v + 1 WHERE id = 1")
        with pytest.raises(psycopg.errors.SerializationFailure):
            conn.execute(UPDATE, (2,))
    finally:
        lab.lag(FAR, 0)
    conn.rollback()


def test_transactions_that_had_to_start_over_begin_at_the_writer(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    """An application that repeats nothing meets the error once."""
    start_over(lab, conn)
    places = []
    for _ in range(3):
        value(conn, 1)
        places.append((role(conn), reason(conn)))
        conn.execute(UPDATE, (1,))
        conn.commit()

    assert places == [("writer", "transaction_shape")] * 3
    with found.connect() as other:
        rows = other.execute("SHOW GLOBALDB TRANSACTIONS").fetchall()
    [(statement, depth, seen, upgraded, changed, share, begins)] = rows
    assert statement == "select v from tr where id = ?"
    assert (depth, seen, upgraded, changed, share, begins) == (
        1,
        4,
        1,
        1,
        1.0,
        "writer",
    )


def test_an_application_that_retries_once_is_not_turned_away_twice(
    lab: Lab, conn: Connection
) -> None:
    """Even while its reader lags: what has changed is read at the writer next time."""
    value(conn, 1)
    lab.lag(FAR, 5)
    with admin(lab) as writer:
        writer.execute("UPDATE tr SET v = 40 WHERE id = 1")
    with pytest.raises(psycopg.errors.SerializationFailure):
        conn.execute(UPDATE, (2,))
    conn.rollback()
    assert value(conn, 1) == 40
    conn.execute(UPDATE, (2,))
    conn.commit()

    assert held(lab)[2] == 1


def test_a_read_is_explained_before_and_after(conn: Connection) -> None:
    until(lambda: conn.explain_route(READ).reason == "transaction_reads")
    assert conn.explain_route(UPDATE).reason == "transaction"
    value(conn, 1)
    assert conn.explain_route(READ).role.value == "reader"
