"""A PostgreSQL database's catalog, read in one round trip from any node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import tuple_row

from globaldb.core.catalog import Catalog
from globaldb.core.postgresql.objects import entries
from globaldb.drivers.psycopg.catalog_query import QUESTION

if TYPE_CHECKING:
    import psycopg


def read_catalog(connection: psycopg.Connection[Any]) -> Catalog:
    """Return what *connection*'s database says of its own objects.

    One round trip on a connection in autocommit, with the rights of its user; nothing
    stays set. What that user cannot see stays unknown.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(QUESTION, prepare=False)
        while cursor.nextset():
            pass
        return Catalog.of(entries(cursor.fetchall()))
