"""What a reader refuses is done once on the writer, and known from then on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from promises import FAR, HOME, admin, caught_up, cluster, counts, one, table, until

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

#: What the server writes for itself is flushed, and so sent to its reader, at once.
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.005},
    settings={"wal_writer_delay": "10ms"},
)
Connection = Any


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    """A lab with a function that its user takes for a read, and that writes."""
    table(near, "t")
    with admin(near) as writer:
        writer.execute(
            "CREATE OR REPLACE FUNCTION liar(k int) RETURNS int LANGUAGE plpgsql "
            "AS $$BEGIN EXECUTE format('INSERT INTO t VALUES (%s)', k); RETURN k; END$$"
        )
        writer.execute("CREATE OR REPLACE VIEW over_liar AS SELECT liar(7) AS k")
        writer.execute("GRANT SELECT ON over_liar TO app")
    caught_up(near)
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    options = {"read_functions": "liar", "hints": True}
    with cluster(lab, **options) as found, found.connect() as conn:
        yield conn


def learned(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute("SHOW GLOBALDB LEARNED").fetchall()]


def test_a_refused_read_is_repeated_once_and_remembered(
    lab: Lab, conn: Connection
) -> None:
    assert one(conn.execute("SELECT liar(%s)", (1,))) == (1,)
    assert conn.last_route.reason == "refused_by_reader"
    assert counts(lab, "t") == {1: 1}
    assert learned(conn) == ["select liar ( ? )"]
    # Another value, other white space, a comment: the same statement.
    conn.execute("SELECT liar( 2 ) -- again")
    assert conn.last_route.reason == "learned"
    assert conn.last_route.role.value == "writer"
    assert counts(lab, "t") == {1: 1, 2: 1}
    assert len(learned(conn)) == 1


def test_what_is_learnt_holds_for_every_session_of_the_cluster(lab: Lab) -> None:
    with cluster(lab, read_functions="liar") as found:
        with found.connect() as conn:
            conn.execute("SELECT liar(1)")
        with found.connect() as other:
            other.execute("SELECT liar(2)")
            assert other.last_route.reason == "learned"


def test_a_view_that_writes_is_learnt_too(lab: Lab, conn: Connection) -> None:
    conn.execute("SELECT * FROM over_liar")
    assert conn.last_route.tried
    conn.execute("SELECT * FROM over_liar")
    assert conn.last_route.tried == ()
    assert counts(lab, "t") == {7: 2}


def test_nothing_is_learnt_inside_a_transaction(lab: Lab, conn: Connection) -> None:
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT 1")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("SELECT liar(1)")
    conn.rollback()
    assert learned(conn) == []
    assert counts(lab, "t") == {}


def test_nothing_is_learnt_from_a_session_that_asked_to_read_only(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("SET default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("SELECT liar(1)")
    conn.execute("SET default_transaction_read_only = off")
    assert learned(conn) == []
    assert counts(lab, "t") == {}


def test_nothing_is_learnt_from_an_error_of_the_statement(
    lab: Lab, conn: Connection
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1 / 0")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM pg_authid")
    assert learned(conn) == []


def test_a_definition_forgets_what_was_learnt(lab: Lab, conn: Connection) -> None:
    conn.execute("SELECT liar(1)")
    assert learned(conn)
    conn.execute("CREATE OR REPLACE VIEW harmless AS SELECT 1 AS n")
    assert learned(conn) == []


def test_values_never_stand_in_what_is_learnt(lab: Lab, conn: Connection) -> None:
    conn.execute("SELECT liar(1), 'secret' AS word, 4711 AS pin")
    [text] = learned(conn)
    assert "secret" not in text
    assert "4711" not in text


def test_a_hint_sends_a_read_to_the_writer_for_once(lab: Lab, conn: Connection) -> None:
    conn.execute("/* globaldb: route=writer */ SELECT 1")
    assert conn.last_route.reason == "route_option"
    conn.execute("SELECT 1")
    assert conn.last_route.reason == "nearest_reader"
    conn.execute("/* globaldb: consistency=global */ SELECT 1")
    assert conn.last_route.reason == "global_read"
    conn.execute(f"/* globaldb: region={HOME} */ SELECT 1")
    assert conn.last_route.region == HOME
    conn.execute("SELECT 1")
    assert conn.last_route.region == FAR


def test_a_hint_cannot_send_a_write_to_a_reader(lab: Lab, conn: Connection) -> None:
    conn.execute("/* globaldb: route=reader */ INSERT INTO t VALUES (1)")
    assert conn.last_route.role.value == "writer"
    assert counts(lab, "t") == {1: 1}


def test_a_misspelt_hint_is_an_error(conn: Connection) -> None:
    with pytest.raises(globaldb.ProgrammingError, match="rout="):
        conn.execute("/* globaldb: rout=writer */ SELECT 1")


def test_hints_are_comments_unless_asked_for(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        conn.execute("/* globaldb: route=writer */ SELECT 1")
        assert conn.last_route.reason == "nearest_reader"


LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


def test_a_read_only_transaction_goes_to_the_writer_for_what_needs_it(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT 1")
    assert conn.last_route.role.value == "reader"
    conn.execute("SELECT pg_advisory_xact_lock(7)")
    assert conn.last_route.role.value == "writer"
    with admin(lab) as writer:
        assert one(writer.execute(LOCKS)) == (1,)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("INSERT INTO t VALUES (1)")
    conn.rollback()
    with admin(lab) as writer:
        assert one(writer.execute(LOCKS)) == (0,)


def test_a_read_only_transaction_may_begin_with_what_needs_the_writer(
    lab: Lab, conn: Connection
) -> None:
    conn.execute("BEGIN READ ONLY")
    conn.execute("SELECT pg_advisory_xact_lock(7)")
    assert conn.last_route.role.value == "writer"
    conn.rollback()


@pytest.mark.parametrize(
    "statements",
    [
        ("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", "SELECT 1"),
        ("BEGIN READ ONLY", "SELECT 1", "SAVEPOINT a"),
        ("BEGIN READ ONLY", "SET LOCAL work_mem = '8MB'"),
    ],
)
def test_a_read_only_transaction_that_cannot_move_says_so(
    lab: Lab, conn: Connection, statements: tuple[str, ...]
) -> None:
    for statement in statements:
        conn.execute(statement)
    with pytest.raises(globaldb.ReadOnlyError, match="needs the writer"):
        conn.execute("SELECT pg_advisory_lock(7)")
    conn.rollback()
    with admin(lab, "ap-south-1-1") as reader:
        assert one(reader.execute(LOCKS)) == (0,)
    assert one(conn.execute("SELECT 1")) == (1,)


def test_the_catalog_can_be_looked_at(lab: Lab, conn: Connection) -> None:
    rows = conn.execute("SHOW GLOBALDB CATALOG").fetchall()
    # The user's word stands above the catalog's.
    assert ("function", "public.liar", "read") in {row[:3] for row in rows}
    session = dict(conn.execute("SHOW GLOBALDB SESSION").fetchall())
    assert session["catalog"] == "read"


def await_role(conn: Any, sql: str, role: str) -> None:
    """What was read at the writer may be flushed, and so sent, a little later."""

    def served() -> bool:
        conn.execute(sql)
        return bool(conn.last_route.role.value == role)

    until(served)


def test_a_definition_is_known_as_soon_as_it_is_made(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        for kind, role in (("STABLE", "reader"), ("VOLATILE", "writer")) * 2:
            conn.execute(
                "CREATE OR REPLACE FUNCTION changing() RETURNS int "
                f"LANGUAGE sql {kind} AS 'SELECT 1'"
            )
            until(lambda: found.runtime.catalog.present)
            caught_up(lab)
            await_role(conn, "SELECT changing()", role)


def test_reads_are_the_writers_until_a_definition_is_known(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        conn.execute("CREATE OR REPLACE VIEW recent AS SELECT 1 AS n")
        assert one(conn.execute("SELECT n FROM recent")) == (1,)
        assert conn.last_route.role.value == "writer"
        until(lambda: found.runtime.catalog.present)
        caught_up(lab)
        await_role(conn, "SELECT n FROM recent", "reader")


def test_a_definition_counts_when_it_is_committed(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        conn.execute("BEGIN")
        conn.execute("CREATE OR REPLACE VIEW recent AS SELECT 1 AS n")
        assert found.runtime.catalog.present
        conn.rollback()
        assert found.runtime.catalog.present
        conn.execute("BEGIN")
        conn.execute("CREATE OR REPLACE VIEW recent AS SELECT 1 AS n")
        conn.commit()
        assert not found.runtime.catalog.present
        until(lambda: found.runtime.catalog.present)
