"""Execution options: what a statement, a connection or an engine asks of routing."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy.exc import ArgumentError

from globaldb.dbapi.routed import OPTIONS as USING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class HasOptions(Protocol):
    """An engine, a connection or a statement."""

    def execution_options(self, **opt: Any) -> Any:
        """Return it, or one like it, with these options."""


T = TypeVar("T", bound=HasOptions)

_PREFIX: Final = "globaldb_"

#: Execution option to the option of a connection's ``using``.
OPTIONS: Final = {_PREFIX + name: name for name in USING}

#: Options by SQLAlchemy's own name that a statement may bring along.
NAMES: Final = frozenset(OPTIONS)


def wanted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``using`` takes of a statement's execution options."""
    return {OPTIONS[name]: given[name] for name in NAMES & given.keys()}


def refuse_unknown(names: Iterable[str]) -> None:
    """Raise `ArgumentError` for an option that begins as ours do and is none."""
    for name in names:
        if name.startswith(_PREFIX) and name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(
                f"unknown execution option {name!r}{hint} There are "
                f"{', '.join(OPTIONS)}"
            )


def reader(target: T) -> T:
    """Return *target* (an engine, a connection, a statement) with reads at a reader.

    A write goes to the writer all the same.
    """
    routed: T = target.execution_options(globaldb_route="reader")
    return routed


def writer(target: T) -> T:
    """Return *target* (an engine, a connection, a statement) with reads at the writer.

    They see everything that was committed before them.
    """
    routed: T = target.execution_options(globaldb_route="writer")
    return routed
