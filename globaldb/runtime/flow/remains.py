"""What a statement that succeeded leaves on its connection, and changes for others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.settings import PREPARED
from globaldb.core.statement import (
    CommitPrepared,
    Defines,
    Discard,
    RollbackPrepared,
    SetConfig,
    SetSetting,
    Verdict,
)
from globaldb.core.temporary import created, dropped

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.runtime.port import Work
    from globaldb.runtime.session import Session

#: Commands that make, change or remove objects.
_OF_OBJECTS: Final = frozenset(("CREATE", "ALTER", "DROP", "DO", "CALL", "PREPARE"))
#: Everything that is made without a schema is then temporary.
_ALL_TEMPORARY: Final = re.compile(
    r"(?:=|\bto|\bschema|',)[\s'\"]*pg_temp\b", re.IGNORECASE
)


def left_behind(session: Session, work: Work) -> Defines:
    """Take note of what a statement that succeeded has left on the lease.

    Returns what it has changed of the objects that others see too.
    """
    statement = work.statement
    if isinstance(statement.action, CommitPrepared | RollbackPrepared):
        return session.cluster.catalog.finished(statement.action.gid)
    if statement.reason == "lock_table" and session.idiom.begins_anew:
        session.transaction.tables_locked = statement.command != "UNLOCK"
    temporary = statement.reason == "temporary_object" and not statement.multiple
    if isinstance(statement.action, Discard) and statement.action.what == "TEMP":
        session.temporary.discard(inside=session.transaction.active)
    elif (statement.verdict is Verdict.PIN and not temporary) or _may_hide(
        session, statement
    ):
        session.pinned_whole = True
    elif temporary or (session.temporary and statement.command in _OF_OBJECTS):
        return _count_temporary(session, work)
    return statement.defines


def _may_hide(session: Session, statement: Statement) -> bool:
    """Whether it may leave a temporary object whose name is not to be seen."""
    action = statement.action
    if isinstance(action, SetSetting | SetConfig) and action.local:
        # Nobody records it: what follows is not told apart.
        local = action.sql if action.name == "search_path" else ""
        return session.on_writer and _ALL_TEMPORARY.search(local) is not None
    if statement.verdict not in (Verdict.WRITE, Verdict.PIN):
        return False
    if statement.multiple and statement.defines is not Defines.NOTHING:
        return bool(session.temporary)
    path = session.settings.value_of("search_path")
    return path is not None and _ALL_TEMPORARY.search(path) is not None


def _count_temporary(session: Session, work: Work) -> Defines:
    command = work.statement.command
    # Where a rollback undoes no settings, it undoes no temporary table either.
    inside = session.transaction.active and session.idiom.undoes_settings
    tokens = session.cluster.knowledge.tokens(work.source)
    made = created(tokens)
    if command == "DROP":
        # A savepoint may bring it back; and it may be another of that name.
        path = session.settings.value_of("search_path") or ""
        if not (session.transaction.has_savepoints or "pg_temp" in path.lower()):
            gone = dropped(tokens)
            own = gone <= session.temporary.names and all(
                token.text != "." for token in tokens
            )
            session.temporary.remove(gone, inside=inside)
            if own:
                return Defines.NOTHING
    elif work.statement.verdict is not Verdict.PIN:
        # A view over a temporary table, or a new name of one, is one as well;
        # and a statement prepared over one is of no use anywhere else.
        session.pinned_whole |= session.temporary.named_in(work.source)
    elif made is None:
        session.pinned_whole = True
    else:
        session.temporary.add(made, inside=inside)
        session.pinned_whole |= any(
            session.temporary.named_in(sql)
            for name, sql in session.settings.current
            if name.startswith(PREPARED)
        )
    return work.statement.defines
