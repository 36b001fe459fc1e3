"""The tables that a PostgreSQL statement reads and writes, from its tokens.

Whatever is mentioned by the name of a relation is taken to be read, be it a column or
an alias: a name too many costs a wait, one too few a promise.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.postgresql.bodies import TYPE_OF, as_query, commands
from globaldb.core.postgresql.functions import AS_COLUMN
from globaldb.core.postgresql.queries import Query
from globaldb.core.postgresql.references import ESCAPES, mentions, operators, places
from globaldb.core.postgresql.targets import targets
from globaldb.core.script import partners
from globaldb.core.statement import Statement, Verdict
from globaldb.core.tables import (
    NOTHING,
    SYSTEM,
    UNKNOWN,
    Relations,
    Tables,
    Target,
    Touched,
    Trigger,
)
from globaldb.core.temporary import created, dropped
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.findings import Finding
    from globaldb.core.lexer import Token
    from globaldb.core.postgresql.references import Place

_NO_NAMES: Final[frozenset[str]] = frozenset()
_READS: Final = frozenset((Verdict.READ, Verdict.SAME_CONNECTION))
# Their tokens tell what they touch.
_QUERIES: Final = names(
    "SELECT WITH VALUES TABLE INSERT UPDATE DELETE MERGE TRUNCATE COPY EXPLAIN DECLARE"
)
# They touch no table, whatever their verdict.
_NO_TABLES: Final = names("LOCK NOTIFY LISTEN UNLISTEN DISCARD CLOSE SHOW SET")
# Reasons to know nothing of a statement whose command is known.
_OPAQUE: Final = names(
    "learned unparsable backslash_before_quote too_long unknown_statement select_into"
)
# Functions that write no table, though they are more than a read; what a sequence or
# a large object holds is read at the writer alone.
_NO_WRITES: Final = names(
    "locking_clause sequence advisory_lock notify transaction_id wal_position "
    "large_object set_config"
)
#: The server's own functions that read whatever their arguments name, or all there is.
ROAMING: Final = (
    r"(?:query|table|schema|database|cursor)_to_xml\w*|ts_stat|ts_rewrite"
    r"|currtid2?|pg_(?:relation|table|total_relation|indexes|database|tablespace)_size"
    r"|\w*snapshot\w*|pg_xact_commit_timestamp\w*|lo_\w+|loread|lowrite"
)
_ROAMING: Final = re.compile(ROAMING)
# Where a relation may stand, these begin a query.
_BEGINNINGS: Final = names("select with values table only lateral rows recursive")
# Behind these an expression cannot begin, whatever a query's grammar says.
_BEFORE_LIST: Final = frozenset((("on", "conflict"), ("then", "insert")))
# In their parentheses FROM names no relation.
_WITH_FROM: Final = names("extract substring trim overlay position")
# The server's own triggers, which write nothing else.
_OWN_TRIGGERS: Final = names(
    "tsvector_update_trigger_byid tsvector_update_trigger_bycolumn "
    "suppress_redundant_updates_trigger"
)


def touched(
    statement: Statement,
    tokens: Sequence[Token],
    catalog: Catalog,
    temporary: frozenset[str] = _NO_NAMES,
) -> Touched:
    """Return the tables that *statement*, cut into *tokens*, reads and writes.

    Without a catalog that knows the relations nothing is known of any. What is looked
    up by its text, as ``EXECUTE`` is, is not known here. *temporary* are the session's
    own tables, which do not count.
    """
    relations = catalog.tables
    if relations is None or not temporary:
        return _touched(statement, tokens, catalog, relations)
    own = temporary - relations.known
    if statement.command == "DROP" and _drops_only(tokens, own):
        return NOTHING
    known = replace(relations, known=relations.known | temporary)
    reads, writes = _touched(statement, tokens, catalog, known)
    return Touched(
        None if reads is None else reads - own,
        None if writes is None else writes - own,
    )


def _touched(
    statement: Statement,
    tokens: Sequence[Token],
    catalog: Catalog,
    relations: Relations | None,
) -> Touched:
    if relations is None or statement.multiple or statement.reason in _OPAQUE:
        return UNKNOWN
    if statement.command in _NO_TABLES:
        return NOTHING
    made = created(tokens) if statement.reason == "temporary_object" else None
    if statement.command == "CREATE" and made is not None and made.table:
        return _filled(tokens, catalog, relations)
    if statement.command not in _QUERIES:
        return NOTHING if statement.verdict is Verdict.SESSION else UNKNOWN
    reads = None
    if statement.verdict is not Verdict.NODE_LOCAL:
        reads = _Reads(tokens, catalog, relations).all()
    if statement.verdict in _READS | {Verdict.NODE_LOCAL}:
        return Touched(reads, frozenset())
    return Touched(reads, _writes(tokens, catalog, relations))


def _drops_only(tokens: Sequence[Token], own: frozenset[str]) -> bool:
    """Whether DROP names nothing but the session's *own* tables."""
    gone = dropped(tokens)
    return bool(gone) and gone <= own and all(token.text != "." for token in tokens)


