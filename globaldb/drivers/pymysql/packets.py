"""The packets of a server's answers, taken in with as little work as possible.

What is saved here, for each packet and each column, pays for the way that a statement
takes through this package. tests/contract compares it with what PyMySQL does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from pymysql import err
from pymysql.connections import MAX_PACKET_LEN, Connection
from pymysql.constants import CR
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

if TYPE_CHECKING:
    from collections.abc import Callable

    _Connection = Connection[Any]
else:
    # Generic to type checkers alone.
    _Connection = Connection

#: Columns of results that a connection remembers.
_COLUMNS: Final = 512


class Packets(_Connection):
    """PyMySQL's connection, as far as it reads."""

    # What PyMySQL does not say of itself.
    _next_seq_id: int
    _result: Any
    _read_bytes: Callable[[int], bytes]
    _force_close: Callable[[], None]

    def __init__(self, **parameters: Any) -> None:
        #: Columns of results, by the encoding of their names and their packets.
        self._columns: dict[tuple[str, bytes], tuple[Any, Any]] = {}
        super().__init__(**parameters)

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        return packet_type(self.payload(), self.encoding)

    def payload(self) -> bytes:
        """Return what the next packet holds. Raises the error that it tells of."""
        parts: list[bytes] = []
        while True:
            header = self._read_bytes(4)
            size = header[0] | header[1] << 8 | header[2] << 16
            if header[3] != self._next_seq_id:
                self._out_of_order(header[3])
            self._next_seq_id = (header[3] + 1) & 0xFF
            data = self._read_bytes(size)
            if size == MAX_PACKET_LEN or parts:
                parts.append(data)
                if size == MAX_PACKET_LEN:
                    continue
                data = b"".join(parts)
            if data[:1] == b"\xff":
                if self._result is not None and self._result.unbuffered_active:
                    self._result.unbuffered_active = False
                MysqlPacket(data, self.encoding).raise_for_error()
            return data

    def _out_of_order(self, number: int) -> NoReturn:
        expected = self._next_seq_id
        self._force_close()
        if number == 0:
            # MariaDB's last words at a shutdown come with this number.
            raise err.OperationalError(
                CR.CR_SERVER_LOST, "Lost connection to MySQL server during query"
            )
        raise err.InternalError(
            f"Packet sequence number wrong - got {number} expected {expected}"
        )

    def column(self) -> tuple[Any, Any]:
        """Return the next column's packet and its description.

        The same statement has the same columns, byte for byte: they are kept.
        """
        data = self.payload()
        known = self._columns.get((self.encoding, data))
        if known is None:
            if len(self._columns) >= _COLUMNS:
                self._columns.clear()
            field = FieldDescriptorPacket(data, self.encoding)
            known = self._columns[self.encoding, data] = (
                field,
                field.description(),  # type: ignore[no-untyped-call]
            )
        return known
