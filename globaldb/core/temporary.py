"""The temporary tables of one session, by name.

They live on one connection, and so does whatever reads them. A read that names none of
them may go to a reader all the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.lexer import decoded

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from globaldb.core.lexer import Token

_TEMPORARY: Final = frozenset(("temp", "temporary"))
_KINDS: Final = frozenset(("table", "view", "sequence"))
_MODIFIERS: Final = _TEMPORARY | frozenset(
    ("create", "or", "replace", "global", "local", "unlogged", "recursive", "into")
)
_NAMES: Final = frozenset(("name", "quoted"))
_WORD: Final = re.compile(r"[\w$]++")
#: Bytes; a longer name is cut off by the server.
_LONGEST: Final = 63
#: What may mean any table without writing its name: the server's own catalogs, texts
#: read as names, names in escapes, and the sequence that a column brought along.
_ANYTHING: Final = re.compile(
    r"\b(?:pg_\w|information_schema\b|(?:to_)?reg(?:class|type)\b|current_schemas\b"
    r"|\w+_seq\d*\b|u&\")"
)


class Created(NamedTuple):
    """A temporary table, view or sequence that a statement makes."""

    name: str
    #: It is gone when its transaction ends.
    until_commit: bool
    #: It holds rows of its own, as a view does not.
    table: bool = True


def created(tokens: Sequence[Token]) -> Created | None:
    """Return what a statement that makes a temporary object makes.

    ``None`` when it is anything but a table, a view or a sequence, or not clear.
    """
    words = [token.text for token in tokens]
    if words[:1] == ["create"]:
        at = 0
    elif words.count("into") == 1:
        at = words.index("into")
    else:
        return None
    while at < len(words) and words[at] in _MODIFIERS:
        at += 1
    table = True
    if words[0] == "create":
        if at >= len(words) or words[at] not in _KINDS:
            return None
        table = words[at] == "table"
        at += 1
    elif words[at : at + 1] == ["table"]:
        at += 1
    name = _name(tokens, at)
    until_commit = _follow(words, ("on", "commit", "drop"))
    return None if name is None else Created(name, until_commit, table)


def dropped(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the names that a DROP names without a schema, or with ``pg_temp``."""
    words = [token.text for token in tokens]
    # MySQL's own DROP TEMPORARY TABLE.
    at = 2 if words[1:2] == ["temporary"] else 1
    if words[:1] != ["drop"] or _KINDS.isdisjoint(words[at : at + 1]):
        return frozenset()
    at += 3 if words[at + 1 : at + 3] == ["if", "exists"] else 1
    found = set()
    while at < len(tokens) and tokens[at].kind in _NAMES:
        schema = ""
        if words[at + 1 : at + 2] == ["."]:
            schema = words[at]
            at += 2
        if schema in ("", "pg_temp"):
            found.update(words[at : at + 1])
        if words[at + 1 : at + 2] != [","]:
            break
        at += 2
    return frozenset(found)


def _name(tokens: Sequence[Token], at: int) -> str | None:
    """Return the last part of the name that begins at *at*."""
    words = [token.text for token in tokens[at : at + 6]]
    if words[:3] == ["if", "not", "exists"]:
        return _name(tokens, at + 3)
    if words[1:2] == ["."]:
        at += 2
    if at < len(tokens) and tokens[at].kind in _NAMES:
        name = tokens[at].text
        return name if len(name.encode()) <= _LONGEST else None
    return None


def _follow(words: Sequence[str], phrase: tuple[str, ...]) -> bool:
    size = len(phrase)
    return any(
        tuple(words[index : index + size]) == phrase for index in range(len(words))
    )


class TemporaryTables:
    """The names, with those of an open transaction apart: a rollback undoes them."""

    __slots__ = ("_before", "_made")

    def __init__(self) -> None:
        self._made: frozenset[Created] = frozenset()
        self._before: frozenset[Created] | None = None

    def __bool__(self) -> bool:
        return bool(self._made)

    @property
    def names(self) -> frozenset[str]:
        """What they are called."""
        return frozenset(made.name for made in self._made)

    @property
    def tables(self) -> frozenset[str] | None:
        """Their names if all of them are tables; a view would stand for others."""
        plain = all(made.table for made in self._made)
        return self.names if plain else None

    def add(self, made: Created, *, inside: bool) -> None:
        """Take note of a table; *inside* a transaction it may be undone."""
        self._remember(inside=inside)
        if inside or not made.until_commit:
            self._made |= {made}

    def remove(self, names: Container[str], *, inside: bool) -> None:
        """Take note of tables dropped."""
        self._remember(inside=inside)
        self._made = frozenset(made for made in self._made if made.name not in names)

    def end(self, *, committed: bool) -> None:
        """Take note that the transaction is over."""
        if not committed and self._before is not None:
            self._made = self._before
        self._made = frozenset(made for made in self._made if not made.until_commit)
        self._before = None

    def discard(self, *, inside: bool) -> None:
        """Take note of DISCARD TEMP; inside a transaction a rollback undoes it."""
        self._remember(inside=inside)
        self._made = frozenset()

    def clear(self) -> None:
        """Take note that all are gone, with their connection or by DISCARD ALL."""
        self._made = frozenset()
        self._before = None

    def named_in(self, sql: str | bytes) -> bool:
        """Whether *sql* may mean one of them, by its name or in a roundabout way."""
        text = decoded(sql)
        lowered = text.lower()
        if _ANYTHING.search(lowered):
            return True
        words = set(_WORD.findall(lowered))
        return any(
            words.issuperset(_WORD.findall(made.name.lower())) for made in self._made
        )

    def _remember(self, *, inside: bool) -> None:
        if inside and self._before is None:
            self._before = self._made
