"""What an OK packet says: the outcome of a statement, and what it changed of the session.

With session tracking the server appends a block of changes: the transactions committed,
system variables, the database in use. PyMySQL passes over it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: The status bit that announces a block of changes.
_CHANGED: Final = 0x4000
_VARIABLE, _SCHEMA, _GTIDS = 0, 1, 3
_NO_VARIABLES: Final[tuple[tuple[str, str], ...]] = ()
#: First byte of a number that takes more than one: how many bytes follow.
_WIDTHS: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}


class Outcome(NamedTuple):
    """One OK packet. Whatever a packet is too short for is as if it were empty."""

    affected_rows: int = 0
    insert_id: int = 0
    status: int = 0
    warnings: int = 0
    #: With its length in front, as PyMySQL has it.
    message: bytes = b""
    #: The transactions that this session has committed, as the server writes them.
    gtids: str | None = None
    #: System variables with their new values, in the order in which they changed.
    variables: tuple[tuple[str, str], ...] = _NO_VARIABLES
    schema: str | None = None


def outcome(data: bytes, *, tracked: bool) -> Outcome:
    """Read the OK packet *data*; *tracked* tells whether tracking was agreed upon."""
    affected, at = _number(data, 1)
    insert_id, at = _number(data, at)
    status = int.from_bytes(data[at : at + 2], "little")
    warnings = int.from_bytes(data[at + 2 : at + 4], "little")
    at += 4
    if not tracked or at >= len(data):
        return Outcome(affected, insert_id, status, warnings, data[at:])
    text, end = _string(data, at)
    message = data[at:end] if text else b""
    found = Outcome(affected, insert_id, status, warnings, message)
    if not status & _CHANGED:
        return found
    block, _ = _string(data, end)
    return _with_changes(found, block)


def _with_changes(found: Outcome, block: bytes) -> Outcome:
    gtids, schema = None, None
    variables: list[tuple[str, str]] = []
    at = 0
    while at < len(block):
        kind = block[at]
        entry, at = _string(block, at + 1)
        if kind == _VARIABLE:
            variables += _pairs(entry)
        elif kind == _SCHEMA:
            schema = _text(_string(entry, 0)[0])
        elif kind == _GTIDS:
            # The first byte tells how they are written; there is but one way.
            gtids = _text(_string(entry, 1)[0]) or gtids
    return found._replace(gtids=gtids, variables=tuple(variables), schema=schema)


def _pairs(entry: bytes) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(entry):
        name, at = _string(entry, at)
        value, at = _string(entry, at)
        found.append((_text(name), _text(value)))
    return found


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the text at *at*, as much of it as there is, and where it ends."""
    size, start = _number(data, at)
    return data[start : start + size], start + size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at *at* and where it ends; 0 where there is none."""
    if at >= len(data):
        return 0, len(data)
    first = data[at]
    width = _WIDTHS.get(first)
    if width is None:
        return (first if first < 0xFB else 0), at + 1
    end = at + 1 + width
    return int.from_bytes(data[at + 1 : end], "little"), end
