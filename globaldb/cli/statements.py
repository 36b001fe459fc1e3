"""Statements as a command receives them: as arguments, a line each, or in a file.

Bytes that are no UTF-8 are carried through as surrogate escapes.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Final

from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Most bytes taken from standard input at once.
_CHUNK: Final = 1 << 18
# A statement as a shell writes it may hold a tab or a line break as it is.
_READ: Final = json.JSONDecoder(strict=False).decode


def batches(stream: IO[bytes]) -> Iterator[list[str]]:
    """Yield the statements of *stream*, a line each: those that are there by now.

    A line is a JSON object with the statement under ``"sql"``, of which everything
    else is ignored, or the statement itself. Empty lines are skipped. Nothing waits
    for more than one line, however large the chunks that a pipe delivers.
    """
    for lines in _lines(stream):
        yield [
            statement(line.removesuffix("\r"))
            for line in lines
            if line and not line.isspace()
        ]


def statement(line: str) -> str:
    """Return the statement that *line* holds."""
    if line.lstrip()[:1] == "{":
        try:
            sql = _READ(line).get("sql")
        except (ValueError, RecursionError):
            return line
        if isinstance(sql, str):
            return sql
    return line


def _lines(stream: IO[bytes]) -> Iterator[list[str]]:
    # read1() returns what there is; a buffered line would wait for a full buffer.
    read = getattr(stream, "read1", stream.read)
    begun: list[bytes] = []
    while chunk := read(_CHUNK):
        head, newline, rest = chunk.rpartition(b"\n")
        if newline:
            begun.append(head)
            yield _text(b"".join(begun)).split("\n")
            begun = [rest]
        else:
            begun.append(rest)
    if any(begun):
        yield _text(b"".join(begun)).split("\n")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def split(stream: IO[bytes]) -> list[str]:
    """Return the statements of the SQL file that *stream* is.

    Raises `ConfigurationError` when sqlparse, which finds where they end, is missing.
    """
    try:
        import sqlparse
    except ImportError:
        raise ConfigurationError(
            "--split needs sqlparse: pip install 'globaldb[cli]'. Without it, give "
            "one statement a line"
        ) from None
    found: list[str] = sqlparse.split(_text(stream.read()), strip_semicolon=True)
    return [each for each in found if each]
