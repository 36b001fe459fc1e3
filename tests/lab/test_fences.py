"""Every fence of the chain keeps what a session is promised, on servers without the rest.

What a server refuses is refused as by an administrator: by taking the right away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    admin,
    caught_up,
    cluster,
    one,
    table,
    until,
    within,
)

from globaldb.core import fence as chain
from globaldb.core.routing import Fence
from globaldb.drivers.psycopg import position
from globaldb.lab import Lab, LabSpec
from globaldb.runtime.flow import fence as flow

pytestmark = pytest.mark.lab

#: In how far a server is crippled, by the fence that is left.
REFUSED = {
    "lsn": (),
    "xid": ("pg_last_wal_replay_lsn()",),
    "lag": ("pg_last_wal_replay_lsn()", "pg_xact_status(xid8)"),
    "window": (
        "pg_last_wal_replay_lsn()",
        "pg_xact_status(xid8)",
        "pg_last_xact_replay_timestamp()",
    ),
}
#: What tells the position of a write.
POSITIONS = (
    "pg_current_wal_flush_lsn()",
    "pg_current_wal_insert_lsn()",
    "pg_walfile_name(pg_lsn)",
)
#: What else is asked of servers.
OTHERS = (
    "pg_is_in_recovery()",
    "pg_control_checkpoint()",
    "pg_control_recovery()",
    "pg_control_system()",
    "pg_current_snapshot()",
    "pg_current_xact_id_if_assigned()",
    "clock_timestamp()",
    "pg_stat_get_wal_receiver()",
)

Connection = Any

ROUND_TRIP = 0.04


@pytest.fixture(scope="module")
def far_lab() -> Iterator[Lab]:
    spec = LabSpec(
        regions={HOME: 0, FAR: 1},
        rtt={(HOME, FAR): ROUND_TRIP},
        settings={"wal_writer_delay": "10ms"},
    )
    with Lab.start(spec) as lab:
        yield lab


@pytest.fixture
def lab(far_lab: Lab) -> Lab:
    far_lab.restore()
    table(far_lab, "t")
    return far_lab


@contextmanager
def without(lab: Lab, *functions: str) -> Iterator[None]:
    """Take the right to call *functions* away from the application."""
    with admin(lab) as writer:
        for function in functions:
            writer.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        caught_up(lab)
        try:
            yield
        finally:
            for function in functions:
                writer.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
    caught_up(lab)


@contextmanager
def session(lab: Lab, *refused: str, **options: Any) -> Iterator[Connection]:
    """A session of an application to which *refused* is refused from the start."""
    with (
        without(lab, *refused),
        cluster(lab, **options) as found,
        found.connect() as conn,
    ):
        yield conn


def shown(conn: Connection) -> dict[str, str]:
    """The fence in use by region."""
    rows = conn.execute("SHOW GLOBALDB NODES").fetchall()
    return {row[1]: row[5] for row in rows}


def count(conn: Connection) -> int:
    return int(one(conn.execute("SELECT count(*) FROM t"))[0])


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


def insert(lab: Lab) -> None:
    """Somebody else's commit."""
    with admin(lab) as writer:
        writer.execute("INSERT INTO t VALUES (-1)")


@pytest.mark.parametrize("left", REFUSED)
def test_the_fence_in_use_is_the_best_that_both_ends_have(lab: Lab, left: str) -> None:
    with session(lab, *REFUSED[left]) as conn:
        assert shown(conn) == {HOME: "none", FAR: left}


@pytest.mark.parametrize("left", REFUSED)
def test_a_session_sees_its_write_at_once_by_every_fence(lab: Lab, left: str) -> None:
    lab.lag(FAR, 0.2)
    with session(lab, *REFUSED[left]) as conn:
        for written in range(1, 6):
            conn.execute("INSERT INTO t VALUES (1)")
            with within(1.0):
                assert count(conn) == written


@pytest.mark.parametrize("left", REFUSED)
def test_reads_become_local_again_by_every_fence(lab: Lab, left: str) -> None:
    exact = left in ("lsn", "xid")
    with (
        session(lab, *REFUSED[left], safe_lag_window=0.6) as conn,
    ):
        began = time.monotonic()
        conn.execute("INSERT INTO t VALUES (1)")

        def is_local() -> bool:
            time.sleep(0.7 if left == "window" else 0.02)
            if left == "lag":
                insert(lab)
            assert count(conn) >= 1
            return reason(conn) == "nearest_reader"

        until(is_local, 5.0)
        took = time.monotonic() - began
        assert conn.last_route.fence is (Fence.EXACT if exact else Fence.BOUNDED)
        if not exact:
            assert took >= min(0.6, chain.MARGIN)


