"""Find the promises that a history breaks.

Nothing here knows how the product works: only what applications did, when, and what
they were told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from histories.fates import Ending, Fate, OpenTransaction, fates
from histories.history import MONOTONE, Event, History, Kind, Outcome, Read, Write

_ONCE: Final = "exactly once or an error"


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, by which event (None: by the outcome as a whole)."""

    promise: str
    what: str
    event: Event | None = None

    def __str__(self) -> str:
        where = ""
        if self.event is not None:
            where = f" [{self.event.session}: {self.event.text or self.event.kind}]"
        return f"{self.promise}: {self.what}{where}"


@dataclass(slots=True)
class _Seen:
    """Everything a session may never miss again."""

    ids: set[int] = field(default_factory=set)
    versions: dict[int, int] = field(default_factory=dict)

    def add(self, write: Write) -> None:
        if write.key is None:
            self.ids.add(write.id)
        else:
            self.version(write.key, write.version or 0)

    def version(self, key: int, version: int) -> None:
        self.versions[key] = max(version, self.versions.get(key, 0))

    def merge(self, other: _Seen) -> None:
        self.ids |= other.ids
        for key, version in other.versions.items():
            self.version(key, version)

    def copy(self) -> _Seen:
        return _Seen(set(self.ids), dict(self.versions))


@dataclass(slots=True)
class _Session:
    """One session on its way through the history."""

    seen: _Seen = field(default_factory=_Seen)
    transaction: OpenTransaction = field(default_factory=OpenTransaction)


def check(history: History) -> list[Violation]:
    """Return every violation in *history*."""
    endings = fates(history.events)
    return [
        *_routes(history),
        *_exactly_once(history, endings),
        *_Reads(history, endings).violations(),
    ]


def _routes(history: History) -> Iterator[Violation]:
    for event in history.events:
        place = event.place
        if place and place.role == "reader" and place.verdict in ("write", "pin"):
            yield Violation("writes run on the writer", f"{place}", event)
        if event.outcome is Outcome.UNEXPECTED:
            yield Violation("errors have a reason", event.error, event)
        if (
            event.kind is Kind.WRITE
            and event.mode == "off"
            and event.outcome is Outcome.DONE
            and event.region != history.home
        ):
            yield Violation("no write forwarding when it is off", "it ran", event)


def _exactly_once(history: History, endings: dict[int, Ending]) -> Iterator[Violation]:
    present = Counter(history.ids)
    for number, times in present.items():
        if times > 1:
            yield Violation(_ONCE, f"id {number} is there {times} times")
        if number not in endings:
            yield Violation(_ONCE, f"id {number} is there and nobody wrote it")
    for number, ending in endings.items():
        if ending.write.key is None:
            yield from _as_told(number, ending, there=number in present)
    for key, (version, _) in history.registers.items():
        yield from _register_once(key, version, endings)


def _as_told(number: int, ending: Ending, *, there: bool) -> Iterator[Violation]:
    if ending.fate is Fate.COMMITTED and not there:
        yield Violation(_ONCE, f"id {number} was committed and is missing")
    if ending.fate is Fate.UNDONE and there:
        yield Violation(_ONCE, f"id {number} was not applied and is there")


def _register_once(
    key: int, final: int, endings: dict[int, Ending]
) -> Iterator[Violation]:
    """Every write adds one to the version, so the last one tells their number."""
    mine = [ending for ending in endings.values() if ending.write.key == key]
    sure = [ending for ending in mine if ending.fate is Fate.COMMITTED]
    unknown = [ending for ending in mine if ending.fate is Fate.UNKNOWN]
    if not len(sure) <= final <= len(sure) + len(unknown):
        yield Violation(
            _ONCE,
            f"register {key} has version {final} after {len(sure)} committed writes "
            f"and {len(unknown)} of unknown outcome",
        )
    for version, times in Counter(ending.write.version for ending in sure).items():
        if times > 1:
            yield Violation(
                _ONCE, f"register {key}: {times} writes made version {version}"
            )


