"""A session's part in a piece of work: it learns what others wrote, and tells them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.token import Token, in_doubt, label, told
from globaldb.errors import Error, OperationalError, TokenError
from globaldb.runtime import events
from globaldb.runtime.causality import NOWHERE, current
from globaldb.runtime.flow.token import (
    comparable,
    issue,
    opened,
    require,
    sealed,
    seen_of,
)
from globaldb.runtime.session import Session
from globaldb.runtime.shell import BlockingShell, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from globaldb.core.session import SessionState
    from globaldb.core.token import Seen
    from globaldb.runtime.causality import PieceOfWork
    from globaldb.runtime.cluster import ClusterRuntime


#: Seconds that the writer has to tell of a position: a response may be waiting for it,
#: and what was written is written.
_PATIENCE: Final = 5.0


def learn(session: Session) -> None:
    """Require what the session's piece of work came with, and was told of since.

    Raises `TokenError` for a token that cannot be used where that was asked for.
    """
    part, piece = session.part, current()
    # Looked at first: what comes meanwhile is learnt the next time.
    latest = piece.latest
    if part.latest is latest:
        return
    books = session.books
    if part.piece is not piece:
        part.leave(books)
        part.piece = piece
        if piece is not NOWHERE:
            part.own = replace(books, tables=None)
    elif books.floor is not part.required:
        # It has seen something by itself meanwhile.
        part.own = replace(books, tables=None)
    if piece is not NOWHERE:
        _take_in(session, piece)
        part.required = books.floor
    session.hot = None
    part.latest, part.told = latest, books.advances


def tell(session: Session) -> None:
    """Tell the piece of work that the session is in of what it wrote, if it did."""
    part, books = session.part, session.books
    if books.advances == part.told:
        return
    part.told = books.advances
    piece = current()
    if piece is NOWHERE:
        return
    part.latest = piece.tell(session.cluster, books, since=part.latest)
    if part.piece is piece:
        part.own, part.required = replace(books, tables=None), None


def lost(session: Session) -> None:
    """Take note that what the session had to see is gone, and that it was told."""
    piece = current()
    if piece is not NOWHERE:
        cluster = session.cluster
        beside = [
            other
            for other in list(piece.known)
            if other is not cluster and comparable(cluster, seen_of(other, None))
        ]
        piece.forget_lost(cluster, beside)


def _told(piece: PieceOfWork, cluster: ClusterRuntime) -> tuple[Seen, ...]:
    """Return what the tokens of *piece* tell *cluster*; those of others say nothing."""
    found = piece.opened.get(cluster)
    if found is None:
        found, texts = (), piece.texts
        for text in texts:
            if label(text).system == cluster.system:
                seen = _believed(piece, cluster, text)
                piece.taken[text] = cluster if seen else None
                found = (*found, *seen)
        piece.took(cluster, texts, found)
    return found


def _believed(piece: PieceOfWork, cluster: ClusterRuntime, text: str) -> list[Seen]:
    """Return what one token tells *cluster*, if it is to be believed."""
    seen = opened(cluster, text, ignore=not piece.strict)
    if text not in piece.doubtful or all(each.trusted for each in seen):
        return seen
    # Whoever has no secret cannot tell a signature from what looks like one.
    error = TokenError(
        "the token comes from a user, and its cluster has no token_secret to check its "
        "signature with",
        reason="unsigned",
    )
    if piece.strict:
        raise error
    events.token_ignored(error)
    return []


def settled(piece: PieceOfWork) -> bool:
    """Whether the token of *piece* costs no round trip."""
    for cluster in list(piece.known):
        with _asking(piece, cluster) as session:
            if not _known(session.books):
                return False
    return True


def token(piece: PieceOfWork) -> Token | None:
    """Return what *piece* came with and was told of since, for whoever goes on.

    None where that is nothing. A position that is not known costs a round trip to its
    writer, which raises as `execute` does.
    """
    written = [_token_of(piece, cluster) for cluster in list(piece.known)]
    came_with = [
        in_doubt(text) if text in piece.doubtful and text not in piece.taken else text
        for text in piece.texts
        if _still_counts(piece, text)
    ]
    if not written and not came_with:
        return None
    try:
        return Token.merge(*written, *came_with)
    except TokenError as error:
        # As much as there is room for: what was written here comes first.
        events.token_ignored(error)
        return Token.merge(*(written or came_with[:1]))


def _token_of(piece: PieceOfWork, cluster: ClusterRuntime) -> Token:
    with _asking(piece, cluster) as session:
        books = session.books
        if _known(books):
            return sealed(cluster, books.floor)
        latest = piece.latest
        found = _asked(session)
        piece.tell(cluster, books, since=latest)
        return found


def _asked(session: Session) -> Token:
    """Ask the writer where it is; again if a connection turns out to be lost."""
    for again in (True, False):
        try:
            return drive(issue(session))
        except Exception as error:
            if isinstance(error, Error) or not session.cluster.driver.knows(error):
                raise
            if again:
                continue
            # Work belongs to no driver, so whoever asks catches ours.
            raise OperationalError(
                "the writer could not be asked for the position of what was written, "
                f"so there is no token to hand on: {error}"
            ) from error
    raise AssertionError  # pragma: no cover - the second time ends it


@contextmanager
def _asking(piece: PieceOfWork, cluster: ClusterRuntime) -> Iterator[Session]:
    """Have a session that has to see all that *piece* has to of *cluster*."""
    session = Session(cluster, BlockingShell(cluster))
    session.timeout = min(_PATIENCE, session.timeout or _PATIENCE)
    try:
        _take_in(session, piece)
        yield session
    finally:
        session.close()


def _take_in(session: Session, piece: PieceOfWork) -> None:
    for seen in _told(piece, session.cluster):
        require(session, seen)
    for cluster, known in list(piece.known.items()):
        if cluster is session.cluster:
            session.books.inherit(known)
        else:
            _take_from(session, cluster, known)


def _take_from(session: Session, cluster: ClusterRuntime, known: SessionState) -> None:
    """Require what is *known* of the same database, if that is what *cluster* is.

    Connections whose configuration differs, if only in a pool's size, have another one.
    """
    books, floor = session.books, known.floor
    seen = seen_of(cluster, floor if _known(known) else None)
    if not comparable(session.cluster, seen):
        return
    if seen.position is not None and known.apart is None:
        require(session, replace(seen, trusted=True))
    elif known.position_unknown or known.apart is not None or floor is not None:
        advances = books.advances
        books.lost_position(known.unknown_because)
        books.advances = advances


def _still_counts(piece: PieceOfWork, text: str) -> bool:
    """Whether a token that *piece* came with tells what no other does."""
    if text not in piece.taken:
        # Of a cluster that was not used.
        return True
    whose = piece.taken[text]
    return whose is not None and whose not in piece.known


def _known(books: SessionState) -> bool:
    floor = books.floor
    return not books.position_unknown and floor is not None and told(floor)
