"""Recognize, at a glance, the reads that need no closer look.

Most texts an application sends are plain reads. This looks at the set of their words
only and says yes when none of them could matter; everything it is not sure of gets
the exact look at tokens, which is several times slower.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import EMPTY
from globaldb.core.lexer.postgresql import DOLLAR_QUOTED, FLAT_COMMENT
from globaldb.core.postgresql.functions import HARMLESS, RUN_QUERIES, SPECIAL
from globaldb.core.postgresql.references import IMPLIED, system_view
from globaldb.core.postgresql.words import NEVER_FUNCTIONS

if TYPE_CHECKING:
    from globaldb.core.catalog import Catalog

# A doubled quote reads as two texts side by side, which is the same to us.
_STRING: Final = re.compile(r"'[^']*+'")
_QUOTED: Final = re.compile(r"""'[^']*+'|"[^"]*+\"""")
# The same with comments and dollar quotes, for texts that may have them.
_OPAQUE: Final = re.compile(
    rf"""'[^']*+'|"[^"]*+"|--[^\n\r]*+|{FLAT_COMMENT}|{DOLLAR_QUOTED}""",
    re.DOTALL,
)
# Each dollar that opens nothing costs a look at the whole rest.
_MOST_DOLLARS: Final = 40
_DOLLAR_QUOTE: Final = re.compile(r"\$(?![0-9])")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]")
# Names with space around their dots, or a placeholder run together with a word.
_LOOSE_DOT: Final = re.compile(r"\.(?:(?=\s)|(?<=\s\.))")
# A function of one argument written as a column of it; others begin with "pg_".
_AS_COLUMN: Final = re.compile(
    r'\."?(?:nextval|currval|setseed|current_setting|ts_stat'
    r'|lo_|txid_|brin_|gin_|dblink|[uU]&")'
)
_GLUED: Final = re.compile(r"%(?:\([a-z0-9_]++\))?+[sbt][a-z0-9_$\x7f]")
_WINDOW: Final = re.compile(r"\)\s*+(?:over|filter)\s*+(?=\()")
_DISTINCT_ON: Final = re.compile(r"distinct\s++on\b")
_NAME: Final = re.compile(r"[a-z_\x7f][a-z0-9_$\x7f]*+")
_SYSTEM_NAME: Final = re.compile(r"pg_[a-z0-9_$\x7f]*+")
# White space is a space, any sign a separator; split() takes both, and is several
# times faster than a pattern that finds words.
_APART: Final = {
    code: sign
    if sign in "abcdefghijklmnopqrstuvwxyz0123456789_$.(\x7f\0"
    else " "
    if sign in " \t\n\r\f\v"
    else "\x1f"
    for code, sign in enumerate(map(chr, range(128)))
}
_GAP: Final = re.compile(r"(?<! ) ++\(")

_SUSPICIOUS: Final = frozenset(("for", "into", "insert", "update", "delete", "merge"))
# Some servers let a word run into the number in front of it.
_RUN_ON: Final = re.compile(rf"[0-9]\.?+(?:{'|'.join(sorted(_SUSPICIOUS))})")
_HARMLESS: Final = HARMLESS - SPECIAL.keys() - RUN_QUERIES
_KEYWORDS: Final = NEVER_FUNCTIONS - _SUSPICIOUS
_CALLABLE: Final = _KEYWORDS | _HARMLESS
# What a catalog says of functions with these names is not all there is to say.
_JUDGED: Final = SPECIAL.keys() | RUN_QUERIES | {"current_setting", "set_config"}
_CALLS: Final = frozenset(f"{name}(" for name in ("", *_CALLABLE))


def plain_read(text: str, catalog: Catalog = EMPTY) -> bool:
    """Return whether *text*, known to begin as a query, is surely a plain read."""
    body = _uncovered(text)
    if body is None:
        return False
    if "pg_" in body and _names_more_than_data(body):
        return False
    if catalog is not EMPTY and _watched(text, body, catalog):
        return False
    if (
        "last_value" in body
        or _LOOSE_DOT.search(body)
        or _AS_COLUMN.search(body)
        or ('"' in text and _AS_COLUMN.search(text))
        or ("%" in body and _GLUED.search(body))
    ):
        return False
    if ("over" in body or "filter" in body) and not _DISTINCT_ON.search(body):
        body = _WINDOW.sub(")", body)
    words = _words(body)
    return (words.isdisjoint(_SUSPICIOUS) and not _RUN_ON.search(body)) and all(
        word in _CALLS or _callable(word[:-1], catalog)
        for word in words
        if word[-1] == "("
    )


def _uncovered(text: str) -> str | None:
    """Return *text* in lower case, without comments and what stands in quotes.

    ``None`` where that takes more than a glance: scripts, nested comments, strings
    that may end elsewhere, anything unterminated.
    """
    if "\\'" in text or "\0" in text or '"pg_' in text:
        return None
    if "--" in text or "/*" in text or "$" in text:
        if text.count("$") > _MOST_DOLLARS:
            return None
        blank = _OPAQUE.sub(_cover, text)
        if "--" in blank or "/*" in blank or _DOLLAR_QUOTE.search(blank):
            return None
    else:
        blank = (_QUOTED if '"' in text else _STRING).sub("\0", text)
    blank = blank.rstrip(" \t\r\n\f;")
    if "'" in blank or '"' in blank or ";" in blank or "\\" in blank:
        return None
    if not blank.isascii():
        # Beyond ASCII, lower() would make words of what is none: the Kelvin sign is
        # no k. One that is part of a name, and of none we know, does as well.
        blank = _FOREIGN.sub("\x7f", blank)
    # A quoted name with its schema or table is one like any other in quotes.
    return blank.lower().replace("\0.\0", "\0")


def _words(body: str) -> frozenset[str]:
    """Return the words of *body*, those in front of a parenthesis together with it.

    What stood in quotes is a word that no function we know has for its name.
    """
    if "\0" in body:
        body = body.replace("\0", " \0 ")
    apart = body.translate(_APART)
    if " (" in apart:
        apart = _GAP.sub("(", apart)
    return frozenset(apart.replace("(", "( ").split())


def _cover(match: re.Match[str]) -> str:
    """Return a space for a comment, a NUL for a text in quotes."""
    return " " if match[0][0] in "-/" else "\0"


def _names_more_than_data(body: str) -> bool:
    return any(
        name in SPECIAL or name.startswith("pg_temp") or system_view(name)
        for name in _SYSTEM_NAME.findall(body)
    )


def _callable(name: str, catalog: Catalog) -> bool:
    return (
        name in _CALLABLE
        or (name in catalog.readable and name not in _JUDGED)
        or (name[:11] == "pg_catalog." and name[11:] in _HARMLESS)
    )


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
