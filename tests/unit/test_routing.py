"""Where a statement goes, and why, for every kind of statement and session."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from globaldb.core.consistency import Consistency
from globaldb.core.position import Lsn, Position
from globaldb.core.postgresql.classify import classify
from globaldb.core.routing import (
    Decision,
    Intent,
    Route,
    Target,
    decide,
    decide_read,
    forbids_readers,
    refuse_write,
)
from globaldb.core.session import SessionState
from globaldb.core.topology import NodeState, Role, Topology
from globaldb.errors import ReadOnlyError

SESSION, GLOBAL, EVENTUAL = (
    Consistency.SESSION,
    Consistency.GLOBAL,
    Consistency.EVENTUAL,
)
FLOOR = Position(Lsn(100, 1))


def topology(*, epoch: int = 1, writer: bool = True) -> Topology:
    states = [NodeState("ap-1", "ap", Role.READER, Lsn(90, 1), 1.0)]
    if writer:
        states.append(NodeState("us-w", "us", Role.WRITER, Lsn(99, 1), 1.0))
    nodes = MappingProxyType({state.name: state for state in states})
    return Topology(nodes, version=1, epoch=epoch)


FRESH = SessionState()
WROTE = SessionState(floor=FLOOR)
UNKNOWN = SessionState(floor=FLOOR, position_unknown=True)
WRITER = Target.WRITER
NEAREST = Decision(Target.READER, "nearest_reader")
CAUGHT_UP = Decision(Target.READER, "nearest_reader", FLOOR)


@pytest.mark.parametrize(
    ("intent", "books", "epoch", "expected"),
    [
        (Intent(SESSION), FRESH, 1, NEAREST),
        (Intent(SESSION), WROTE, 1, CAUGHT_UP),
        (Intent(SESSION), UNKNOWN, 1, Decision(WRITER, "position_unknown")),
        (Intent(SESSION), WROTE, 2, Decision(WRITER, "position_of_older_timeline")),
        (Intent(GLOBAL), FRESH, 1, Decision(WRITER, "global_read")),
        (Intent(EVENTUAL), UNKNOWN, 2, NEAREST),
        (Intent(None), UNKNOWN, 2, NEAREST),
        (Intent(EVENTUAL, "writer"), FRESH, 1, Decision(WRITER, "route_option")),
        (Intent(SESSION, "reader"), WROTE, 1, CAUGHT_UP),
        (
            Intent(SESSION, serializable=True),
            FRESH,
            1,
            Decision(WRITER, "serializable"),
        ),
        (
            Intent(EVENTUAL, max_staleness=1.0),
            FRESH,
            1,
            Decision(WRITER, "max_staleness"),
        ),
        (Intent(None, max_staleness=1.0, staleness_bound=FLOOR), FRESH, 1, CAUGHT_UP),
    ],
)
def test_a_read_goes(
    intent: Intent, books: SessionState, epoch: int, expected: Decision
) -> None:
    for sql in ("SELECT 1 FROM carts", "SELECT pg_is_in_recovery()"):
        found = decide(classify(sql), intent, books, topology(epoch=epoch))
        assert found == decide_read(intent, books, topology(epoch=epoch)) == expected


@pytest.mark.parametrize("consistency", [SESSION, GLOBAL, EVENTUAL])
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO carts VALUES (1)",
        "SELECT * FROM carts FOR UPDATE",
        "CREATE TEMP TABLE t (n int)",
        "utter nonsense",
    ],
)
def test_what_is_not_known_to_be_a_read_goes_to_the_writer(
    consistency: Consistency, sql: str
) -> None:
    for route in ("auto", "reader", "writer"):
        intent = Intent(consistency, route, "ap")
        decision = decide(classify(sql), intent, FRESH, topology())
        assert decision.target is Target.WRITER
        assert decision.reason == classify(sql).reason


def test_answers_about_the_previous_statement_are_on_the_writers_connection() -> None:
    statement = classify("SELECT lastval()")
    decision = decide(statement, Intent(SESSION), FRESH, topology())
    assert (decision.target, decision.reason) == (Target.WRITER, "same_connection")


@pytest.mark.parametrize(
    ("setting", "target"),
    [
        ("search_path", Target.READER),
        ("transaction_read_only", Target.WRITER),
        ("ALL", Target.WRITER),
    ],
)
def test_settings_are_shown_by_any_node_unless_they_say_what_it_is(
    setting: str, target: Target
) -> None:
    found = decide(classify(f"SHOW {setting}"), Intent(SESSION), FRESH, topology())
    assert found.target is target


def test_without_consistency_a_write_from_a_reader_region_is_refused() -> None:
    with pytest.raises(ReadOnlyError) as caught:
        decide(
            classify("INSERT INTO carts VALUES (1)"),
            Intent(None, region="ap"),
            FRESH,
            topology(),
        )
    text = str(caught.value)
    assert "region ap is not the writer's (us)" in text
    assert "SET apg_write_forward.consistency_mode" in text


def test_mysql_refuses_an_unforwarded_write_in_the_words_of_its_server() -> None:
    with pytest.raises(ReadOnlyError) as caught:
        refuse_write(Intent(None, region="ap", engine="mysql"), topology())
    text = str(caught.value)
    assert text.startswith(
        "The MySQL server is running with the --read-only option so it cannot execute "
        "this statement"
    )
    assert "SET aurora_replica_read_consistency = 'session'" in text
    assert caught.value.errno == 1290


def test_without_consistency_the_writers_region_may_write() -> None:
    refuse_write(Intent(None, region="us"), topology())
    refuse_write(Intent(SESSION, region="ap"), topology())


def test_without_a_known_writer_nobody_writes_unforwarded() -> None:
    with pytest.raises(ReadOnlyError, match="not known"):
        refuse_write(Intent(None, region="us"), topology(writer=False))


@pytest.mark.parametrize(
    ("mode", "default", "forbidden"),
    [
        (None, None, False),
        ("serializable", None, True),
        ("SERIALIZABLE", None, True),
        (
            "repeatable read",
            "SET default_transaction_isolation = 'serializable'",
            False,
        ),
        (None, "SET default_transaction_isolation = 'Serializable'", True),
        (None, "SET default_transaction_isolation = 'read committed'", False),
    ],
)
def test_a_hot_standby_refuses_serializable(
    mode: str | None, default: str | None, forbidden: bool
) -> None:
    assert forbids_readers(mode, default) is forbidden


def test_a_route_says_where_and_why_in_a_line() -> None:
    route = Route(Role.READER, "ap-1", "ap", "nearest_reader")
    assert str(route) == "reader ap-1: nearest_reader"
    route = Route(
        Role.READER, None, None, "nearest_reader", required="0/64@1", waited=0.0125
    )
    expected = "reader (none): nearest_reader, required 0/64@1, waited 12.5 ms"
    assert str(route) == expected
