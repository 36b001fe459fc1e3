"""Statements that change the session: run once, recorded, replayed elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from globaldb.core.routing import Decision, Target, decide_read
from globaldb.core.settings import DATABASE, LIBRARY, PREPARED
from globaldb.core.statement import (
    Deallocate,
    Discard,
    Load,
    Prepare,
    ResetSetting,
    SetCharacteristics,
    SetConfig,
    SetSetting,
    Statement,
    Verdict,
)
from globaldb.runtime.flow.forwarding import settings_for
from globaldb.runtime.flow.read import read
from globaldb.runtime.flow.requirement import bring_up_to_date
from globaldb.runtime.flow.write import write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from globaldb.core.idiom import Idiom
    from globaldb.runtime.port import Link, Work
    from globaldb.runtime.session import Session

_SETTINGS = (
    SetSetting,
    ResetSetting,
    SetConfig,
    SetCharacteristics,
    Prepare,
    Deallocate,
    Discard,
    Load,
)

#: Applying these on a hot standby fails, or makes every later read there fail.
_WRITER_ONLY = ("default_transaction_isolation", "transaction_isolation")

_REASON = "session_setting"

#: It changes with every random(), so PostgreSQL lets nobody reset it.
_NEVER_RESET = "seed"


def is_setting(statement: Statement) -> bool:
    """Whether *statement* leaves something behind that later ones depend on."""
    return statement.verdict is Verdict.SESSION and isinstance(
        statement.action, _SETTINGS
    )


async def make_setting(
    session: Session,
    work: Work,
    run: Callable[[Session, Work], Awaitable[None]],
) -> None:
    """Run a statement that changes the session, and record what it changed.

    It is recorded while the connection is still held: once back in its pool, the
    connection may be anybody's.
    """
    action = work.statement.action
    if not _recordable(work, action):
        # Set from a parameter, or by a list of calls: it cannot be replayed, so the
        # session keeps the connection it was set on.
        work.statement = replace(work.statement, verdict=Verdict.PIN, action=None)
        await run(session, work)
        return
    work.on_success = partial(_record, session, work, action)
    if session.transaction.active or session.lease is not None:
        await run(session, work)
    elif _needs_writer(action):
        await write(session, work, _REASON)
    else:
        decision = await _where(session, action)
        if decision.target is Target.READER:
            await read(session, work, replace(decision, reason=_REASON))
        else:
            await write(session, work, _REASON)
    session.hot = None
    if isinstance(action, Discard) and action.what == "ALL":
        session.pin_writes = False
        session.unpin()
        session.release()


async def _where(session: Session, action: Any) -> Decision:
    """Decide who may try out a setting: any reader, but for one that names objects.

    It is refused where those have not arrived yet, which the session may have made.
    """
    if not isinstance(action, Prepare) and getattr(action, "name", None) != DATABASE:
        return Decision(Target.READER, _REASON)
    await bring_up_to_date(session)
    return decide_read(session.intent, session.books, session.cluster.topology)


def _needs_writer(action: Any) -> bool:
    if isinstance(action, SetCharacteristics):
        return (action.isolation or "").lower() == "serializable"
    name = getattr(action, "name", None)
    return isinstance(action, SetSetting | SetConfig) and name in _WRITER_ONLY


def _recordable(work: Work, action: Any) -> bool:
    """Whether the text says everything: parameters and lists of calls do not."""
    if isinstance(action, SetSetting | SetConfig) and action.name == _NEVER_RESET:
        return False
    if isinstance(action, SetConfig):
        return action.name is not None
    if isinstance(action, SetSetting):
        return action.value is not None or not work.has_parameters
    return True


def _record(session: Session, work: Work, action: Any, link: Link) -> None:
    """Take note of a setting that *link* has just accepted."""
    book = session.settings
    if isinstance(action, Prepare | Deallocate):
        _record_prepared(session, action)
        if isinstance(action, Deallocate) and action.name is None:
            link.forget_statements()
    elif isinstance(action, ResetSetting):
        book.forget(action.name)
    elif isinstance(action, Discard):
        if action.what == "ALL":
            book.clear()
            link.forget_statements()
    else:
        for name, sql in _made(work, action, session.idiom):
            book.record(name, sql)
    link.settings = settings_for(session, link)


def _record_prepared(session: Session, action: Prepare | Deallocate) -> None:
    if isinstance(action, Deallocate):
        session.settings.forget_prepared(action.name)
    else:
        session.settings.record(PREPARED + action.name, action.sql)


def _made(work: Work, action: Any, idiom: Idiom) -> list[tuple[str, str]]:
    """Return what *action* has set: names, and statements that set the same again."""
    if isinstance(action, SetSetting):
        return [(action.name, action.sql)]
    if isinstance(action, SetConfig):
        name = str(action.name)
        return [(name, _set_config(name, work.first_value() or ""))]
    if isinstance(action, Load):
        return [(LIBRARY + action.library, action.sql)]
    say = idiom.characteristic
    return [(name, say(name, value)) for name, value in _characteristics(action)]


def _characteristics(action: SetCharacteristics) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if action.isolation is not None:
        pairs.append(("default_transaction_isolation", action.isolation.lower()))
    if action.read_only is not None:
        pairs.append(("default_transaction_read_only", _onoff(on=action.read_only)))
    if action.deferrable is not None:
        pairs.append(("default_transaction_deferrable", _onoff(on=action.deferrable)))
    return pairs


def _onoff(*, on: bool) -> str:
    return "on" if on else "off"


def _set_config(name: str, value: str) -> str:
    return f"SELECT set_config({_literal(name)}, {_literal(value)}, false)"


def _literal(text: str) -> str:
    escaped = text.replace("'", "''").replace("\\", "\\\\")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"
