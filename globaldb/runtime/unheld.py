"""What was lent and is held by nobody any more, so that nobody will give it back.

An exception that comes from outside (a time limit's signal, Ctrl-C, another thread's)
can strike between any two instructions, also between a loan and the ``try`` that
would end it.
"""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

T = TypeVar("T")


def unheld(members: Collection[T]) -> list[T]:
    """Return those that nothing but *members* refers to."""
    counts = _references(members)
    pairs = zip(members, counts, strict=True)
    return [member for member, count in pairs if count == _ALONE]


def _references(members: Collection[object]) -> list[int]:
    return [getrefcount(member) for member in members]


#: What is counted of an object that is in a collection and nowhere else. Counted the
#: same way, because interpreters differ in what they add themselves.
_ALONE: Final = _references({object()})[0]