@pytest.mark.parametrize("left", ["lag", "window"])
def test_a_quiet_writer_keeps_no_session_away_from_its_reader(
    lab: Lab, left: str
) -> None:
    """What a reader replayed last is old then, and says nothing of how late it is."""
    with session(lab, *REFUSED[left], safe_lag_window=0.3) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        assert count(conn) == 1
        assert conn.last_route.role.value == "writer"
        time.sleep(0.4)
        assert count(conn) == 1
        assert reason(conn) == "nearest_reader"
        assert conn.last_route.fence is Fence.BOUNDED


@pytest.mark.parametrize("left", ["lag", "window"])
def test_the_window_does_not_open_for_a_reader_that_certainly_lacks_the_write(
    lab: Lab, left: str
) -> None:
    with (
        session(lab, *REFUSED[left], safe_lag_window=0.2) as conn,
        admin(lab, READER) as reader,
    ):
        reader.execute("SELECT pg_wal_replay_pause()")
        try:
            conn.execute("INSERT INTO t VALUES (1)")
            for _ in range(3):
                time.sleep(0.3)
                with within(1.0):
                    assert count(conn) == 1
                assert conn.last_route.role.value == "writer"
        finally:
            reader.execute("SELECT pg_wal_replay_resume()")
        time.sleep(0.3)
        assert count(conn) == 1
        time.sleep(0.3)
        assert count(conn) == 1
        assert reason(conn) == "nearest_reader"


@pytest.mark.parametrize("left", REFUSED)
def test_a_paused_replay_is_waited_for_a_bounded_time(lab: Lab, left: str) -> None:
    with (
        session(lab, *REFUSED[left]) as conn,
        admin(lab, READER) as reader,
    ):
        reader.execute("SELECT pg_wal_replay_pause()")
        try:
            conn.execute("INSERT INTO t VALUES (1)")
            for _ in range(3):
                with within(ROUND_TRIP * 2 + 1.0):
                    assert count(conn) == 1
                assert conn.last_route.role.value == "writer"
        finally:
            reader.execute("SELECT pg_wal_replay_resume()")


@pytest.mark.parametrize("left", REFUSED)
def test_a_delayed_replay_hides_no_write(lab: Lab, left: str) -> None:
    with admin(lab, READER) as reader:
        reader.execute("ALTER SYSTEM SET recovery_min_apply_delay = '700ms'")
        reader.execute("SELECT pg_reload_conf()")
        try:
            with session(lab, *REFUSED[left]) as conn:
                for written in range(1, 8):
                    conn.execute("INSERT INTO t VALUES (1)")
                    assert count(conn) == written
                    time.sleep(0.1)
                    assert count(conn) == written
        finally:
            reader.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
            reader.execute("SELECT pg_reload_conf()")
            caught_up(lab)


def test_a_server_that_refuses_everything_still_serves(lab: Lab) -> None:
    everything = {*REFUSED["window"], *POSITIONS, *OTHERS}
    with session(lab, *everything, safe_lag_window=0.3) as conn:
        assert shown(conn) == {HOME: "none", FAR: "window"}
        conn.execute("INSERT INTO t VALUES (1)")
        with conn.transaction():
            conn.execute("INSERT INTO t VALUES (2)")
        assert count(conn) == 2
        assert reason(conn) == "safe_lag_window"
        time.sleep(0.4)
        assert count(conn) == 2
        assert reason(conn) == "nearest_reader"
        assert conn.last_route.fence is Fence.BOUNDED


def test_a_writer_without_log_positions_is_fenced_by_transactions(lab: Lab) -> None:
    with session(lab, *POSITIONS) as conn:
        assert shown(conn) == {HOME: "none", FAR: "xid"}
        written = 0

        def fenced_by_its_own() -> bool:
            # A read at the writer in between has seen more than the session's own.
            nonlocal written
            conn.execute("INSERT INTO t VALUES (1)")
            written += 1
            assert count(conn) == written
            route = conn.last_route
            return (
                route.fence is Fence.EXACT
                and route.role.value == "reader"
                and route.required.startswith("transaction ")
            )

        until(fenced_by_its_own, 5.0)


def test_what_was_read_at_the_writer_is_not_fenced_by_own_transactions(
    lab: Lab,
) -> None:
    with session(lab, *POSITIONS) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        lab.lag(FAR, 0.3)
        insert(lab)
        with conn.using(route="writer"):
            assert count(conn) == 2
        assert count(conn) == 2


def test_the_ids_of_transactions_count_for_nothing_after_a_failover(lab: Lab) -> None:
    """Those of lost ones are given out again, and would be found committed."""
    with session(lab, *POSITIONS) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        # Another node was the writer meanwhile.
        conn.session.cluster.reign += 1
        assert count(conn) == 1
        assert conn.last_route.role.value == "writer"


def test_an_eventual_read_without_log_positions_is_bounded_by_lag(lab: Lab) -> None:
    with (
        session(lab, *POSITIONS, *REFUSED["lag"], probe_interval=0.1) as conn,
        conn.using(consistency="eventual", max_staleness=2.0),
    ):
        until(lambda: insert(lab) is None and count(conn) > 0, 5.0)
        time.sleep(2.5)
        insert(lab)
        until(lambda: count(conn) > 1 and reason(conn) == "nearest_reader", 5.0)
        assert conn.last_route.fence is Fence.BOUNDED