def _filled(tokens: Sequence[Token], catalog: Catalog, relations: Relations) -> Touched:
    """Return what is touched to make a temporary table: what its query touches."""
    words = [token.text if token.kind in ("name", "op") else "" for token in tokens]
    for at, word in enumerate(words[:-1]):
        if word == "as" and words[at + 1] in _BEGINNINGS | {"("}:
            query = tokens[at + 1 :]
            reads = _Reads(query, catalog, relations).all()
            return Touched(reads, _writes(query, catalog, relations))
    return UNKNOWN if "execute" in words else NOTHING


class _Reads:
    """What a statement reads, by the names in it."""

    def __init__(
        self, tokens: Sequence[Token], catalog: Catalog, relations: Relations
    ) -> None:
        self._tokens = [_as_from(tokens, at) for at in range(len(tokens))]
        self._catalog = catalog
        self._relations = relations
        self._partner = partners(tokens)
        self._defined = _queries_named(tokens, self._partner)

    def all(self) -> Tables:
        """Return what is read; ``None`` when that may be anything."""
        if operators(self._tokens, self._relations.operators):
            return None
        found = set()
        if self._tokens[0].text == "explain":
            # The plan goes by statistics.
            found.add(SYSTEM)
        for place in places(self._tokens):
            name = self._named(place)
            if name is None:
                return None
            found.add(name)
        found.discard("")
        return self._relations.read(found)

    def _named(self, place: Place) -> str | None:
        """Return what *place* names; empty for no relation, ``None`` if not known."""
        if place.kind == "quoted" and place.name[:2] in ESCAPES:
            return None
        if self._runs_something(place):
            return None
        if place.name in self._relations.known:
            return place.name
        if place.relation and place.follows not in (".", "("):
            return self._unknown(place)
        return ""

    def _runs_something(self, place: Place) -> bool:
        """Whether *place* may run what reads more than is written there."""
        if place.name in self._relations.opaque:
            return True
        if place.follows != "(" and not place.dotted:
            return False
        known = place.name in self._catalog.functions
        if known or place.name in self._catalog.listed:
            return place.name not in self._relations.pure
        return _ROAMING.fullmatch(place.name) is not None

    def _unknown(self, place: Place) -> str | None:
        """Return what an unknown name stands for where a relation may be named."""
        if place.at == 0 or (place.kind == "name" and place.name in _BEGINNINGS):
            return ""
        if place.schema in ("", "pg_catalog") and place.name.startswith("pg_"):
            return SYSTEM
        if place.schema == "information_schema":
            return SYSTEM
        first = place.at
        while place.dotted and first > 1 and self._tokens[first - 1].text == ".":
            first -= 2
        if self._no_clause(first - 1):
            return ""
        known = self._defined.get(place.name, ())
        if not place.schema and any(place.at in scope for scope in known):
            return ""
        return None

    def _no_clause(self, at: int) -> bool:
        """Whether the FROM at *at* is part of an expression."""
        if at < 2 or self._tokens[at].text != "from":
            return False
        before, earlier = self._tokens[at - 1].text, self._tokens[at - 2].text
        if before == "distinct" and earlier in ("is", "not"):
            return True
        depth = at
        while depth > 0:
            depth -= 1
            closes = self._partner[depth]
            if 0 <= closes < depth:
                depth = closes
            elif closes > at:
                return self._tokens[depth - 1].text in _WITH_FROM and (
                    self._tokens[depth + 1].text not in _BEGINNINGS
                )
        return False


def _as_from(tokens: Sequence[Token], at: int) -> Token:
    """Return the token at *at*; USING of DELETE and MERGE names relations as FROM."""
    token = tokens[at]
    if token.kind == "name" and token.text == "using":
        behind = tokens[at + 1].text if at + 1 < len(tokens) else "("
        return token if behind == "(" else token._replace(text="from")
    return token


def _queries_named(
    tokens: Sequence[Token], partner: Sequence[int]
) -> dict[str, list[range]]:
    """Return where the names that a WITH gives to queries are known.

    That is behind their own query, or in it too if they are recursive, up to the end
    of what the WITH stands in.
    """
    found: dict[str, list[range]] = {}
    enclosing = [len(tokens)]
    for index, token in enumerate(tokens):
        if token.kind == "op" and token.text == "(":
            enclosing.append(partner[index])
        elif token.kind == "op" and token.text == ")" and len(enclosing) > 1:
            enclosing.pop()
        elif token.kind == "name" and token.text == "with":
            for name, known_from in _listed(tokens, partner, index + 1):
                found.setdefault(name, []).append(range(known_from, enclosing[-1]))
    return found


