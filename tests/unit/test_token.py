"""A token carries a position to another process, and only an honest one is believed."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, strategies as st

import globaldb
from globaldb.core.position import Lsn, Position
from globaldb.core.token import Seen, Token, parts, read
from globaldb.errors import TokenError

SYSTEM = "7512345678901234567"
NOW = 1_800_000_000
HOUR = 3600.0

numbers = st.integers(0, (1 << 64) - 1)
xids = st.frozensets(st.integers(1, (1 << 64) - 1), max_size=8)
#: As the wire has it: whole microseconds.
moments = st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1e6)
secrets = st.none() | st.text(min_size=1, max_size=20)
ALPHABET = "0123456789abcdefABCDEF.-_~gx\x00é\uff11"


@st.composite
def seen(draw: st.DrawFn) -> Seen:
    epoch = draw(st.integers(0, (1 << 32) - 1))
    lsn = draw(st.none() | st.builds(Lsn, numbers, st.just(epoch)))
    forms = lsn, draw(st.none() | xids), draw(st.none() | moments)
    horizon = draw(st.none() | st.integers(1, (1 << 64) - 1))
    told = forms[0] is not None and draw(st.booleans())
    known = None
    if forms != (None, None, None):
        known = Position(*forms, horizon, read=told)
    return Seen(SYSTEM, epoch, known, draw(st.integers(0, 1 << 32)))


def reads(text: str, *keys: str | None, now: float = 0, age: float | None = None):
    accepted = [key for key in keys if key is not None]
    return read(text, secrets=accepted, system=SYSTEM, now=now, max_age=age)


def refused(text: str, *keys: str | None, now: float = 0, age: float | None = None):
    with pytest.raises(TokenError) as caught:
        reads(text, *keys, now=now, age=age)
    return caught.value.reason


def contents(found: Seen) -> tuple[object, ...]:
    return found.system, found.epoch, found.position, found.issued_at


def at(lsn: int, *, timeline: int = 1, issued: int = NOW, system: str = SYSTEM) -> Seen:
    return Seen(system, timeline, Position(Lsn(lsn, timeline)), issued)


@given(seen(), secrets)
def test_a_token_is_read_back_by_who_shares_the_secret(
    told: Seen, secret: str | None
) -> None:
    assume(told.position is None or told.position.xids is None)
    found = reads(Token.of(told, secret), secret)
    assert contents(found) == contents(told)
    assert found.trusted is (secret is not None)


@given(st.integers(0, (1 << 32) - 1), xids.filter(bool) | st.just(frozenset()))
def test_transactions_come_back_where_they_are_all_there_is(
    epoch: int, ids: frozenset[int]
) -> None:
    told = Seen(SYSTEM, epoch, Position(xids=ids), NOW)
    assert reads(Token.of(told, None)).position == told.position


@given(seen(), secrets)
def test_a_token_with_a_log_position_has_at_most_200_characters(
    told: Seen, secret: str | None
) -> None:
    assume(told.position is not None and told.position.log is not None)
    text = Token.of(told, secret)
    assert len(text) <= 200
    # Only what another form stands for was left out.
    assert reads(text, secret).position in (
        told.position,
        replace(told.position, xids=None),
    )


def test_ordinary_transactions_have_room_beside_the_log_position() -> None:
    ids = frozenset(range(4_000_000_000, 4_000_000_008))
    told = Seen(SYSTEM, 12, Position(Lsn(1 << 48, 12), ids, 1.8e9), NOW)
    text = Token.of(told, "secret")
    assert len(text) <= 200
    assert reads(text, "secret").position == told.position


@given(seen(), st.text(min_size=1), st.text(min_size=1))
def test_a_token_of_another_secret_is_forged(told: Seen, mine: str, other: str) -> None:
    assume(mine != other)
    assert refused(Token.of(told, other), mine) == "forged"


@given(seen(), st.text(min_size=1))
def test_an_unsigned_token_is_refused_once_there_is_a_secret(
    told: Seen, secret: str
) -> None:
    assert refused(Token.of(told, None), secret) == "unsigned"


@given(seen(), st.text(min_size=1))
def test_a_signed_token_is_read_but_not_trusted_where_there_is_no_secret(
    told: Seen, secret: str
) -> None:
    found = reads(Token.of(told, secret))
    assert (found.trusted, found.epoch) == (False, told.epoch)


@given(seen(), st.text(min_size=1), st.text(min_size=1))
def test_the_previous_secret_is_accepted_beside_the_new_one(
    told: Seen, old: str, new: str
) -> None:
    for secret in (old, new):
        assert reads(Token.of(told, secret), new, old).trusted


@given(seen(), secrets, st.data())
def test_no_mutation_of_a_token_tells_anything_else(
    told: Seen, secret: str | None, data: st.DataObject
) -> None:
    text = Token.of(told, secret)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 4)))
    new = data.draw(st.text(ALPHABET, max_size=4))
    mutated = text[:start] + new + text[end:]
    for keys in ([secret], [None]):
        try:
            found = reads(mutated, *keys)
        except TokenError:
            continue
        assert contents(found) == contents(reads(text, *keys))
        # Where a signature is checked, even that is another text.
        assert secret is None or keys == [None] or mutated == text


@given(
    st.text()
    | st.text(ALPHABET)
    | st.from_regex(r"gdb[0-9](\.[0-9a-f]*){7}", fullmatch=True)
)
@example("")
@example("gdb1.......")
@example(f"gdb1.{SYSTEM}.1.1.ff....AAAAAAAA")
def test_no_text_does_more_than_be_refused(text: str) -> None:
    for part in text.split("~")[:2]:
        assert refused(part) in ("damaged", "version")


@pytest.mark.parametrize("other", [None, 7, b"gdb1", ["gdb1"]])
def test_what_is_no_text_is_refused_as_a_damaged_token(other: object) -> None:
    with pytest.raises(TokenError) as caught:
        parts(other)  # type: ignore[arg-type]
    assert caught.value.reason == "damaged"


def test_a_token_of_another_version_is_named_as_such() -> None:
    assert refused("gdb2.1.2.3") == "version"


def test_a_token_of_another_cluster_names_both() -> None:
    text = Token.of(at(255, system="111"), "s")
    assert refused(text, "s") == "foreign"
    with pytest.raises(TokenError, match=f"'111', not of '{SYSTEM}'"):
        reads(text, "s")


def test_a_token_expires_at_its_age() -> None:
    text = Token.of(at(255), None)
    assert reads(text, now=NOW + 3600, age=HOUR).position
    assert refused(text, now=NOW + 3601, age=HOUR) == "expired"
    assert reads(text, now=NOW + 10**9, age=None).position
    # Clocks differ: one that comes from ahead is young.
    assert reads(text, now=NOW - 3601, age=HOUR).position


def test_the_signature_is_looked_at_before_anything_is_told_of_the_contents() -> None:
    forged = Token.of(at(255, system="111", issued=0), "theirs")
    assert refused(forged, "mine", now=NOW, age=HOUR) == "forged"


def test_a_position_that_could_not_come_back_is_refused_at_birth() -> None:
    for formless in (Position(), Position(horizon=7, reign=1)):
        with pytest.raises(ValueError, match="in no form"):
            Seen(SYSTEM, 1, formless, NOW)
    with pytest.raises(ValueError, match="not on timeline 2"):
        Seen(SYSTEM, 2, Position(Lsn(1, 1)), NOW)


# Merging.


def merged(*texts: str) -> list[Seen]:
    return [reads(part) for part in parts(Token.merge(*texts))]


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=12))
def test_unsigned_tokens_become_one_that_requires_the_latest(lsns: list[int]) -> None:
    texts = [Token.of(at(lsn), None) for lsn in lsns]
    [found] = merged(*texts)
    assert found.position == Position(Lsn(max(lsns), 1))


def test_merging_needs_no_connection_and_takes_texts() -> None:
    one, two = str(Token.of(at(1), None)), Token.of(at(2), None)
    assert globaldb.Token.merge(one, two) == two.merge(one) == two
    assert isinstance(globaldb.Token.merge(one), str)


def test_what_one_token_cannot_tell_stays_two() -> None:
    log, clock = at(5), Seen(SYSTEM, 1, Position(moment=7.0), NOW)
    other = at(5, timeline=2)
    foreign = at(5, system="1")
    texts = [Token.of(one, None) for one in (log, clock, other, foreign)]
    assert parts(Token.merge(*texts, texts[0])) == texts


def test_signed_tokens_stay_under_their_own_signatures() -> None:
    honest, forged = Token.of(at(5), "mine"), Token.of(at(1 << 60), "theirs")
    both = parts(honest.merge(forged, honest))
    assert both == [honest, forged]
    # However far ahead the forged one says to be, the honest one still counts.
    assert reads(both[0], "mine").position == Position(Lsn(5, 1))
    assert refused(both[1], "mine") == "forged"


def test_a_merged_token_can_be_merged_again() -> None:
    a, b, c = (Token.of(at(n), "s") for n in (1, 2, 3))
    assert Token.merge(a.merge(b), c.merge(b)) == f"{a}~{b}~{c}"


def test_more_than_8_signed_tokens_are_too_many() -> None:
    texts = [Token.of(at(n), "s") for n in range(9)]
    assert len(parts(Token.merge(*texts[:8]))) == 8
    with pytest.raises(TokenError) as caught:
        Token.merge(*texts)
    assert caught.value.reason == "too_many"
    with pytest.raises(TokenError):
        parts("~".join(texts))


@given(st.text(ALPHABET, max_size=30))
def test_a_damaged_text_is_not_merged(text: str) -> None:
    with pytest.raises(TokenError):
        Token.merge(Token.of(at(1), None), text)


def test_the_reason_survives_pickling() -> None:
    error = TokenError("no", reason="expired")
    assert pickle.loads(pickle.dumps(error)).reason == "expired"


def test_no_token_names_a_transaction_that_no_server_could_be_asked_about() -> None:
    largest = Seen("one", 1, Position(xids=frozenset((2**64 - 1,))), 1)
    beyond = Seen("one", 1, Position(xids=frozenset((2**64 - 1, 2**64))), 1)
    options = {"secrets": (), "system": "one", "now": 1.0, "max_age": None}

    assert read(Token.of(largest, None), **options) == largest
    with pytest.raises(TokenError, match="damaged"):
        read(Token.of(beyond, None), **options)
