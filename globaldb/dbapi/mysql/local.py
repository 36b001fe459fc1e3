"""SQL that the connection answers itself, with ordinary rows and without a trip."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.consistency import VARIABLES
from globaldb.core.lexer import decoded
from globaldb.core.statement import (
    ExplainRoute,
    GlobaldbShow,
    ResetSetting,
    SetConsistency,
    SetSetting,
    ShowConsistency,
    ShowSetting,
    Statement,
)
from globaldb.dbapi.mysql.results import of_rows, of_table, without_rows
from globaldb.errors import SettingError
from globaldb.runtime import flow, show

if TYPE_CHECKING:
    from globaldb.dbapi.mysql.connection import Connection

_AUTOCOMMIT: Final = "autocommit"
_ON: Final = frozenset(("1", "on", "true"))
_OFF: Final = frozenset(("0", "off", "false"))
#: What is selected, which is also the name of its column.
_SELECTED: Final = re.compile(r"select\s+(.+?)[\s;]*\Z", re.IGNORECASE | re.DOTALL)


def answer(face: Connection, statement: Statement, text: str | bytes) -> Any:
    """Answer *statement* if it is the connection's own; None otherwise."""
    found: Any = None
    match statement.action:
        case GlobaldbShow(what):
            found = of_table(show.table(face.session, what))
        case ExplainRoute(sql):
            found = of_table(show.route_table(face.explain_route(sql)))
        case ShowConsistency(variable):
            found = _consistency(face, statement, variable, text)
        case SetConsistency():
            flow.switch_mode(face.session, statement.action)
            found = without_rows()
        case SetSetting(name="autocommit") | ResetSetting(name="autocommit"):
            found = _set_autocommit(face, statement.action)
        case SetSetting(name="completion_type", value=wanted):
            _refuse_completion(wanted)
        case ShowSetting(name="autocommit"):
            value = int(face.session.autocommit)
            found = of_rows(((_selected(text), int),), ((value,),))
        case _:
            pass
    return found


def _consistency(
    face: Connection, statement: Statement, variable: str, text: str | bytes
) -> Any:
    held = face.session.consistency
    value = held.value if held is not None else ""
    if statement.command == "SHOW":
        columns = (("Variable_name", str), ("Value", str))
        return of_rows(columns, ((variable, value),))
    renamed = variable != VARIABLES["mysql"]
    column = variable if renamed else _selected(text)
    return of_rows(((column, str),), ((value,),))


def _set_autocommit(face: Connection, action: SetSetting | ResetSetting) -> Any:
    # A server that was told nothing else starts with autocommit.
    value = "1" if isinstance(action, ResetSetting) else action.value
    if value is None:
        raise SettingError(
            "SET autocommit was not sent: the connection has to know what it is set to. "
            "Set it to 0 or 1, in a statement of its own"
        )
    word = (value or "").lower()
    if word not in _ON | _OFF:
        raise SettingError(
            f"Variable 'autocommit' can't be set to the value of '{value}'"
        )
    face.autocommit(word in _ON)
    return without_rows()


def _refuse_completion(value: str | None) -> None:
    """Refuse to have every COMMIT do something else than the session knows of."""
    if (value or "").lower() not in ("0", "no_chain"):
        raise SettingError(
            f"Variable 'completion_type' can't be set to the value of '{value}': the "
            "connection has to know what COMMIT does. Say COMMIT AND CHAIN, or close()"
        )


def _selected(text: str | bytes) -> str:
    found = _SELECTED.search(decoded(text))
    return found[1] if found is not None else _AUTOCOMMIT
