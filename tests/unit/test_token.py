"""A token carries a position to another process, and only an honest one is believed."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, strategies as st

from globaldb.core.position import Lsn
from globaldb.core.token import Token
from globaldb.errors import DataError

SYSTEM = "7512345678901234567"

tokens = st.builds(
    Token,
    st.just(SYSTEM),
    st.none()
    | st.builds(Lsn, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 31) - 1)),
)
secrets = st.none() | st.text(min_size=1, max_size=20)


@given(tokens, secrets)
def test_a_token_is_read_back_by_who_shares_the_secret(
    token: Token, secret: str | None
) -> None:
    assert Token.decode(token.encode(secret), secret, SYSTEM) == token


@given(tokens, st.text(min_size=1), secrets)
def test_a_token_of_another_secret_or_none_is_refused(
    token: Token, mine: str, theirs: str | None
) -> None:
    assume(mine != theirs)
    with pytest.raises(DataError, match="signature is wrong"):
        Token.decode(token.encode(theirs), mine, SYSTEM)


@given(tokens, st.text(min_size=1), st.data())
def test_no_character_of_a_signed_token_can_be_changed(
    token: Token, secret: str, data: st.DataObject
) -> None:
    text = token.encode(secret)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("01aZ.-_"))
    assume(other != text[at])
    with pytest.raises(DataError):
        Token.decode(text[:at] + other + text[at + 1 :], secret, SYSTEM)


@given(st.text())
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(DataError):
        Token.decode(text, None, SYSTEM)


@pytest.mark.parametrize(
    ("place", "position"),
    [("1-ff", Lsn(255, 1)), ("", None), ("a-0", Lsn(0, 10))],
)
def test_a_place_is_written_as_timeline_and_position(
    place: str, position: Lsn | None
) -> None:
    assert Token.decode(f"gdb1.{SYSTEM}.{place}.", None, SYSTEM).position == position


@pytest.mark.parametrize("place", ["1", "1-", "-1", "x-1", "1-x", "1-" + "f" * 17])
def test_a_damaged_place_is_named_as_such(place: str) -> None:
    with pytest.raises(DataError, match="the token is damaged"):
        Token.decode(f"gdb1.{SYSTEM}.{place}.", None, SYSTEM)


def test_a_token_of_another_cluster_names_both() -> None:
    with pytest.raises(DataError, match="'111', not of '222'"):
        Token.decode(Token("111", None).encode(None), None, "222")


def test_another_version_is_refused() -> None:
    with pytest.raises(DataError, match="not one of this version"):
        Token.decode(f"gdb2.{SYSTEM}..", None, SYSTEM)
