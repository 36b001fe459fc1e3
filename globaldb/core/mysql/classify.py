"""Text to verdict, for MySQL and MariaDB.

Whatever is not understood is a write: a read on the writer costs time, a write on a
reader breaks a promise. A text that servers or modes may read in several ways gets
the gravest of its verdicts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import EMPTY, Catalog
from globaldb.core.findings import SEVERITY
from globaldb.core.lexer import decoded
from globaldb.core.lexer.mysql import (
    as_name,
    gates,
    leading,
    quotings,
    second,
    single,
    tokenize,
)
from globaldb.core.lexer.reader import TokenReader
from globaldb.core.mysql.commands import CARRIERS, call
from globaldb.core.mysql.dialect import MYSQL, Dialect
from globaldb.core.mysql.queries import DML, Judge, Query
from globaldb.core.mysql.scripts import BLOCKS, block, compound, script
from globaldb.core.mysql.settings import set_statement, shown, use
from globaldb.core.mysql.show import show
from globaldb.core.mysql.skim import plain_read
from globaldb.core.mysql.transactions import (
    begin,
    commit,
    release,
    rollback,
    savepoint,
    start,
)
from globaldb.core.mysql.utilities import READS, UTILITIES, utility
from globaldb.core.mysql.versions import readings
from globaldb.core.script import gravity, pieces
from globaldb.core.statement import Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.findings import Finding
    from globaldb.core.lexer import Token

#: Longer texts that are no plain read are not taken apart: they are writes.
LONGEST: Final = 1 << 20

_COMMENTS: Final = ("/", "-", "#")
_HEAD: Final = re.compile(r"[ \t\n\r\f\v(]*+([A-Za-z]++)(?![\w$])")
_QUERIES: Final = {
    "select": "select",
    "with": "select",
    "values": "values",
    "table": "table",
}
# A write that holds one of these may also change what only its connection knows.
_HINTS: Final = ("_lock", ":=")
# SELECT @@session.name AS other has so many tokens.
_SHOWING: Final = 7
_WRITE: Final = SEVERITY[Verdict.WRITE]
_PLAIN_READS: Final = {
    word: Statement(Verdict.READ, reason, word.upper())
    for word, reason in _QUERIES.items()
}
_PLAIN_WRITES: Final = {
    word: Statement(Verdict.WRITE, "write_statement", word.upper()) for word in DML
}
_EMPTY: Final = Statement(Verdict.READ, "empty", "")
_UNPARSABLE: Final = Statement(Verdict.WRITE, "unparsable", "", alone=True)
_CONTROL: Final[dict[str, Callable[[TokenReader], Statement | None]]] = {
    "begin": begin,
    "start": start,
    "commit": commit,
    "rollback": rollback,
    "savepoint": savepoint,
    "release": release,
}
_START: Final = re.compile(r"\(|[A-Za-z]++")
_CARRIERS: Final = CARRIERS | {"set": set_statement, "use": use, "show": show}

#: The words that begin a statement, of those that do more than fail.
_KNOWN: Final = frozenset(
    (*_QUERIES, *DML, *_CONTROL, *READS, "call", *_CARRIERS, *UTILITIES, *BLOCKS)
)


def classify(
    sql: str | bytes, catalog: Catalog = EMPTY, dialect: Dialect = MYSQL
) -> Statement:
    """Return what *sql* means; whatever is not understood is a write."""
    text = decoded(sql)
    if text[:1] in _COMMENTS:
        text = text[leading(text) :]
    head = _HEAD.match(text)
    word = "" if head is None else head[1].lower()
    if word in _QUERIES and plain_read(text, catalog):
        return _PLAIN_READS[word]
    if word in DML and not _hinted(text, catalog) and _alone(text):
        return _PLAIN_WRITES[word]
    if len(text) > LONGEST:
        return _too_long(text, word.upper(), catalog)
    return _exact(text, word.upper(), catalog, dialect)


def _hinted(text: str, catalog: Catalog) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in (*_HINTS, *catalog.keeping))


def _alone(text: str) -> bool:
    """Return whether *text* runs one statement, however its quotes are read.

    A string may end elsewhere to a server without backslash escapes; what then stands
    behind a semicolon is a statement only if it begins like one.
    """
    if not single(text):
        return False
    for quoting in quotings(text)[1:]:
        begins = second(text, quoting)
        if begins is None:
            continue
        start = _START.match(text, begins)
        if start is not None and (start[0] == "(" or start[0].lower() in _KNOWN):
            return False
    return True


def _too_long(text: str, command: str, catalog: Catalog) -> Statement:
    multiple = not _alone(text)
    keeps = multiple or _hinted(text, catalog) or "temporary" in text.lower()
    verdict = Verdict.PIN if keeps else Verdict.WRITE
    return Statement(verdict, "too_long", command, multiple=multiple, alone=True)


def _exact(text: str, command: str, catalog: Catalog, dialect: Dialect) -> Statement:
    """Classify token by token, in every way the text may be read."""
    versions = readings(gates(text), dialect)
    if versions is None:
        return _refused("version_comment", command, text, catalog)
    found: list[Statement] = []
    # In latin1, and nowhere else, a no-break space is white space.
    spaced = (text, text.replace("\xa0", " ")) if "\xa0" in text else (text,)
    # Of equally grave readings the first counts: that of the server's own mode.
    ways = quotings(text) if dialect.backslash_escapes else quotings(text)[::-1]
    for written, quoting, executes in product(spaced, ways, versions):
        tokens = tokenize(written, quoting, executes)
        if dialect.ansi_quotes:
            tokens = [as_name(token) for token in tokens]
        found.append(_read(text, tokens, catalog, dialect))
    first = found[0]
    if len(found) == 1:
        if first.reason == "unparsable":
            return _refused("unparsable", command, text, catalog)
        return first
    return _gravest(found, command)


def _gravest(found: Sequence[Statement], command: str) -> Statement:
    """Return the gravest of several readings; an error in one of them is harmless."""
    parsed = [one for one in found if one.reason != "unparsable"]
    if not parsed:
        return replace(_UNPARSABLE, command=command)
    worst = max(parsed, key=gravity)
    verdicts = {one.verdict for one in parsed}
    if worst.verdict in (Verdict.SESSION, Verdict.TRANSACTION) and (
        Verdict.WRITE in verdicts
    ):
        return replace(worst, verdict=Verdict.PIN, action=None)
    multiple = any(one.multiple for one in parsed)
    return replace(worst, multiple=multiple) if multiple else worst


def _refused(reason: str, command: str, text: str, catalog: Catalog) -> Statement:
    verdict = Verdict.PIN if _hinted(text, catalog) else Verdict.WRITE
    return Statement(verdict, reason, command, multiple=not _alone(text), alone=True)


def _read(
    text: str, tokens: Sequence[Token], catalog: Catalog, dialect: Dialect
) -> Statement:
    """Classify one reading of a text."""
    judge = _judge(text, catalog, dialect)
    parts = pieces(tokens)
    if parts and parts[-1][-1].kind == "bad":
        # The server runs what stands in front of the statement that it cannot read.
        if len(parts) == 1:
            return _UNPARSABLE
        parts = parts[:-1]
        return script([judge.statement(part) for part in parts], parts)
    if not parts:
        return _EMPTY
    if compound(parts[0]):
        return block(tokens, parts, judge.statement)
    if len(parts) == 1:
        return judge.statement(parts[0])
    return script([judge.statement(part) for part in parts], parts)


def _judge(text: str, catalog: Catalog, dialect: Dialect) -> Judge:
    """Return what answers questions about parts of *text*."""

    def expression(tokens: Sequence[Token]) -> Finding:
        return Query(tokens, catalog).judge()

    def statement(tokens: Sequence[Token]) -> Statement:
        return _statement(text, tokens, catalog, judge)

    def prepared(inner: str) -> Statement:
        head = _HEAD.match(inner)
        if head is not None and head[1].lower() in ("prepare", "execute"):
            # A server refuses these, and we do not look inside forever.
            return Statement(Verdict.WRITE, "opaque_query", head[1].upper())
        return classify(inner, catalog, dialect)

    judge = Judge(expression, statement, prepared)
    return judge


def _statement(
    text: str, tokens: Sequence[Token], catalog: Catalog, judge: Judge
) -> Statement:
    """Classify one statement."""
    first = next((token for token in tokens if token.text != "("), tokens[0])
    word = first.text if first.kind == "name" else ""
    if word in DML:
        return _change(word, tokens, judge.expression(tokens), catalog)
    if word in _QUERIES:
        found = _query(word, judge.expression(tokens))
        return shown(tokens, found) if len(tokens) <= _SHOWING else found
    if word in READS:
        return _reading(word, judge.expression(tokens))
    return _command(word, TokenReader(text, tokens), judge, catalog) or Statement(
        Verdict.WRITE, "unknown_statement", word.upper(), alone=True
    )


def _command(
    word: str, reader: TokenReader, judge: Judge, catalog: Catalog
) -> Statement | None:
    """Classify what is no query and no data change; ``None`` if it is unknown."""
    if word in _CONTROL:
        return _CONTROL[word](reader)
    if word == "call":
        return call(reader, judge, catalog)
    if [token.text for token in reader.rest()[:2]] == ["drop", "prepare"]:
        return CARRIERS["deallocate"](reader, judge)
    if word in _CARRIERS:
        return _CARRIERS[word](reader, judge)
    return utility(word, reader.rest(), judge) if word in UTILITIES else None


def _change(
    word: str, tokens: Sequence[Token], found: Finding, catalog: Catalog
) -> Statement:
    """Return a data change, with what was found in it and in triggers of its tables."""
    # An INSERT sets LAST_INSERT_ID() too, and is no more than a write.
    keeps = SEVERITY[found.verdict] > _WRITE and found.reason != "last_insert_id"
    pins = [found] if keeps else []
    if catalog.changes:
        kept = (catalog.changes.get(token.text.lower()) for token in tokens)
        pins += [one for one in kept if one and one.verdict is Verdict.PIN]
    if pins:
        return Statement(Verdict.PIN, pins[0].reason, word.upper())
    return _PLAIN_WRITES[word]


def _query(word: str, found: Finding) -> Statement:
    """Return a query, with what was found in it."""
    if found.verdict is Verdict.READ:
        return _PLAIN_READS[word]
    return Statement(*found, word.upper())


def _reading(word: str, found: Finding) -> Statement:
    """Return a command that only reads, with what was found in it."""
    if found.verdict is Verdict.READ:
        return Statement(Verdict.READ, READS[word], word.upper())
    return Statement(*found, word.upper())
