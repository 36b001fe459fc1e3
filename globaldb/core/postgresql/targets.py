"""The relations that a statement's own words make it write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.tables import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token

_NAMES: Final = frozenset(("name", "quoted"))
#: What stands between a word that writes and the name of what it writes.
_BEFORE: Final = {"insert": "into", "delete": "from", "merge": "into"}
#: How far behind UPDATE its SET may stand: a name in three parts, a star, an alias.
_ALIAS: Final = 10


def targets(tokens: Sequence[Token]) -> list[Target] | None:
    """Return the relations named as targets in *tokens*, wherever they stand.

    ``None`` when one cannot be read.
    """
    words = [token.text if token.kind in ("name", "op") else "" for token in tokens]
    if words[0] == "truncate":
        return _truncated(tokens, words)
    found: list[Target | None] = []
    if words[0] == "copy" and words[1:2] != ["("]:
        found.extend(_copied(tokens, words))
    conflict = "conflict" in words
    for at, token in enumerate(tokens):
        if token.kind != "name" or words[at - 1 : at] == ["."]:
            continue
        word = token.text
        if words[at + 1 : at + 2] == [_BEFORE.get(word)]:
            # Upon a conflict INSERT changes what is there.
            changes = word != "insert" or conflict
            found.append(_target(tokens, at + 2, changes=changes))
        elif word == "update" and _updates(words, at):
            found.append(_target(tokens, at + 1, changes=True))
    read = [target for target in found if target is not None]
    return read if len(read) == len(found) else None


def _updates(words: Sequence[str], at: int) -> bool:
    """Whether the UPDATE at *at* begins a statement, not a clause or an expression.

    In a clause (FOR UPDATE, DO UPDATE SET, THEN UPDATE SET) no target stands behind
    it, and then SET.
    """
    behind = words[at + 1 : at + 1 + _ALIAS]
    if behind[:1] == ["set"]:
        return behind[1:2] == ["set"]
    return "set" in behind


def _target(tokens: Sequence[Token], at: int, *, changes: bool) -> Target | None:
    """Read the name that begins at *at*, perhaps behind ONLY, perhaps in brackets."""
    if at + 1 < len(tokens) and tokens[at].text == "only":
        # A table of that name would be followed by SET, a dot or an alias.
        at += 1 if tokens[at + 1].text == "(" or _named(tokens, at + 1) else 0
    if at < len(tokens) and tokens[at].text == "(" and tokens[at].kind == "op":
        at += 1
    while at + 2 < len(tokens) and tokens[at + 1].text == ".":
        at += 2
    if at >= len(tokens) or tokens[at].kind not in _NAMES:
        return None
    return Target(tokens[at].text, changes=changes)


def _named(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name stands at *at* that is no word of the statement's own."""
    token = tokens[at]
    return token.kind == "quoted" or (
        token.kind == "name" and token.text not in ("set", "as", "where", "using")
    )


def _copied(tokens: Sequence[Token], words: Sequence[str]) -> list[Target | None]:
    """Read what COPY fills, if it does."""
    at = 2 if words[1:2] == ["binary"] else 1
    end = at
    while words[end + 1 : end + 2] == ["."]:
        end += 2
    end += 1
    if words[end : end + 1] == ["("]:
        end = words.index(")", end) + 1 if ")" in words[end:] else len(words)
    if words[end : end + 1] == ["to"]:
        return []
    return [_target(tokens, at, changes=False)]


def _truncated(tokens: Sequence[Token], words: Sequence[str]) -> list[Target] | None:
    """Read the list of TRUNCATE; what CASCADE adds to it is not known."""
    if "cascade" in words:
        return None
    found: list[Target] = []
    at = 2 if words[1:2] == ["table"] else 1
    while True:
        target = _target(tokens, at, changes=True)
        if target is None:
            return None
        found.append(target)
        while at < len(words) and words[at] != ",":
            at += 1
        if at == len(words):
            return found
        at += 1
