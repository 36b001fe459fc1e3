"""SQL text to tokens: one module a dialect, one kind of token for all."""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    """One token. *kind* is name, quoted, string, number, param, op or bad.

    A name is folded to lower case, a quoted identifier is without its quotes, the rest
    is as written. ``bad`` ends the text: something was not terminated.
    """

    kind: str
    text: str
    start: int
    end: int


def decoded(sql: str | bytes) -> str:
    """Return the text of a statement, whatever encoding its bytes are in.

    What is not UTF-8 is read byte by byte: everything that decides is ASCII.
    """
    if isinstance(sql, str):
        return sql
    try:
        return sql.decode()
    except UnicodeDecodeError:
        return sql.decode("latin-1")
