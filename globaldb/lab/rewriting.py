"""Names that only Aurora MySQL has, in the place of which a lab's servers have others.

`information_schema` takes no table of ours, and a server no variable: so requests are
rewritten on their way, each name by another in as many bytes. The framing of the
protocol stays as it is.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADER: Final = 4
#: COM_QUERY and COM_STMT_PREPARE.
_TEXTS: Final = (b"\x03", b"\x16")
#: The packet in which a client asks for TLS: nothing that follows can be read.
_TLS: Final = (_HEADER + 32, 1)
#: A larger request passes as it is: none that asks for the names is so large.
_LARGEST: Final = 1 << 16


class Rewriting:
    """The requests of one connection, from the client to the server.

    A text is held until all of it is there: a name may come in two pieces.
    """

    def __init__(self) -> None:
        self._held = b""
        #: Bytes still to come of a packet that passes as it is.
        self._rest = 0

    def feed(self, data: bytes) -> bytes:
        """Return what may be sent on now; that may be nothing."""
        passed = bytearray()
        held = self._held + data
        while held:
            if not self._rest:
                size = _HEADER + int.from_bytes(held[:3], "little")
                if len(held) < min(size, _HEADER + 1):
                    break
                if size <= _LARGEST and held.startswith(_TEXTS, _HEADER):
                    if len(held) < size:
                        break
                    passed += rewritten(held[:size])
                    held = held[size:]
                    continue
                self._rest = sys.maxsize if (size, held[3]) == _TLS else size
            passed += held[: self._rest]
            self._rest, held = max(0, self._rest - len(held)), held[self._rest :]
        self._held = held
        return bytes(passed)


def rewritten(request: bytes) -> bytes:
    """Return *request* with the names that a lab's servers have, in as many bytes."""
    if _MARK.search(request) is None:
        return request
    if _TABLE.search(request) is not None:
        request = _SCHEMA.sub(_other_schema, request)
    for pattern, name in _NAMES.items():
        request = pattern.sub(_in_its_place(name), request)
    return request


def _pattern(text: str) -> re.Pattern[bytes]:
    return re.compile(text.encode(), re.IGNORECASE)


_MARK: Final = _pattern("aurora_|replica_host_status|innodb_read_only")
_TABLE: Final = _pattern(
    "aurora_global_db_status|aurora_global_db_instance_status|replica_host_status"
)
#: In front of a table, or as a text that the catalog is searched for.
_SCHEMA: Final = _pattern(
    rf"information_schema`?\s*\.\s*`?(?:{_TABLE.pattern.decode()})"
    r"|(?<=')information_schema(?=')"
)
_SCOPE: Final = r"(?:global\.|session\.|local\.)?"
_MODE: Final = "aurora_replica_read_consistency"
#: By what they stand for: variables, their names as texts, and the mode of forwarding,
#: which becomes a variable of the session's user.
_NAMES: Final = {
    _pattern(rf"(?<=@@){_SCOPE}aurora_server_id\b"): b"report_host",
    _pattern(rf"(?<=@@){_SCOPE}aurora_version\b"): b"version",
    _pattern(rf"(?<=@@){_SCOPE}innodb_read_only\b"): b"read_only",
    _pattern("'aurora_server_id'"): b"'report_host'",
    _pattern("'aurora_version'"): b"'version'",
    _pattern("'innodb_read_only'"): b"'read_only'",
    _pattern(
        rf"(?:(?:session|local)\s+|@@{_SCOPE})?\b{_MODE}(?=\s*:?=)"
    ): b"@aurora_mode",
    _pattern(rf"@@{_SCOPE}{_MODE}\b"): b"IFNULL(@aurora_mode, '')",
}


def _other_schema(found: re.Match[bytes]) -> bytes:
    if found[0].isupper() and b"." not in found[0]:
        return b"INFORMATION_AURORA"
    # Servers tell the names of databases and tables by their case.
    return found[0].lower().replace(b"schema", b"aurora")


def _in_its_place(name: bytes) -> Callable[[re.Match[bytes]], bytes]:
    return lambda found: name.ljust(len(found[0]))
