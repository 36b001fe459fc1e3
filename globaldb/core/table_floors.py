"""What reads of each table require: one session's books, kept by table.

A write raises the floor of the tables it touched, and only reads of those have to see
it. What was seen at the writer, at a reader or in a token may have been of any table:
it raises the floor of all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.position import Position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from globaldb.core.tables import Tables

#: Tables with a floor of their own; beyond, the oldest floor becomes that of all.
MOST: Final = 256


class Floor(NamedTuple):
    """A requirement, and when a write or a look at the writer made it."""

    #: ``None`` when it is not known: then only the writer will do.
    position: Position | None
    #: Monotonic seconds; ``None`` when nobody knows how old the position is.
    at: float | None

    def after(self, earlier: Floor | None) -> Floor:
        """Return this floor, taken on the writer when *earlier* was known."""
        if earlier is None or self.position is None:
            return self
        if earlier.position is None:
            return earlier
        return Floor(self.position.after(earlier.position), self.at)

    def merge(self, position: Position) -> Floor:
        """Return what satisfies this and *position*, which may be of any age."""
        if self.position is None:
            return self
        return Floor(self.position.merge(position), None)


class TableFloors:
    """The floors of one session by table, and the one that counts for every table.

    Tables are touched before anything is sent, so that whatever becomes of it is put
    down to them; what was not announced counts for all.
    """

    __slots__ = (
        "_announced",
        "_asked",
        "_common",
        "_foreign",
        "_most",
        "_own",
        "_pending",
        "_seen",
    )

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        #: Floors by table, the oldest first.
        self._own: dict[str, Floor] = {}
        self._common: Floor | None = None
        #: What was required last.
        self._asked: Floor | None = None
        #: What tokens and readers have told of: it has no order with the writer's.
        self._foreign: Position | None = None
        #: What was read at the writer: fences by time do not begin anew with that.
        self._seen: Position | None = None
        self._announced = False
        self._pending: Tables = frozenset()

    def __len__(self) -> int:
        return len(self._own)

    def touch(self, tables: Tables, *, afresh: bool) -> None:
        """Announce that *tables* are about to be touched on the writer.

        *afresh* outside of a transaction; inside one they add up until its end.
        """
        if afresh or not self._announced:
            self._pending = tables
        elif self._pending is not None:
            self._pending = None if tables is None else self._pending | tables
        self._announced = True

    def ended(self) -> None:
        """Take note that a transaction is over: what comes next is announced anew."""
        self._announced = False
        self._pending = frozenset()

    @property
    def narrow(self) -> bool:
        """Whether what is under way touches tables that are known."""
        return self._announced and self._pending is not None

    def captured(self, position: Position, now: float) -> None:
        """Raise the floors of what was touched to *position*, sampled behind it.

        So it is behind every write whose own position is not known, too.
        """
        touched = self._pending or ()
        lost = [name for name, floor in self._own.items() if floor.position is None]
        for name in (*lost, *touched):
            self._put(name, Floor(position, now))
        if self._common is not None and self._common.position is None:
            self._common = Floor(position, now)

    def all_captured(self, position: Position, now: float) -> None:
        """Raise the floor of every table to *position*, which covers all so far."""
        self.restate(None)
        self._common = Floor(position, now)

    def saw(self, position: Position) -> None:
        """Take note of a read at the writer, of which *position* is behind."""
        self._seen = position.after(self._seen)

    def restate(self, position: Position | None) -> None:
        """Forget what was of which table: from now on *position* counts for all."""
        self._own.clear()
        self._common = self._seen = None
        self._foreign = position

    def require(self, position: Position) -> None:
        """From now on read nothing of any table that is older than *position*."""
        foreign = self._foreign
        self._foreign = position if foreign is None else foreign.merge(position)

    def lost_position(self, *, whole: bool = False) -> None:
        """Take note that what was touched has no position that is known.

        With *whole* that no table has.
        """
        if whole or not self.narrow or self._pending is None:
            self._common = Floor(None, None)
            return
        for name in self._pending:
            self._put(name, Floor(None, None))

    def raised_at(self, position: Position) -> float | None:
        """Return when *position*, as `required` gave it last, was taken, if known.

        In monotonic seconds.
        """
        asked = self._asked
        return None if asked is None or asked.position != position else asked.at

    def required(self, tables: Iterable[str]) -> Floor | None:
        """Return what reads of *tables* require; ``None`` if nothing."""
        own = [self._own[name] for name in tables if name in self._own]
        found = self._common
        for floor in sorted(own, key=_age):
            found = floor.after(found)
        if self._foreign is not None:
            foreign = Floor(self._foreign, None)
            found = foreign if found is None else found.merge(self._foreign)
        self._asked = found if self._seen is None else _beyond(found, self._seen)
        return self._asked

    def _put(self, name: str, floor: Floor) -> None:
        """Give a table a floor, as the newest of them."""
        self._own.pop(name, None)
        self._own[name] = floor
        while len(self._own) > self._most:
            oldest = self._own.pop(next(iter(self._own)))
            self._common = oldest.after(self._common)


def _beyond(floor: Floor | None, seen: Position) -> Floor:
    """Return *floor*, raised to what was *seen* at the writer, but not in time."""
    if floor is None:
        return Floor(Position(seen.log, moment=0.0, reign=seen.reign), 0.0)
    position = floor.position
    if position is None:
        return floor
    lsn = None
    if position.log is not None and seen.log is not None:
        lsn = position.log.merge(seen.log)
    return floor._replace(position=replace(position, log=lsn, xids=None))


def _age(floor: Floor) -> float:
    return 0.0 if floor.at is None else floor.at
