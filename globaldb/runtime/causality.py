"""One piece of work, a request or a task: what its connections know of each other."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Final

from globaldb.core.session import OLDER_TIMELINE, SessionState
from globaldb.core.token import bare, label, parts
from globaldb.errors import TokenError
from globaldb.runtime import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from globaldb.core.position import Position
    from globaldb.core.token import Seen
    from globaldb.runtime.cluster import ClusterRuntime

#: Characters of a token that are looked at: no cookie holds more.
LONGEST: Final = 4096


class PieceOfWork:
    """What a piece of work came with, and what its connections have told of since.

    Mutable: the threads and tasks that got a copy of its context take part in it.
    """

    __slots__ = (
        "_lock",
        "advanced",
        "closed",
        "doubtful",
        "kept",
        "known",
        "latest",
        "opened",
        "outer",
        "strict",
        "taken",
        "texts",
    )

    def __init__(
        self, outer: PieceOfWork | None = None, *, strict: bool = False
    ) -> None:
        #: Another object after each change: who has seen it knows all there was.
        self.latest = object()
        self.outer = outer
        self.closed = False
        #: Tokens that cannot be used are errors.
        self.strict = strict
        #: Parts of the tokens it came with.
        self.texts: tuple[str, ...] = ()
        #: Of those, what counts only where its signature has been checked.
        self.doubtful: frozenset[str] = frozenset()
        #: What became of those: whose they were, or None where they were refused.
        self.taken: dict[str, ClusterRuntime | None] = {}
        #: What they tell each cluster.
        self.opened: dict[ClusterRuntime, tuple[Seen, ...]] = {}
        #: What was written, or seen at the writer. Never changed in place.
        self.known: dict[ClusterRuntime, SessionState] = {}
        #: Of which clusters that was in here.
        self.advanced: set[ClusterRuntime] = set()
        #: What connections knew that were given back for others to be taken.
        self.kept: Mapping[ClusterRuntime, SessionState] = {}
        self._lock = RLock()
        if outer is not None:
            self.texts, self.taken = outer.texts, dict(outer.taken)
            self.known, self.kept = dict(outer.known), outer.kept
            self.opened, self.doubtful = dict(outer.opened), outer.doubtful

    def observe(self, text: str, *, strict: bool, signed: bool = False) -> None:
        """Have the connections see what the token *text* tells each of them.

        Ignored are those of its parts that are damaged, and where they must be *signed*
        those that are not. Raises `TokenError` for them instead if *strict*.
        """
        try:
            for part in _parts(text):
                # Whoever handed it on may not have been able to check it.
                unproven = signed or bare(part) != part
                self._observe(bare(part), strict=strict, signed=unproven)
        except TokenError as error:
            if strict:
                raise
            events.token_ignored(error)

    def _observe(self, part: str, *, strict: bool, signed: bool) -> None:
        try:
            _check(part, signed=signed)
        except TokenError as error:
            if strict:
                raise
            events.token_ignored(error)
            return
        with self._lock:
            if part not in self.texts:
                self.texts = (*self.texts, part)
                self.doubtful |= {part} if signed else frozenset()
            elif signed or part not in self.doubtful:
                return
            else:
                # Now it comes from somebody who is believed.
                self.doubtful -= {part}
            self.opened.clear()
            self.latest = object()

    def took(
        self, cluster: ClusterRuntime, texts: tuple[str, ...], found: tuple[Seen, ...]
    ) -> None:
        """Keep what *texts* tell *cluster*, unless there are others by now."""
        with self._lock:
            if texts is self.texts:
                self.opened[cluster] = found

    def tell(
        self, cluster: ClusterRuntime, books: SessionState, *, since: object
    ) -> object:
        """Let the other connections require what *books* do, of a session of *cluster*.

        *since* is what the session has learnt last. Returns what it has learnt now.
        """
        now = replace(books, tables=None, read_node=None)
        with self._lock:
            if not self.closed:
                before = self.known.get(cluster)
                alone = since is self.latest
                if before is not None and not alone:
                    # Somebody else has told of more meanwhile.
                    now.inherit(before)
                self.known[cluster] = now
                self.advanced.add(cluster)
                self.latest = object()
                return self.latest if alone else since
        around = self.around
        if around is not NOWHERE:
            around.tell(cluster, books, since=None)
        return since

    def forget_lost(
        self, cluster: ClusterRuntime, others: Iterable[ClusterRuntime] = ()
    ) -> None:
        """Require no more what was told *cluster*: it was lost, and is known.

        What *others* told, of connections to the same database, only its writer covers.
        """
        with self._lock:
            self.opened[cluster] = ()
            for other in others:
                known = self.known[other] = SessionState()
                known.lost_position(OLDER_TIMELINE)
            self.latest = object()

    def close(self) -> None:
        """End it. What was written in it, the piece of work around it sees."""
        with self._lock:
            # What is told from now on, the one around it hears at once.
            if self.closed:
                return
            self.closed = True
            self.latest = object()
        around = self.around
        if around is not NOWHERE:
            for cluster in self.advanced:
                around.tell(cluster, self.known[cluster], since=None)
        if self.opened:
            for part in self.texts:
                if part not in self.taken:
                    events.token_ignored(_foreign())

    @property
    def around(self) -> PieceOfWork:
        """The innermost one around it that is not over, or `NOWHERE`."""
        around = self.outer or NOWHERE
        while around.closed:
            around = around.outer or NOWHERE
        return around

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Take part in it inside the block, which ends in the context it began in."""
        before = _current.get()
        _current.set(self)
        try:
            yield
        finally:
            _current.set(before)

    def forget_after_fork(self) -> None:
        """Go on in a forked child, in which no other thread holds the lock."""
        self._lock = RLock()


