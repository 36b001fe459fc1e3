"""The frame around everything a connection does: turns, and errors of both trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pymysql import err

from globaldb.drivers.pymysql.translate import translate

if TYPE_CHECKING:
    from types import TracebackType


class Story:
    """``with`` it, nothing else happens on the connection *face* meanwhile.

    What is raised inside leaves as an error that both trees catch.
    """

    __slots__ = ("_face",)

    def __init__(self, face: Any) -> None:
        self._face = face

    def __enter__(self) -> None:
        self._face.lock.acquire()
        if self._face.session.closed:
            self._face.lock.release()
            raise_both(self._face, closed_error())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._face.lock.release()
        if isinstance(exc_val, Exception):
            raise_both(self._face, exc_val)


def closed_error() -> err.Error:
    """Return PyMySQL's own error for a connection that was closed."""
    return err.InterfaceError(0, "the connection is closed")


def raise_both(face: Any, error: BaseException) -> NoReturn:
    """Raise *error* as one that both error trees catch."""
    both = translate(error, face.session.route)
    if both is error:
        raise error
    raise both from error
