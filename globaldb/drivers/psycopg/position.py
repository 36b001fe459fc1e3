"""Questions about positions, and how to read PostgreSQL's answers.

They are asked under the application's search_path, so every name is qualified.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from psycopg import errors as pgerrors, pq

from globaldb.core.fence import Means
from globaldb.core.position import Lsn, Position, before_page_header
from globaldb.drivers.psycopg import aurora

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg.pq.abc import PGresult

    from globaldb.core.fence import Abilities, Question
    from globaldb.core.trip import Reply

#: On a reader: how far it has replayed. NULL on a writer, unless it was promoted and not
#: started since: there it is what it replayed last, and tells of nothing it has shown.
REPLAYED = b"SELECT pg_catalog.pg_last_wal_replay_lsn()"

#: Inside the transaction, just before its commit: whether the commit will wait for
#: its own flush. SET LOCAL, set_config() and functions may have changed it, and all
#: of them have reverted by the time the position is read. A transaction without an
#: id has written nothing and flushes nothing, but may have seen what another did not
#: wait for.
DURABILITY = (
    b"SELECT pg_catalog.current_setting('synchronous_commit'),"
    b" pg_catalog.pg_current_xact_id_if_assigned()"
)

#: After the commit. The flush position covers a commit that waited for its flush;
#: the insert position covers any, but may be ahead of what is sent to readers.
LOG_POSITION = (
    b"pg_catalog.pg_current_wal_flush_lsn(),"
    b" pg_catalog.pg_current_wal_insert_lsn(),"
    b" pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()),"
    b" pg_catalog.current_setting('wal_segment_size'),"
    b" pg_catalog.current_setting('wal_block_size')"
)
CLOCK = b"extract(epoch from pg_catalog.clock_timestamp())"
HORIZON = b"pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
WRITER = b"SELECT " + b", ".join((LOG_POSITION, CLOCK, HORIZON))

#: On a reader: when the last commit that it has replayed was made, on the writer's
#: clock. On a quiet writer that is long ago, and says nothing.
LAST_COMMIT = b"extract(epoch from pg_catalog.pg_last_xact_replay_timestamp())"

_UNITS = {"kB": 1024, "MB": 1024**2, "GB": 1024**3}
_NULL = b"NULL"
_WHOLE: Final = frozenset(("lsn", "clock", "horizon"))


def wait_for(lsn: str, seconds: float) -> bytes:
    """Return the statement with which a server waits until it has replayed *lsn*."""
    # A limit of 0 would be none.
    limit = max(1, int(seconds * 1000))
    return (
        f"WAIT FOR LSN '{lsn}'"
        f" WITH (MODE 'standby_replay', TIMEOUT '{limit}ms', NO_THROW)"
    ).encode()


def committed(xids: Iterable[int]) -> bytes:
    """Return the expression that tells whether a reader shows all of *xids*.

    A number that a reader has not heard of yet is an error to pg_xact_status(), and is
    at or above the end of its snapshots. A status is told only once the transaction
    has left the list of those that run, so later snapshots show what it did;
    pg_visible_in_snapshot() would tell too early, because a reader's snapshots list
    nothing as running.
    """
    tests = (
        f"CASE WHEN {HORIZON.decode()} > '{xid}'::pg_catalog.xid8"
        f" THEN pg_catalog.pg_xact_status('{xid}'::pg_catalog.xid8) = 'committed'"
        " ELSE false END"
        for xid in sorted(xids)
    )
    return " AND ".join(tests).encode()


def behind_commit(parts: frozenset[str] | None) -> bytes:
    """Return `WRITER` without what the writer cannot tell."""
    if parts is None or parts >= _WHOLE:
        return WRITER
    return _partly(parts)


@cache
def _partly(parts: frozenset[str]) -> bytes:
    return b"SELECT " + b", ".join(
        (
            LOG_POSITION if "lsn" in parts else b", ".join([_NULL] * 5),
            CLOCK if "clock" in parts else _NULL,
            HORIZON if "horizon" in parts else _NULL,
        )
    )


def guard(question: Question, reader: Abilities) -> bytes:
    """Return the statement that asks *question*."""
    means, required = question.means, question.position
    if means is Means.WAIT_FOR_LSN and required.log is not None:
        lsn = str(required.log).partition("@")[0]
        return wait_for(lsn, question.patience)
    if means is Means.LSN:
        return REPLAYED
    if means is Means.XID:
        return b"SELECT " + committed(required.xids or ())
    return _by_time(reader.parts)


@cache
def _by_time(parts: frozenset[str]) -> bytes:
    """Return what asks for the milliseconds of lag, the last commit, the horizon."""
    lag = next(
        (b"(" + sql + b")" for name, sql in aurora.LAG.items() if name in parts), _NULL
    )
    return b"SELECT " + b", ".join(
        (
            lag,
            LAST_COMMIT if "last_commit" in parts else _NULL,
            HORIZON if "horizon" in parts else _NULL,
        )
    )


def answer(question: Question, answers: list[list[PGresult]], reply: Reply) -> None:
    """Read the answer to *question* into *reply*.

    Raises the server's error when it gave one instead.
    """
    row = _row(answers)
    if question.means is Means.WAIT_FOR_LSN:
        reply.reached = _value(row, 0) == "success"
    elif question.means is Means.LSN:
        text = _value(row, 0)
        reply.replayed = None if text is None else Lsn.parse(text, 0)
    elif question.means is Means.XID:
        reply.reached = _value(row, 0) == "t"
    else:
        lag, commit, horizon = (_value(row, i) for i in range(3))
        reply.lag = None if lag is None else float(lag) / 1000
        reply.last_commit = None if commit is None else float(commit)
        reply.horizon = None if horizon is None else int(horizon)


def written(
    answers: list[list[PGresult]], commit: list[PGresult] | None, reign: int
) -> Position:
    """Read the answer to `behind_commit`: a position that covers the commit before it.

    *commit* is the answer to `DURABILITY`; None means not known, which is treated as
    a commit that may not have been flushed. Raises the server's error when it gave
    one instead.
    """
    row = _row(answers)
    clock, horizon = _value(row, 5), _value(row, 6)
    xid = None if commit is None else _value(commit[0], 1)
    flushes = commit is not None and _value(commit[0], 0) != "off"
    return Position(
        _lsn(row, durable=xid is not None and flushes),
        None if xid is None else frozenset((int(xid),)),
        None if clock is None else float(clock),
        None if horizon is None else int(horizon),
        reign,
    )


def _lsn(row: PGresult, *, durable: bool) -> Lsn | None:
    flushed, inserted, walfile, segment, block = (_value(row, i) for i in range(5))
    if flushed is None or inserted is None or walfile is None:
        return None
    timeline = int(walfile[:8], 16)
    if durable:
        return Lsn.parse(flushed, timeline)
    value = before_page_header(
        Lsn.parse(inserted, timeline).value,
        page_size=int(block or 8192),
        segment_size=size(segment or "16MB"),
    )
    return Lsn(value, timeline)


def size(text: str) -> int:
    """Bytes in PostgreSQL's ``16MB`` form."""
    return int(text[:-2]) * _UNITS[text[-2:]]


def _row(answers: list[list[PGresult]]) -> PGresult:
    for results in answers:
        if results[0].status == pq.ExecStatus.FATAL_ERROR:
            raise pgerrors.error_from_result(results[0])
    result = answers[0][0]
    if result.status != pq.ExecStatus.TUPLES_OK or result.ntuples != 1:
        raise pgerrors.OperationalError("the server gave no position")
    return result


def _value(result: PGresult, column: int) -> str | None:
    value = result.get_value(0, column)
    return None if value is None else value.decode()
