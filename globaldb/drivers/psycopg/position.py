"""Questions about positions, and how to read PostgreSQL's answers.

They are asked under the application's search_path, so every name is qualified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import errors as pgerrors, pq

from globaldb.core.position import Lsn, Position, before_page_header

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

#: On a reader: how far it has replayed. NULL on a writer.
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
WRITER = (
    b"SELECT pg_catalog.pg_current_wal_flush_lsn(),"
    b" pg_catalog.pg_current_wal_insert_lsn(),"
    b" pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()),"
    b" pg_catalog.current_setting('wal_segment_size'),"
    b" pg_catalog.current_setting('wal_block_size'),"
    b" extract(epoch from pg_catalog.clock_timestamp())"
)

_UNITS = {"kB": 1024, "MB": 1024**2, "GB": 1024**3}


def replayed(answers: list[list[PGresult]]) -> int | None:
    """Read the answer to `REPLAYED`; None where it is not a reader's."""
    text = _value(_row(answers), 0)
    return None if text is None else Lsn.parse(text, 0).value


def written(answers: list[list[PGresult]], commit: list[PGresult] | None) -> Position:
    """Read the answer to `WRITER`: a position that covers the commit before it.

    *commit* is the answer to `DURABILITY`; None means not known, which is treated as
    a commit that may not have been flushed. Raises the server's error when it gave
    one instead.
    """
    row = _row(answers)
    clock = _value(row, 5)
    xid = None if commit is None else _value(commit[0], 1)
    flushes = commit is not None and _value(commit[0], 0) != "off"
    return Position(
        _lsn(row, durable=xid is not None and flushes),
        None if xid is None else frozenset((int(xid),)),
        None if clock is None else float(clock),
    )


def _lsn(row: PGresult, *, durable: bool) -> Lsn:
    flushed, inserted, walfile, segment, block = (_value(row, i) for i in range(5))
    if flushed is None or inserted is None or walfile is None:
        raise pgerrors.OperationalError("the server gave no position")
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
