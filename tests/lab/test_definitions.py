"""Definitions are noticed however they pass by, and reads go on meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from promises import (
    FAR,
    HOME,
    WRITER,
    admin,
    caught_up,
    cluster,
    one,
    table,
    until,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.005},
    settings={"max_prepared_transactions": "5"},
)
Connection = Any


@pytest.fixture(scope="module")
def near(module_lab: Any) -> Lab:
    started: Lab = module_lab(SPEC)
    return started


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    with admin(near) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        writer.execute("DROP FUNCTION IF EXISTS changing()")
    caught_up(near)
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(lab, probe_interval=0.2) as found:
        yield found


@pytest.fixture
def conn(found: globaldb.Cluster) -> Iterator[Connection]:
    with found.connect() as conn:
        yield conn


def role_of(conn: Connection, sql: str) -> str:
    conn.execute(sql)
    return str(conn.last_route.role.value)


def reads_locally(conn: Connection) -> None:
    until(lambda: role_of(conn, "SELECT n FROM t") == "reader")


def definition(volatility: str, body: str) -> str:
    return (
        "CREATE OR REPLACE FUNCTION changing() RETURNS int "
        f"LANGUAGE sql {volatility} AS '{body}'"
    )


def changes(
    lab: Lab,
    found: globaldb.Cluster,
    conn: Connection,
    run: Callable[[str], object],
    *,
    prepared: bool = False,
) -> None:
    """Have *run* make a function a lock that was a read: it moves to the writer."""
    conn.execute(definition("STABLE", "SELECT 1"))
    until(lambda: found.runtime.catalog.present)
    caught_up(lab)
    call = "SELECT changing()"
    if prepared:
        conn.execute(f"PREPARE q AS {call}")
        call = "EXECUTE q"
    until(lambda: role_of(conn, call) == "reader")
    run(definition("VOLATILE", "SELECT pg_advisory_xact_lock(77); SELECT 1"))
    until(lambda: found.runtime.catalog.present)
    caught_up(lab)
    reads_locally(conn)
    assert role_of(conn, call) == "writer"


def in_pipeline(conn: Connection, sql: str) -> None:
    with conn.pipeline():
        conn.execute(sql)


def in_executemany(conn: Connection, sql: str) -> None:
    conn.cursor().executemany(sql, [()])


def in_script(conn: Connection, sql: str) -> None:
    conn.execute(f"SELECT 1; {sql}")


def test_a_prepared_statement_is_what_its_body_has_become(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    changes(lab, found, conn, conn.execute, prepared=True)


@pytest.mark.parametrize("way", [in_pipeline, in_executemany, in_script])
def test_a_definition_is_noticed_whichever_way_it_is_sent(
    lab: Lab,
    found: globaldb.Cluster,
    conn: Connection,
    way: Callable[[Connection, str], None],
) -> None:
    changes(lab, found, conn, lambda sql: way(conn, sql))


def test_a_definition_before_an_error_of_its_script_is_noticed(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    def run(sql: str) -> None:
        with pytest.raises(psycopg.errors.DivisionByZero):
            conn.execute(f"BEGIN; {sql}; COMMIT; SELECT 1/0")

    changes(lab, found, conn, run)


def test_a_definition_in_doubt_counts(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    def in_transaction(sql: str) -> None:
        conn.execute("BEGIN")
        conn.execute(sql)
        lab.cut(FAR, WRITER, "reply", containing="COMMIT")
        # The database is asked, and knows.
        conn.execute("COMMIT")

    def alone(sql: str) -> None:
        lab.cut(FAR, WRITER, "reply", containing="CREATE OR")
        with pytest.raises(globaldb.OutcomeUnknownError):
            conn.execute(sql)

    for run in (in_transaction, alone):
        changes(lab, found, conn, run)


def test_a_definition_of_two_phases_counts_with_the_second(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    def run(sql: str) -> None:
        conn.autocommit = False
        conn.tpc_begin("defines")
        conn.execute(sql)
        conn.tpc_prepare()
        until(lambda: found.runtime.catalog.present)
        conn.tpc_commit()
        conn.autocommit = True

    changes(lab, found, conn, run)


def test_a_forked_child_knows_of_a_definition_that_its_parent_has_seen(
    found: globaldb.Cluster, conn: Connection
) -> None:
    reads_locally(conn)
    catalog = found.runtime.catalog
    # As it is until the worker has come to it.
    catalog._seen += 1
    child = os.fork()
    if not child:
        os._exit(0 if found.runtime.catalog.outdated else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_reads_go_on_when_the_writer_takes_a_definition_with_it(
    lab: Lab, found: globaldb.Cluster, conn: Connection
) -> None:
    reads_locally(conn)
    conn.execute("CREATE OR REPLACE VIEW recent AS SELECT 1 AS n")
    lab.partition(HOME, FAR)
    try:
        until(lambda: found.topology.writer is None, 20)
        with found.connect() as other, within(1.0):
            assert one(other.execute("SELECT n FROM t")) == (1,)
    finally:
        lab.heal()
