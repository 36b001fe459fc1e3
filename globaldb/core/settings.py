"""Session settings: recorded when the application sets them, replayed elsewhere.

A physical connection carries the settings of the session that used it last. Nothing
is cleaned when it goes back to its pool: the next borrower compares what is applied
with what it wants and sends the difference in front of its first statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is applied or wanted: names and the statement that sets each, in the order
#: in which they were set.
Settings = tuple[tuple[str, str], ...]

#: How a setting goes back to what it was when the connection was opened.
_RESETS: Mapping[str, str] = {
    "role": "RESET ROLE",
    "session_authorization": "RESET SESSION AUTHORIZATION",
}

#: Prefix of the names under which prepared statements are recorded.
PREPARED = "prepared:"

#: Prefix of the names under which loaded libraries are recorded: never unloaded.
LIBRARY = "library:"

_SURVIVE_RESET_ALL = frozenset(("role", "session_authorization"))


def replay(applied: Settings, wanted: Settings) -> tuple[str, ...]:
    """Return the statements that turn *applied* into *wanted*."""
    if applied is wanted or applied == wanted:
        return ()
    target = dict(wanted)
    have = dict(applied)
    undo = [
        _reset(name)
        for name in have
        if name not in target and not name.startswith(LIBRARY)
    ]
    redo = []
    for name, sql in wanted:
        if have.get(name) == sql:
            continue
        if name.startswith(PREPARED) and name in have:
            redo.append(_reset(name))
        redo.append(sql)
    return (*undo, *redo)


def after_rollback(before: Settings, attempted: Settings) -> Settings:
    """Return what is applied after *attempted* was rolled back to *before*.

    PostgreSQL undoes a SET with its transaction, but never a PREPARE.
    """
    kept = tuple(item for item in before if not item[0].startswith(PREPARED))
    return (*kept, *(item for item in attempted if item[0].startswith(PREPARED)))


def _reset(name: str) -> str:
    if name.startswith(PREPARED):
        return f'DEALLOCATE "{name.removeprefix(PREPARED)}"'
    return _RESETS.get(name) or f"RESET {name}"


class SettingsBook:
    """The settings one session has made, with those of an open transaction apart.

    PostgreSQL undoes a SET when its transaction or savepoint rolls back; prepared
    statements stay. The book does the same.
    """

    __slots__ = ("_savepoints", "_start", "current")

    def __init__(self) -> None:
        self.current: Settings = ()
        self._start: Settings | None = None
        self._savepoints: list[tuple[str, Settings]] = []

    def record(self, name: str, sql: str) -> None:
        """Take note of a SET (or PREPARE) that succeeded."""
        kept = tuple(item for item in self.current if item[0] != name)
        self.current = (*kept, (name, sql))

    def forget(self, name: str | None) -> None:
        """Take note of a RESET; None means RESET ALL."""
        if name is None:
            self.current = tuple(
                item
                for item in self.current
                if item[0] in _SURVIVE_RESET_ALL
                or item[0].startswith((PREPARED, LIBRARY))
            )
        else:
            self.current = tuple(item for item in self.current if item[0] != name)

    def forget_prepared(self, name: str | None) -> None:
        """Take note of DEALLOCATE; None means ALL."""
        prefix = PREPARED + (name or "")
        self.current = tuple(
            item
            for item in self.current
            if not (item[0].startswith(prefix) and (name is None or item[0] == prefix))
        )

    def clear(self) -> None:
        """Take note of DISCARD ALL."""
        self.current = ()

    def prepared(self, name: str) -> str | None:
        """Return the PREPARE statement recorded under *name*."""
        return dict(self.current).get(PREPARED + name)

    def value_of(self, name: str) -> str | None:
        """Return the statement that set *name* last, if the session did."""
        return dict(self.current).get(name)

    def begin(self) -> None:
        """Start keeping what a rollback would undo."""
        self._start = self.current
        self._savepoints.clear()

    def savepoint(self, name: str) -> None:
        """Remember the settings as they are at savepoint *name*."""
        self._savepoints.append((name, self.current))

    def rollback_to(self, name: str) -> None:
        """Go back to the settings as they were at savepoint *name*."""
        while self._savepoints:
            found, settings = self._savepoints[-1]
            if found == name:
                self._restore(settings)
                return
            self._savepoints.pop()

    def release(self, name: str) -> None:
        """Forget savepoint *name* and those inside it; keep the settings."""
        while self._savepoints:
            if self._savepoints.pop()[0] == name:
                return

    def end(self, *, committed: bool) -> None:
        """End the transaction; without a commit its settings are undone."""
        if not committed and self._start is not None:
            self._restore(self._start)
        self._start = None
        self._savepoints.clear()

    def _restore(self, settings: Settings) -> None:
        self.current = after_rollback(settings, self.current)
