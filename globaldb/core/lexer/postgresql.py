"""SQL text to tokens, for PostgreSQL's lexical rules.

Strings end where the server ends them with ``standard_conforming_strings`` on.
Comments are dropped. Every pattern is possessive and every jump goes forward, so the
time is linear in the text however hostile it is, and nothing recurses.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from globaldb.core.lexer import Token

# Every character beyond ASCII, a no-break space too, is part of a name to the server.
_START: Final = r"A-Za-z_\x80-\U0010ffff"
_PART: Final = r"A-Za-z0-9_$\x80-\U0010ffff"
_TAG: Final = rf"(?:[{_START}][A-Za-z0-9_\x80-\U0010ffff]*+)?+"
_PLAIN: Final = r"'[^']*+(?:''[^']*+)*+'"
_ESCAPED: Final = r"'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'"
_IDENTIFIER: Final = r'"[^"]*+(?:""[^"]*+)*+"'
# A line break between two strings joins them, and backslashes stay special behind it.
_JOIN: Final = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+"
#: A comment without another one inside it.
FLAT_COMMENT: Final = r"/\*[^*/]*+(?:(?:\*(?!/)|/(?!\*))[^*/]*+)*+\*/"
#: A dollar-quoted string; where none ends, the search for its end is in vain.
DOLLAR_QUOTED: Final = rf"\$(?<![{_PART}]\$)(?P<tag>{_TAG})\$.*?\$(?P=tag)\$"

_GRAMMAR: Final = rf"""
    [ \t\n\r\f\v]*+(?:(?:--[^\n\r]*+|{FLAT_COMMENT})[ \t\n\r\f\v]*+)*+
    (?:
      (?P<name>(?![eEbBxXnN]'|[uU]&['"])[{_START}][{_PART}]*+)
    | (?P<sign>[(),=<>+*;\[\]])
    | (?P<string>[eE]{_ESCAPED}(?:{_JOIN}{_ESCAPED})*+|(?:[bBxXnN]|[uU]&)?+%PLAIN%)
    | (?P<quoted>(?:[uU]&)?+{_IDENTIFIER})
    | (?P<number>0[xX][0-9a-fA-F_]++
        |(?:[0-9][0-9_]*+(?:\.[0-9_]*+)?+|\.[0-9][0-9_]*+)(?:[eE][+-]?+[0-9][0-9_]*+)?+)
    | (?P<param>\$[0-9]++|%\([A-Za-z0-9_]++\)[sbt]|%[sbt](?![{_PART}]))
    | (?P<dollar>\${_TAG}\$)
    | (?P<nested>/\*)
    | (?P<bad>['"\0]|%[sbt])
    | (?P<op>::|%%|.)
    | (?P<end>\Z)
    )
    """
_TOKEN: Final = re.compile(_GRAMMAR.replace("%PLAIN%", _PLAIN), re.VERBOSE | re.DOTALL)
# As a server reads with ``standard_conforming_strings`` off.
_OLD_TOKEN: Final = re.compile(
    _GRAMMAR.replace("%PLAIN%", _ESCAPED), re.VERBOSE | re.DOTALL
)

# A whole statement up to its semicolon, in one step of the regex engine. It stops at a
# nested comment and at anything unterminated.
_STATEMENT: Final = re.compile(
    rf"""
    (?: [^;'"$/-]++
      | (?<=[eE])(?<![{_PART}][eE]){_ESCAPED}(?:{_JOIN}{_ESCAPED})*+
      | {_PLAIN}
      | {_IDENTIFIER}
      | {DOLLAR_QUOTED}
      | --[^\n\r]*+
      | {FLAT_COMMENT}
      | -(?!-) | /(?!\*)
      | \$(?!{_TAG}\$) | (?<=[{_PART}])\$
    )*+
    """,
    re.VERBOSE | re.DOTALL,
)
_REST: Final = re.compile(
    rf"(?:[ \t\n\r\f\v;]++|--[^\n\r]*+|{FLAT_COMMENT})*+", re.DOTALL
)
_NESTING: Final = re.compile(r"/\*|\*/")


#: The groups of the pattern by number.
_KINDS: Final = tuple(sorted(_TOKEN.groupindex, key=_TOKEN.groupindex.__getitem__))
_NAME: Final = _TOKEN.groupindex["name"]
_QUOTED: Final = _TOKEN.groupindex["quoted"]
#: Signs that begin nothing longer, found early, and the others.
_OPS: Final = (_TOKEN.groupindex["sign"], _TOKEN.groupindex["op"])
_JUMPS: Final = frozenset(
    _TOKEN.groupindex[kind] for kind in ("end", "nested", "dollar", "bad")
)
_make: Final = partial(tuple.__new__, Token)


def fold(name: str) -> str:
    """Return *name* in lower case as the server does it: ASCII letters only.

    The length stays the same.
    """
    if name.isascii():
        return name.lower()
    return (
        name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
    )


def tokenize(text: str, *, escapes: bool = False) -> list[Token]:
    """Return the tokens of *text*; a ``bad`` one is always the last.

    *escapes* is for a server that sees escapes in plain strings.
    """
    pattern = _OLD_TOKEN if escapes else _TOKEN
    found: list[Token] = []
    append = found.append
    folded = fold(text)
    position = 0
    while position >= 0:
        for match in pattern.finditer(text, position):
            group: int = match.lastindex  # type: ignore[assignment]
            start, end = match.span(group)
            if group in _OPS:
                append(_make(("op", text[start:end], start, end)))
            elif group == _NAME:
                append(_make(("name", folded[start:end], start, end)))
            elif group in _JUMPS:
                position = _jump(text, _KINDS[group - 1], start, end, found)
                break
            else:
                written = text[start:end]
                if group == _QUOTED and written[0] == '"':
                    written = written[1:-1].replace('""', '"')
                append(_make((_KINDS[group - 1], written, start, end)))
        else:
            break
    return found


def _jump(text: str, kind: str, start: int, end: int, found: list[Token]) -> int:
    """Go over what no pattern can; return where to go on, or -1 at the end."""
    if kind == "end":
        return -1
    if kind == "nested":
        position = _comment_end(text, end)
    else:
        delimiter = text[start:end]
        closing = text.find(delimiter, end) if kind == "dollar" else -1
        position = -1 if closing < 0 else closing + len(delimiter)
        if position > 0:
            found.append(_make(("string", text[start:position], start, position)))
    if position < 0:
        found.append(Token("bad", "", len(text), len(text)))
    return position


def _comment_end(text: str, position: int) -> int:
    """Return the end of the comment entered before *position*, or -1."""
    depth = 1
    for mark in _NESTING.finditer(text, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return -1


def single(text: str) -> bool | None:
    """Return whether *text* holds at most one statement; ``None`` if it is unclear.

    Much faster than tokens, for statements with megabytes of values. A semicolon
    inside parentheses or a function's body counts as an end.
    """
    first = _STATEMENT.match(text)
    if first is None:
        return None
    rest = _REST.match(text, first.end())
    if rest is None:
        return None
    if rest.end() == len(text):
        return True
    return False if text[first.end()] == ";" else None


def literal(token: Token) -> str | None:
    """Return the value of a plain string or a dollar-quoted one, else ``None``."""
    if token.kind != "string":
        return None
    written = token.text
    if written[0] == "'":
        return written[1:-1].replace("''", "'")
    if written[0] == "$":
        size = written.index("$", 1) + 1
        return written[size:-size]
    if written[0] in "eE" and "\\" not in written and "\n" not in written:
        return written[2:-1].replace("''", "'")
    return None
