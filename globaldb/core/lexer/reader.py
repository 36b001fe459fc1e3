"""Reading tokens from left to right, the way a grammar is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token


class TokenReader:
    """One statement's tokens and a place in them; *text* is what they were cut from."""

    __slots__ = ("_at", "_text", "_tokens")

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0

    @property
    def sql(self) -> str:
        """The whole statement as written, without what stands around it."""
        return self._text[self._tokens[0].start : self._tokens[-1].end]

    @property
    def done(self) -> bool:
        """Whether every token was read."""
        return self._at >= len(self._tokens)

    def rest(self) -> Sequence[Token]:
        """Return the tokens not read yet."""
        return self._tokens[self._at :]

    def rest_sql(self) -> str:
        """Return the tokens not read yet, as written."""
        if self.done:
            return ""
        return self._text[self._tokens[self._at].start : self._tokens[-1].end]

    def word(self) -> str:
        """Return the next keyword or sign without reading it; empty for others."""
        if self.done:
            return ""
        token = self._tokens[self._at]
        return token.text if token.kind in ("name", "op") else ""

    def accept(self, *words: str) -> bool:
        """Read *words* if they all come next."""
        for offset, word in enumerate(words):
            at = self._at + offset
            if at >= len(self._tokens):
                return False
            token = self._tokens[at]
            if token.kind not in ("name", "op") or token.text != word:
                return False
        self._at += len(words)
        return True

    def next(self) -> Token | None:
        """Read one token, whatever it is."""
        if self.done:
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def identifier(self) -> str | None:
        """Read a name, quoted or not."""
        if self.done or self._tokens[self._at].kind not in ("name", "quoted"):
            return None
        self._at += 1
        return self._tokens[self._at - 1].text

    def dotted(self) -> str | None:
        """Read a name that may have dots in it."""
        name = self.identifier()
        while name is not None and self.accept("."):
            part = self.identifier()
            name = None if part is None else f"{name}.{part}"
        return name

    def skip_parentheses(self) -> None:
        """Read a parenthesized group, if one comes next."""
        if self.word() != "(":
            return
        depth = 0
        while (token := self.next()) is not None:
            if token.kind == "op" and token.text in "()":
                depth += 1 if token.text == "(" else -1
            if depth == 0:
                return
