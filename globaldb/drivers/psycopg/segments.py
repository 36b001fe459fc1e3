"""Segments: what is sent up to a Sync, and what comes back up to it.

Each is a transaction of its own outside of one, and fails without the others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psycopg import errors as pgerrors, generators, pq

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from globaldb.drivers.psycopg.physical import Physical

    Command = Callable[[], None]

_FATAL = pq.ExecStatus.FATAL_ERROR
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_BAD = pq.ConnStatus.BAD
_COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)


def queue(pgconn: PGconn, commands: Sequence[Command]) -> None:
    """Send *commands* and a Sync behind them, without waiting for either."""
    for command in commands:
        command()
    pgconn.pipeline_sync()


def segment(pgconn: PGconn) -> PQGen[list[list[PGresult]]]:
    """Answers up to the next Sync, one list a command (and one for its commit)."""
    answers: list[list[PGresult]] = []
    while True:
        results = yield from generators.fetch_many(pgconn)
        if results and results[0].status == _SYNC:
            return answers
        if results:
            if results[0].status in _COPIES:
                # Nothing brings a connection back from here: `travel` closes it.
                raise pgerrors.ProgrammingError(
                    "COPY cannot be used with this method; use copy() instead"
                )
            answers.append(results)
        if pgconn.status == _BAD:
            # The server said why before it hung up, or it just hung up.
            failed = first_error(answers)
            if failed is not None:
                raise pgerrors.error_from_result(answers[failed][0])
            raise pgerrors.OperationalError("the connection is lost")


def first_error(answers: list[list[PGresult]]) -> int | None:
    """Return the place of the first answer that is an error; None if none is."""
    for index, results in enumerate(answers):
        if results[0].status == _FATAL:
            return index
    return None


def each(physical: Physical, asking: Sequence[bytes]) -> list[list[list[PGresult]]]:
    """Ask independent questions in one round trip; return the segments of each."""
    with physical.lock:
        try:
            return physical.wait(_each(physical, asking))
        finally:
            end_pipeline(physical.pgconn)


def end_pipeline(pgconn: PGconn) -> None:
    """Close a connection that was interrupted in the middle of its segments.

    What is still to come back cannot be told apart from the next borrower's answers.
    """
    if pgconn.status != _BAD and pgconn.pipeline_status:
        pgconn.finish()


def _each(
    physical: Physical, asking: Sequence[bytes]
) -> PQGen[list[list[list[PGresult]]]]:
    pgconn = physical.pgconn
    if pgconn.status == _BAD:
        raise pgerrors.OperationalError("the connection is closed")
    pgconn.enter_pipeline_mode()
    streamed = physical.row_by_row
    if streamed:
        # As in `wire`: libpq would hand out the first result row by row.
        pgconn.pipeline_sync()
    for sql in asking:
        queue(pgconn, [partial(pgconn.send_query_params, sql, None)])
    yield from generators.send(pgconn)
    if streamed:
        yield from segment(pgconn)
        physical.row_by_row = False
    answers = []
    for _ in asking:
        answers.append((yield from segment(pgconn)))  # noqa: PERF401 - it yields
    pgconn.exit_pipeline_mode()
    return answers
