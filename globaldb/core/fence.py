"""Fences: how a reader is shown to have reached a position, the best way it has.

A writer tells a position in the forms it can; a reader can be asked about some of
them. The first fence of the chain that both ends have is the one in use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final

from globaldb.core.position import Position

if TYPE_CHECKING:
    from globaldb.core.outcome import Run


class Means(Enum):
    """The ways to find out, best first."""

    #: The server waits by itself until it has replayed a log position.
    WAIT_FOR_LSN = "wait_for_lsn"
    #: The same for transactions of MySQL and MariaDB.
    WAIT_FOR_GTID = "wait_for_gtid"
    #: It tells how far it has replayed, and is asked again and again.
    LSN = "lsn"
    GTID = "gtid"
    #: It tells whether it has seen a transaction end.
    XID = "xid"
    #: It tells how late it is, or when what it replayed last was committed.
    LAG = "lag"
    #: Nothing tells; some time has to pass.
    WINDOW = "window"

    @property
    def exact(self) -> bool:
        """Whether it proves that the reader has it, and not only that it should."""
        return self not in _BY_TIME

    @property
    def by_log(self) -> bool:
        """Whether it compares places in the log."""
        return self in _BY_LOG

    @property
    def waits(self) -> bool:
        """Whether the server waits by itself."""
        return self in _WAITING


_BY_TIME: Final = frozenset((Means.LAG, Means.WINDOW))
_BY_LOG: Final = (Means.WAIT_FOR_LSN, Means.WAIT_FOR_GTID, Means.LSN, Means.GTID)
_WAITING: Final = frozenset((Means.WAIT_FOR_LSN, Means.WAIT_FOR_GTID))

#: Seconds by which a reader must be past a moment. A commit takes its time before it
#: takes its place in the log, so commits are not strictly in the order of their
#: times: on a server short of processors, or waiting for its disk, by as much.
MARGIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one node can be asked of positions, by the user who connects to it."""

    standby: bool = False
    #: As the server numbers it: 180006.
    version: int = 0
    #: As a reader: its fences. As the writer: LSN, GTID, XID or LAG for each form of
    #: a position it can tell (LAG is the moment).
    means: frozenset[Means] = frozenset()
    #: Its lag is reported by the storage, not guessed from what was replayed last:
    #: that nothing has happened lately does not make it look late.
    reports_lag: bool = False
    #: What the driver may ask there, in the driver's own words.
    parts: frozenset[str] = frozenset()
    #: The ways in which it may tell of all instances, in the driver's own words: on
    #: Aurora alone there are any.
    views: frozenset[str] = frozenset()


#: What is assumed of a node until it was looked at.
UNKNOWN: Final = Abilities()


class Facts:
    """What is known of one node's abilities; its connections share it."""

    __slots__ = ("abilities", "asked_at", "doubted", "epoch", "flushed", "reign")

    def __init__(self) -> None:
        self.abilities: Abilities | None = None
        #: Monotonic seconds when the node was last looked at for them.
        self.asked_at = 0.0
        #: Something was refused that should not have been.
        self.doubted = False
        #: Number of the reign in which it became the writer; 0 if it never did.
        self.reign = 0
        #: The epoch of the topology in which it was last seen to be the writer.
        self.epoch = 0
        #: How much of its log was on its disk, by each run in which it has said so.
        self.flushed: dict[Run, int] = {}

    def has_flushed(self, run: Run, place: int) -> None:
        """Take note that its log was on its disk up to *place* in *run*."""
        if place > self.flushed.get(run, 0):
            self.flushed[run] = place

    @property
    def now(self) -> Abilities:
        """What the node can do as far as known."""
        return self.abilities or UNKNOWN

    def writer_parts(self) -> frozenset[str] | None:
        """Return what a writer may be asked; None where unknown: then everything.

        What was found while it was a standby says nothing of it as the writer.
        """
        known = self.abilities
        return None if known is None or known.standby else known.parts

    def may_ask(self, part: str) -> bool:
        """Whether a writer may be asked for *part*."""
        parts = self.writer_parts()
        return parts is None or part in parts

    def refused(self, means: Means) -> None:
        """Take note that a node has refused what it was known to be able to."""
        self.abilities = replace(self.now, means=self.now.means - {means})
        self.doubted = True

    def sees_nothing_in(self, view: str) -> None:
        """Take note that *view* was refused, or is empty; it is not asked again."""
        self.abilities = replace(self.now, views=self.now.views - {view})

    def lacks(self, part: str) -> None:
        """Take note that *part* was refused."""
        self.abilities = replace(self.now, parts=self.now.parts - {part})
        self.doubted = True


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader is asked in front of a read, or in its place."""

    means: Means
    position: Position
    #: Seconds the server may wait by itself, if it can.
    patience: float = 0.0
    #: It is asked what it may have shown at most, not what it has at least.
    at_most: bool = False


#: Asks a reader only how far it has replayed, in whichever form it has.
HOW_FAR: Final = Question(Means.LSN, Position())
#: Asks it for a position that is no earlier than anything it has shown.
AT_MOST: Final = Question(Means.LSN, Position(), at_most=True)


def means_for(position: Position, reader: Abilities) -> Means:
    """Choose how to find out whether *reader* has reached *position*."""
    able = reader.means
    if position.log is not None:
        for means in _BY_LOG:
            if means in able:
                return means
    if position.xids and Means.XID in able:
        return Means.XID
    if position.moment is not None and Means.LAG in able:
        return Means.LAG
    return Means.WINDOW


def means_between(writer: Abilities, reader: Abilities) -> Means:
    """Choose what serves for a session's own writes: what `SHOW` names."""
    for means, form in _NEEDS.items():
        if means in reader.means and form in writer.means:
            return means
    return Means.WINDOW


def best(reader: Abilities) -> Means:
    """Return the best fence *reader* has, whatever the writer tells."""
    return next((means for means in _NEEDS if means in reader.means), Means.WINDOW)


_NEEDS: Final = {
    Means.WAIT_FOR_LSN: Means.LSN,
    Means.WAIT_FOR_GTID: Means.GTID,
    Means.LSN: Means.LSN,
    Means.GTID: Means.GTID,
    Means.XID: Means.XID,
    Means.LAG: Means.LAG,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader has said of its own time and transactions; None where nothing."""

    #: It has everything that was committed before this, on the writer's clock.
    moment: float | None = None
    #: No transaction of this number or above has ended there.
    horizon: int | None = None


def passed(
    position: Position, answer: Answer, reader: Abilities, *, waited: bool
) -> bool:
    """Whether a reader may be taken to have reached *position*, by time.

    *waited* says that the safe lag window has passed since the position was taken.
    That alone counts where lag is not known: not for a reader that reports its lag,
    and not for one that certainly lacks the last transaction that had ended.
    """
    lacks = (position.horizon or 0) > (answer.horizon or inf)
    if lacks:
        return False
    if answer.moment is not None and position.moment is not None:
        if answer.moment >= position.moment:
            return True
        if reader.reports_lag:
            return False
    return waited
