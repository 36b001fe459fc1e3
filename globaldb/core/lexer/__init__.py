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
