"""A PostgreSQL database's catalog, read in one round trip from any node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row

from globaldb.core.catalog import Catalog
from globaldb.core.postgresql.objects import entries
from globaldb.core.tables import Relations, Sort
from globaldb.drivers.psycopg.catalog_query import QUESTION, QUESTION_WITH_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from globaldb.core.tables import Row

#: How the kind of a row begins that tells of tables.
_OF_TABLES: Final = "tables "


def read_catalog(
    connection: psycopg.Connection[Any], *, tables: bool = False
) -> Catalog:
    """Return what *connection*'s database says of its own objects.

    With *tables* also of what reading and writing each table leads to. One round trip on a connection in autocommit, with the rights of its user; nothing
    stays set. What that user cannot see stays unknown.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        question = QUESTION_WITH_TABLES if tables else QUESTION
        cursor.execute(question, prepare=False)
        while cursor.nextset():
            pass
        rows = cursor.fetchall()
    return Catalog.of(
        entries(row for row in rows if not row[0].startswith(_OF_TABLES)),
        Relations.of(_told(rows)) if tables else None,
    )


def _told(rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Yield the rows that tell of tables."""
    for kind, _, uses, named in rows:
        if kind.startswith(_OF_TABLES):
            yield Sort(kind.removeprefix(_OF_TABLES)), named, uses
