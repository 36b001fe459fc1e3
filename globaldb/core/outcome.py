"""What became of a transaction whose COMMIT was sent and never answered.

PostgreSQL remembers how each transaction ended, by its id. But an id whose log was lost
in a crash or a promotion is given out again, and then tells of another transaction. One
that did not commit is not committed by anybody, so a "no" can be believed; a "yes" only
where the log in which the id was used has certainly survived. See
docs/decisions/0022-outcome-of-a-lost-commit.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

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
    #: When that was asked (monotonic seconds).
    asked_at: float = 0.0

    def blurred(self) -> Trace:
        """Return what is left of it once something was done that it does not cover.

        The id may have been used for what is not logged, a temporary table's rows,
        until then.
        """
        return replace(self, written=None)


#: No transaction has had that id on the server that answers, yet.
NEVER_GIVEN: Final = "never given out"


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
    #: ``committed``, ``aborted``, ``in progress`` or `NEVER_GIVEN`; None where it has
    #: forgotten.
    status: str | None
    #: Where it is, after that answer.
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What this process knows itself of the server that answers."""

    #: It is reached under the name of the one that was asked to commit.
    same_node: bool
    #: It was asked over a connection that is older than the trace: whatever it lost
    #: since, that connection would have been lost with it.
    unbroken: bool = False
    #: The run in which the transaction was has said that its log was on the disk up to
    #: here; None when it has said nothing.
    flushed: int | None = None
    #: The beginning of the timeline of the server that answers.
    fork: Fork | None = None


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


_COMMITTED: Final = Judgement(Fate.COMMITTED)
_ROLLED_BACK: Final = Judgement(Fate.ROLLED_BACK)
#: What a run says of its own transactions.
_STATUS: Final = {
    "committed": _COMMITTED,
    "aborted": _ROLLED_BACK,
    "in progress": Judgement(Fate.RUNNING, "it was still under way at the server"),
}
#: What a later run says: whoever is under way there has got the id anew.
_LATER: Final = {
    "committed": _COMMITTED,
    "aborted": _ROLLED_BACK,
    "in progress": _ROLLED_BACK,
    NEVER_GIVEN: _ROLLED_BACK,
}
_FORGOTTEN: Final = Judgement(
    Fate.UNKNOWN, "the server does not know its transaction any more"
)
_NO_PLACE: Final = Judgement(
    Fate.UNKNOWN, "what it had written was not followed in the log"
)
_SILENT: Final = Judgement(
    Fate.UNKNOWN, "the server does not tell whether it has crashed since"
)
_ELSEWHERE: Final = Judgement(
    Fate.UNKNOWN, "the server that answers is another one, or has been"
)
_NOT_ARRIVED: Final = Judgement(
    Fate.UNKNOWN,
    "the promoted server is not known to have received what it had written",
)
_ANYBODYS: Final = Judgement(
    Fate.UNKNOWN,
    "its number has committed, but the server has gone down since it wrote, and was"
    " not seen to have that on its disk before: the number may be another one's by now",
)


def judge(trace: Trace, told: Told, seen: Seen) -> Judgement:
    """Tell what the answer *told* means for the transaction of *trace*."""
    before, now = trace.run, told.run
    if not seen.same_node or now.timeline != before.timeline:
        return _promoted(trace, told, seen)
    if now.started != before.started:
        # One that does not tell its timeline may have been another meanwhile.
        return _later(trace, told, seen) if now.timeline else _ELSEWHERE
    if None in (now.recovered, before.recovered):
        return _perhaps_crashed(told, sure=seen.unbroken and now == before)
    return _by_status(told) if now == before else _later(trace, told, seen)


def _by_status(told: Told) -> Judgement:
    return _STATUS.get(told.status or "", _FORGOTTEN)


def _perhaps_crashed(told: Told, *, sure: bool) -> Judgement:
    """Judge where a crash that restarts only the backends is not told.

    *sure* says that there was none.
    """
    found = _by_status(told)
    return _SILENT if found.fate is Fate.COMMITTED and not sure else found


def _later(trace: Trace, told: Told, seen: Seen) -> Judgement:
    """Judge by a later run of the same server, or of its log at another.

    There may have been others in between, which nobody has seen.
    """
    found = _LATER.get(told.status or "", _FORGOTTEN)
    if found.fate is Fate.ROLLED_BACK:
        return found
    if trace.written is None:
        return _NO_PLACE
    same_log = told.run.timeline == trace.run.timeline
    if same_log and 0 < (told.run.recovered or 0) < trace.written:
        # A log that ends before the place of its commit holds no such commit.
        return _ROLLED_BACK
    if found.fate is not Fate.COMMITTED:
        return found
    return found if (seen.flushed or 0) >= trace.written else _ANYBODYS


def _promoted(trace: Trace, told: Told, seen: Seen) -> Judgement:
    """Judge by a server that had replayed everything before it was promoted.

    From where it had not, nobody knows what other readers have shown.
    """
    if not 0 < trace.run.timeline == told.run.timeline - 1:
        return _ELSEWHERE
    if trace.written is None:
        return _NO_PLACE
    fork = seen.fork
    if fork is None or (fork.lower or 0) < trace.written:
        return _NOT_ARRIVED
    if fork.upper is not None and fork.upper < (fork.lower or 0):
        # Two were promoted to the same number, or it was made anew.
        return _NOT_ARRIVED
    return _later(trace, told, seen)
