"""What one session has seen and so requires of the next node that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from globaldb.core.position import Lsn
from globaldb.core.timelines import Fate

if TYPE_CHECKING:
    from globaldb.core.position import Position
    from globaldb.core.table_floors import TableFloors
    from globaldb.core.tables import Tables
    from globaldb.core.timelines import Timelines

#: Why only the writer will do: a write's position is not known, or what became of the
#: session's position in a promotion, or nobody knows of that promotion.
POSITION_UNKNOWN: Final = "position_unknown"
OLDER_TIMELINE: Final = "position_of_older_timeline"
NEWER_TIMELINE: Final = "position_of_newer_timeline"

#: Bytes of log that no writer leaves unflushed.
_UNFLUSHED: Final = 1 << 30


@dataclass(slots=True)
class SessionState:
    """The consistency books of one session: its writes, and its reads so far."""

    #: Everything the session wrote or saw is at or before this position.
    floor: Position | None = None
    #: Monotonic seconds when the floor was last raised by a capture.
    floor_at: float = 0.0
    #: Monotonic seconds when `floor` was last raised; None until somebody asks.
    raised_at: float | None = 0.0
    #: What it wrote or saw on another timeline than the floor's, until it is known
    #: what became of that.
    apart: Position | None = None
    #: A write succeeded but its position is not known: only the writer will do.
    position_unknown: bool = False
    #: The reason code of that.
    unknown_because: str = POSITION_UNKNOWN
    #: The reader that served the last read whose position is not in `floor` yet.
    read_node: str | None = None
    #: Monotonic seconds when that read ended.
    read_ended_at: float = 0.0
    #: The same by table, in a session that keeps such books.
    tables: TableFloors | None = None
    #: How often nodes had come to share the reads when it chose its reader.
    chosen_after: int = 0
    #: Grows with what it wrote, and saw at the writer.
    advances: int = field(default=0, compare=False)

    def captured(self, position: Position, now: float, *, whole: bool = False) -> None:
        """Take note of a position sampled on the writer after everything so far.

        By table it counts for what was announced to be touched; *whole* counts for
        every table.
        """
        floor = self._raise(position, now)
        if self._put_down_to_tables(position, now, whole=whole):
            # What the last reader has shown of other tables is not covered.
            return
        if self.tables is not None:
            self.tables.all_captured(floor, now)
        self.read_node = None

    def read_at_writer(self, position: Position, now: float) -> None:
        """Take note of a position sampled on the writer behind a read of its own.

        Fences by time start anew with writes alone: else a session that reads all the
        time would never leave the writer again.
        """
        before, raised_at = self.floor, self.raised_at
        known = not self.position_unknown and before is not None
        floor = self._raise(position, now)
        if known and before is not None:
            self.raised_at = raised_at
            self.floor = replace(floor, moment=before.moment, horizon=before.horizon)
        if self._put_down_to_tables(position, now):
            return
        if self.tables is not None:
            if known and self.apart is None:
                self.tables.saw(position)
            else:
                self.tables.all_captured(floor, now)
        self.read_node = None

    def _raise(self, position: Position, now: float) -> Position:
        """Raise the floor to what was sampled on the writer, and return it."""
        self.advances += 1
        self.floor_at = self.raised_at = now
        floor = self._comparable(position)
        if floor is not None and _far_beyond(floor, position):
            # Nobody has been there: a token made it up.
            floor = None
        self.floor = position.after(floor)
        self.position_unknown = False
        return self.floor

    def _put_down_to_tables(
        self, position: Position, now: float, *, whole: bool = False
    ) -> bool:
        """Raise the floors of the tables that were announced, if that is all there is."""
        if whole or self.tables is None or self.apart is not None:
            return False
        if not self.tables.narrow:
            return False
        self.tables.captured(position, now)
        return True

    def require(self, position: Position) -> None:
        """From now on read nothing older than *position*."""
        if self.floor is not None and _timeline(position) < _timeline(self.floor):
            self.apart, position = position, self.floor
        floor = self._comparable(position)
        self.raised_at = None
        self.floor = position if floor is None else floor.merge(position)
        if self.tables is not None:
            self.tables.require(position)

    def inherit(self, other: SessionState) -> None:
        """From now on promise for what *other* has written and read, too.

        Where the readers of both differ, only the writer will do at first.
        """
        advances = self.advances
        self._inherit(other)
        self.advances = advances

    def _inherit(self, other: SessionState) -> None:
        for position in (other.apart, other.floor):
            if position is None or position in (self.floor, self.apart):
                continue
            raised = other.raised_at
            if self.floor is not None and raised is not None:
                raised = None if self.raised_at is None else max(self.raised_at, raised)
            self.require(position)
            self.raised_at = raised
            self.floor_at = max(self.floor_at, other.floor_at)
        if other.position_unknown:
            self.lost_position(other.unknown_because)
        if other.read_node is None:
            return
        if self.read_node not in (None, other.read_node):
            self.lost_position()
            return
        self.read_node, self.chosen_after = other.read_node, other.chosen_after
        self.read_ended_at = max(self.read_ended_at, other.read_ended_at)

    def requirement(self, reads: Tables) -> Position | None:
        """Return what a reader must have reached before it may serve *reads*."""
        if reads is None or self.tables is None or self.apart is not None:
            return self.floor
        floor = self.tables.required(reads)
        return None if floor is None else floor.position

    def _comparable(self, position: Position) -> Position | None:
        """Return the floor; set it apart instead if *position* forgets its timeline."""
        floor = self.floor
        if floor is None or _timeline(position) == _timeline(floor):
            return floor
        if _timeline(floor) and _timeline(position):
            self.apart = floor
            return None
        return floor

    def outdated(self, epoch: int) -> bool:
        """Whether it requires something of a timeline that *epoch* has ended."""
        if self.apart is not None:
            return True
        return self.floor is not None and 0 < _timeline(self.floor) < epoch

    def promoted(self, timelines: Timelines, epoch: int) -> Position | None:
        """Restate on the timeline *epoch* what is required of older ones.

        What has survived goes on under the same number; where nobody can tell, only
        the writer will do. Returns a position that was lost: then the session has
        forgotten it, and goes on from what the writer has now.
        """
        lost = None
        required = [each for each in (self.apart, self.floor) if each is not None]
        self.apart = self.floor = None
        for position in required:
            log = position.log
            if log is None or log.timeline >= epoch:
                self.require(position)
                continue
            fate = timelines.fate(log, epoch)
            if fate is Fate.SURVIVES:
                self.require(replace(position, log=log.on(epoch)))
                continue
            self.lost_position(OLDER_TIMELINE)
            if fate is Fate.LOST and not position.read:
                lost = position
        if self.tables is not None:
            self.tables.restate(self.floor)
            if self.position_unknown:
                self.tables.lost_position(whole=True)
        return lost

    def lost_position(self, because: str = POSITION_UNKNOWN) -> None:
        """Take note that what the session requires has no position that is known.

        A write's could not be captured, or *because* of another reason code.
        """
        self.advances += 1
        self.position_unknown = True
        self.unknown_because = because
        if self.tables is not None:
            self.tables.lost_position(whole=because is not POSITION_UNKNOWN)

    def read(self, node: str, ended_at: float) -> None:
        """Take note of a read on the reader *node*.

        An eventual read goes elsewhere without leaving the reader before: that one
        stays the one to account for.
        """
        if self.read_node in (None, node):
            self.read_node = node
            self.read_ended_at = ended_at

    def left(self, position: Position, asked_at: float) -> bool:
        """Try to leave the node of the last read, given a later sample of it.

        Returns whether the sample was asked for after that read ended, so that it
        bounds from above what the read can have seen. The session then requires
        that position of every other node (monotonic reads).
        """
        if asked_at < self.read_ended_at:
            return False
        self.require(position)
        self.read_node = None
        return True

    def needs_writer(self, epoch: int, reads: Tables = None) -> str | None:
        """Return the reason code for which no reader of *reads* will do, if any.

        A floor on another timeline than *epoch* (0 while none is known) cannot be
        compared with positions of this one: on an older one without knowing where they
        forked, on a newer one because nobody believes in that yet.
        """
        if self.position_unknown and self._unknown_of(reads):
            return self.unknown_because
        timeline = 0 if self.floor is None else _timeline(self.floor)
        if not epoch or timeline in (0, epoch):
            return None
        return OLDER_TIMELINE if timeline < epoch else NEWER_TIMELINE

    def _unknown_of(self, reads: Tables) -> bool:
        """Whether the position that is not known may be that of a write of *reads*."""
        if reads is None or self.tables is None:
            return True
        floor = self.tables.required(reads)
        return floor is not None and floor.position is None


def _timeline(position: Position) -> int:
    """Return the timeline *position* is on; 0 when its form does not tell."""
    return 0 if position.log is None else position.log.timeline


def _far_beyond(floor: Position, position: Position) -> bool:
    """Whether *floor* is further ahead of the writer's *position* than can be.

    A little a log position may be: the writer tells of what it has flushed behind some
    commits, and of what it is still to flush behind others.
    """
    log, there = floor.log, position.log
    if log is None or there is None:
        return False
    if isinstance(log, Lsn) and isinstance(there, Lsn):
        return log.value > there.value + _UNFLUSHED
    # A commit's own position tells of nothing else.
    return position.xids is None and not there.covers(log)
