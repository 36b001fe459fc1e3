"""A fault on purpose: a dialect that reads at the nearest node, however old it is."""

from __future__ import annotations

from typing import Any

from promises import until

from globaldb.sqlalchemy.dialect import RoutedDialect


def _anything(self: RoutedDialect, cursor: Any, *_: Any) -> Any:
    session = cursor.connection.session
    if not session.on_writer:
        # Behind a definition everything is read at the writer for a while: on a slow
        # machine until the last of the tests.
        until(lambda: session.cluster.catalog.present)
    return cursor.connection.using(route="reader", consistency="eventual")


RoutedDialect._using = _anything  # type: ignore[method-assign] - a fault
