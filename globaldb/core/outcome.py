"""What became of a transaction whose COMMIT was sent and never answered.

PostgreSQL remembers how each transaction ended, by its id. But an id whose log was lost
in a crash or a promotion is given out again, and then tells of another transaction: so an
answer counts only from a server that certainly has the log in which the id was used. See
docs/decisions/0022-outcome-of-a-lost-commit.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from globaldb.core.position import Position
    from globaldb.core.timelines import Fork


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one server: from its start, or from its recovery after a crash.

    Two that are equal are the same one: what it holds in memory was not lost meanwhile.
    """

    #: The timeline it writes on; 0 where it does not tell.
    timeline: int
    #: When it was started, in the server's own words.
    started: str
    #: Where in the log its last recovery ended; 0 if it came back without one, None
    #: where it does not tell. It outlives a crash that restarts only the backends.
    recovered: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What the writer has told of an open transaction, to be asked for by it later."""

    xid: int
    run: Run
    #: Everything that the transaction has logged is before this; None when not known.
    written: int | None

    def blurred(self) -> Trace:
        """Return what is left of it once something was done that it does not cover.

        The id may have been used for what is not logged, a temporary table's rows,
        until then.
        """
        return replace(self, written=None)


class End(Enum):
    """Whose transaction is ended by its server, before it is asked for."""

    #: Nobody's.
    NO = "no"
    #: One that waits for what its client says next: its COMMIT has not arrived.
    WAITING = "waiting"
    #: One that is at work, too, unless it only waits for a standby.
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The question what became of a transaction."""

    trace: Trace
    end: End = End.NO


@dataclass(frozen=True, slots=True)
class Told:
    """What a writer answers when it is asked what became of a transaction."""

    run: Run
    #: ``committed``, ``aborted``, ``in progress``; None where it does not know.
    status: str | None
    #: Where it is, after that answer.
    position: Position | None = None


class Fate(Enum):
    """What is known of a transaction."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    #: It may still end either way: ask again.
    RUNNING = "running"
    UNKNOWN = "unknown"


class Judgement(NamedTuple):
    """A fate, and for an unknown one why nobody can tell."""

    fate: Fate
    why: str = ""


_STATUS = {
    "committed": Judgement(Fate.COMMITTED),
    "aborted": Judgement(Fate.ROLLED_BACK),
    "in progress": Judgement(Fate.RUNNING, "it was still under way at the server"),
}
_FORGOTTEN = Judgement(
    Fate.UNKNOWN, "the server does not know its transaction any more"
)
_NO_PLACE = Judgement(Fate.UNKNOWN, "what it had written was not followed in the log")
_ELSEWHERE = Judgement(Fate.UNKNOWN, "the server that answers is another one")
_NOT_ARRIVED = Judgement(
    Fate.UNKNOWN,
    "the promoted server is not known to have received what it had written",
)


def judge(trace: Trace, told: Told, fork: Fork | None, *, same_node: bool) -> Judgement:
    """Tell what the answer *told* means for the transaction of *trace*.

    *fork* is what this process has seen of the beginning of the answering server's
    timeline; *same_node* whether that server is reached as the asking one was.
    """
    before, now = trace.run, told.run
    if now == before and same_node:
        return _by_status(told)
    if trace.written is None or now.recovered is None:
        return _NO_PLACE
    if now.timeline == before.timeline and same_node:
        return _restarted(trace.written, now.recovered, told)
    if now.timeline != before.timeline + 1 or not before.timeline:
        return _ELSEWHERE
    return _by_status(told) if _arrived(trace.written, now, fork) else _NOT_ARRIVED


def _by_status(told: Told) -> Judgement:
    return _STATUS.get(told.status or "", _FORGOTTEN)


def _restarted(written: int, recovered: int, told: Told) -> Judgement:
    """Judge after a restart of the server itself.

    A log that ends before the place of its commit holds no such commit. After a clean
    shutdown nothing is missing.
    """
    if 0 < recovered < written:
        return Judgement(Fate.ROLLED_BACK)
    return _by_status(told)


def _arrived(written: int, now: Run, fork: Fork | None) -> bool:
    """Whether the server had replayed *written* before it was promoted.

    It must have been seen as a reader of the timeline that was left. How far it had
    come was seen too, or it says so itself: where its recovery ended is where its
    timeline began, unless it has crashed since, which what was seen before betrays.
    """
    if fork is None or fork.lower is None:
        return False
    if fork.lower >= written:
        return fork.upper is None or fork.upper >= fork.lower
    began = now.recovered or 0
    if fork.upper is not None:
        began = min(began, fork.upper)
    return began >= written
