"""Cursors for ``iterator()``: at a reader wherever an ordinary read would be."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from globaldb.core.topology import Role
from globaldb.dbapi.postgresql.aside import has_spare, open_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Rows that are read at once after all: as many as Django's own chunks have.
FEW: Final = 2_000


class ChunkedCursor:
    """A cursor on the server; in a transaction that has only read, one that is not.

    Every form with a choice of related objects reads them with ``iterator()``. What a
    cursor on the server has shown a transaction cannot be verified when it writes, so it
    would have to be at the writer. A few rows can: they are read as all others are.
    """

    def __init__(self, connection: Any, named: Any, plain: Callable[[], Any]) -> None:
        # Nobody else knows the name that Django makes up.
        named.aside = True
        self._connection = connection
        self._cursor, self._plain = named, plain

    def execute(self, query: Any, params: Any = None) -> Self:
        """Execute a query where it belongs."""
        connection = self._connection
        inside = not connection.autocommit and _is_for_reader(connection, query)
        if inside and self._has_few(query, params):
            self._cursor.close()
            self._cursor = self._plain()
        self._cursor.execute(query, params)
        return self

    def _has_few(self, query: Any, params: Any) -> bool:
        """Whether the answer has few rows; asks a reader without reading them all."""
        asked, node = type(self._cursor), self._connection.session.node
        if node is not None and not has_spare(self._connection.session, node.name):
            # Others may be waiting as well, each with the connection another one needs.
            return False
        with closing(open_beside(self._connection)) as beside:
            beside.autocommit, beside.read_only = False, True
            try:
                with closing(asked(beside, name="few")) as cursor:
                    cursor.execute(query, params)
                    few = len(cursor.fetchmany(FEW + 1)) <= FEW
                # Else its connection could not be used again.
                beside.rollback()
            except psycopg.Error:
                # Nobody knows, so not all at once; what is wrong will be told there.
                return False
        return few

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()


def _is_for_reader(connection: Any, query: Any) -> bool:
    role: Role = connection.explain_route(query).role
    return role is Role.READER
