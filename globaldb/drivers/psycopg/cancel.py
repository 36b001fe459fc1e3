"""What ends a statement on PostgreSQL: a cancel request, beside its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import capabilities, generators, waiting

from globaldb.drivers.cancelling import LONGEST, Cancel

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGcancelConn

_INTERVAL = 0.1


def cancel(connection: psycopg.Connection[Any]) -> Cancel:
    """Begin to cancel what runs on *connection*, which may be closed meanwhile."""
    pgconn = connection.pgconn
    if not capabilities.has_cancel_safe():
        # Before libpq 17: it blocks, for as long as the system does.
        return Cancel(pgconn.get_cancel().cancel)
    request = pgconn.cancel_conn()
    return Cancel(lambda: _send(request))


def _send(request: PGcancelConn) -> None:
    try:
        request.start()
        waiting.wait_conn(generators.cancel(request), _INTERVAL, LONGEST)
    finally:
        request.finish()
