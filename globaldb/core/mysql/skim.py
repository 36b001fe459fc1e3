"""Recognize, at a glance, the reads that need no closer look.

Most texts an application sends are plain reads. This looks at the set of their words
only and says yes when none of them could matter; everything it is not sure of gets
the exact look at tokens, which is several times slower.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.mysql.functions import HARMLESS, OLD_GEOMETRY, SPECIAL
from globaldb.core.mysql.words import NEVER_FUNCTIONS
from globaldb.core.words import names

if TYPE_CHECKING:
    from globaldb.core.catalog import Catalog

# Comments, backslashes (strings may end elsewhere), scripts, variables, ODBC escapes.
_NEEDS_TOKENS: Final = ("\\", ";", "\0", "#", "@", "{", "--", "/*")
# A doubled quote reads as two texts side by side, which is the same to us.
_STRING: Final = re.compile(r"'[^']*+'")
_QUOTED: Final = re.compile(r"""'[^']*+'|`[^`]*+`|"[^"]*+\"""")
# Where a quoted text stood there is a NUL now: "name" in a call, or names with space
# around their dots, or a placeholder run together with a word.
_LOOSE_DOT: Final = re.compile(r"\.(?:(?=\s)|(?<=\s\.))")
_GLUED: Final = re.compile(r"%(?:\([a-z0-9_]++\))?+s[a-z0-9_$]")
_NAME: Final = re.compile(r"[\w$]++")
_BACKTICKED: Final = re.compile(r"`([^`]*+)`")
_WORD: Final = re.compile(r"[a-z0-9_$][a-z0-9_$.]*+(?:\s*+\()?+")
# Backwards, a call begins with its parenthesis: there are few of them to look at.
_CALL: Final = re.compile(r"\(\s*+([a-z0-9_$.\0]*+)")

_SUSPICIOUS: Final = names(
    """
    for into insert update delete replace lock next previous sql_calc_found_rows
    procedure
    """
)
#: The server's own schemas, and the sequences of MariaDB's Oracle mode.
_TELLING: Final = ("_schema", "mysql", "sys", "nextval", "currval")
_CALLABLE: Final = (NEVER_FUNCTIONS | HARMLESS | OLD_GEOMETRY) - SPECIAL.keys()
_CALLS: Final = frozenset(name[::-1] for name in _CALLABLE) | {""}


def _tells(body: str, catalog: Catalog) -> bool:
    """Return whether a name in *body*, quoted or not, may need a closer look."""
    if any(telling in body for telling in _TELLING):
        return True
    return bool(catalog.watched) and not (
        catalog.watched.isdisjoint(_NAME.findall(body))
        and catalog.watched.isdisjoint(_BACKTICKED.findall(body))
    )


def plain_read(text: str, catalog: Catalog) -> bool:
    """Return whether *text*, known to begin as a query, is surely a plain read."""
    body = text.rstrip(" \t\r\n\f;")
    if any(sign in body for sign in _NEEDS_TOKENS):
        return False
    quoted = _QUOTED if "`" in body or '"' in body else _STRING
    blank = quoted.sub("\0", body)
    # Beyond ASCII, lower() would make words of what is none: the Kelvin sign is no k.
    if "'" in blank or '"' in blank or "`" in blank or not blank.isascii():
        return False
    if _tells(body.lower(), catalog):
        return False
    body = blank.lower()
    if _LOOSE_DOT.search(body) or ("%" in body and _GLUED.search(body)):
        return False
    if any(word in body for word in _SUSPICIOUS) and not _SUSPICIOUS.isdisjoint(
        _WORD.findall(body)
    ):
        return False
    return _CALLS.issuperset(_CALL.findall(body[::-1]))
