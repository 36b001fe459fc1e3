"""A MySQL or MariaDB server's catalog, read in one round trip from any node.

Loadable functions are not asked for: no text tells what they do, so they stay unknown,
and unknown means writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymysql.cursors import Cursor

from globaldb.core.catalog import Catalog
from globaldb.core.mysql.objects import Definition, Sort, entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pymysql

_OWN: Final = "('mysql', 'information_schema', 'performance_schema', 'sys')"
#: Their tables' rows are at another server, in a file, or thrown away by the writer.
_FOREIGN: Final = "('FEDERATED', 'CONNECT', 'SPIDER', 'BLACKHOLE', 'OQGRAPH', 'S3')"
_QUESTION: Final = f"""\
SELECT LOWER(routine_type), routine_schema, routine_name,
       CASE WHEN routine_body = 'SQL' THEN routine_definition END
  FROM information_schema.routines
 WHERE routine_schema NOT IN {_OWN} AND routine_type IN ('FUNCTION', 'PROCEDURE')
UNION ALL
SELECT 'parameter', specific_schema, specific_name, parameter_name
  FROM information_schema.parameters
 WHERE specific_schema NOT IN {_OWN} AND parameter_name IS NOT NULL
UNION ALL
SELECT 'view', table_schema, table_name, view_definition
  FROM information_schema.views WHERE table_schema NOT IN {_OWN}
UNION ALL
SELECT 'trigger', event_object_schema, event_object_table, action_statement
  FROM information_schema.triggers WHERE event_object_schema NOT IN {_OWN}
UNION ALL
SELECT CASE table_type WHEN 'SEQUENCE' THEN 'sequence' ELSE 'foreign' END,
       table_schema, table_name, ''
  FROM information_schema.tables
 WHERE table_schema NOT IN {_OWN}
   AND (table_type = 'SEQUENCE' OR engine IN {_FOREIGN})"""  # noqa: S608 - constants


def read_catalog(connection: pymysql.Connection[Any]) -> Catalog:
    """Return what *connection*'s server says of the stored objects on it.

    One round trip on a connection in autocommit, with the rights of its user. An
    object whose definition that user may not see (SHOW VIEW, SHOW CREATE ROUTINE) is a
    write, and a routine pins: it may leave anything. What that user may not use at all
    stays unknown.
    """
    with connection.cursor(Cursor) as cursor:
        cursor.execute(_QUESTION)
        return Catalog.of(entries(_definitions(cursor.fetchall())))


def _definitions(rows: Iterable[tuple[Any, ...]]) -> Iterator[Definition]:
    parameters: dict[tuple[str, str], set[str]] = {}
    objects = []
    for sort, schema, name, text in rows:
        if sort == "parameter":
            # A function and a procedure may share a name, and then all of these.
            parameters.setdefault((schema, name), set()).add(text.lower())
        else:
            objects.append((Sort(sort), schema, name, text or None))
    for sort, schema, name, text in objects:
        variables = frozenset(parameters.get((schema, name), ()))
        yield Definition(sort, schema, name, text, variables)
