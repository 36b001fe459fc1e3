"""What a catalog says of a database's objects is what a standby says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import psycopg
import pytest

from globaldb.core.catalog import Catalog
from globaldb.core.postgresql.classify import classify
from globaldb.core.statement import Verdict
from globaldb.drivers.psycopg.catalog import read_catalog
from globaldb.drivers.psycopg.driver import PsycopgDriver
from globaldb.drivers.psycopg.physical import Physical
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

REGION, WRITER, READER = "us-west-2", "us-west-2-1", "us-west-2-2"
SPEC = LabSpec(regions={REGION: 1}, direct=True)
HERE = Path(__file__).parent
SPECIFIED = HERE.parent / "spec"
RECORDED = [
    case
    for line in (SPECIFIED / "statements.jsonl").read_text().splitlines()
    if (case := json.loads(line))["engine"] == "postgresql"
]

FOUND = "volatile_function"
#: A statement on each object, and what it is taken for.
STATEMENTS = [
    # Functions.
    ("SELECT k.ro(1)", "read", "select"),
    ("SELECT ro(1), im(2)", "read", "select"),
    ('SELECT "ro"(1)', "read", "select"),
    ("SELECT k.ro (1)", "read", "select"),
    ("SELECT k.ro(k.wr(1))", "write", FOUND),
    ("SELECT k.wr(1)", "write", FOUND),
    ("SELECT wr(1)", "write", FOUND),
    ("SELECT k.vol(1)", "write", FOUND),
    ("SELECT k.upd(1)", "write", FOUND),
    ("SELECT k.liar(1)", "read", "select"),
    ("SELECT k.seq_liar(1)", "write", "sequence"),
    ("SELECT k.seq_here()", "same_connection", "sequence"),
    ("SELECT k.dflt()", "write", "sequence"),
    ("SELECT k.atomic_wr(1)", "write", FOUND),
    ("SELECT k.atomic_ro(1)", "read", "select"),
    ("SELECT k.notes(1)", "read", "select"),
    ("SELECT k.who()", "node_local", "node_function"),
    ("SELECT k.agg_wr(id) FROM k.a", "write", FOUND),
    ("SELECT k.agg_ro(id) FROM k.a", "read", "select"),
    ("SELECT lower(e) FROM k.has_en2", "write", FOUND),
    ("SELECT pg_catalog.lower('X')", "read", "select"),
    ("SELECT a.attr FROM k.a LIMIT 1", "write", FOUND),
    ("SELECT (a).attr FROM k.a LIMIT 1", "write", FOUND),
    ("SELECT (1).wr", "write", FOUND),
    ("SELECT a.attr_ro FROM k.a LIMIT 1", "read", "select"),
    ("SELECT k.normal_rand(1, 0, 1)", "read", "select"),
    # Functions that keep something on their connection; most of them silently.
    ("SELECT k.lock1(1)", "pin", "stateful_function"),
    ("SELECT k.lock3(1)", "pin", "stateful_function"),
    ("SELECT k.xlock(1)", "write", "advisory_lock"),
    ("SELECT k.sets(1)", "pin", "stateful_function"),
    ("SELECT k.sets2(1)", "pin", "stateful_function"),
    ("SELECT k.sets_local(1)", "write", "set_config"),
    ("SELECT k.temps(1)", "pin", "stateful_function"),
    ("SELECT k.listens(1)", "pin", "stateful_function"),
    ("SELECT k.dblink_get_connections()", "pin", "connection_state"),
    # Views.
    ("SELECT * FROM k.v_plain", "read", "select"),
    ("SELECT * FROM k.v_ro", "read", "select"),
    ("SELECT * FROM k.v_wr", "write", FOUND),
    ('SELECT * FROM "k"."v_v_wr"', "write", FOUND),
    ('SELECT "x" FROM "v_v_wr"', "write", FOUND),
    ("TABLE v_seq", "write", "sequence"),
    ("SELECT * FROM k.v_lastval", "write", "sequence"),
    ("SELECT * FROM k.s", "write", "sequence"),
    ("SELECT * FROM k.v_lock", "pin", "advisory_lock"),
    ("SELECT * FROM k.v_for_update", "write", "locking_clause"),
    ("SELECT * FROM k.v_random", "read", "select"),
    ("SELECT * FROM k.v_act", "node_local", "node_view"),
    ("SELECT * FROM k.v_setting", "read", "select"),
    ("SELECT * FROM k.v_sub", "write", FOUND),
    ("SELECT * FROM k.v_op", "write", FOUND),
    ("SELECT * FROM k.v_window", "read", "select"),
    ("SELECT * FROM k.v_rls", "write", FOUND),
    ("SELECT * FROM k.v_join", "write", FOUND),
    ("SELECT * FROM k.v_cte", "write", FOUND),
    ("SELECT * FROM k.v_srf", "write", FOUND),
    ("SELECT * FROM k.of_view()", "read", "select"),
    ("SELECT * FROM k.audit", "read", "select"),
    ("SELECT (id).audit FROM k.a", "write", FOUND),
    ("SELECT * FROM k.mv", "read", "select"),
    ("SELECT * FROM k.v_mv", "read", "select"),
    ("EXPLAIN SELECT * FROM k.v_wr", "read", "explain"),
    # Tables.
    ("SELECT * FROM k.ul", "write", "unlogged_table"),
    ("SELECT 1 FROM k.a, k.ul", "write", "unlogged_table"),
    ("SELECT 1 FROM k.a CROSS JOIN (ul CROSS JOIN k.a b)", "write", "unlogged_table"),
    ("SELECT 1 WHERE EXISTS (SELECT FROM ONLY (ul))", "write", "unlogged_table"),
    ("EXPLAIN SELECT * FROM k.ul", "write", "unlogged_table"),
    ("SELECT * FROM k.v_ul", "write", "unlogged_table"),
    ('SELECT * FROM "UpperUl"', "write", "unlogged_table"),
    ("SELECT * FROM U&\"!0075l\" UESCAPE '!'", "write", "escaped_name"),
    ("SELECT * FROM k.parent", "write", "unlogged_table"),
    ("SELECT * FROM k.part", "write", "unlogged_table"),
    ("SELECT * FROM k.part1", "read", "select"),
    ("SELECT ul.ul FROM (SELECT 1 AS ul) ul", "read", "select"),
    ("SELECT * FROM k.rls", "write", FOUND),
    ("SELECT * FROM k.rls_ok", "read", "select"),
    ("SELECT * FROM k.file", "write", "foreign_table"),
    ("SELECT * FROM k.words WHERE w = 'x'", "read", "select"),
    # Operators and types.
    ("SELECT 1 OPERATOR(k.###) 2", "write", FOUND),
    ("SELECT 1 ### 2", "write", FOUND),
    ("SELECT 1###2", "write", FOUND),
    ("SELECT 1 ## 2", "read", "select"),
    ("SELECT 3::k.dom_wr", "write", FOUND),
    ("SELECT CAST(3 AS dom_wr)", "write", FOUND),
    ("SELECT 3::k.dom_ro", "read", "select"),
    ("SELECT e + 1 FROM k.has_en", "write", FOUND),
    ("SELECT 'x'::k.en + 1", "write", FOUND),
    ("SELECT e FROM k.has_en2", "read", "select"),
    ("SELECT p FROM k.pairs ORDER BY p", "write", FOUND),
    ("SELECT p FROM k.pairs2 ORDER BY p", "read", "select"),
    ("SELECT * FROM k.v_pairs", "read", "select"),
]
#: Declared STABLE, they write by way of other functions: the refusal teaches.
LIARS = {"SELECT k.liar(1)"}
#: What runs on the writer in any case, and may have to stay on its connection.
WRITES = [
    ("CALL k.p_wr()", "write", "opaque_body"),
    ("CALL k.p_lock()", "pin", "stateful_function"),
    ("CALL k.p_nobody_knows()", "pin", "unknown_function"),
    ("DO $$begin perform k.lock3(1); end$$", "pin", "opaque_body"),
    ("INSERT INTO k.trig0 VALUES (1)", "write", "write_statement"),
    ("INSERT INTO k.trig VALUES (1)", "pin", "stateful_function"),
    ('INSERT INTO "trig_v" VALUES (1)', "pin", "stateful_function"),
    ("INSERT INTO k.log DEFAULT VALUES", "pin", "stateful_function"),
    ("DELETE FROM k.cascaded", "pin", "stateful_function"),
    ("INSERT INTO k.a SELECT k.lock3(1), 2", "pin", "stateful_function"),
    ("COPY k.ul TO STDOUT", "write", "unlogged_table"),
    ("COPY k.v_wr TO STDOUT", "write", FOUND),
    ("COPY k.a TO STDOUT", "read", "copy_out"),
]


class Stage(NamedTuple):
    """A database with objects of all kinds, as its two servers describe it."""

    lab: Lab
    from_writer: Catalog
    from_reader: Catalog
    reader: psycopg.Connection[Any]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Lab.start(SPEC) as lab:
        admin = lab.dsn(REGION, WRITER, superuser=True)
        with psycopg.connect(admin, autocommit=True) as writer:
            writer.execute((SPECIFIED / "schema_postgresql.sql").read_text())
            writer.execute("RESET ALL")
            writer.execute((HERE / "catalog_objects.sql").read_text())
            writer.execute("ALTER ROLE ALL SET search_path = k, t, public")
            found = writer.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        with psycopg.connect(lab.dsn(REGION, WRITER), autocommit=True) as conn:
            from_writer = read_catalog(conn)
        superuser = lab.dsn(REGION, READER, superuser=True)
        with psycopg.connect(superuser, autocommit=True) as reader:
            await_replay(reader, found)
        with (
            psycopg.connect(superuser, autocommit=True) as reader,
            psycopg.connect(lab.dsn(REGION, READER), autocommit=True) as conn,
        ):
            reader.prepare_threshold = None
            yield Stage(lab, from_writer, read_catalog(conn), reader)


def await_replay(reader: psycopg.Connection[Any], position: Any) -> None:
    """Return when the standby has what the writer had."""
    end = monotonic() + 10
    asked = "SELECT pg_last_wal_replay_lsn() >= %s, pg_sleep(0.02)"
    while not reader.execute(asked, position).fetchone()[0]:  # type: ignore[index]
        assert monotonic() < end


def refusal(stage: Stage, sql: str) -> str | None:
    """The code with which the standby refuses *sql*; what it keeps is dropped."""
    try:
        stage.reader.execute(sql)
    except psycopg.Error as error:
        return error.sqlstate
    finally:
        stage.reader.execute("DISCARD ALL")
    return None


def judged(stage: Stage, sql: str) -> tuple[str, str]:
    statement = classify(sql, stage.from_reader)
    return statement.verdict.value, statement.reason


def test_a_standby_describes_the_database_as_its_writer_does(stage: Stage):
    assert set(stage.from_reader.entries) == set(stage.from_writer.entries)
    assert stage.from_reader.functions == stage.from_writer.functions


def test_rights_do_not_change_what_is_read(stage: Stage):
    admin = stage.lab.dsn(REGION, READER, superuser=True)
    with psycopg.connect(admin, autocommit=True) as conn:
        assert read_catalog(conn).relations == stage.from_reader.relations


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["sql"][:60])
def test_a_recorded_statement_has_its_verdict(stage: Stage, case: dict[str, Any]):
    assert classify(case["sql"], stage.from_reader).verdict.value == case["verdict"]


@pytest.mark.parametrize(("sql", "verdict", "reason"), STATEMENTS)
def test_a_query_does_what_the_catalog_says(
    stage: Stage, sql: str, verdict: str, reason: str
):
    assert judged(stage, sql) == (verdict, reason)


@pytest.mark.parametrize(("sql", "verdict", "reason"), WRITES)
def test_a_command_does_what_the_catalog_says(
    stage: Stage, sql: str, verdict: str, reason: str
):
    assert judged(stage, sql) == (verdict, reason)


@pytest.mark.parametrize("sql", [sql for sql, *_ in STATEMENTS])
def test_what_counts_as_a_read_is_not_refused_by_a_standby(stage: Stage, sql: str):
    local = classify(sql, stage.from_reader).verdict in (
        Verdict.READ,
        Verdict.NODE_LOCAL,
    )
    refused = refusal(stage, sql) is not None
    assert not (local and refused) or sql in LIARS


def test_every_documented_liar_is_still_refused(stage: Stage):
    assert {refusal(stage, sql) for sql in LIARS} == {"25006"}


def test_some_that_a_standby_would_run_silently_are_kept_from_it(stage: Stage):
    silent = ["SELECT k.lock3(1)", "SELECT k.sets(1)", "SELECT * FROM k.v_lock"]
    silent += ["SELECT k.xlock(1)", "SELECT k.sets2(1)", "SELECT * FROM k.s"]
    assert [refusal(stage, sql) for sql in silent] == [None] * len(silent)
    verdicts = {classify(sql, stage.from_reader).verdict for sql in silent}
    assert verdicts == {Verdict.PIN, Verdict.WRITE}


def test_the_users_lists_reach_the_views(stage: Stage):
    catalog = stage.from_reader.with_options(
        read_functions=["k.vol", "k.wr"], write_functions=["k.ro"]
    )
    verdicts = {
        sql: classify(sql, catalog).verdict.value
        for sql in ("SELECT k.vol(1)", "SELECT * FROM v_v_wr", "SELECT * FROM v_ro")
    }
    assert list(verdicts.values()) == ["read", "read", "write"]


def test_reading_leaves_no_setting_behind(stage: Stage):
    stage.reader.execute("SET search_path = t; SET statement_timeout = 7000")
    names = "search_path", "statement_timeout", "jit"
    asked = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    before = stage.reader.execute(asked).fetchone()
    read_catalog(stage.reader)
    assert stage.reader.execute(asked).fetchone() == before
    stage.reader.execute("DISCARD ALL")


@pytest.mark.parametrize(
    "setting", ["standard_conforming_strings = off", "search_path = t, pg_catalog"]
)
def test_what_a_session_has_set_changes_nothing(stage: Stage, setting: str):
    stage.reader.execute(f"SET {setting}")
    assert set(read_catalog(stage.reader).entries) == set(stage.from_reader.entries)
    stage.reader.execute("DISCARD ALL")


def test_a_name_found_first_on_the_search_path_does_not_mislead(stage: Stage):
    admin = stage.lab.dsn(REGION, WRITER, superuser=True)
    with psycopg.connect(admin, autocommit=True) as writer, writer.transaction():
        writer.execute(
            "CREATE SCHEMA trap; CREATE TABLE trap.pg_proc (oid oid);"
            "CREATE FUNCTION trap.lower(text) RETURNS text IMMUTABLE LANGUAGE sql"
            " AS $$ SELECT '' $$; SET LOCAL search_path = trap, pg_catalog"
        )
        found = read_catalog(writer)
        raise psycopg.Rollback
    assert found.functions["k.lock1"] == stage.from_reader.functions["k.lock1"]


def test_the_driver_gives_up_at_its_deadline(stage: Stage):
    parameters = psycopg.conninfo.conninfo_to_dict(stage.lab.dsn(REGION, READER))
    given = {name: str(value) for name, value in parameters.items()}
    link = Physical.open(given, monotonic() + 5, prepare=None)
    driver = PsycopgDriver()
    try:
        assert driver.catalog(link, monotonic() + 10).relations
        with pytest.raises(psycopg.OperationalError):
            driver.catalog(link, monotonic())
    finally:
        driver.close(link)
