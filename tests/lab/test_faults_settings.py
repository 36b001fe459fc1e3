"""A session's settings are where its statements are, or the statement is not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    admin,
    caught_up,
    cluster,
    counts,
    one,
    table,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.02})


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t", "n int, x text DEFAULT current_setting('my.x', true)")
    return near


@pytest.fixture
def found(lab: Lab) -> Iterator[globaldb.Cluster]:
    """One physical connection to each node: every session meets what the last left."""
    with cluster(lab, pool_max_size=1) as found:
        yield found


def at_writer(conn: Any, expression: str) -> Any:
    with conn.using(route="writer"):
        return one(conn.execute(f"SELECT {expression}"))[0]


def at_reader(conn: Any, expression: str) -> Any:
    with conn.using(consistency="eventual"):
        found = one(conn.execute(f"SELECT {expression}"))[0]
    assert conn.last_route.node.startswith(FAR)
    return found


def everywhere(conn: Any, expression: str) -> Any:
    here, there = at_reader(conn, expression), at_writer(conn, expression)
    assert here == there
    return here


X = "current_setting('my.x', true)"


def test_a_setting_behind_which_a_statement_failed_is_replayed_with_the_next(
    lab: Lab, found: globaldb.Cluster
) -> None:
    with found.connect() as conn, found.connect() as other:
        assert everywhere(conn, X) is None
        conn.execute("SET my.x = 'mine'")
        for _ in range(2):
            with pytest.raises(globaldb.DataError):
                conn.execute("INSERT INTO t VALUES (1/0)")
        # PostgreSQL has undone the SET with the statement it travelled with.
        assert at_writer(other, X) in (None, "")
        assert one(conn.execute("INSERT INTO t VALUES (1) RETURNING x")) == ("mine",)
        assert at_writer(other, X) in (None, "")
    assert counts(lab, "t") == {1: 1}


def test_a_setting_replayed_in_front_of_a_transaction_is_undone_with_it(
    found: globaldb.Cluster,
) -> None:
    with found.connect() as conn, found.connect() as other:
        at_writer(conn, X)
        conn.execute("SET my.x = 'mine'")
        for end in ("ROLLBACK", "COMMIT"):
            conn.execute("BEGIN")
            assert one(conn.execute(f"SELECT {X}")) == ("mine",)
            conn.execute(end)
            assert at_writer(conn, X) == "mine"
            assert at_writer(other, X) in (None, "")
        conn.execute("BEGIN")
        with pytest.raises(globaldb.DataError):
            conn.execute("INSERT INTO t VALUES (1/0)")
        conn.execute("ROLLBACK")
        assert everywhere(conn, X) == "mine"


def test_a_set_inside_a_transaction_lives_and_dies_with_it(
    found: globaldb.Cluster,
) -> None:
    with found.connect() as conn:
        conn.execute("SET my.x = 'before'")
        conn.execute("BEGIN")
        conn.execute("SET my.x = 'outer'")
        conn.execute("SAVEPOINT a")
        conn.execute("SET my.x = 'inner'")
        conn.execute("ROLLBACK TO a")
        assert one(conn.execute(f"SELECT {X}")) == ("outer",)
        conn.execute("SAVEPOINT b")
        conn.execute("SET my.x = 'kept'")
        conn.execute("RELEASE b")
        conn.execute("COMMIT")
        assert everywhere(conn, X) == "kept"
        conn.execute("BEGIN")
        conn.execute("SET my.x = 'lost'")
        with pytest.raises(globaldb.DataError):
            conn.execute("SELECT 1/0")
        conn.execute("ROLLBACK")
        assert everywhere(conn, X) == "kept"


@pytest.fixture
def helper(lab: Lab) -> Iterator[None]:
    """A role that the application may take on, for now."""
    with admin(lab) as writer:
        writer.execute("DROP ROLE IF EXISTS helper")
        writer.execute("CREATE ROLE helper")
        writer.execute("GRANT helper TO app")
        writer.execute("GRANT ALL ON t TO helper")
        caught_up(lab)
        yield
        writer.execute("REVOKE ALL ON t FROM helper")
        writer.execute("DROP ROLE helper")


def test_a_setting_that_cannot_be_replayed_prevents_the_statement(
    lab: Lab, found: globaldb.Cluster, helper: None
) -> None:
    with found.connect() as conn, found.connect() as other, admin(lab) as writer:
        conn.execute("SET ROLE helper")
        assert conn.last_route.node.startswith(FAR)
        writer.execute("REVOKE helper FROM app")
        for _ in range(2):
            with pytest.raises(globaldb.ProgrammingError, match="helper"):
                conn.execute("INSERT INTO t VALUES (1)")
        # The connection that refused it is nobody else's trouble.
        other.execute("INSERT INTO t VALUES (2)")
        conn.execute("RESET ROLE")
        conn.execute("INSERT INTO t VALUES (3)")
    assert counts(lab, "t") == {2: 1, 3: 1}


def test_a_transaction_whose_settings_cannot_be_replayed_has_failed(
    lab: Lab, found: globaldb.Cluster, helper: None
) -> None:
    """BEGIN was never sent: what follows must not commit by itself."""
    with found.connect() as conn, admin(lab) as writer:
        conn.execute("SET ROLE helper")
        writer.execute("REVOKE helper FROM app")
        conn.execute("BEGIN")
        with pytest.raises(globaldb.ProgrammingError, match="helper"):
            conn.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(globaldb.InternalError):
            conn.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(globaldb.NodeLostError, match="Nothing was applied"):
            conn.execute("COMMIT")
        conn.execute("RESET ROLE")
        conn.execute("INSERT INTO t VALUES (3)")
    assert counts(lab, "t") == {3: 1}


def test_a_transaction_whose_first_statement_never_left_goes_on(
    lab: Lab, found: globaldb.Cluster
) -> None:
    with found.connect() as conn:
        for key, undone in ((1, True), (2, False)):
            with conn.transaction(force_rollback=undone):
                with pytest.raises(globaldb.ProgrammingError):
                    conn.execute("INSERT INTO t VALUES (%s)", (object(),))
                conn.execute("INSERT INTO t VALUES (%s)", (key,))
    assert counts(lab, "t") == {2: 1}


def test_a_session_leaves_nothing_to_the_next_one_on_its_connection(
    found: globaldb.Cluster,
) -> None:
    with found.connect() as conn, found.connect() as other:
        everywhere(other, X)
        conn.execute("SET search_path = pg_catalog")
        conn.execute("SET my.x = 'mine'")
        conn.execute("PREPARE p AS SELECT 1")
        assert everywhere(conn, X) == "mine"
        with pytest.raises(globaldb.ProgrammingError):
            everywhere(conn, "count(*) FROM t")
        assert everywhere(other, "count(*) FROM t") == 0
        assert everywhere(other, X) in (None, "")
        for route in ("auto", "writer"):
            with other.using(route=route):
                other.execute("PREPARE p AS SELECT 2")
                assert one(other.execute("EXECUTE p")) == (2,)
                other.execute("DEALLOCATE p")
        assert one(conn.execute("EXECUTE p")) == (1,)


def test_the_seed_stays_with_its_session(found: globaldb.Cluster) -> None:
    with found.connect() as other:
        everywhere(other, "1")
    with found.connect() as conn:
        conn.execute("SET seed = 0.5")
        first = one(conn.execute("SELECT random()"))
        conn.execute("SET seed = 0.5")
        assert one(conn.execute("SELECT random()")) == first
    # PostgreSQL does not let it be reset: nobody else may meet it.
    with found.connect() as other:
        assert everywhere(other, "1") == 1


def test_the_user_of_a_session_is_the_same_on_every_node(lab: Lab) -> None:
    password = lab.dsn(FAR, READER, superuser=True).split("password=")[1].split()[0]
    options: dict[str, Any] = {
        "user": "postgres",
        "password": password,
        "pool_max_size": 1,
    }
    who = f"session_user || '/' || current_user || '/' || coalesce({X}, '')"
    with cluster(lab, **options) as found, found.connect() as conn:
        other = found.connect()
        conn.execute("GRANT pg_monitor TO app")
        caught_up(lab)
        conn.execute("SET SESSION AUTHORIZATION app")
        conn.execute("SET my.x = 'mine'")
        conn.execute("SET ROLE pg_monitor")
        assert everywhere(conn, who) == "app/pg_monitor/mine"
        assert everywhere(other, who) == "postgres/postgres/"
        other.execute("SET ROLE pg_monitor")
        assert everywhere(other, who) == "postgres/pg_monitor/"
        assert everywhere(conn, who) == "app/pg_monitor/mine"
        conn.execute("RESET SESSION AUTHORIZATION")
        assert everywhere(conn, who) == "postgres/postgres/mine"
        other.close()


def test_a_load_survives_the_rollback_of_its_transaction(lab: Lab) -> None:
    password = lab.dsn(FAR, WRITER, superuser=True).split("password=")[1].split()[0]
    options: dict[str, Any] = {"user": "postgres", "password": password}
    with cluster(lab, **options) as found, found.connect() as conn:
        conn.execute("BEGIN")
        conn.execute("LOAD 'auto_explain'")
        conn.execute("ROLLBACK")
        loaded = "current_setting('auto_explain.log_nested_statements', true)"
        assert everywhere(conn, loaded) == "off"


def test_what_is_prepared_may_name_what_was_made_a_moment_ago(
    lab: Lab, found: globaldb.Cluster
) -> None:
    with found.connect() as conn:
        lab.lag(FAR, 2)
        conn.execute("DROP TABLE IF EXISTS just_made")
        conn.execute("CREATE TABLE just_made (n int)")
        conn.execute("PREPARE put (int) AS INSERT INTO just_made VALUES ($1)")
        conn.execute("EXECUTE put(1)")
        assert one(conn.execute("SELECT n FROM just_made")) == (1,)
