"""Positions: places in a database's history that can be compared and joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

from globaldb.core.gtid import GtidSet, MariadbGtid
from globaldb.errors import DataError


@dataclass(frozen=True, slots=True)
class Lsn:
    """A PostgreSQL write-ahead-log position on one timeline.

    Log positions of two timelines fork at a promotion and cannot be compared as
    numbers; *timeline* 0 means "not known", which covers nothing and is covered by
    nothing.
    """

    value: int
    timeline: int

    @classmethod
    def parse(cls, text: str, timeline: int) -> Lsn:
        """Read PostgreSQL's ``16/B374D848`` form; raise `DataError` otherwise."""
        high, slash, low = text.partition("/")
        try:
            value = (int(high, 16) << 32) | int(low, 16)
        except ValueError:
            value = -1
        if not slash or value < 0 or len(high) > 8 or len(low) > 8:
            raise DataError(f"{text!r} is not a log position like '16/B374D848'")
        return cls(value, timeline)

    def covers(self, other: object) -> bool:
        """Whether everything at *other* is also at this position."""
        return (
            isinstance(other, Lsn)
            and self.timeline == other.timeline
            and self.timeline != 0
            and self.value >= other.value
        )

    def merge(self, other: object) -> Lsn:
        """Return the later of two positions; across timelines the newer timeline's.

        Raises `DataError` for a position of another kind.

        A position on an older timeline is contained in a newer one only below their
        fork. Whoever merges across a promotion must have checked that: sessions do,
        by going to the writer (see `globaldb.core.session`).
        """
        if not isinstance(other, Lsn):
            raise DataError(f"{self} and {other} are not of one database")
        return max(self, other, key=lambda lsn: (lsn.timeline, lsn.value))

    def simplified(self) -> Lsn:
        """Return the position itself: it is short."""
        return self

    def on(self, timeline: int) -> Lsn:
        """Return the same place of the log on *timeline*."""
        return self if timeline == self.timeline else replace(self, timeline=timeline)

    def __bool__(self) -> bool:
        return self.value > 0

    def __str__(self) -> str:
        return f"{self.value >> 32:X}/{self.value & 0xFFFFFFFF:X}@{self.timeline}"


#: A place in what a server writes down of its transactions, and readers repeat.
LogPosition = Lsn | GtidSet | MariadbGtid

#: Transactions a position may name; one that needs more names none.
_MOST_XIDS = 8


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history, in each form in which the writer could tell it.

    A form that is None is not known, and cannot be fenced by; when two positions are
    merged, a form survives only where both have it.
    """

    log: LogPosition | None = None
    #: Transactions that must be visible, as 64-bit ids. None where what was seen is
    #: more than the session's own writes.
    xids: frozenset[int] | None = None
    #: Seconds since 1970 on the writer's clock, taken after the commit.
    moment: float | None = None
    #: A reader on which no transaction of this number or above has ended has certainly
    #: not reached the position; one where some have may still not have.
    horizon: int | None = None
    #: Number of the reign in which the writer gave it, for this process alone: after a
    #: failover the ids of lost transactions are given out again.
    reign: int = 0
    #: The log position was told by a reader: it may be on a newer timeline than it
    #: says, and so it never proves that anything was lost.
    read: bool = False

    def merge(self, other: Position) -> Position:
        """Return what is at or behind both."""
        xids = None
        ours, theirs = self.xids, other.xids
        if ours is not None and theirs is not None and self.reign == other.reign:
            both = ours | theirs
            xids = both if len(both) <= _MOST_XIDS else None
        log, read = _further(self, other)
        return Position(
            log,
            xids,
            None
            if self.moment is None or other.moment is None
            else max(self.moment, other.moment),
            _later(self.horizon, other.horizon),
            self.reign,
            read,
        )

    def after(self, earlier: Position | None) -> Position:
        """Return this position, sampled on the writer when *earlier* was known.

        What is sampled there is behind everything known before, so a form of it that
        *earlier* lacks is good all the same, and a commit is behind those before it.
        """
        if earlier is None:
            return self
        if self.log is None or earlier.log is None:
            return self
        log, read = _further(self, earlier)
        return replace(self, log=log, read=read)

    def __str__(self) -> str:
        if self.log is not None:
            return str(self.log)
        if self.xids:
            return "transaction " + ", ".join(str(xid) for xid in sorted(self.xids))
        return "not known" if self.moment is None else f"moment {self.moment:.3f}"


def _further(one: Position, other: Position) -> tuple[LogPosition | None, bool]:
    """Return the log position at or behind both, and whether a reader alone told it."""
    if one.log is None or other.log is None:
        return None, False
    log = one.log.merge(other.log).simplified()
    parts = [each for each in (one, other) if each.log == log] or [one, other]
    return log, all(each.read for each in parts)


def _later(one: int | None, other: int | None) -> int | None:
    """Return the larger of two bounds; one that is not known bounds nothing."""
    return max(one or 0, other or 0) or None


#: Bytes of the header at the start of a WAL page, and of the longer one at the start
#: of a segment. PostgreSQL: XLogPageHeaderData, XLogLongPageHeaderData (64-bit).
_PAGE_HEADER = 24
_SEGMENT_HEADER = 40


def before_page_header(
    value: int, *, page_size: int = 8192, segment_size: int = 16 * 1024 * 1024
) -> int:
    """Move an insert position back over the page header it stands behind.

    The insert position just past a page header is never replayed while the server
    is idle, because replay stops at the end of the last record, which is the page
    boundary: a reader would be waited for until other WAL arrives.
    """
    if value % segment_size == _SEGMENT_HEADER:
        return value - _SEGMENT_HEADER
    if value % page_size == _PAGE_HEADER:
        return value - _PAGE_HEADER
    return value
