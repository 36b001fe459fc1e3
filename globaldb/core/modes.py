"""The modes of a transaction, as the SQL standard writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.statement import SetTransaction

if TYPE_CHECKING:
    from globaldb.core.lexer.reader import TokenReader

_ISOLATION: Final = (
    ("read", "uncommitted"),
    ("read", "committed"),
    ("repeatable", "read"),
    ("serializable",),
)


def modes(reader: TokenReader) -> SetTransaction | None:
    """Read transaction modes to the end; ``None`` if something else stands there."""
    asked = SetTransaction()
    while not reader.done:
        if reader.accept("isolation", "level"):
            isolation = _isolation_level(reader)
            if isolation is None:
                return None
            asked = replace(asked, isolation=isolation)
        elif (flagged := access_mode(reader, asked)) is not None:
            asked = flagged
        elif not reader.accept(","):
            return None
    return asked


def access_mode(reader: TokenReader, asked: SetTransaction) -> SetTransaction | None:
    """Read one mode that is no isolation level; return *asked* with it, if it is one."""
    if reader.accept("read", "only"):
        return replace(asked, read_only=True)
    if reader.accept("read", "write"):
        return replace(asked, read_only=False)
    if reader.accept("deferrable"):
        return replace(asked, deferrable=True)
    if reader.accept("not", "deferrable"):
        return replace(asked, deferrable=False)
    return None


def _isolation_level(reader: TokenReader) -> str | None:
    for words in _ISOLATION:
        if reader.accept(*words):
            return " ".join(words)
    return None
