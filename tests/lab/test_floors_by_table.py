"""With floors by table a write keeps only reads of its tables away from readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    BrokenPromiseError,
    admin,
    caught_up,
    cluster,
    one,
    reads_own_writes,
    until,
)

from globaldb.lab import Lab, LabSpec
from globaldb.runtime.flow import touch

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.04})
#: Seconds: more than any wait for a reader.
BEHIND = 8
SCHEMA = """
DROP SCHEMA IF EXISTS f CASCADE; CREATE SCHEMA f;
CREATE TABLE f.f_a(n int); CREATE TABLE f.f_b(n int);
ALTER TABLE f.f_b OWNER TO app; CREATE TABLE f.f_log(n int);
CREATE TABLE f.f_parent(n int PRIMARY KEY);
CREATE TABLE f.f_child(n int REFERENCES f.f_parent ON DELETE CASCADE);
CREATE VIEW f.f_view AS SELECT n FROM f.f_a;
CREATE TABLE f.f_audited(n int);
CREATE FUNCTION f.f_log_it() RETURNS trigger LANGUAGE plpgsql AS
  $$begin insert into f.f_log values (new.n); return null; end$$;
CREATE TRIGGER t AFTER INSERT ON f.f_audited FOR EACH ROW
  EXECUTE FUNCTION f.f_log_it();
CREATE FUNCTION f.f_sum() RETURNS bigint LANGUAGE sql STABLE AS
  'SELECT sum(n) FROM f.f_a';
GRANT ALL ON SCHEMA f TO app; GRANT ALL ON ALL TABLES IN SCHEMA f TO app;
"""
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    with admin(near) as writer:
        writer.execute(SCHEMA)
    caught_up(near)
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    """A session by table whose reader is far behind from now on."""
    with cluster(lab, safe_lag_scope="table") as found, found.connect() as conn:
        conn.execute("INSERT INTO f.f_parent VALUES (1)")
        conn.execute("INSERT INTO f.f_child VALUES (1)")
        caught_up(lab)
        assert at(conn, "SELECT count(*) FROM f.f_b") == READER
        lab.lag(FAR, BEHIND)
        yield conn
        lab.lag(FAR, 0)


def at(conn: Connection, sql: str) -> str:
    """Where the read *sql* is served now."""
    conn.execute(sql).fetchall()
    assert conn.last_route is not None
    return node(conn)


def node(conn: Connection) -> str:
    """The lab's name of the node that served last."""
    role = conn.last_route.role.value
    return WRITER if role == "writer" else READER


def reads(conn: Connection, name: str) -> str:
    return at(conn, f"SELECT count(*) FROM f.{name}")


def test_a_read_of_another_table_stays_local_and_one_of_the_same_does_not(conn):
    conn.execute("INSERT INTO f.f_a VALUES (1)")
    assert reads(conn, "f_b") == READER
    assert conn.last_route.waited < 1
    assert one(conn.execute("SELECT count(*) FROM f.f_a")) == (1,)
    assert conn.last_route.role.value == "writer"


def test_what_was_seen_at_the_writer_counts_for_every_table(conn):
    conn.execute("INSERT INTO f.f_a VALUES (1)")
    assert reads(conn, "f_a") == WRITER
    assert reads(conn, "f_b") == WRITER


def test_by_session_every_read_has_to_see_the_write(lab):
    with cluster(lab) as found, found.connect() as conn:
        assert reads(conn, "f_b") == READER
        lab.lag(FAR, BEHIND)
        conn.execute("INSERT INTO f.f_a VALUES (1)")
        assert reads(conn, "f_b") == WRITER


def test_tables_of_a_transaction_count_from_its_commit(conn):
    with conn.transaction():
        conn.execute("INSERT INTO f.f_a VALUES (1)")
        conn.execute("INSERT INTO f.f_log VALUES (1)")
    assert reads(conn, "f_b") == READER
    assert reads(conn, "f_log") == WRITER


@pytest.mark.parametrize(
    ("write", "touched"),
    [
        ("DELETE FROM f.f_parent", "f_child"),
        ("INSERT INTO f.f_audited VALUES (1)", "f_log"),
        ("INSERT INTO f.f_view VALUES (1)", "f_a"),
        ("INSERT INTO f.f_a VALUES (1)", "f_view"),
        ("WITH x AS (INSERT INTO f.f_a VALUES (1) RETURNING n) SELECT n FROM x", "f_a"),
        ("DO $$begin insert into f.f_a values (1); end$$", "f_a"),
    ],
)
def test_what_a_write_leads_to_is_seen(conn, write, touched):
    conn.execute(write)
    assert reads(conn, touched) == WRITER