@pytest.mark.parametrize(
    "function", ["pg_last_wal_replay_lsn()", "pg_current_wal_flush_lsn()"]
)
def test_a_right_taken_away_later_leads_to_the_next_fence(
    lab: Lab, function: str
) -> None:
    with session(lab, probe_interval=0.2) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        assert count(conn) == 1
        with without(lab, function):
            for written in range(2, 6):
                conn.execute("INSERT INTO t VALUES (1)")
                assert count(conn) == written
            until(lambda: shown(conn)[FAR] == "xid")
            until(lambda: count(conn) == 5 and reason(conn) == "nearest_reader")


def test_a_write_is_applied_once_when_the_question_behind_it_is_refused(
    lab: Lab,
) -> None:
    with session(lab) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        with without(lab, "pg_current_xact_id_if_assigned()"):
            for written in range(2, 9):
                conn.execute("INSERT INTO t VALUES (%s)", (written,))
                assert count(conn) == written


def test_a_reader_by_time_answers_no_global_read(lab: Lab) -> None:
    with session(lab, *REFUSED["lag"]) as conn:
        with conn.using(consistency="global"):
            for seen in range(1, 4):
                insert(lab)
                assert count(conn) == seen
                assert conn.last_route.role.value == "writer"


#: What Aurora's readers have: the lag that the storage knows of. Here it is that of
#: what was received and not replayed, and the way that it came.
AURORA = """
SET allow_system_table_mods = on;
CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text
LANGUAGE sql AS $$SELECT 'r-1'$$;
CREATE FUNCTION pg_catalog.aurora_replica_status(
  OUT server_id text, OUT replica_lag_in_msec double precision)
RETURNS SETOF record LANGUAGE sql SECURITY DEFINER AS $$
  SELECT 'r-1', 50 + CASE
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE 1000 * extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
  END$$;
"""
NO_AURORA = """
SET allow_system_table_mods = on;
DROP FUNCTION IF EXISTS pg_catalog.aurora_replica_status();
DROP FUNCTION IF EXISTS pg_catalog.aurora_db_instance_identifier();
"""


@pytest.fixture
def aurora(lab: Lab) -> Iterator[Lab]:
    """Servers that refuse what Aurora refuses, and report lag as it does."""
    with admin(lab) as writer, without(lab, *POSITIONS, *REFUSED["window"]):
        writer.execute(AURORA)
        caught_up(lab)
        yield lab
        writer.execute(NO_AURORA)


def test_a_reported_lag_lets_a_quiet_reader_serve_long_before_the_window_ends(
    aurora: Lab,
) -> None:
    with session(aurora, safe_lag_window=30.0) as conn:
        assert shown(conn)[FAR] == "lag"
        began = time.monotonic()
        conn.execute("INSERT INTO t VALUES (1)")

        def is_local() -> bool:
            assert count(conn) == 1
            return reason(conn) == "nearest_reader"

        until(is_local, 5.0)
        assert time.monotonic() - began >= chain.MARGIN
        assert conn.last_route.fence is Fence.BOUNDED


def test_a_lag_that_grows_keeps_the_session_away_beyond_the_window(
    aurora: Lab,
) -> None:
    with (
        session(aurora, safe_lag_window=0.2) as conn,
        admin(aurora, READER) as reader,
    ):
        assert shown(conn)[FAR] == "lag"
        reader.execute("SELECT pg_wal_replay_pause()")
        try:
            conn.execute("INSERT INTO t VALUES (1)")
            for _ in range(4):
                time.sleep(0.3)
                assert count(conn) == 1
                assert conn.last_route.role.value == "writer"
        finally:
            reader.execute("SELECT pg_wal_replay_resume()")


#: For each fence what would be wrong with it, and what a session would read then.
PLANTED = {
    "lsn": (flow.Place, "caught_up", property(lambda _: True)),
    "xid": (position, "committed", lambda _: b"true"),
    "lag": (flow, "passed", lambda *_, **__: True),
    "window": (flow, "_window_passed", lambda *_: True),
}


@pytest.mark.parametrize("left", PLANTED)
def test_a_fence_that_is_not_asked_is_found_out(
    lab: Lab, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So these tests can fail: each of them would, with a fence that says yes."""
    lab.lag(FAR, 0.5)
    # The number of the last transaction alone would tell: without it, only time does.
    more = ("pg_current_snapshot()",) if left == "window" else ()
    with session(lab, *REFUSED[left], *more) as conn:
        monkeypatch.setattr(*PLANTED[left])
        seen = []
        for _ in range(3):
            conn.execute("INSERT INTO t VALUES (1)")
            seen.append(count(conn))
        assert seen != [1, 2, 3]
