"""PEP 249's type objects and constructors, without importing any driver."""

from __future__ import annotations

import datetime as dt
from typing import Final


class DBAPIType:
    """Compares equal to every type code of one kind of column."""

    def __init__(self, name: str, oids: frozenset[int]) -> None:
        self.name = name
        self.oids = oids

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return other in self.oids
        return self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"globaldb.{self.name}"


# PostgreSQL's object identifiers of the types PEP 249 speaks of (pg_type.dat).
STRING: Final = DBAPIType("STRING", frozenset((18, 19, 25, 1042, 1043)))
BINARY: Final = DBAPIType("BINARY", frozenset((17,)))
NUMBER: Final = DBAPIType("NUMBER", frozenset((20, 21, 23, 26, 700, 701, 1700)))
DATETIME: Final = DBAPIType("DATETIME", frozenset((1082, 1083, 1114, 1184, 1186, 1266)))
ROWID: Final = DBAPIType("ROWID", frozenset((26,)))

Date = dt.date
Time = dt.time
Timestamp = dt.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> dt.date:  # noqa: N802 - PEP 249 gives the name
    """Return the local date at *ticks* seconds since the epoch."""
    return TimestampFromTicks(ticks).date()


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 - PEP 249 gives the name
    """Return the local time at *ticks* seconds since the epoch."""
    return TimestampFromTicks(ticks).time()


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 - PEP 249 gives it
    """Return the local date and time at *ticks* seconds since the epoch."""
    return dt.datetime.fromtimestamp(ticks, tz=dt.UTC).astimezone()