def test_only_what_a_write_leads_to_goes_to_the_writer(conn):
    conn.execute("INSERT INTO f.f_audited VALUES (1)")
    assert [reads(conn, name) for name in ("f_a", "f_b", "f_view")] == [READER] * 3


def test_a_function_of_the_database_may_read_any_table(conn):
    conn.execute("INSERT INTO f.f_a VALUES (5)")
    assert one(conn.execute("SELECT f.f_sum()")) == (5,)


def test_copy_and_executemany_count_for_every_table(conn):
    with conn.cursor() as cursor, cursor.copy("COPY f.f_a FROM STDIN") as copy:
        copy.write_row((1,))
    assert reads(conn, "f_b") == WRITER


def test_a_temporary_table_counts_for_none(conn):
    conn.execute("CREATE TEMP TABLE f_mine (n int)")
    conn.execute("INSERT INTO f_mine VALUES (1)")
    assert reads(conn, "f_a") == READER
    conn.execute("INSERT INTO f.f_a SELECT n FROM f_mine")
    assert one(conn.execute("SELECT n FROM f.f_a")) == (1,)
    assert reads(conn, "f_b") == WRITER
    conn.execute("DROP TABLE f_mine")


def test_a_token_counts_for_every_table(conn, lab):
    with cluster(lab) as found, found.connect() as other:
        other.execute("INSERT INTO f.f_a VALUES (1)")
        token = other.token
    assert reads(conn, "f_b") == READER
    conn.observe(token)
    assert reads(conn, "f_b") == WRITER


def test_a_warm_read_is_not_served_for_a_table_that_was_written(conn):
    """What holds for one table must not be taken for another's short way."""
    conn.execute("INSERT INTO f.f_a VALUES (1)")
    for _ in range(3):
        assert reads(conn, "f_b") == READER
    assert one(conn.execute("SELECT count(*) FROM f.f_a")) == (1,)


def test_after_a_definition_all_tables_count_until_the_catalog_is_read(lab):
    with cluster(lab, safe_lag_scope="table") as found, found.connect() as conn:
        assert reads(conn, "f_b") == READER
        lab.lag(FAR, BEHIND)
        with found.connect() as other:
            other.execute("ALTER TABLE f.f_b ADD COLUMN v int")
        conn.execute("INSERT INTO f.f_a VALUES (1)")
        assert reads(conn, "f_b") == WRITER


@pytest.fixture
def windowed(lab: Lab) -> Iterator[Connection]:
    """A session by table whose reader does not tell how far it is."""
    refused = (
        "pg_last_wal_replay_lsn()",
        "pg_xact_status(xid8)",
        "pg_last_xact_replay_timestamp()",
    )
    options = {"safe_lag_scope": "table", "safe_lag_window": 3}
    with admin(lab) as writer:
        for function in refused:
            writer.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        caught_up(lab)
        try:
            with cluster(lab, **options) as found, found.connect() as conn:
                yield conn
        finally:
            for function in refused:
                writer.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
    caught_up(lab)


def test_the_window_is_that_of_the_table(windowed):
    windowed.execute("INSERT INTO f.f_a VALUES (1)")
    assert reads(windowed, "f_a") == WRITER
    assert windowed.last_route.reason == "safe_lag_window"
    for _ in range(3):
        assert reads(windowed, "f_b") == READER
        assert reads(windowed, "f_a") == WRITER
    until(lambda: reads(windowed, "f_a") == READER)


def test_own_writes_are_read_table_by_table(conn):
    keys = iter(range(100))
    for name in ("f_a", "f_b", "f_log"):
        reads_own_writes(
            lambda key, name=name: conn.execute(f"INSERT INTO f.{name} VALUES ({key})"),
            lambda name=name: [n for (n,) in conn.execute(f"SELECT n FROM f.{name}")],
            [next(keys) for _ in range(3)],
        )


def test_a_write_that_is_put_down_to_no_table_is_found_out(conn, monkeypatch):
    monkeypatch.setattr(touch, "_touched", lambda session, work: frozenset())
    with pytest.raises(BrokenPromiseError):
        reads_own_writes(
            lambda key: conn.execute(f"INSERT INTO f.f_a VALUES ({key})"),
            lambda: [n for (n,) in conn.execute("SELECT n FROM f.f_a")],
            [1],
        )
