"""Routines, views and triggers as they are defined in a stream of statements.

Where statements pass by in their order, a definition says what the catalog would: a
function whose body only reads is no longer unknown, and a view over one that writes no
longer looks like a table.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import Catalog
from globaldb.core.lexer.mysql import tokenize
from globaldb.core.lexer.reader import TokenReader
from globaldb.core.mysql.objects import Definition, Sort, entries
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token

_SORTS: Final = {
    "function": Sort.FUNCTION,
    "procedure": Sort.PROCEDURE,
    "view": Sort.VIEW,
    "trigger": Sort.TRIGGER,
    "sequence": Sort.SEQUENCE,
}
#: What else CREATE may make; behind these no routine's word means a routine.
_OTHERS: Final = names(
    "table database schema user role index event server tablespace temporary package "
    "aggregate"
)
_CHARACTERISTICS: Final = names(
    """
    comment contains data definer deterministic invoker language modifies no not reads
    security sql
    """
)
_MODES: Final = names("in out inout")
# The rest of a type, behind its name and what stands in parentheses there.
_OF_TYPE: Final = names(
    "ascii binary byte charset collate precision unicode unsigned varying zerofill"
)


class Definitions:
    """What was defined so far. Not safe for threads: a stream has one reader."""

    __slots__ = ("_catalog", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[Sort, str, str], tuple[Definition, ...]] = {}
        self._catalog: Catalog | None = Catalog()

    @property
    def catalog(self) -> Catalog:
        """What is known by the definitions so far."""
        if self._catalog is None:
            self._catalog = Catalog.of(entries(chain(*self._known.values())))
        return self._catalog

    def observe(self, sql: str) -> bool:
        """Learn from *sql* if it defines or drops; return whether anything is new."""
        reader = TokenReader(sql, tokenize(sql))
        if reader.accept("drop"):
            return self._drop(reader)
        if not reader.accept("create"):
            return False
        replaces = reader.accept("or", "replace")
        found = _defined(reader)
        if found is None:
            return False
        key, definition = found
        before = self._known.get(key, ())
        if definition in before:
            return False
        # Where the name is taken the server refuses, or it was dropped unseen.
        self._known[key] = (definition,) if replaces else (*before, definition)
        self._catalog = None
        return True

    def _drop(self, reader: TokenReader) -> bool:
        sort = _SORTS.get(reader.word())
        reader.next()
        reader.accept("if", "exists")
        dropped = False
        while sort is not None and (name := _name(reader)) is not None:
            dropped = self._known.pop((sort, *name), None) is not None or dropped
            reader.accept(",")
        if dropped:
            self._catalog = None
        return dropped


def _defined(
    reader: TokenReader,
) -> tuple[tuple[Sort, str, str], Definition] | None:
    """Read what stands behind CREATE; a trigger is known by its table."""
    while reader.word() not in _SORTS:
        if reader.done or reader.word() in _OTHERS:
            return None
        reader.next()
    sort = _SORTS[reader.word()]
    reader.next()
    reader.accept("if", "not", "exists")
    name = _name(reader)
    if name is None:
        return None
    key = (sort, *name)
    if sort is Sort.VIEW:
        return key, Definition(sort, *name, _view(reader))
    if sort is Sort.TRIGGER:
        return _trigger(key, reader)
    if sort is Sort.SEQUENCE:
        return key, Definition(sort, *name)
    variables = _parameters(reader)
    return key, Definition(sort, *name, _body(reader), variables)


def _name(reader: TokenReader) -> tuple[str, str] | None:
    dotted = reader.dotted()
    if dotted is None:
        return None
    schema, _, name = dotted.lower().rpartition(".")
    return schema, name


def _view(reader: TokenReader) -> str:
    """Return the query of a view."""
    reader.skip_parentheses()
    reader.accept("as")
    return reader.rest_sql()


def _trigger(
    key: tuple[Sort, str, str], reader: TokenReader
) -> tuple[tuple[Sort, str, str], Definition] | None:
    """Read a trigger from its time and event to its body."""
    while not reader.done and not reader.accept("on"):
        reader.next()
    table = _name(reader)
    if table is None or not reader.accept("for", "each", "row"):
        return None
    if reader.accept("follows") or reader.accept("precedes"):
        _name(reader)
    return key, Definition(Sort.TRIGGER, *table, reader.rest_sql())


def _parameters(reader: TokenReader) -> frozenset[str]:
    """Read the parameters in parentheses; return their names."""
    inside = reader.rest()
    reader.skip_parentheses()
    return frozenset(_named(inside[: len(inside) - len(reader.rest())]))


def _named(inside: Sequence[Token]) -> list[str]:
    found = []
    for before, token in pairwise(inside):
        begins = before.text in ("(", ",") or before.text in _MODES
        if begins and token.kind in ("name", "quoted") and token.text not in _MODES:
            found.append(token.text.lower())
    return found


def _body(reader: TokenReader) -> str:
    """Return the body of a routine, behind what is said of it."""
    if reader.accept("returns") or reader.accept("return"):
        _skip_type(reader)
    while reader.word() in _CHARACTERISTICS:
        if reader.accept("comment"):
            reader.next()
        reader.next()
    return reader.rest_sql()


def _skip_type(reader: TokenReader) -> None:
    reader.next()
    reader.skip_parentheses()
    while reader.word() in _OF_TYPE or reader.word() == "character":
        reader.accept("character")
        named = reader.word() in ("set", "charset", "collate")
        reader.next()
        if named:
            reader.next()
