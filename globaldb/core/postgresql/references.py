"""What a text mentions that a catalog has a word on: relations, types, operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.catalog import EMPTY, graver
from globaldb.core.findings import Finding
from globaldb.core.postgresql.words import CONNECTION_VIEWS, NODE_VIEWS
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer import Token

_DML: Final = frozenset(("insert", "update", "delete", "merge"))
_SIGNS: Final = frozenset("+-*/<>=~!@#%^&|`?")
# Behind these a relation may be named, and so behind a comma as long as no other
# clause has begun.
_BEFORE_RELATION: Final = frozenset(("from", "join", "table"))
_STILL_BEFORE: Final = frozenset(("only", "lateral"))
_OTHER_CLAUSES: Final = names(
    """
    select where group having window order limit offset fetch for union intersect
    except returning set values
    """
)
#: The signs that some keywords stand for, and those keywords.
IMPLIED: Final = names("= <> < <= > >= ~~ !~~ ~~* !~~* ~ !~")
_IMPLYING: Final = names(
    "in between like ilike similar distinct using natural nullif case any some all"
)
#: What a quoted name begins with whose Unicode escapes could spell any name.
ESCAPES: Final = ("u&", "U&")
_ESCAPED: Final = Finding(Verdict.WRITE, "escaped_name")


def system_view(name: str) -> Finding | None:
    """Return what reading the view *name* of pg_catalog does beyond a read, if it does.

    A replica shows the state of a sequence up to 32 steps ahead, and no transaction
    that is prepared: it knows of them, and lists them once it is promoted.
    """
    if name == "pg_sequences":
        return Finding(Verdict.WRITE, "sequence")
    if name == "pg_prepared_xacts":
        return Finding(Verdict.WRITE, "prepared_transactions")
    if name in CONNECTION_VIEWS:
        return Finding(Verdict.SAME_CONNECTION, "session_state")
    if name in NODE_VIEWS or name.startswith(("pg_stat_", "pg_statio_")):
        return Finding(Verdict.NODE_LOCAL, "node_view")
    return None


def mentioned(tokens: Sequence[Token], catalog: Catalog) -> Finding | None:
    """Return the gravest of what the mentioned objects do beyond a read, if any."""
    worst = None
    for finding in mentions(tokens, catalog):
        worst = finding if worst is None else graver(worst, finding)
    return worst


def mentions(tokens: Sequence[Token], catalog: Catalog) -> list[Finding]:
    """Return what each of the mentioned objects does beyond a read."""
    if catalog is EMPTY:
        return []
    found: list[Finding | None] = []
    words = [text for kind, text, _, _ in tokens if kind != "op"]
    if not catalog.watched.isdisjoint(words) or any(
        word[:2] in ESCAPES for word in words
    ):
        found.extend(_named(tokens, catalog))
    if catalog.operators:
        found.extend(
            catalog.operators[sign] for sign in operators(tokens, catalog.operators)
        )
    if catalog.changes and not _DML.isdisjoint(words):
        found.extend(
            catalog.changes.get(token.text)
            for token in tokens
            if token.kind in ("name", "quoted")
        )
    return [finding for finding in found if finding is not None]


class Place(NamedTuple):
    """A name in a text, and what may stand where it stands."""

    #: Its index among the tokens.
    at: int
    kind: str
    name: str
    #: The name in front of the dot before it, if any.
    schema: str
    #: What stands behind it.
    follows: str
    #: Whether it may be the name of a relation there.
    relation: bool
    #: Whether there is a dot in front of it.
    dotted: bool


def places(tokens: Sequence[Token]) -> Iterator[Place]:
    """Yield every name in *tokens*, and whether a relation may be named there."""
    return _Walk().walk(tokens)


def _named(tokens: Sequence[Token], catalog: Catalog) -> Iterator[Finding | None]:
    """Look up every name, and as a relation those where one may stand."""
    for place in places(tokens):
        if place.kind == "quoted" and place.name[:2] in ESCAPES:
            yield _ESCAPED
        elif not place.relation or place.follows in (".", "("):
            yield catalog.types.get(place.name)
        else:
            yield catalog.relation(place.schema, place.name)
        if place.dotted and place.follows != "(" and not place.relation:
            yield catalog.columns.get(place.name)


class _Walk:
    """A walk over tokens that knows where a relation may be named."""

    def __init__(self) -> None:
        # For each open parenthesis, whether a comma in it is followed by a relation.
        self._listing = [False]
        # What COPY names stands at the very start.
        self._awaited = True
        self._schema = ""

    def walk(self, tokens: Sequence[Token]) -> Iterator[Place]:
        """Yield every name."""
        before = ""
        for index, (kind, text, _, _) in enumerate(tokens):
            if kind in ("name", "quoted"):
                follows = tokens[index + 1].text if index + 1 < len(tokens) else ""
                yield Place(
                    index,
                    kind,
                    text,
                    self._schema,
                    follows,
                    self._awaited,
                    before == ".",
                )
                if follows != ".":
                    self._awaited = kind == "name" and self._awaits(text)
                    self._schema = ""
            elif kind == "op" and text == ".":
                self._schema = before
            else:
                self._awaited = kind == "op" and self._awaits_behind(text)
                self._schema = ""
            before = text

    def _awaits(self, word: str) -> bool:
        """Return whether a relation may stand behind *word*; note the clause."""
        if self._schema:
            return False
        if word in _BEFORE_RELATION:
            self._listing[-1] = True
            return True
        if word in _OTHER_CLAUSES:
            self._listing[-1] = False
        return self._awaited and word in _STILL_BEFORE

    def _awaits_behind(self, sign: str) -> bool:
        if sign == "(":
            self._listing.append(False)
            return self._awaited
        if sign == ")" and len(self._listing) > 1:
            self._listing.pop()
        return sign == "," and self._listing[-1]


def operators(tokens: Sequence[Token], signs: Iterable[str]) -> list[str]:
    """Return those of *signs* that the text may use.

    Where one operator ends and the next begins is the server's business: whatever is
    part of the run counts.
    """
    runs = "".join(_runs(tokens))
    implied = any(token.text in _IMPLYING for token in tokens)
    return [sign for sign in signs if sign in runs or (implied and sign in IMPLIED)]


def _runs(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the signs, those that stand side by side without a space."""
    last = -1
    for kind, text, start, end in tokens:
        if kind == "op" and text[0] in _SIGNS:
            # A percent sign is doubled where parameters travel with the text.
            yield (text if start == last else f" {text}").replace("%%", "%")
            last = end
