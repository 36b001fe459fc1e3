"""A piece of work of the application: one request, one task, one function."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from globaldb.errors import ProgrammingError
from globaldb.runtime import causality
from globaldb.runtime.causality import NOWHERE, PieceOfWork
from globaldb.runtime.flow import causality as flow

if TYPE_CHECKING:
    from collections.abc import Iterator


class Work:
    """One piece of work: ``with`` it, its connections know of each other.

    Also with ``async with``. Once only.
    """

    __slots__ = ("_began", "_piece")

    def __init__(
        self,
        *tokens: str | None,
        invalid: str = "ignore",
        signed: bool = False,
        alone: bool = False,
    ) -> None:
        """Prepare it with *tokens*; *signed* takes signed tokens alone, *alone* none from around."""
        if invalid not in ("raise", "ignore"):
            raise ProgrammingError(
                f"invalid is {invalid!r}; it must be 'raise' or 'ignore'"
            )
        strict = invalid == "raise"
        around = None if alone else causality.current()
        self._piece = PieceOfWork(around, strict=strict)
        self._began = False
        for token in tokens:
            if token is not None:
                self._piece.observe(token, strict=strict, signed=signed)

    @property
    def token(self) -> str | None:
        """What it has written, and seen at writers, with what it came with, as text.

        None while it has only read at readers. Costs nothing where the positions are
        known; else one round trip to the writer, which raises as `execute` does, after 5
        seconds at most. Signed with the ``token_secret`` of each cluster that has one.
        """
        return flow.token(self._piece) if self._piece.advanced else None

    @property
    def settled(self) -> bool:
        """Whether `token` would answer now without a round trip."""
        return not self._piece.advanced or flow.settled(self._piece)

    def observe(self, token: str, *, invalid: str = "ignore") -> None:
        """From now on read nothing older than *token*: from each next transaction on.

        Each cluster takes what is its own. With *invalid* ``raise``, raises `TokenError`
        for a text that is damaged; else it is ignored, and logged with its reason.
        """
        if invalid not in ("raise", "ignore"):
            raise ProgrammingError(
                f"invalid is {invalid!r}; it must be 'raise' or 'ignore'"
            )
        self._piece.observe(token, strict=invalid == "raise")

    def __enter__(self) -> Self:
        if self._began:
            raise ProgrammingError(
                "this session() has begun before; each piece of work takes a new one"
            )
        self._began = True
        causality.enter(self._piece)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        # Perhaps in another context than it began in: then that one finds out.
        causality.leave(self._piece)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Do a part of it, which ends in the context in which it began."""
        self._began = True
        with self._piece.entered():
            yield

    def end(self) -> None:
        """End it; `token` tells what it was told until then."""
        self._piece.close()


def session(token: str | None = None, *, invalid: str = "ignore") -> Work:
    """Begin one piece of work: ``with globaldb.session(token) as work:``.

    Every connection of any cluster that is used inside, in this thread or task and in
    those that get a copy of its context, sees what *token* tells, and what the others
    have written inside or seen at the writer: from its next statement on, or its next
    transaction. ``work.token`` is what to hand to the next piece of work. One inside of
    another knows what that one knew when it began, and tells it at its end.

    With *invalid* ``raise``, raises `TokenError` for a token that cannot be used, here
    or in the first statement on its cluster; else it is ignored and logged. A part of
    another cluster's is none of its business.
    """
    return Work(token, invalid=invalid)


def current_token() -> str | None:
    """Return what the work that goes on here knows, for a task queue to hand on.

    What it came with, wrote, and saw at the writer; None outside of `session`, and where
    that is nothing. What is not committed yet is not in it. Costs what `Work.token` does.
    """
    return handed_on(None)


def handed_on(given: str | None) -> str | None:
    """Return `current_token`, with what a token that was *given* tells besides."""
    piece = causality.current()
    if piece is NOWHERE:
        return given
    if given is not None:
        piece = PieceOfWork(piece)
        piece.observe(given, strict=False)
    return flow.token(piece)