class Part:
    """What one session knows of the piece of work it has a part in, and has told it."""

    __slots__ = ("latest", "own", "piece", "required", "told")

    def __init__(self) -> None:
        self.piece: PieceOfWork | None = None
        #: What was the latest when it looked.
        self.latest: object = None
        #: How often the session had advanced when it told of that.
        self.told = 0
        #: Its books without what others have told it since.
        self.own: SessionState | None = None
        #: What it was to require when it had listened to the others.
        self.required: Position | None = None

    def leave(self, books: SessionState) -> None:
        """Take out of *books* what others told, if the session saw nothing of it."""
        own, self.own = self.own, None
        if own is None or books.floor is not self.required:
            return
        if books.advances != self.told:
            return
        books.floor, books.apart = own.floor, own.apart
        books.floor_at, books.raised_at = own.floor_at, own.raised_at
        books.position_unknown = own.position_unknown
        books.unknown_because = own.unknown_because


#: What is done in no piece of work: every connection is by itself.
NOWHERE: Final = PieceOfWork()

_current: Final[ContextVar[PieceOfWork]] = ContextVar("globaldb_work", default=NOWHERE)

#: The piece of work of the context, which may be over. For the hot path.
here: Final = _current.get


def current() -> PieceOfWork:
    """Return the innermost piece of work that the caller is in, or `NOWHERE`."""
    piece = _current.get()
    if piece.closed:
        # This context is a copy of one in which it has ended.
        piece = piece.around
        _current.set(piece)
    return piece


def enter(piece: PieceOfWork) -> None:
    """Take part in *piece* from now on."""
    _current.set(piece)


def leave(piece: PieceOfWork) -> None:
    """Take no more part in *piece*; in a context that does not, do nothing."""
    if _current.get() is piece:
        _current.set(piece.outer or NOWHERE)


def _parts(text: str) -> list[str]:
    found = parts(text)
    if len(text) > LONGEST:
        raise TokenError(
            f"the token has {len(text)} characters, and none has more than {LONGEST}; "
            "go on without it",
            reason="too_long",
        )
    return found


def _check(part: str, *, signed: bool) -> None:
    """Raise `TokenError` for what is no token, and for one without a signature."""
    if not label(part).signed and signed:
        raise TokenError(
            "the token is not signed, and it comes from a user: set token_secret, or "
            "give the middleware a secret",
            reason="unsigned",
        )


def _foreign() -> TokenError:
    return TokenError(
        "the token is of a database cluster that this piece of work did not use",
        reason="foreign",
    )


def _after_fork() -> None:
    piece = _current.get()
    piece.forget_after_fork()
    while piece.outer is not None:
        piece = piece.outer
        piece.forget_after_fork()


os.register_at_fork(after_in_child=_after_fork)
