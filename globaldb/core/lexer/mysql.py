r"""SQL text to tokens, for the lexical rules of MySQL and MariaDB.

Comments are dropped; the content of an executable one (``/*! ... */``) is read or not,
as the caller says. Every pattern is possessive and every jump goes forward, so the
time is linear in the text however hostile it is, and nothing recurses.

Beyond the kinds of other dialects there is ``variable``: ``@name``, in lower case,
without quotes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.lexer import Token

if TYPE_CHECKING:
    from collections.abc import Callable

# Every character beyond ASCII, a no-break space too, is part of a name to the server.
_START: Final = r"A-Za-z_$\x80-\U0010ffff"
_PART: Final = r"A-Za-z0-9_$\x80-\U0010ffff"
_PLAIN: Final = "{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+{q}"
_ESCAPED: Final = r"{q}[^{q}\\]*+(?:(?:\\.|{q}{q})[^{q}\\]*+)*+{q}"
_BACKTICKS: Final = _PLAIN.format(q="`")
# Two dashes are minus minus, unless white space or a control character follows.
_LINE_COMMENT: Final = r"(?:\#|--(?=[\x00-\x20\x7f]|\Z))[^\n]*+"
_FLAT_COMMENT: Final = r"/\*(?!M?!)[^*]*+(?:\*(?!/)[^*]*+)*+\*/"
_SPACE: Final = r"[ \t\n\r\f\v]"


class Quoting(NamedTuple):
    """Whether a backslash escapes inside ``'...'``, and inside ``"..."``."""

    single: bool = True
    double: bool = True


#: The ways in which the modes of a server may read quotes. With ``ANSI_QUOTES`` a
#: ``"..."`` is a name, in which a backslash is a character as any other.
QUOTINGS: Final = (
    Quoting(),
    Quoting(double=False),
    Quoting(single=False, double=False),
)


def _quoted(quote: str, *, escapes: bool) -> str:
    return (_ESCAPED if escapes else _PLAIN).format(q=quote)


def _token_pattern(quoting: Quoting) -> re.Pattern[str]:
    single = _quoted("'", escapes=quoting.single)
    double = _quoted('"', escapes=quoting.double)
    return re.compile(
        rf"""
        (?:{_SPACE}++|{_LINE_COMMENT}|{_FLAT_COMMENT})*+
        (?:
          (?P<number>0[xX][0-9a-fA-F]++(?![{_PART}])|0b[01]++(?![{_PART}])
            |[0-9]++[eE][+-]?+[0-9]++
            |[0-9]++(?![{_START}])(?:\.[0-9]*+(?:[eE][+-]?+[0-9]++)?+)?+
            |(?<![{_PART}`"])\.[0-9]++(?:[eE][+-]?+[0-9]++)?+)
        | (?P<name>(?![bBxXnN]')[0-9]*+[{_START}][{_PART}]*+)
        | (?P<string>[bBxXnN]?+{single}|{double})
        | (?P<quoted>{_BACKTICKS})
        | (?P<variable>@(?:{single}|{double}|{_BACKTICKS}|(?!@)[{_PART}.]*+))
        | (?P<param>%\([A-Za-z0-9_]++\)s|%s(?![{_PART}])|\?)
        | (?P<gate>/\*M?!(?:[0-9]{{5,6}}+)?+)
        | (?P<close>\*/)
        | (?P<bad>['"`\0]|/\*|%s)
        | (?P<op>:=|@@|%%|.)
        | (?P<end>\Z)
        )
        """,
        re.VERBOSE | re.DOTALL,
    )


def _statement_pattern(quoting: Quoting) -> re.Pattern[str]:
    # Up to a semicolon, in one step of the regex engine. It stops at an executable
    # comment and at anything unterminated.
    single = _quoted("'", escapes=quoting.single)
    double = _quoted('"', escapes=quoting.double)
    return re.compile(
        rf"""
        (?: [^;'"`\#/-]++ | {single} | {double} | {_BACKTICKS}
          | {_LINE_COMMENT} | {_FLAT_COMMENT} | -(?!-) | --(?![\x00-\x20\x7f]|\Z)
          | /(?!\*)
        )*+
        """,
        re.VERBOSE | re.DOTALL,
    )


_TOKENS: Final = {quoting: _token_pattern(quoting) for quoting in QUOTINGS}
_STATEMENTS: Final = {quoting: _statement_pattern(quoting) for quoting in QUOTINGS}
_REST: Final = re.compile(
    rf"(?:[ \t\n\r\f\v;]++|{_LINE_COMMENT}|{_FLAT_COMMENT})*+", re.DOTALL | re.VERBOSE
)
_LEADING: Final = re.compile(
    rf"(?:{_SPACE}++|{_LINE_COMMENT}|{_FLAT_COMMENT})*+", re.DOTALL
)
_NESTING: Final = re.compile(r"/\*|\*/")
_JUMPS: Final = frozenset(("end", "gate", "close", "bad"))
_make: Final = partial(tuple.__new__, Token)
_WORDS: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
)


def _always(_gate: str) -> bool:
    return True


def quotings(text: str) -> tuple[Quoting, ...]:
    """Return the ways of reading quotes that may make a difference to *text*."""
    if "\\'" not in text and '\\"' not in text:
        return QUOTINGS[:1]
    return QUOTINGS if '"' in text else QUOTINGS[::2]


def gates(text: str) -> frozenset[str]:
    """Return the openings of the executable comments in *text*, once each.

    One in a string or in a comment counts too.
    """
    return frozenset(_GATE.findall(text)) if "!" in text else frozenset()


_GATE: Final = re.compile(r"/\*(M?!(?:[0-9]{5,6}+)?+)")


def leading(text: str) -> int:
    """Return the length of the comments and the white space *text* begins with."""
    found = _LEADING.match(text)
    return 0 if found is None else found.end()


def tokenize(
    text: str,
    quoting: Quoting = QUOTINGS[0],
    executes: Callable[[str], bool | None] = _always,
) -> list[Token]:
    """Return the tokens of *text*; a ``bad`` one is always the last.

    *executes* tells of an executable comment's opening, such as ``!50000`` or
    ``M!100100``, whether the server reads what is inside; ``None`` if it is a comment
    as any other to it, in which another one cannot stand.
    """
    found: list[Token] = []
    folded = text.lower() if text.isascii() else text.translate(_WORDS)
    position, inside = 0, False
    kind, start, end = "end", 0, 0
    while position >= 0:
        for match in _TOKENS[quoting].finditer(text, position):
            kind = match.lastgroup or ""
            start, end = match.span(kind)
            if kind in _JUMPS:
                break
            written = folded[start:end] if kind == "name" else text[start:end]
            if kind in ("quoted", "variable"):
                written = _unquoted(kind, written)
            found.append(_make((kind, written, start, end)))
        if kind == "gate":
            position, inside = _enter(text, start, end, executes)
        elif kind == "close":
            position, inside = _closed(start, inside=inside, found=found), False
        else:
            break
    if kind != "end" or inside or position < 0:
        found.append(Token("bad", "", len(text), len(text)))
    return found


def _enter(
    text: str, start: int, end: int, executes: Callable[[str], bool | None]
) -> tuple[int, bool]:
    """Return where to go on at an executable comment, and whether inside it."""
    read = executes(text[start + 2 : end])
    if read is None:
        closing = text.find("*/", start + 2)
        return (closing + 2 if closing > 0 else -1), False
    return (end, True) if read else (_comment_end(text, end), False)


def _closed(start: int, *, inside: bool, found: list[Token]) -> int:
    """Return where to go on behind ``*/``, the end of an executable comment.

    Outside of one it is a star, and a slash that may begin a comment.
    """
    if inside:
        return start + 2
    found.append(_make(("op", "*", start, start + 1)))
    return start + 1


def _unquoted(kind: str, written: str) -> str:
    """Return a quoted name or a variable's name without quotes."""
    if kind == "quoted":
        return written[1:-1].replace("``", "`")
    quoted = written[1:2] in ("'", '"', "`")
    return (f"@{written[2:-1]}" if quoted else written).lower()


def _comment_end(text: str, position: int) -> int:
    """Return the end of the skipped comment entered before *position*, or -1.

    Comments inside it are comments too, but not those inside them.
    """
    nested = False
    for mark in _NESTING.finditer(text, position):
        if mark[0] == "*/" and not nested:
            return mark.end()
        nested = mark[0] == "/*"
    return -1


def single(text: str) -> bool | None:
    """Return whether *text* holds at most one statement; ``None`` if it is unclear.

    Much faster than tokens, for statements with megabytes of values. A semicolon
    inside parentheses or a routine's body counts as an end.
    """
    end = second(text)
    return None if end is None else end == len(text)


def second(text: str, quoting: Quoting = QUOTINGS[0]) -> int | None:
    """Return where the second statement of *text* begins, its end if there is none.

    ``None`` if it is unclear: something is not terminated, or only some servers read
    it.
    """
    if "/*!" in text or "/*M!" in text:
        return None
    if text.find(";") in (-1, len(text) - 1):
        return len(text)
    first = _STATEMENTS[quoting].match(text)
    rest = None if first is None else _REST.match(text, first.end())
    if first is None or rest is None:
        return None
    end = rest.end()
    return end if end == len(text) or text[first.end()] == ";" else None


def first(text: str, quoting: Quoting = QUOTINGS[0]) -> int | None:
    """Return where the first statement of *text* ends, in front of its semicolon.

    ``None`` if it is unclear, as for `second`.
    """
    if "/*!" in text or "/*M!" in text:
        return None
    found = _STATEMENTS[quoting].match(text)
    if found is None:
        return None
    end = found.end()
    return end if end == len(text) or text[end] == ";" else None


def as_name(token: Token) -> Token:
    """Return a ``"..."`` as the name that it is with ``ANSI_QUOTES``."""
    if token.kind != "string" or token.text[0] != '"':
        return token
    return token._replace(kind="quoted", text=token.text[1:-1].replace('""', '"'))


def literal(token: Token) -> str | None:
    """Return the value of a plain string, else ``None``."""
    if token.kind != "string" or token.text[0] not in "'\"" or "\\" in token.text:
        return None
    quote = token.text[0]
    return token.text[1:-1].replace(quote * 2, quote)
