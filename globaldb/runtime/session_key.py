"""Sessions of one user: what `session_key` names, in whatever process."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from globaldb.errors import ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from globaldb.core.position import Position
    from globaldb.runtime.session_store import SessionStore


class Block:
    """One ``with session_key(...)``: a request, say."""

    __slots__ = ("name", "written")

    def __init__(self, name: str) -> None:
        self.name = name
        #: Another object after each position that was published from inside.
        self.written = object()


class Shared:
    """What one session knows of the block it is in, and has told of it."""

    __slots__ = ("block", "floor", "store", "written")

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.block: Block | None = None
        #: What was the last to be published in the block when the session looked.
        self.written: object = None
        #: The floor that was published last, or found.
        self.floor: Position | None = None


_block: Final[ContextVar[Block | None]] = ContextVar("globaldb_session_key")


@contextmanager
def session_key(name: str) -> Iterator[None]:
    """Serve the user *name* inside the block, whatever other processes serve them too.

    Reads of the mode ``session`` inside see every write that was acknowledged under
    the same name before the block began, anywhere (see the option ``session_store``,
    without which nothing happens). Belongs to the thread or the asyncio task, and to
    the tasks it starts; the innermost block counts.

    Raises `ProgrammingError` for a name that is no text, or empty.
    """
    if not name or name != str(name):
        raise ProgrammingError("session_key() needs a text that is not empty")
    token = _block.set(Block(name))
    try:
        yield
    finally:
        _block.reset(token)


def current_block() -> Block | None:
    """Return the innermost block that the caller is in."""
    return _block.get(None)
