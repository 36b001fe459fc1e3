"""Functions and views as they are defined in a stream of statements.

Where statements pass by in their order, a definition says what the catalog would: a
function that is declared to change nothing, or whose body only reads, is no longer
unknown, and a view that calls one that writes no longer looks like a table.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.catalog import Catalog, Entry, Kind, graver
from globaldb.core.findings import Finding
from globaldb.core.lexer.postgresql import literal, tokenize
from globaldb.core.lexer.reader import TokenReader
from globaldb.core.postgresql import bodies
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.functions import HARMLESS
from globaldb.core.postgresql.queries import RUNS_ARGUMENT
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token

_MODES: Final = names("in out inout variadic")
_FIXED: Final = names("immutable stable")
# What a declaration outweighs: its word is what the server's catalog would say.
_DOUBTS: Final = names(
    "unknown_function opaque_body opaque_query runs_argument unparsable "
    "volatile_function unknown_statement definition"
)
_AGGREGATED: Final = names(
    "sfunc finalfunc combinefunc msfunc minvfunc mfinalfunc sfunc1 serialfunc "
    "deserialfunc"
)


class Definition(NamedTuple):
    """An object as a statement defines it; *arguments* tell overloads apart."""

    kind: Kind
    schema: str
    name: str
    arguments: str
    own: Finding


class Definitions:
    """What was defined so far. Not safe for threads: a stream has one reader."""

    __slots__ = ("_catalog", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[Kind, str, str, str], Definition] = {}
        self._catalog: Catalog | None = Catalog()

    @property
    def catalog(self) -> Catalog:
        """What is known by the definitions so far."""
        if self._catalog is None:
            self._catalog = Catalog.of(
                Entry(each.kind, each.schema, each.name, each.own)
                for each in self._known.values()
            )
        return self._catalog

    def observe(self, sql: str) -> bool:
        """Learn from *sql* if it defines or drops; return whether anything is new."""
        tokens = tokenize(sql)
        word = tokens[0].text if tokens else ""
        if word == "drop":
            return self._drop(TokenReader(sql, tokens))
        if word != "create":
            return False
        new = False
        for each in observe(sql, tokens, self.catalog):
            if each.kind is Kind.RELATION and each.own.verdict is Verdict.READ:
                # A catalog lists the views that are more than a read to read.
                new = self._known.pop(each[:4], None) is not None or new
            else:
                new = self._known.get(each[:4]) != each or new
                self._known[each[:4]] = each
        self._catalog = None if new else self._catalog
        return new

    def _drop(self, reader: TokenReader) -> bool:
        reader.next()
        kind = _kind(reader)
        if kind is None:
            return False
        reader.accept("if", "exists")
        dropped = False
        while (dotted := reader.dotted()) is not None:
            schema, _, name = dotted.rpartition(".")
            arguments = _arguments(reader)[0] if reader.word() == "(" else None
            for key in [
                key
                for key in self._known
                if key[:3] == (kind, schema, name) and arguments in (None, key[3])
            ]:
                del self._known[key]
                dropped = True
            reader.accept(",")
        if dropped:
            self._catalog = None
        return dropped


def observe(sql: str, tokens: Sequence[Token], catalog: Catalog) -> list[Definition]:
    """Return what the CREATE in *tokens*, cut from *sql*, defines and its text tells.

    *catalog* says what else is known by now.
    """
    reader = TokenReader(sql, tokens)
    reader.next()
    reader.accept("or", "replace")
    if reader.accept("type"):
        return _range(reader)
    aggregate = reader.word() == "aggregate"
    kind = _kind(reader)
    dotted = None if kind is None else reader.dotted()
    if kind is None or dotted is None:
        return []
    schema, _, name = dotted.rpartition(".")
    if kind is Kind.RELATION:
        return [Definition(kind, schema, name, "", _view(reader, catalog))]
    arguments, named = _arguments(reader)
    if aggregate:
        found: Finding | None = _aggregate(reader, catalog)
    else:
        found = _routine(reader, _with_self(catalog, name), named)
    return [Definition(kind, schema, name, arguments, found)] if found else []


def _with_self(catalog: Catalog, name: str) -> Catalog:
    """Return *catalog* for the body of *name*, which may call itself."""
    if name in catalog.functions:
        return catalog
    return replace(catalog, functions={name: bodies.READS, **catalog.functions})


def _kind(reader: TokenReader) -> Kind | None:
    """Read what is defined or dropped."""
    for word in ("temp", "temporary", "recursive"):
        reader.accept(word)
    if reader.accept("view"):
        return Kind.RELATION
    if reader.accept("function") or reader.accept("aggregate"):
        return Kind.FUNCTION
    return None


def _arguments(reader: TokenReader) -> tuple[str, frozenset[str]]:
    """Read the arguments in parentheses; return them as written, and their names."""
    inside = reader.rest()
    reader.skip_parentheses()
    inside = inside[: len(inside) - len(reader.rest())]
    named = {
        token.text
        for before, token in pairwise(inside)
        if token.kind == "name" and (before.text in "(," or before.text in _MODES)
    }
    return " ".join(token.text for token in inside), frozenset(named - _MODES)


def _view(reader: TokenReader, catalog: Catalog) -> Finding:
    """Judge a view by its query."""
    while not reader.done and not reader.accept("as"):
        reader.next()
    found = classify(reader.rest_sql(), catalog)
    if found.verdict in (Verdict.SESSION, Verdict.TRANSACTION):
        return bodies.OPAQUE
    return Finding(found.verdict, found.reason)


def _routine(
    reader: TokenReader, catalog: Catalog, named: frozenset[str]
) -> Finding | None:
    """Judge a function by what stands behind its arguments."""
    rest = reader.rest()
    language, text, fixed = "sql", None, False
    for at, token in enumerate(rest):
        word = token.text if token.kind == "name" else ""
        if word == "language" and at + 1 < len(rest):
            following = rest[at + 1]
            language = (literal(following) or following.text).lower()
        elif word == "as" and at + 1 < len(rest):
            text = literal(rest[at + 1])
        elif word == "return" or (
            word == "begin"
            and [each.text for each in rest[at + 1 : at + 2]] == ["atomic"]
        ):
            text = _standing(reader, at)
            break
        fixed = fixed or word in _FIXED
    found = None
    if text is not None:
        found = bodies.judge(language, text, catalog, named)
    if fixed and (found is None or found.reason in _DOUBTS):
        return found if found is RUNS_ARGUMENT else bodies.READS
    return found


def _standing(reader: TokenReader, at: int) -> str:
    """Return the body that stands there as SQL, not as a text, as statements."""
    for _ in range(at):
        reader.next()
    if reader.accept("return"):
        return f"SELECT {reader.rest_sql()}"
    reader.accept("begin", "atomic")
    return reader.rest_sql().rstrip("; \n").removesuffix("END").removesuffix("end")


def _aggregate(reader: TokenReader, catalog: Catalog) -> Finding | None:
    """Judge an aggregate by the functions it is made of."""
    worst = bodies.READS
    words = [token.text for token in reader.rest()]
    for word, sign, name in zip(words, words[1:], words[2:], strict=False):
        if word in _AGGREGATED and sign == "=":
            found = catalog.functions.get(name)
            if found is None and name not in HARMLESS:
                return None
            worst = graver(worst, found or bodies.READS)
    return worst


def _range(reader: TokenReader) -> list[Definition]:
    """Return the constructors that come with a range type."""
    dotted = reader.dotted()
    if dotted is None or not reader.accept("as", "range"):
        return []
    schema, _, name = dotted.rpartition(".")
    words = [token.text for token in reader.rest()]
    many = name.replace("range", "multirange") if "range" in name else ""
    if "multirange_type_name" in words[:-2]:
        many = words[words.index("multirange_type_name") + 2]
    return [
        Definition(Kind.FUNCTION, schema, each, "", bodies.READS)
        for each in (name, many or f"{name}_multirange")
    ]
