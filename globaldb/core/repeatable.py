"""Whether a read gives the same answer again while nobody writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token


class Repeatable(NamedTuple):
    """What is to be known of a read before its answer is compared with another."""

    #: Its answer changes by itself: the time, chance, an arbitrary choice of rows.
    changing: bool = False
    #: Its rows come in an order that the text asks for.
    ordered: bool = False
    #: It asks one relation, alone: of what one connection has, or a single table.
    alone: bool = False
    #: As many rows as this may be an arbitrary choice out of more.
    most: int | None = None


#: Nothing is known: it runs where its answer counts.
UNKNOWN: Final = Repeatable(changing=True)

#: Functions whose answer depends on the time, on chance, or on who asks.
_CHANGING: Final = names(
    """
    age clock_timestamp gen_random_bytes gen_random_uuid inet_client_port now
    pg_backend_pid pg_current_snapshot pg_current_xact_id
    pg_current_xact_id_if_assigned pg_export_snapshot pg_sleep pg_sleep_for
    pg_sleep_until random random_normal rand statement_timestamp sysdate timeofday
    transaction_timestamp txid_current txid_current_if_assigned
    txid_current_snapshot uuid uuid_generate_v1 uuid_generate_v1mc
    uuid_generate_v4 uuid_generate_v7 uuid_short uuidv4 uuidv7 unix_timestamp
    utc_timestamp curdate curtime connection_id
    """
)
#: Values that are written without parentheses.
_CLOCKS: Final = names(
    """
    current_date current_time current_timestamp localtime localtimestamp
    """
)
_CUTTING: Final = frozenset(("limit", "fetch", "offset"))


class _Level:
    """One pair of parentheses, or the whole."""

    __slots__ = ("constant", "cut", "ordered")

    def __init__(self, tokens: Sequence[Token], start: int) -> None:
        self.cut = False
        self.ordered = False
        #: Whichever rows are chosen, they are all the same: SELECT 1 ... LIMIT 1.
        self.constant = _constant(tokens, start)


def repeatable(tokens: Sequence[Token]) -> Repeatable:
    """Look at the *tokens* of a read.

    What is wrongly taken for repeatable makes a transaction fail that could have been
    kept; what is wrongly taken for changing costs a round trip.
    """
    levels = [_Level(tokens, 0)]
    whole = levels[0]
    for index, token in enumerate(tokens):
        text = token.text
        if text == "(" and token.kind == "op":
            levels.append(_Level(tokens, index + 1))
        elif text == ")" and token.kind == "op" and len(levels) > 1:
            inner = levels.pop()
            if inner.cut and not inner.ordered:
                return UNKNOWN
        elif token.kind == "name":
            if _changes(tokens, index):
                return UNKNOWN
            _look(levels[-1], tokens, index)
    alone = _alone(tokens)
    if not whole.cut or whole.ordered:
        return Repeatable(ordered=whole.ordered, alone=alone)
    most = _most(tokens)
    return UNKNOWN if most is None else Repeatable(most=most, alone=alone)


def _alone(tokens: Sequence[Token]) -> bool:
    """Whether nothing is read but the one relation behind the only FROM."""
    words = [token.text for token in tokens if token.kind != "string"]
    if words.count("from") != 1 or words.count("select") != 1:
        return False
    behind = words[words.index("from") :]
    return behind[2:3] != ["("] and "," not in _outside(behind) and "join" not in behind


def _outside(words: Sequence[str]) -> list[str]:
    """Return those of *words* that stand in no parentheses."""
    depth, found = 0, []
    for word in words:
        depth += (word == "(") - (word == ")")
        if not depth:
            found.append(word)
    return found


def _look(level: _Level, tokens: Sequence[Token], index: int) -> None:
    word = tokens[index].text
    if word in _CUTTING:
        level.cut = not level.constant
    elif word == "order" and _text(tokens, index + 1) == "by":
        level.ordered = True
    elif word == "distinct" and _text(tokens, index + 1) == "on":
        level.cut = True


def _changes(tokens: Sequence[Token], index: int) -> bool:
    word = tokens[index].text
    if word in _CLOCKS or word == "tablesample":
        return True
    called = _text(tokens, index + 1) == "("
    return called and (word in _CHANGING or word.startswith("pg_stat_"))


def _most(tokens: Sequence[Token]) -> int | None:
    """Return N of a text that ends in LIMIT N, and is cut by nothing else."""
    words = [token.text for token in tokens if token.kind == "name"]
    if sum(word in _CUTTING for word in words) != 1 or "distinct" in words:
        return None
    end = len(tokens)
    while end and tokens[end - 1].text == ";":
        end -= 1
    if end < 2 or tokens[end - 2].text != "limit":
        return None
    number = tokens[end - 1]
    if number.kind != "number" or not number.text.isdecimal():
        return None
    return int(number.text)


def _constant(tokens: Sequence[Token], start: int) -> bool:
    """Whether a SELECT starts there whose only column is a literal, or a parameter."""
    if len(tokens) < start + 2 or tokens[start].text != "select":
        return False
    if tokens[start + 1].kind not in ("number", "string", "param"):
        return False
    behind = start + 2
    if _text(tokens, behind) == "as":
        behind += 2
    return _text(tokens, behind) == "from"


def _text(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].text if index < len(tokens) else ""
