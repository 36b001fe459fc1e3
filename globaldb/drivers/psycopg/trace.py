"""A transaction's id and place in the log, and the question what became of it.

Asked in the application's own transaction, behind a statement of its: so every name is
qualified, and nothing is asked that the server is not known to answer.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg import errors as pgerrors, pq

from globaldb.core.outcome import NEVER_GIVEN, End, Run, Told, Trace
from globaldb.core.position import Lsn, before_page_header
from globaldb.drivers.psycopg import position
from globaldb.drivers.psycopg.segments import each

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from globaldb.core.outcome import Inquiry
    from globaldb.core.trip import Trip
    from globaldb.drivers.psycopg.physical import Physical

#: When the server was started, in microseconds: the same whatever DateStyle, TimeZone
#: and extra_float_digits are.
STARTED: Final = (
    b"(extract(epoch from pg_catalog.pg_postmaster_start_time())"
    b" OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8"
)

#: It is not given an id for being asked.
_XID: Final = b"pg_catalog.pg_current_xact_id_if_assigned()"
_INSERTED: Final = b"pg_catalog.pg_current_wal_insert_lsn()"
_FLUSHED: Final = b"pg_catalog.pg_current_wal_flush_lsn()"
#: What stays the same while a connection to a writer lasts.
_LOG: Final = (
    b"pg_catalog.pg_walfile_name(" + _INSERTED + b"),"
    b" pg_catalog.current_setting('wal_segment_size'),"
    b" pg_catalog.current_setting('wal_block_size')"
)
RECOVERED: Final = b"pg_catalog.pg_last_wal_replay_lsn()"
_NULL: Final = b"NULL"
_EVERYTHING: Final = frozenset(("lsn", "replayed"))
_IN_THE_FUTURE: Final = b"22023"

#: A backend that may not be ended, or seen, goes on. One of another run has nothing to
#: do with the transaction, whose number it may have got again.
_END: Final = (
    "SELECT pg_catalog.pg_terminate_backend(pid)"
    " FROM pg_catalog.pg_stat_activity"
    " WHERE backend_xid::pg_catalog.text = '{low}' AND {which}"
    " AND ({started})::pg_catalog.text = '{run.started}'"
    " AND coalesce(pg_catalog.pg_last_wal_replay_lsn() OPERATOR(pg_catalog.-) '0/0', 0)"
    " = {run.recovered}"
)
_ENDED: Final = {
    End.WAITING: "state = 'idle in transaction'",
    # What waits for a standby has committed: others would see what is not safe yet.
    End.BUSY: "wait_event IS DISTINCT FROM 'SyncRep'",
}


class Place(NamedTuple):
    """Which run of which server a connection leads to, and how its log is laid out."""

    run: Run
    page: int
    segment: int


def beside(physical: Physical, trip: Trip) -> bytes | None:
    """Return what is asked in the statement's own transaction, if anything is."""
    if trip.trace:
        return question(physical)
    if trip.capture and not trip.alone and physical.facts.may_ask("xid"):
        return position.DURABILITY
    return None


def question(physical: Physical) -> bytes:
    """Return what to ask in an open transaction; more of it the first time."""
    parts = physical.facts.writer_parts() or frozenset()
    return _question(parts, whole=physical.place is None)


@cache
def _question(parts: frozenset[str], *, whole: bool) -> bytes:
    asked = [_XID, *((_INSERTED, _FLUSHED) if "lsn" in parts else (_NULL, _NULL))]
    if whole:
        asked += _whole(parts)
    return b"SELECT " + b", ".join(asked)


def _whole(parts: frozenset[str]) -> list[bytes]:
    """Return what `Place` is made of."""
    replayed = RECOVERED if "replayed" in parts else _NULL
    return [STARTED, replayed, _LOG if "lsn" in parts else b", ".join([_NULL] * 3)]


def traced(
    physical: Physical, answer: list[PGresult] | None, asked_at: float
) -> Trace | None:
    """Read the *answer* to `question`; None while the transaction has no id."""
    if answer is None:
        return None
    xid, inserted, flushed, *rest = _row(answer[0])
    if rest:
        tells = "replayed" in (physical.facts.writer_parts() or ())
        physical.place = _place(rest, tells=tells)
    place = physical.place
    _saw_flushed(physical, flushed)
    if xid is None or place is None:
        return None
    written = None
    if inserted is not None:
        at = Lsn.parse(inserted, 0).value
        # A log that ends at a page's end has everything before the next page's header.
        written = before_page_header(
            at, page_size=place.page, segment_size=place.segment
        )
    return Trace(int(xid), place.run, written, asked_at)


def saw_position(physical: Physical, answers: list[list[PGresult]]) -> None:
    """Take note of what an answer to `position.behind_commit` tells of the disk."""
    flushed = answers[0][0].get_value(0, 0)
    _saw_flushed(physical, None if flushed is None else flushed.decode())


def _saw_flushed(physical: Physical, flushed: str | None) -> None:
    """Take note of how far a writer says that its log is on the disk.

    Of value only where the run in which it was can be told from every other.
    """
    place = physical.place
    if place is not None and place.run.recovered is not None and flushed is not None:
        physical.facts.has_flushed(place.run, Lsn.parse(flushed, 0).value)


def ask(physical: Physical, inquiry: Inquiry) -> Told:
    """Ask what became of a transaction, and for a position behind the answer.

    One round trip. Raises the server's error when it refuses to say who it is, as a
    standby does.
    """
    xid, parts = inquiry.trace.xid, physical.facts.writer_parts()
    known = _EVERYTHING if parts is None else parts
    status = f"SELECT pg_catalog.pg_xact_status('{xid}'::pg_catalog.xid8)"
    asking = [
        b"SELECT " + b", ".join(_whole(known)),
        status.encode(),
        position.behind_commit(parts),
    ]
    if inquiry.end is not End.NO and inquiry.trace.run.recovered is not None:
        asking.append(_end(inquiry).encode())
    who, what, where, *_ = each(physical, asking)
    place = physical.place = _place(_row(_first(who)), tells="replayed" in known)
    reached = position.written(where, None, physical.facts.reign)
    saw_position(physical, where)
    return Told(place.run, _status(what), reached)


def _end(inquiry: Inquiry) -> str:
    """Return what ends the backend of a transaction, in the run that began it."""
    run = inquiry.trace.run
    return _END.format(
        # An id in the list of backends is the lower half of a transaction's.
        low=inquiry.trace.xid & 0xFFFFFFFF,
        which=_ENDED[inquiry.end],
        started=STARTED.decode(),
        run=run,
    )


def _place(row: list[str | None], *, tells: bool) -> Place:
    started, recovered, walfile, segment, page = row
    end: int | None = None
    if tells:
        end = 0 if recovered is None else Lsn.parse(recovered, 0).value
    run = Run(int(walfile[:8], 16) if walfile else 0, started or "", end)
    return Place(run, int(page or 8192), position.size(segment or "16MB"))


def _status(answers: list[list[PGresult]]) -> str | None:
    """Read a status; that of an id which was not given out yet is an error."""
    result = answers[0][0]
    if result.status == pq.ExecStatus.TUPLES_OK:
        return _row(result)[0]
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    return NEVER_GIVEN if state == _IN_THE_FUTURE else None


def _first(answers: list[list[PGresult]]) -> PGresult:
    result = answers[0][0]
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise pgerrors.error_from_result(result)
    return result


def _row(result: PGresult) -> list[str | None]:
    values = (result.get_value(0, column) for column in range(result.nfields))
    return [None if value is None else value.decode() for value in values]
