"""Which executable comments a server reads, by its version.

``/*!80034 ... */`` is read by MySQL 8.0.34 and later. MariaDB, whose versions begin
at 10.0, reads it as a comment from 5.7.0 to 9.99.99: those numbers are MySQL's own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from globaldb.core.mysql.dialect import Dialect

_MYSQL: Final = range(50700, 99999)
_MARIADB: Final = range(100000, 999999)
# More ways than these to read one text are not tried.
_MOST: Final = 8


class _Server(NamedTuple):
    mariadb: bool
    version: int


def readings(
    gates: frozenset[str], dialect: Dialect
) -> tuple[Callable[[str], bool | None], ...] | None:
    """Return the ways in which servers may read a text with *gates*.

    Each answers whether the comment with a gate is read, as `tokenize` asks. ``None``
    if they are many.
    """
    if not gates:
        return (_always,)
    marked = any(gate[0] == "M" for gate in gates)
    ways: dict[tuple[bool, frozenset[str]], Callable[[str], bool | None]] = {}
    for server in _servers(gates, dialect):
        executes = partial(_executes, server)
        read = frozenset(gate for gate in gates if executes(gate))
        ways.setdefault((marked and server.mariadb, read), executes)
        if len(ways) > _MOST:
            return None
    return tuple(ways.values())


def _always(_gate: str) -> bool:
    return True


def _servers(gates: frozenset[str], dialect: Dialect) -> Iterator[_Server]:
    """Yield every server that may read, as far as these gates tell them apart."""
    if dialect.version is not None:
        yield _Server(dialect.mariadb, dialect.version)
        return
    numbers = {_number(gate) for gate in gates}
    if not dialect.mariadb:
        yield from (
            _Server(mariadb=False, version=version)
            for version in _told(numbers, _MYSQL)
        )
    yield from (
        _Server(mariadb=True, version=version) for version in _told(numbers, _MARIADB)
    )


def _told(numbers: set[int], released: range) -> list[int]:
    """Return the versions in *released* that *numbers* tell apart."""
    return [released.start, *sorted(n for n in numbers if n in released)]


def _number(gate: str) -> int:
    """Return the version in ``!80034`` or ``M!100100``; 0 where there is none."""
    digits = gate.lstrip("M!")
    return int(digits) if digits else 0


def _executes(server: _Server, gate: str) -> bool | None:
    number = _number(gate)
    if gate[0] == "M" and not server.mariadb:
        return None
    if server.mariadb and gate[0] != "M" and number in range(50700, 100000):
        return False
    return number <= server.version
