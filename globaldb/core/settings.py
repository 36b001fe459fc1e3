"""Session settings: recorded when the application sets them, replayed elsewhere.

A physical connection carries the settings of the session that used it last. Nothing
is cleaned when it goes back to its pool: the next borrower compares what is applied
with what it wants and sends the difference in front of its first statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.idiom import POSTGRESQL

if TYPE_CHECKING:
    from globaldb.core.idiom import Idiom

#: What is applied or wanted: names and the statement that sets each, in the order
#: in which they were set.
Settings = tuple[tuple[str, str], ...]

#: Prefix of the names under which prepared statements are recorded.
PREPARED = "prepared:"

#: Prefix of the names under which loaded libraries are recorded: never unloaded.
LIBRARY = "library:"

#: The name under which MySQL's USE is recorded.
DATABASE = "database"

#: What no rollback undoes.
_STAYING = (PREPARED, LIBRARY)

#: Who the statements run as. RESET ALL leaves it alone, and what may be set
#: depends on it.
_USER = frozenset(("role", "session_authorization"))


def replay(
    applied: Settings, wanted: Settings, idiom: Idiom = POSTGRESQL
) -> tuple[str, ...]:
    """Return the statements that turn *applied* into *wanted*.

    Only what differs; but where the user was changed, everything is undone, last
    first, and done again in order: each setting was made by who was the user then,
    and perhaps nobody else may.
    """
    if applied is wanted or applied == wanted:
        return ()
    target = dict(wanted)
    have = dict(applied)
    if _USER.isdisjoint(have.keys() | target.keys()):
        same = {name for name in have if have[name] == target.get(name)}
        # Another value takes the place of the one before it, but not a PREPARE's.
        stay = {name for name in target if not name.startswith(PREPARED)} | same
    else:
        same = stay = {name for name in have if name.startswith(LIBRARY)}
    undo = [
        _reset(name, idiom)
        for name in reversed(have)
        if name not in stay and not name.startswith(LIBRARY)
    ]
    redo = [sql for name, sql in target.items() if name not in same]
    return (*undo, *redo)


def after_rollback(
    before: Settings, attempted: Settings, idiom: Idiom = POSTGRESQL
) -> Settings:
    """Return what is applied after *attempted* was rolled back to *before*.

    PostgreSQL undoes a SET with its transaction, but never a PREPARE or a LOAD; MySQL
    undoes none of them.
    """
    if not idiom.undoes_settings:
        return attempted
    kept = tuple(item for item in before if not item[0].startswith(_STAYING))
    return (*kept, *(item for item in attempted if item[0].startswith(_STAYING)))


def _reset(name: str, idiom: Idiom) -> str:
    if name.startswith(PREPARED):
        return idiom.deallocate(name.removeprefix(PREPARED))
    return idiom.reset(name)


class SettingsBook:
    """The settings one session has made, with those of an open transaction apart.

    PostgreSQL undoes a SET when its transaction or savepoint rolls back; prepared
    statements stay. The book does the same.
    """

    __slots__ = ("_idiom", "_savepoints", "_start", "current")

    def __init__(self, idiom: Idiom = POSTGRESQL) -> None:
        self._idiom = idiom
        self.current: Settings = ()
        self._start: Settings | None = None
        self._savepoints: list[tuple[str, Settings]] = []

    def record(self, name: str, sql: str) -> None:
        """Take note of a SET (or PREPARE) that succeeded."""
        self.current = (*self._without(name), (name, sql))

    def forget(self, name: str | None) -> None:
        """Take note of a RESET; None means RESET ALL."""
        if name is None:
            self.current = tuple(
                item
                for item in self.current
                if item[0] in _USER or item[0].startswith(_STAYING)
            )
        else:
            self.current = self._without(name)

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

    def _without(self, name: str) -> Settings:
        """Return the settings but *name*, and what the server resets along with it."""
        gone = _USER if name == "session_authorization" else (name,)
        return tuple(item for item in self.current if item[0] not in gone)

    def _restore(self, settings: Settings) -> None:
        self.current = after_rollback(settings, self.current, self._idiom)
