"""The token of a piece of work, and those that others bring."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

import pieces
import pytest
from mysql_family import table as mysql_table, value
from pieces import Connection, count, put
from promises import FAR, HOME, cluster, within
from requests_site import INSERT, NEARBY

import globaldb
from globaldb.lab import Lab
from globaldb.runtime.flow import causality

pytestmark = pytest.mark.lab

# Fixtures.
process, connect = pieces.process, pieces.connect
writer, other = pieces.writer, pieces.other

#: In the second of two clusters.
THERE = "SELECT COUNT(*) FROM w_t"


def test_the_token_takes_it_to_another_process(empty: Lab, writer: Connection) -> None:
    with globaldb.session() as work:
        put(writer)
    with cluster(empty, token_secret="s", **NEARBY) as elsewhere:
        with elsewhere.connect() as conn, globaldb.session(work.token) as next_one:
            assert count(conn) == 1
            # It was seen at the writer, so that it goes on with it.
            assert next_one.token is not None
        with elsewhere.connect() as conn:
            assert count(conn) == 0


def test_a_token_may_come_later(writer: Connection, other: Connection) -> None:
    with globaldb.session() as earlier:
        put(writer)
    with globaldb.session() as work:
        assert count(other) == 0
        assert earlier.token is not None
        work.observe(earlier.token)
        assert count(other) == 1


def test_a_position_that_is_not_known_is_asked_for(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session() as work:
        with writer.cursor() as cur:
            cur.executemany("INSERT INTO r_t VALUES (%s)", [(1,), (2,)])
        assert not work.settled
        token = work.token
        assert work.settled
    with globaldb.session(token):
        assert count(other) == 2


def test_nobody_waits_long_for_a_position_that_cannot_be_had(
    empty: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causality, "_PATIENCE", 0.5)
    with cluster(empty, **NEARBY) as found:
        with found.connect() as conn, globaldb.session() as work:
            with conn.cursor() as cur:
                cur.executemany(INSERT, [()])
            empty.partition(FAR, HOME)
            try:
                with within(15.0), pytest.raises(globaldb.OperationalError):
                    assert work.token
            finally:
                empty.heal()


def test_what_cannot_be_used_is_ignored_and_logged_with_its_reason(
    writer: Connection, other: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "globaldb")
    with globaldb.session() as work:
        put(writer)
    assert work.token is not None
    unsigned = work.token[:-43]
    for token, reason in (
        ("rubbish", "damaged"),
        (work.token[:-1] + "?", "damaged"),
        (work.token[:-9] + "A" * 9, "forged"),
        (unsigned, "unsigned"),
        ("~".join([work.token] * 9), "too_many"),
        ("x" * 5000, "too_long"),
        (work.token.replace(".", ".x", 1), "damaged"),
    ):
        caplog.clear()
        with globaldb.session(token):
            assert count(other) == 0
            assert globaldb.current_token() is None
        assert f"token_ignored reason={reason}" in caplog.text


def test_a_token_that_comes_while_others_are_looked_at_counts(
    writer: Connection, other: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "globaldb")
    with globaldb.session() as before:
        put(writer)
    good = before.token
    assert good is not None
    with globaldb.session(good[:-9] + "A" * 9) as work:

        def comes(_: logging.LogRecord) -> bool:
            work.observe(good)
            return True

        caplog.handler.addFilter(comes)
        try:
            count(other)
        finally:
            caplog.handler.removeFilter(comes)
        assert count(other) == 1


def test_what_is_good_beside_it_counts(writer: Connection, other: Connection) -> None:
    with globaldb.session() as work:
        put(writer)
    with globaldb.session(f"rubbish~{work.token}"):
        assert count(other) == 1


def test_a_function_may_ask_to_be_told(writer: Connection, other: Connection) -> None:
    with globaldb.session() as work:
        put(writer)
    assert work.token is not None
    with pytest.raises(globaldb.TokenError) as caught:
        globaldb.session("rubbish", invalid="raise")
    assert caught.value.reason == "damaged"
    forged = work.token[:-9] + "A" * 9
    with globaldb.session(forged, invalid="raise"):
        with pytest.raises(globaldb.TokenError) as caught:
            count(other)
    assert caught.value.reason == "forged"
    with pytest.raises(globaldb.ProgrammingError, match="invalid"):
        globaldb.session(invalid="shout")


def test_what_came_is_handed_on_although_nothing_was_written(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session() as work:
        put(writer)
    with globaldb.session(work.token) as reading:
        assert globaldb.current_token() == work.token
        assert reading.token is None


def test_several_clusters_take_their_own(
    empty: Lab, writer: Connection, other: Connection, shared_labs: Callable[[str], Lab]
) -> None:
    second = shared_labs("mariadb")
    second.restore()
    mysql_table(second, "w_t")
    for region in second.spec.regions:
        second.latency(FAR, region, 0.0 if region == FAR else 0.1)
    second.lag(FAR, 600.0)
    with ExitStack() as stack:
        shop = stack.enter_context(cluster(second, **NEARBY))
        first, there, new = (stack.enter_context(shop.connect()) for _ in range(3))
        with globaldb.session() as work:
            put(writer)
            with first.cursor() as cur:
                cur.execute("INSERT INTO w_t VALUES (1)")
            assert value(there, THERE) == 1
        assert work.token is not None
        assert len(work.token.split("~")) == 2
        with globaldb.session(work.token, invalid="raise") as next_one:
            assert count(other) == 1
        # What it says of the one that was not used is kept.
        assert next_one.token is not None
        assert len(next_one.token.split("~")) == 2
        assert value(new, THERE) == 0
        with globaldb.session(next_one.token, invalid="raise"):
            assert value(new, THERE) == 1
    second.restore()
