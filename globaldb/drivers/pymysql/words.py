"""What the first word of a statement tells, as far as a trip must know it."""

from __future__ import annotations

import re
from typing import Final

from pymysql.constants import ER

from globaldb.core.lexer.mysql import leading

_WORD: Final = re.compile(rb"\(|[A-Za-z]+")
#: Characters in which the comments in front of a statement are looked for.
_NEAR: Final = 4096

#: Statements that answer with rows, once: an answer that tells no position.
_ASK: Final = frozenset(
    b"select with values table ( show desc describe explain commit".split()
)
#: What ends a transaction, whoever has taken part in it.
ENDS: Final = frozenset((b"commit", b"rollback"))
_DML: Final = frozenset(b"insert update delete replace".split())
#: Statements that end no transaction, as long as they fail by themselves.
_TAME: Final = _DML | (_ASK - {b"commit"})
#: With which the statement alone is undone.
HARMLESS: Final = frozenset(
    (
        ER.DUP_ENTRY,
        ER.BAD_NULL_ERROR,
        ER.NO_REFERENCED_ROW_2,
        ER.ROW_IS_REFERENCED_2,
        ER.BAD_FIELD_ERROR,
        ER.NO_SUCH_TABLE,
        ER.PARSE_ERROR,
        ER.DATA_TOO_LONG,
        ER.WARN_DATA_OUT_OF_RANGE,
        ER.TRUNCATED_WRONG_VALUE_FOR_FIELD,
    )
)


def first(text: bytes) -> bytes:
    """Return the first word of *text* in lower case, or its parenthesis."""
    found = _WORD.match(text)
    if found is None:
        near = text[:_NEAR].decode("latin-1")
        found = _WORD.match(text, leading(near))
    return b"" if found is None else found[0].lower()


def asks(text: bytes) -> bool:
    """Whether the position behind *text* has to be asked for, and can be.

    Not where the statement behind it asks for what this one has counted or left.
    """
    word = first(text)
    if word in _ASK:
        upper = text.upper()
        shown = word == b"show" and (b"WARNINGS" in upper or b"ERRORS" in upper)
        return not shown and b"FOUND_ROWS" not in upper
    return word in _DML and b"RETURNING" in text.upper()


def tame(text: bytes | None) -> bool:
    """Whether *text* is one that leaves a transaction as it is."""
    return text is None or first(text) in _TAME


def sleeps(text: bytes | None) -> bool:
    """Whether *text* may do nothing but wait."""
    return text is not None and b"SLEEP" in text.upper() and first(text) in _ASK
