"""Results that no server has sent: PyMySQL's own, filled in by the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymysql.charset import charset_by_name
from pymysql.connections import MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.protocol import FieldDescriptorPacket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from globaldb.runtime.show import Table

#: What a column of Python values is to MySQL: its type, display width and decimals.
_TYPES: Final[dict[type, tuple[int, int, int]]] = {
    str: (FIELD_TYPE.VAR_STRING, 1020, 0),
    int: (FIELD_TYPE.LONGLONG, 21, 0),
    float: (FIELD_TYPE.DOUBLE, 23, 31),
    bool: (FIELD_TYPE.TINY, 1, 0),
}
_BINARY: Final = 63
_TEXT: Final = charset_by_name("utf8mb4").id  # type: ignore[attr-defined]


class Field(FieldDescriptorPacket):
    """The description of a column, which no packet carried."""

    def __init__(self, name: str, kind: type) -> None:
        self.catalog, self.db, self.table_name, self.org_table = "def", "", "", ""
        self.name = self.org_name = name
        self.type_code, self.length, self.scale = _TYPES[kind]
        self.charsetnr = _TEXT if kind is str else _BINARY
        self.flags = 0


def of_rows(
    columns: Iterable[tuple[str, type]], rows: Sequence[tuple[Any, ...]]
) -> Any:
    """Return a result with *rows*, whose *columns* have names and types."""
    result = _blank()
    result.fields = [Field(name, kind) for name, kind in columns]
    result.field_count = len(result.fields)
    result.description = tuple(field.description() for field in result.fields)
    result.rows = tuple(rows)
    result.affected_rows = len(rows)
    return result


def of_table(table: Table) -> Any:
    """Return *table* as a result."""
    return of_rows(table.columns, table.rows)


def without_rows() -> Any:
    """Return the answer to a statement that succeeded and has nothing to show."""
    result = _blank()
    result.affected_rows = result.insert_id = 0
    result.message = b""
    return result


def _blank() -> Any:
    # Its connection is asked for packets only, and there are none.
    nobody: Any = None
    result: Any = MySQLResult(nobody)
    result.has_next = False
    return result
