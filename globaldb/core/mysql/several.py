"""Whether other statements may travel in one text with an application's statement.

The server takes several statements in one text apart by itself. An application that
did not ask for that must not get it by the back door: a text goes along with others
only when it is certain that every server reads one statement in it.
"""

from __future__ import annotations

from typing import Final

from globaldb.core.lexer.mysql import QUOTINGS, first, leading
from globaldb.core.words import names

#: Encodings in which no byte of a character beyond ASCII looks like an ASCII one. In
#: none of the others does one look like a semicolon.
PLAIN: Final = names(
    """
    armscii8 ascii binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 dec8 geostd8
    greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman
    tis620 ujis eucjpms euckr gb2312 utf8 utf8mb3 utf8mb4
    """
)
_ENDS: Final = b"; \t\r\n"


def companionable(
    text: bytes, charset: str, *, backslash_escapes: bool
) -> bytes | None:
    """Return *text* as it may stand among others, without a semicolon behind it.

    None when it has to travel by itself: it is empty, or a server might read several
    statements in it. *charset* is the server's name of the encoding of *text*, empty
    where that is not certain; *backslash_escapes* tells how it reads quotes.
    """
    one = text.rstrip(_ENDS)
    if b";" in one:
        written = one.decode("latin-1")
        if charset not in PLAIN or not _one(written, escapes=backslash_escapes):
            return None
    # What the server would skip leaves an answer out.
    return one if one[:1].isalpha() or not _empty(one) else None


def _one(text: str, *, escapes: bool) -> bool:
    """Whether *text* is one statement, with ``ANSI_QUOTES`` or without.

    What is not certain is left to the server: routines with a body, comments that only
    some servers read, anything not terminated.
    """
    ways = QUOTINGS[:2] if escapes else QUOTINGS[2:]
    return all(first(text, quoting) == len(text) for quoting in ways)


def _empty(text: bytes) -> bool:
    return leading(text.decode("latin-1")) >= len(text)