def _listed(
    tokens: Sequence[Token], partner: Sequence[int], at: int
) -> Iterator[tuple[str, int]]:
    """Yield each name of the WITH whose list begins at *at*, and where it is known."""
    recursive = at < len(tokens) and tokens[at].text == "recursive"
    at += recursive
    while at < len(tokens) and tokens[at].kind in ("name", "quoted"):
        opened = _opened(tokens, partner, at + 1)
        if opened < 0:
            return
        yield tokens[at].text, at if recursive else partner[opened]
        at = partner[opened] + 1
        if at >= len(tokens) or tokens[at].text != ",":
            return
        at += 1


def _opened(tokens: Sequence[Token], partner: Sequence[int], at: int) -> int:
    """Return where the query behind a name given to it opens, or -1."""
    if at < len(tokens) and tokens[at].text == "(":
        at = partner[at] + 1
    for words in (("as",), ("not",), ("materialized",)):
        if at < len(tokens) and tokens[at].text in words:
            at += 1
    if at < len(tokens) and tokens[at].text == "(" and partner[at] > at:
        return at
    return -1


def _writes(tokens: Sequence[Token], catalog: Catalog, relations: Relations) -> Tables:
    """Return what a statement writes that may write."""
    found = _direct(tokens, _as_query(tokens, catalog), catalog, relations)
    if found is None:
        return None

    def fired(trigger: Trigger) -> list[Target] | None:
        return _fired(trigger, catalog, relations)

    def harmless(function: str) -> bool:
        known = catalog.functions.get(function)
        return known is not None and known.verdict is Verdict.READ

    written = relations.written(found, fired, harmless)
    if written is None or any(_acts(catalog, name) for name in written):
        return None
    if tokens[0].text != "truncate":
        return written
    # The server's own books tell of the new, empty file.
    return written | {SYSTEM}


def _acts(catalog: Catalog, name: str) -> bool:
    """Whether what the columns of a relation are made of may write by itself."""
    found = catalog.relation("", name)
    return found is not None and not _writes_nothing(found)


def _as_query(tokens: Sequence[Token], catalog: Catalog) -> list[Token]:
    """Return *tokens* of a statement as the grammar of queries would have them.

    A list of columns is no call, neither behind these words nor behind a target.
    """
    found: list[Token] = []
    before = ""
    for token in tokens:
        word = token.text if token.kind == "name" else ""
        listing = (before, word) in _BEFORE_LIST or (
            word == "set" and word not in catalog.functions
        )
        if listing or (not before and word == "explain"):
            found.append(token._replace(text="on"))
        elif word == "into" or (not before and word == "copy"):
            found.append(token._replace(text="as"))
        else:
            found.append(token)
        before = token.text
    return found


def _fired(
    trigger: Trigger, catalog: Catalog, relations: Relations
) -> list[Target] | None:
    """Return what a trigger's function writes; ``None`` when that is not known."""
    if trigger.language == "internal":
        return [] if trigger.body.strip() in _OWN_TRIGGERS else None
    if trigger.language != "plpgsql":
        return None
    tokens = tokenize(TYPE_OF.sub(".", trigger.body))
    if not tokens or tokens[-1].kind == "bad" or commands(tokens):
        return None
    # A text that it runs is not to be seen.
    if any(token.kind == "name" and token.text == "execute" for token in tokens):
        return None
    query = [_in_body(token) for token in _as_query(tokens, catalog)]
    return _direct(tokens, query, catalog, relations)


def _in_body(token: Token) -> Token:
    """Return *token* of a body so; there IF is no function either."""
    if token.kind == "name" and token.text == "if":
        return token._replace(text="select")
    return as_query(token)


def _direct(
    tokens: Sequence[Token],
    query: Sequence[Token],
    catalog: Catalog,
    relations: Relations,
) -> list[Target] | None:
    """Return what *tokens* name as the targets of writes.

    ``None`` when anything else in them may write; *query* is what the grammar of
    queries makes of them.
    """
    found = targets(tokens)
    if found is None or not all(target.name in relations.known for target in found):
        return None
    calls = Query(query, catalog, None).calls()
    if not all(_writes_nothing(each) for each in (*calls, *mentions(tokens, catalog))):
        return None
    for place in places(tokens):
        if place.kind == "quoted" and place.name[:2] in ESCAPES:
            return None
        column = AS_COLUMN.get(place.name) if place.dotted else None
        if column is not None and not _writes_nothing(column):
            return None
    return found


def _writes_nothing(finding: Finding | tuple[Verdict, str]) -> bool:
    verdict, reason = finding
    return verdict not in (Verdict.WRITE, Verdict.PIN) or reason in _NO_WRITES
