"""Tokens between processes: honest ones are waited for, others harm nobody."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from promises import FAR, cluster, one, table, within

import globaldb
from globaldb.core.position import Lsn, Position
from globaldb.core.token import Seen, Token
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

Connection = Any
FUTURE = (1 << 64) - 1


@pytest.fixture
def lab(lab: Lab) -> Lab:
    table(lab, "k_t")
    return lab


def count(conn: Connection) -> int:
    return int(one(conn.execute("SELECT count(*) FROM k_t"))[0])


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


def made_up(found: globaldb.Cluster, secret: str | None = None, **given: Any) -> Token:
    epoch = given.get("epoch", found.topology.epoch)
    told = {
        "system": found.runtime.system,
        "epoch": epoch,
        "position": Position(Lsn(given.pop("lsn", FUTURE), epoch)),
        "issued_at": 1 << 33,
        **given,
    }
    return Token.of(Seen(**told), secret)


@pytest.mark.parametrize("secret", [None, "s"])
def test_another_process_reads_what_the_token_tells_of(
    lab: Lab, secret: str | None
) -> None:
    lab.lag(FAR, 0.3)
    options = {"token_secret": secret}
    with cluster(lab, **options) as one_process, one_process.connect() as conn:
        conn.execute("INSERT INTO k_t VALUES (1)")
        token = conn.token
    assert isinstance(token, str)
    assert len(token) <= 200
    with cluster(lab, **options) as other_process, other_process.connect() as conn:
        conn.observe(token)
        assert count(conn) == 1


def test_merged_tokens_require_all_that_was_written(lab: Lab) -> None:
    lab.lag(FAR, 0.3)
    with cluster(lab, token_secret="s") as found:
        tokens = []
        for key in range(3):
            with found.connect() as conn:
                conn.execute("INSERT INTO k_t VALUES (%s)", (key,))
                tokens.append(conn.token)
        with found.connect() as conn:
            conn.observe(globaldb.Token.merge(*tokens))
            assert count(conn) == 3
            assert "~" not in conn.token


@pytest.mark.parametrize("secret", [None, "s"])
def test_a_position_far_in_the_future_costs_its_session_one_bounded_wait(
    lab: Lab, secret: str | None
) -> None:
    with cluster(lab, token_secret=secret) as found, found.connect() as conn:
        assert count(conn) == 0
        conn.observe(made_up(found, secret))
        with within(3.0):
            assert count(conn) == 0
        # The writer itself is not there: nobody ever was.
        assert conn.session.books.floor.log.value < FUTURE
        with found.connect() as other:
            assert count(other) == 0
            assert (reason(other), other.last_route.waited) == ("nearest_reader", 0.0)
        assert found.topology.writer is not None


def test_an_unsigned_timeline_of_the_future_costs_no_wait(lab: Lab) -> None:
    with cluster(lab) as found, found.connect() as conn:
        conn.observe(made_up(found, epoch=found.topology.epoch + 1))
        assert count(conn) == 0
        assert reason(conn) == "position_of_newer_timeline"
        conn.execute("INSERT INTO k_t VALUES (1)")


@pytest.mark.parametrize(
    ("why", "given", "signed_with"),
    [
        ("expired", {"issued_at": 1}, "mine"),
        ("foreign", {"system": "1"}, "mine"),
        ("forged", {}, "theirs"),
        ("unsigned", {}, None),
    ],
)
def test_a_token_that_cannot_be_used_is_an_error_or_as_if_there_were_none(
    lab: Lab, why: str, given: dict[str, Any], signed_with: str | None
) -> None:
    with cluster(lab, token_secret="mine") as found, found.connect() as conn:
        token = made_up(found, signed_with, **given)
        with pytest.raises(globaldb.TokenError) as caught:
            conn.observe(token)
        assert caught.value.reason == why
        assert isinstance(caught.value, globaldb.DataError)
        conn.observe(token, invalid="ignore")
        assert conn.session.books.floor is None
        assert count(conn) == 0
        assert reason(conn) == "nearest_reader"


def test_the_option_decides_where_the_call_does_not(lab: Lab) -> None:
    with cluster(lab, invalid_tokens="ignore") as found, found.connect() as conn:
        conn.observe("nonsense")
        with pytest.raises(globaldb.TokenError):
            conn.observe("nonsense", invalid="raise")
        with pytest.raises(globaldb.ProgrammingError, match="'drop'"):
            conn.observe("nonsense", invalid="drop")


def test_of_several_tokens_the_good_ones_count_and_in_error_none_does(lab: Lab) -> None:
    with cluster(lab, token_secret="mine") as found, found.connect() as conn:
        good, bad = made_up(found, "mine", lsn=5), made_up(found, "theirs")
        with pytest.raises(globaldb.TokenError):
            conn.observe(good.merge(bad))
        assert conn.session.books.floor is None
        conn.observe(good.merge(bad), invalid="ignore")
        assert conn.session.books.floor.log.value == 5


def test_a_secret_is_changed_without_refusing_anybody(lab: Lab) -> None:
    """Through three rollouts, in each of which old and new processes run side by side."""
    rollouts = [
        {"token_secret": "old"},
        {"token_secret": "old", "token_secret_previous": "new"},
        {"token_secret": "new", "token_secret_previous": "old"},
        {"token_secret": "new"},
    ]
    for before, after in pairwise(rollouts):
        with cluster(lab, **before) as a, cluster(lab, **after) as b:
            with a.connect() as here, b.connect() as there:
                count(here)
                there.observe(here.token)
                count(there)
                here.observe(there.token)
