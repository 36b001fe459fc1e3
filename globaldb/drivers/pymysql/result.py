"""PyMySQL's result, with what PyMySQL does not read of the server's packets.

And read with less work: what is saved for each packet pays for the way a statement takes
through this package. tests/contract compares it with what PyMySQL reads itself.
"""

from __future__ import annotations

from typing import Any, Final

from pymysql import converters
from pymysql.connections import TEXT_TYPES, MySQLResult
from pymysql.constants import FIELD_TYPE, SERVER_STATUS

from globaldb.drivers.pymysql.tracking import Outcome, outcome

_MORE: Final = SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
_EOF: Final = 0xFE
#: The longest packet that ends rows, and begins as a very long value does.
_SHORT: Final = 9
_NULL: Final = 0xFB
#: The character set of what is no text.
_BINARY: Final = 63


class Result(MySQLResult):
    """The answer to one statement, read as PyMySQL does."""

    #: The connection that it comes from, while it is read.
    connection: Any
    message: Any
    has_next: Any
    #: Whether session tracking was agreed upon.
    tracked = False
    #: What its OK packet says; None where it has rows.
    outcome: Outcome | None = None

    def _read_ok_packet(self, packet: Any) -> None:
        found = self.outcome = outcome(packet._data, tracked=self.tracked)
        self.affected_rows = found.affected_rows
        self.insert_id = found.insert_id
        self.server_status = found.status
        self.warning_count = found.warnings
        self.message = found.message
        self.has_next = found.status & _MORE

    def _check_packet_is_eof(self, packet: Any) -> bool:
        data = packet._data
        if data[0] != _EOF or len(data) >= _SHORT:
            return False
        return self._ended(data)

    def _ended(self, data: bytes) -> bool:
        status = data[3] | data[4] << 8
        self.warning_count = data[1] | data[2] << 8
        self.has_next = status & _MORE
        # PyMySQL forgets it; a SELECT may begin a transaction, and a function change
        # the mode.
        self.connection.server_status = status
        return True

    def _get_descriptions(self) -> None:
        link = self.connection
        columns = [link.column() for _ in range(self.field_count)]
        self.fields = [field for field, _ in columns]
        self.description = tuple(description for _, description in columns)
        self.converters = [self._converter(field) for field in self.fields]
        last = link.payload()
        if last[0] != _EOF:
            raise AssertionError("Protocol error, expecting EOF")

    def _converter(self, field: Any) -> tuple[str | None, Any]:
        """Return how the values of a column are decoded, and what makes them objects."""
        link, kind = self.connection, field.type_code
        encoding: str | None = "ascii"
        if not link.use_unicode:
            encoding = None
        elif kind == FIELD_TYPE.JSON:
            encoding = link.encoding
        elif kind in TEXT_TYPES:
            encoding = None if field.charsetnr == _BINARY else link.encoding
        converter = link.decoders.get(kind)
        return encoding, None if converter is converters.through else converter

    def _read_rowdata_packet(self) -> None:
        rows: list[tuple[Any, ...]] = []
        payload, reading = self.connection.payload, self.converters
        while True:
            data = payload()
            if data[0] == _EOF and len(data) < _SHORT:
                self._ended(data)
                self.connection = None
                break
            rows.append(_row(data, reading))
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


def _row(data: bytes, reading: list[tuple[str | None, Any]]) -> tuple[Any, ...]:
    """Take a row apart: a length and its bytes for each value."""
    row: list[Any] = []
    at = 0
    for encoding, converter in reading:
        size = data[at]
        at += 1
        if size == _NULL:
            row.append(None)
            continue
        if size > _NULL:
            # The length itself has two, three or eight bytes.
            end = at + (2, 3, 8)[size - _NULL - 1]
            size, at = int.from_bytes(data[at:end], "little"), end
        value: Any = data[at : at + size]
        at += size
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if converter is None else converter(value))
    return tuple(row)