class _Reads:
    """Goes through a history in the order of completion, and judges its reads."""

    def __init__(self, history: History, endings: dict[int, Ending]) -> None:
        self._events = history.events
        self._endings = endings
        self._present = frozenset(history.ids)
        self._sessions: dict[str, _Session] = {}
        self._board: dict[str, _Seen] = {}

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with each read."""
        for event in self._events:
            session = self._sessions.setdefault(event.session, _Session())
            decided = session.transaction.take(event)
            if event.kind is Kind.READ and isinstance(event.data, Read):
                yield from self._read(session, event, event.data)
            for write in decided:
                if event.outcome is Outcome.DONE or self._there_after_all(event, write):
                    session.seen.add(write)
            if event.outcome is Outcome.DONE:
                self._hand_over(session, event)

    def _there_after_all(self, event: Event, write: Write) -> bool:
        """Of unknown outcome, and committed: the lab cuts only what was answered."""
        return event.outcome is Outcome.UNKNOWN and write.id in self._present

    def _hand_over(self, session: _Session, event: Event) -> None:
        match event.kind:
            case Kind.TOKEN:
                self._board[event.label] = session.seen.copy()
            case Kind.OBSERVE:
                session.seen.merge(self._board[event.label])
            case Kind.OPEN:
                session.seen = _Seen()
            case _:
                pass

    def _read(self, session: _Session, event: Event, read: Read) -> Iterator[Violation]:
        own = [w for w in session.transaction.writes if w.key == read.key]
        if read.key is None:
            yield from self._list(session, event, read, {write.id for write in own})
        else:
            versions = [write.version or 0 for write in own]
            yield from self._register(session, event, read, max(versions, default=0))

    def _list(
        self, session: _Session, event: Event, read: Read, own: set[int]
    ) -> Iterator[Violation]:
        ids = set(read.ids)
        if len(ids) < len(read.ids):
            yield Violation(_ONCE, "an id is there twice", event)
        for number in sorted(ids - own):
            yield from self._committed(event, number)
        for number in sorted(own - ids):
            yield Violation("a transaction sees itself", f"missed {number}", event)
        if event.mode not in MONOTONE:
            return
        for number in sorted(session.seen.ids - ids):
            yield Violation(self._promise(number, event), f"missed id {number}", event)
        if event.mode == "global":
            for number in sorted(self._before(event, None) - ids):
                yield Violation("global", f"missed id {number}", event)
        session.seen.ids |= ids - own

    def _register(
        self, session: _Session, event: Event, read: Read, own: int
    ) -> Iterator[Violation]:
        key, version = read.key or 0, read.version
        if version < own:
            what = f"version {version}, wrote {own}"
            yield Violation("a transaction sees itself", what, event)
        if version and not own:
            yield from self._committed(event, read.value)
            yield from self._belongs(event, read)
        if event.mode not in MONOTONE:
            return
        known = session.seen.versions.get(key, 0)
        due = self._latest_before(event, key) if event.mode == "global" else 0
        for promise, least in (("session", known), ("global", due)):
            if version < least:
                what = f"register {key} at version {version}, not {least}"
                yield Violation(promise, what, event)
        if not own:
            session.seen.version(key, version)

    def _belongs(self, event: Event, read: Read) -> Iterator[Violation]:
        """The id in a register is the one that made its version."""
        ending = self._endings.get(read.value)
        if ending and ending.write.version not in (None, read.version):
            what = f"{read.value} is not version {read.version}"
            yield Violation("only committed data", what, event)

    def _latest_before(self, event: Event, key: int) -> int:
        writes = [self._endings[n].write for n in self._before(event, key)]
        return max((write.version or 0 for write in writes), default=0)

    def _committed(self, event: Event, number: int) -> Iterator[Violation]:
        """Only what is committed, or about to be, may be seen by others."""
        ending = self._endings.get(number)
        if ending is None or ending.fate is Fate.UNDONE:
            what = f"saw {number}, which was never committed"
            yield Violation("only committed data", what, event)
        elif ending.began > event.ended:
            what = f"saw {number} before it was committed"
            yield Violation("only committed data", what, event)

    def _before(self, event: Event, key: int | None) -> set[int]:
        """The writes to *key* that were committed before *event* began."""
        return {
            number
            for number, ending in self._endings.items()
            if ending.write.key == key
            and ending.fate is Fate.COMMITTED
            and ending.ended < event.began
        }

    def _promise(self, number: int, event: Event) -> str:
        mine = self._endings[number].session == event.session
        return "session: own write" if mine else "session: monotonic reads"
