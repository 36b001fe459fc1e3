"""Scripts and test files to single statements.

The cutting is written apart from the product's lexer, so that a mistake there cannot
hide a statement from itself.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from corpus.sdists import PGLAST, SQLGLOT, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = re.compile(
    r"""
      (?P<text>
        (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'
      | '[^']*' | "[^"]*"
      | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
      | --[^\n]*
      )
    | (?P<comment>/\*)
    | (?P<joined>\\;)
    | (?P<meta>\\(?!;)[^\n]*)
    | (?P<word>(?<![\w$"])(?:begin|case|end)(?![\w$"]))
    | (?P<sign>[();])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_COMMENT_MARK: Final = re.compile(r"/\*|\*/")
_LEADING: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*[^*]*(?:\*(?!/)[^*]*)*\*/)*")
_ROUTINE: Final = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE
)
_FROM_STDIN: Final = re.compile(r"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_STATEMENT: Final = re.compile(
    r"\s*(?:select|with|values|table|insert|update|delete|merge|create|alter|drop|"
    r"truncate|explain|copy|set|show|reset|begin|commit|rollback|savepoint|lock|call|"
    r"do|grant|revoke|comment|analyze|vacuum|prepare|execute|declare|fetch|load|"
    r"replace|describe|use|start|kill|flush|handler|rename|optimize|check|repair|"
    r"\()\s",
    re.IGNORECASE,
)


class Item(NamedTuple):
    """One statement of a script; *data* is what stood behind a COPY FROM STDIN."""

    sql: str
    data: str = ""


class Script(NamedTuple):
    """A file of statements that are to be run in their order."""

    name: str
    items: tuple[Item, ...]


def split(text: str) -> Iterator[Item]:
    """Yield the statements of a psql script, without psql's own commands."""
    start = 0
    while start < len(text):
        end, after = _end(text, start)
        sql = _trim(text[start:end])
        data = ""
        if _FROM_STDIN.match(sql):
            after, data = _copied(text, after)
        if sql:
            yield Item(sql.replace("\\;", ";"), data)
        start = after


def _end(text: str, start: int) -> tuple[int, int]:
    """Return where the statement ends that begins at *start*, and where to go on."""
    position = start
    depth = blocks = 0
    while (match := _PIECE.search(text, position)) is not None:
        position = match.end()
        kind, piece = match.lastgroup, match[0].lower()
        if kind == "comment":
            position = _comment_end(text, position)
        elif kind == "word":
            blocks = _blocks(blocks, piece, text, start)
        elif kind == "meta" or (piece == ";" and not depth and not blocks):
            return match.start(), position
        elif piece in ("(", ")"):
            depth = max(0, depth + (1 if piece == "(" else -1))
    return len(text), len(text)


def _blocks(blocks: int, word: str, text: str, start: int) -> int:
    """Return how many BEGIN and CASE of a routine's own body are open."""
    if not blocks and not (
        word == "begin" and _ROUTINE.match(_trim(text[start : start + 4000]))
    ):
        return 0
    return blocks - 1 if word == "end" else blocks + 1


def _comment_end(text: str, position: int) -> int:
    depth = 1
    for mark in _COMMENT_MARK.finditer(text, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def _copied(text: str, position: int) -> tuple[int, str]:
    """Return where the data behind a COPY end, and the data."""
    begin = text.find("\n", position) + 1
    end = text.find("\n\\.", begin - 1)
    if not begin or end < 0:
        return position, ""
    line = text.find("\n", end + 1)
    return (len(text) if line < 0 else line), text[begin : end + 1]


def _trim(sql: str) -> str:
    """Return *sql* without the comments in front of it."""
    leading = _LEADING.match(sql)
    return sql[leading.end() if leading else 0 :].strip()


def regression() -> Iterator[Script]:
    """Yield PostgreSQL's regression scripts."""
    folder = "libpg_query/test/sql/postgres_regress"
    for name, text in texts(PGLAST, folder, ".sql"):
        yield Script(name, tuple(split(text)))


def printed() -> Iterator[Script]:
    """Yield the statements that pglast prints, one script a kind."""
    for kind in ("ddl", "dml"):
        items = [
            Item(part.strip())
            for _, text in texts(
                PGLAST, f"tests/test_printers_roundtrip/{kind}", ".sql"
            )
            for part in re.split(r"\n\n+", text)
            if part.strip()
        ]
        yield Script(f"pglast_{kind}", tuple(items))


def literals(dialect: str) -> Script:
    """Return what looks like a statement in sqlglot's tests of *dialect*.

    *dialect* is as sqlglot calls it: ``postgres``, ``mysql``.
    """
    for name, text in texts(SQLGLOT, "tests/dialects", ".py"):
        if name == f"test_{dialect}":
            found = {
                node.value: None
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and _STATEMENT.match(node.value)
            }
            return Script(f"sqlglot_{dialect}", tuple(map(Item, found)))
    raise KeyError(dialect)
