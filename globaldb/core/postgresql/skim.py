"""Recognize, at a glance, the reads that need no closer look.

Most texts an application sends are plain reads. This looks at the set of their words
only and says yes when none of them could matter; everything it is not sure of gets
the exact look at tokens, which is several times slower.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import EMPTY
from globaldb.core.postgresql.functions import HARMLESS, RUN_QUERIES, SPECIAL
from globaldb.core.postgresql.references import IMPLIED
from globaldb.core.postgresql.words import NEVER_FUNCTIONS

if TYPE_CHECKING:
    from globaldb.core.catalog import Catalog

# Comments, backslashes (strings may end elsewhere), scripts, dollar quotes.
_NEEDS_TOKENS: Final = ("\\", ";", "\0", "--", "/*")
_DOLLAR_QUOTE: Final = re.compile(r"\$(?![0-9])")
# A doubled quote reads as two texts side by side, which is the same to us.
_STRING: Final = re.compile(r"'[^']*+'")
_QUOTED: Final = re.compile(r"""'[^']*+'|"[^"]*+\"""")
# Where a quoted text stood there is a NUL now: "name" in a call, or names with space
# around their dots, or a placeholder run together with a word.
_QUOTED_CALL: Final = re.compile(r"\0[\0.a-z0-9_$]*+\s*+\(")
_LOOSE_DOT: Final = re.compile(r"\.(?:(?=\s)|(?<=\s\.))")
# A function of one argument written as a column of it; others begin with "pg_".
_AS_COLUMN: Final = re.compile(
    r'\."?(?:nextval|currval|setseed|current_setting|ts_stat'
    r'|lo_|txid_|brin_|gin_|dblink|[uU]&")'
)
_GLUED: Final = re.compile(r"%(?:\([a-z0-9_]++\))?+[sbt][a-z0-9_$]")
_WINDOW: Final = re.compile(r"\)\s*+(?:over|filter)\s*+(?=\()")
_DISTINCT_ON: Final = re.compile(r"distinct\s++on\b")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*+")
_WORD: Final = re.compile(r"[a-z_][a-z0-9_$.]*+(?:\s*+\()?+")

_SUSPICIOUS: Final = frozenset(("for", "into", "insert", "update", "delete", "merge"))
_CALLABLE: Final = (NEVER_FUNCTIONS | HARMLESS) - SPECIAL.keys() - RUN_QUERIES
# What a catalog says of functions with these names is not all there is to say.
_JUDGED: Final = SPECIAL.keys() | RUN_QUERIES | {"current_setting", "set_config"}
_CALLS: Final = frozenset(f"{name}(" for name in _CALLABLE) | frozenset(
    f"{name} (" for name in NEVER_FUNCTIONS
)


def plain_read(text: str, catalog: Catalog = EMPTY) -> bool:
    """Return whether *text*, known to begin as a query, is surely a plain read."""
    body = text.rstrip(" \t\r\n\f;")
    if any(sign in body for sign in _NEEDS_TOKENS) or (
        "$" in body and _DOLLAR_QUOTE.search(body)
    ):
        return False
    quoted = _QUOTED if '"' in body else _STRING
    blank = quoted.sub("\0", body)
    # Beyond ASCII, lower() would make words of what is none: the Kelvin sign is no k.
    if "'" in blank or '"' in blank or '"pg_' in body or not blank.isascii():
        return False
    body = blank.lower()
    if "pg_" in body or "last_value" in body:
        return False
    if catalog is not EMPTY and _watched(text, body, catalog):
        return False
    if (
        _LOOSE_DOT.search(body)
        or _AS_COLUMN.search(body)
        or ('"' in text and _AS_COLUMN.search(text))
        or _QUOTED_CALL.search(body)
        or ("%" in body and _GLUED.search(body))
    ):
        return False
    if ("over" in body or "filter" in body) and not _DISTINCT_ON.search(body):
        body = _WINDOW.sub(")", body)
    words = frozenset(_WORD.findall(body))
    return words.isdisjoint(_SUSPICIOUS) and all(
        word in _CALLS or _callable(word[:-1].rstrip(), catalog)
        for word in words
        if word[-1] == "("
    )


def _callable(name: str, catalog: Catalog) -> bool:
    return name in _CALLABLE or (name in catalog.readable and name not in _JUDGED)


def _watched(text: str, body: str, catalog: Catalog) -> bool:
    """Return whether *catalog* has a word on anything in *text*.

    *body* is the same in lower case, without what stands in quotes.
    """
    if not catalog.watched.isdisjoint(_NAME.findall(body)):
        return True
    if '"' in text and (
        "&\0" in body or not catalog.watched_quoted.isdisjoint(_QUOTED.findall(text))
    ):
        return True
    return any(sign in body or sign in IMPLIED for sign in catalog.operators)
