"""Text to verdict, for PostgreSQL.

Whatever is not understood is a write: a read on the writer costs time, a write on a
reader breaks a promise.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import EMPTY, Catalog
from globaldb.core.findings import Finding
from globaldb.core.lexer import decoded
from globaldb.core.lexer.postgresql import FLAT_COMMENT, single, tokenize
from globaldb.core.lexer.reader import TokenReader
from globaldb.core.postgresql.commands import CARRIERS
from globaldb.core.postgresql.queries import Query
from globaldb.core.postgresql.settings import reset, set_config, set_statement, show
from globaldb.core.postgresql.skim import plain_read
from globaldb.core.postgresql.transactions import (
    begin,
    commit,
    release,
    rollback,
    savepoint,
)
from globaldb.core.postgresql.utilities import UTILITIES, utility
from globaldb.core.script import join, pieces
from globaldb.core.statement import Defines, Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.lexer import Token

#: Longer texts that are no plain read are not taken apart: they are writes.
LONGEST: Final = 1 << 20

_HEAD: Final = re.compile(
    rf"(?:[ \t\n\r\f\v(]++|--[^\n\r]*+|{FLAT_COMMENT})*+([A-Za-z]++)(?![\w$])"
)
_QUERIES: Final = {
    "select": "select",
    "with": "select",
    "values": "values",
    "table": "table",
}
_DML: Final = frozenset(("insert", "update", "delete", "merge"))
# A write that holds one of these may also change what only its connection knows.
_HINTS: Final = (
    "advisory",
    "set_config",
    "setseed",
    "dblink",
    "_backup",
    "replication_origin_session",
    "pg_temp",
)
# A SET as a statement of a PL/pgSQL body, or of a text that the body executes; the
# SET of an UPDATE stands behind a table's name.
_SETS_INSIDE: Final = re.compile(
    r"(?:;|\$|'|\b(?:begin|then|else|loop))\s*"
    r"set\s+(?!local\b|constraints\b|transaction\b)\w",
    re.IGNORECASE,
)
_PLAIN_READS: Final = {
    word: Statement(Verdict.READ, reason, word.upper())
    for word, reason in _QUERIES.items()
}
_PLAIN_WRITES: Final = {
    word: Statement(Verdict.WRITE, "write_statement", word.upper()) for word in _DML
}
_EMPTY: Final = Statement(Verdict.READ, "empty", "")
_CONTROL: Final[dict[str, Callable[[TokenReader], Statement | None]]] = {
    "begin": begin,
    "start": begin,
    "commit": commit,
    "end": commit,
    "rollback": rollback,
    "abort": rollback,
    "savepoint": savepoint,
    "release": release,
    "set": set_statement,
    "reset": reset,
    "show": show,
}


def classify(sql: str | bytes, catalog: Catalog = EMPTY) -> Statement:
    """Return what *sql* means; whatever is not understood is a write.

    What is not PostgreSQL's own means what *catalog* says of it.
    """
    text = decoded(sql)
    head = _HEAD.match(text)
    word = "" if head is None else head[1].lower()
    if word in _QUERIES and plain_read(text, catalog):
        return _PLAIN_READS[word]
    if word in _DML and not _hinted(text, catalog) and single(text):
        return _PLAIN_WRITES[word]
    if len(text) > LONGEST:
        return _too_long(text, word.upper(), catalog)
    return _exact(text, word.upper(), catalog)


def _hinted(text: str, catalog: Catalog) -> bool:
    lowered = text.lower()
    if any(hint in lowered for hint in _HINTS):
        return True
    keeping = catalog.keeping
    return bool(keeping) and any(name in lowered for name in keeping)


def _too_long(text: str, command: str, catalog: Catalog) -> Statement:
    multiple = not single(text)
    lowered = text.lower()
    keeps = (
        multiple or _hinted(text, catalog) or "temp" in lowered or "listen" in lowered
    )
    verdict = Verdict.PIN if keeps else Verdict.WRITE
    return Statement(verdict, "too_long", command, multiple=multiple, alone=True)


def _exact(text: str, command: str, catalog: Catalog) -> Statement:
    """Classify token by token."""
    tokens = tokenize(text)
    if tokens and tokens[-1].kind == "bad":
        return _refused("unparsable", command, text, catalog)
    statement = _parts(text, tokens, catalog)
    if "\\'" in text and any(
        token.kind == "string" and token.text[0] not in "eE$" and "\\'" in token.text
        for token in tokens
    ):
        # With standard_conforming_strings off the string goes on behind it. Where
        # that makes no sense, the server refuses the text.
        tokens = tokenize(text, escapes=True)
        if tokens[-1].kind != "bad" and _parts(text, tokens, catalog) != statement:
            return _refused("backslash_before_quote", command, text, catalog)
    return statement


def _parts(text: str, tokens: Sequence[Token], catalog: Catalog) -> Statement:
    """Classify what was taken apart."""
    parts = pieces(tokens) if ";" in text else [tokens]
    if not (parts and parts[0]):
        return _EMPTY
    if len(parts) == 1:
        return _statement(text, parts[0], catalog)
    if _atomic_body(parts):
        return Statement(
            Verdict.WRITE,
            "definition",
            "CREATE",
            multiple=True,
            alone=True,
            defines=Defines.CODE,
        )
    return join([_statement(text, piece, catalog) for piece in parts])


def _refused(reason: str, command: str, text: str, catalog: Catalog) -> Statement:
    verdict = Verdict.PIN if _hinted(text, catalog) else Verdict.WRITE
    return Statement(verdict, reason, command, multiple=not single(text), alone=True)


def _atomic_body(parts: Sequence[Sequence[Token]]) -> bool:
    """Return whether the first piece is a routine whose body goes on in the others."""
    words = [token.text for token in parts[0]]
    return words[0] == "create" and ("begin", "atomic") in pairwise(words)


def _statement(text: str, tokens: Sequence[Token], catalog: Catalog) -> Statement:
    """Classify one statement."""
    first = next((token for token in tokens if token.text != "("), tokens[0])
    word = first.text if first.kind == "name" else ""
    reader = TokenReader(text, tokens)

    def body(part: Sequence[Token]) -> Finding:
        return _body(part, catalog)

    found: Statement | None = None
    if word in _QUERIES or word in _DML:
        found = (set_config(reader) if word == "select" else None) or Statement(
            *body(tokens), word.upper()
        )
    elif word in _CONTROL:
        found = _CONTROL[word](reader)
    elif word in CARRIERS:
        found = CARRIERS[word](reader, body)
    elif word in UTILITIES:
        found = utility(word, tokens, body, catalog)
        if word == "do" and _SETS_INSIDE.search(text):
            # What its body sets stays set for the session.
            found = replace(found, verdict=Verdict.PIN)
    return found or Statement(
        Verdict.WRITE, "unknown_statement", word.upper(), alone=True
    )


def _body(tokens: Sequence[Token], catalog: Catalog) -> Finding:
    """Judge a query or a data change, alone or inside another command."""
    word = next((token.text for token in tokens if token.text != "("), "")
    found = Query(tokens, catalog, partial(_inside_literal, catalog)).judge()
    if word in _DML:
        reason = found.reason if found.verdict is Verdict.PIN else "write_statement"
        return Finding(
            Verdict.PIN if found.verdict is Verdict.PIN else Verdict.WRITE, reason
        )
    if found.verdict is not Verdict.READ:
        return found
    if word in _QUERIES:
        return Finding(Verdict.READ, _QUERIES[word])
    return Finding(Verdict.WRITE, "unknown_statement")


def _inside_literal(catalog: Catalog, text: str) -> Finding:
    """Judge a query given as text, one level deep."""
    parts = pieces(tokenize(text))
    if len(parts) != 1:
        return Finding(Verdict.WRITE, "opaque_query")
    tokens = parts[0]
    word = tokens[0].text
    if word == "explain":

        def plain(part: Sequence[Token]) -> Finding:
            return Query(part, catalog, None).judge()

        explained = CARRIERS[word](TokenReader(text, tokens), plain)
        if explained is None:
            return Finding(Verdict.WRITE, "opaque_query")
        return Finding(explained.verdict, explained.reason)
    found = Query(tokens, catalog, None).judge()
    if word in _DML and found.verdict is not Verdict.PIN:
        return Finding(Verdict.WRITE, "write_statement")
    return found
