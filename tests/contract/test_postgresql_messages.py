"""What the server sends by itself: notices and notifications."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any

import psycopg
import pytest

import globaldb

RAISE = "DO $$ BEGIN RAISE NOTICE 'hello'; END $$"


def test_notices_reach_their_handlers(conn: Any) -> None:
    heard: list[Any] = []

    def hear(notice: Any) -> None:
        heard.append((notice.severity, notice.message_primary))

    conn.add_notice_handler(hear)
    conn.execute(RAISE)
    assert heard == [("NOTICE", "hello")]
    conn.remove_notice_handler(hear)
    conn.execute(RAISE)
    assert len(heard) == 1
    with pytest.raises(ValueError, match="not in list"):
        conn.remove_notice_handler(hear)


def test_notices_of_reads_reach_their_handlers(auto: Any) -> None:
    heard: list[str] = []
    auto.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    # A read that warns: an unused escape in a plain string.
    auto.execute("SET escape_string_warning TO on")
    auto.execute("SET standard_conforming_strings TO off")
    heard.clear()
    auto.execute("SELECT 'a\\nb'")
    assert any("nonstandard use" in text for text in heard)


def test_a_failing_handler_does_not_fail_the_statement(
    conn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_notice: Any) -> None:
        raise ZeroDivisionError

    heard: list[Any] = []
    conn.add_notice_handler(fail)
    conn.add_notice_handler(heard.append)
    with caplog.at_level(logging.ERROR, logger="psycopg"):
        conn.execute(RAISE)
    assert len(heard) == 1
    assert "error processing notice callback" in caplog.text


def test_notices_of_one_session_stay_in_it(side: Any) -> None:
    heard: list[Any] = []
    with side.connect(autocommit=True) as first, side.connect(autocommit=True) as other:
        first.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        first.execute(RAISE)
        other.execute("DO $$ BEGIN RAISE NOTICE 'not mine'; END $$")
    assert heard == ["hello"]


def test_notifies_yields_what_was_sent(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as ears, side.connect(autocommit=True) as mouth:
        ears.execute(f"LISTEN {table}")
        mouth.execute(f"NOTIFY {table}, 'one'")
        mouth.execute("SELECT pg_notify(%s, %s)", (table, "two"))
        found = list(ears.notifies(timeout=10, stop_after=2))
        assert [(note.channel, note.payload) for note in found] == [
            (table, "one"),
            (table, "two"),
        ]
        assert isinstance(found[0], psycopg.Notify)
        assert list(ears.notifies(timeout=0.05)) == []


def test_notifies_waits_for_what_comes(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as ears, side.connect(autocommit=True) as mouth:
        ears.execute(f"LISTEN {table}")
        later = threading.Timer(0.2, lambda: mouth.execute(f"NOTIFY {table}"))
        later.start()
        try:
            found = next(iter(ears.notifies(timeout=10)))
        finally:
            later.join()
        assert found.channel == table


def test_notifications_met_by_statements_are_kept(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as ears, side.connect(autocommit=True) as mouth:
        ears.execute(f"LISTEN {table}")
        mouth.execute(f"NOTIFY {table}, 'early'")
        ears.execute("SELECT pg_sleep(0.1)")
        found = list(ears.notifies(timeout=5, stop_after=1))
        assert [note.payload for note in found] == ["early"]


def test_handlers_hear_notifications_with_the_next_statement(
    side: Any, table: str
) -> None:
    heard: list[Any] = []
    with side.connect(autocommit=True) as ears, side.connect(autocommit=True) as mouth:
        ears.add_notify_handler(heard.append)
        ears.execute(f"LISTEN {table}")
        mouth.execute(f"NOTIFY {table}, 'x'")
        ears.execute("SELECT pg_sleep(0.1)")
        assert [note.payload for note in heard] == ["x"]
        ears.remove_notify_handler(heard.append)
        mouth.execute(f"NOTIFY {table}, 'y'")
        ears.execute("SELECT pg_sleep(0.1)")
        assert len(heard) == 1


def test_notify_waits_for_its_commit(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as ears, side.connect() as mouth:
        ears.execute(f"LISTEN {table}")
        mouth.execute(f"NOTIFY {table}")
        assert list(ears.notifies(timeout=0.2)) == []
        mouth.commit()
        assert len(list(ears.notifies(timeout=5, stop_after=1))) == 1


def test_unlisten_ends_it(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as ears, side.connect(autocommit=True) as mouth:
        ears.execute(f"LISTEN {table}")
        ears.execute("UNLISTEN *")
        mouth.execute(f"NOTIFY {table}")
        assert list(ears.notifies(timeout=0.2)) == []


def test_listening_ends_with_its_session(side: Any, table: str) -> None:
    heard: list[Any] = []
    with contextlib.closing(side.connect(autocommit=True)) as ears:
        ears.execute(f"LISTEN {table}")
    with side.connect(autocommit=True) as next_one:
        next_one.add_notify_handler(heard.append)
        next_one.execute(f"NOTIFY {table}")
        next_one.execute("SELECT pg_sleep(0.1)")
    assert heard == []


def test_notifies_ends_when_the_connection_is_lost(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as killer, side.connect(autocommit=True) as ears:
        ears.execute(f"LISTEN {table}")
        pid = ears.execute("SELECT pg_backend_pid()").fetchone()[0]
        killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            list(ears.notifies(timeout=10))


def test_notifies_tells_what_was_lost_meanwhile(side: Any, table: str) -> None:
    with side.connect(autocommit=True) as killer, side.connect(autocommit=True) as ears:
        ears.execute(f"LISTEN {table}")
        pid = ears.execute("SELECT pg_backend_pid()").fetchone()[0]
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        with pytest.raises(psycopg.OperationalError) as told:
            list(ears.notifies(timeout=10))
        if isinstance(told.value, globaldb.Error):
            assert isinstance(told.value, globaldb.NodeLostError)
            assert "LISTEN" in str(told.value)
