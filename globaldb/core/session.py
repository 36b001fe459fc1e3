"""What one session has seen and so requires of the next node that serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from globaldb.core.position import Position


@dataclass(slots=True)
class SessionState:
    """The consistency books of one session: its writes, and its reads so far."""

    #: Everything the session wrote or saw is at or before this position.
    floor: Position | None = None
    #: Monotonic seconds when the floor was last raised by a capture.
    floor_at: float = 0.0
    #: A write succeeded but its position is not known: only the writer will do.
    position_unknown: bool = False
    #: The reader that served the last read whose position is not in `floor` yet.
    read_node: str | None = None
    #: Monotonic seconds when that read ended.
    read_ended_at: float = 0.0

    def captured(self, position: Position, now: float) -> None:
        """Take note of a position sampled on the writer after everything so far."""
        self.floor_at = now
        self.floor = position.after(self.floor)
        self.position_unknown = False
        self.read_node = None

    def require(self, position: Position) -> None:
        """From now on read nothing older than *position*."""
        self.floor = position if self.floor is None else self.floor.merge(position)

    def lost_position(self) -> None:
        """Take note of a write whose position could not be captured."""
        self.position_unknown = True

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

    def needs_writer(self, epoch: int) -> bool:
        """Whether no reader can be shown to be fresh enough.

        A floor on an older timeline cannot be compared with positions of the newer
        one without knowing where they forked.
        """
        if self.position_unknown:
            return True
        lsn = None if self.floor is None else self.floor.lsn
        return lsn is not None and lsn.timeline < epoch
