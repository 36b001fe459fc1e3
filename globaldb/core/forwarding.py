"""What Aurora's own write forwarding takes, and what it refuses.

Aurora documents both as lists; what is on neither is not known. A reader forwards for
certain what is on the first list only, and refuses what is on the second.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.consistency import VARIABLES, Consistency, parse_consistency
from globaldb.core.statement import Statement, Verdict
from globaldb.core.words import names
from globaldb.errors import ConfigurationError, NotForwardedError, SettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from globaldb.core.lexer import Token

#: The operations that Aurora refuses, by the first word of the statement.
_COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        **dict.fromkeys(names("CREATE ALTER DROP COMMENT IMPORT REFRESH"), "DDL"),
        **{
            word: word
            for word in names(
                """
                ANALYSE ANALYZE CALL CLUSTER COPY GRANT LISTEN LOCK NOTIFY REINDEX
                REVOKE TRUNCATE VACUUM
                """
            )
        },
        "SECURITY": "SECURITY LABEL",
        "REASSIGN": "REASSIGN OWNED",
        "DECLARE": "cursors",
    },
    "mysql": {
        **dict.fromkeys(names("CREATE ALTER DROP RENAME TRUNCATE"), "DDL"),
        **{
            word: word
            for word in names("ANALYZE CALL GRANT LOAD LOCK OPTIMIZE REPAIR REVOKE XA")
        },
        "INSTALL": "INSTALL PLUGIN",
        "UNINSTALL": "UNINSTALL PLUGIN",
    },
}
_FUNCTIONS: Final = names(
    "unknown_function volatile_function listed_function stateful_function"
)
_OF_BOTH: Final[Mapping[str, str]] = {
    "definition": "DDL",
    "savepoint": "SAVEPOINT",
    "release": "RELEASE SAVEPOINT",
    "rollback_to": "ROLLBACK TO SAVEPOINT",
    **dict.fromkeys(_FUNCTIONS, "user-defined function"),
}
#: The same by the reason for the verdict, for what may begin with any word.
_REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        **_OF_BOTH,
        "select_into": "SELECT INTO",
        "set_constraints": "SET CONSTRAINTS",
        "sequence": "nextval() and setval()",
        "prepare_transaction": "two-phase commit",
        "commit_prepared": "two-phase commit",
        "rollback_prepared": "two-phase commit",
    },
    "mysql": _OF_BOTH,
}
#: Aurora MySQL refuses these while the mode is set, even in what is not forwarded.
_ALWAYS: Final = names("savepoint release rollback_to xa")
_CHANGES: Final = names("INSERT UPDATE DELETE REPLACE")
_NAMES: Final = frozenset(("name", "quoted"))
#: What may stand between the first word of a change and the name of its table.
_MODIFIERS: Final = names("low_priority high_priority delayed quick ignore into from")

_LEVEL: Final = re.compile(r"READ[ -](?:UN)?COMMITTED|REPEATABLE[ -]READ|SERIALIZABLE")

#: What a reader forwards for certain: the reasons and the first words of its writes.
_FORWARDED: Final = names("write_statement locking_clause data_modifying_cte")
_FORWARDED_COMMANDS: Final = names(
    "INSERT UPDATE DELETE SELECT WITH TABLE EXPLAIN EXECUTE"
)


def refused(
    engine: str,
    statement: Statement,
    tokens: Sequence[Token] = (),
    *,
    temporary: Collection[str] = (),
    own_functions: bool = False,
    read_only: bool = False,
) -> str | None:
    """Return the operation as which Aurora refuses *statement*; None if it does not.

    *tokens* are those of the statement; *temporary* the names of the session's
    temporary tables; *own_functions* tells that functions of the database are run.
    What is said in a *read_only* transaction is not forwarded, so not refused either.
    """
    if statement.verdict is Verdict.READ:
        return None
    if read_only and (engine != "mysql" or statement.reason not in _ALWAYS):
        return None
    if engine == "mysql" and _on_temporary(statement, tokens, temporary):
        return None
    operation = _COMMANDS[engine].get(statement.command)
    operation = operation or _REASONS[engine].get(statement.reason)
    if operation is None and statement.verdict in (Verdict.WRITE, Verdict.PIN):
        operation = _by_names(engine, statement, tokens, temporary)
        if own_functions:
            operation = operation or "user-defined function"
    return operation


def forwards(
    statement: Statement, tokens: Sequence[Token], temporary: Collection[str] = ()
) -> bool:
    """Whether a reader forwards a write that is not `refused`, for certain.

    So it must stand on Aurora's list, and do nothing besides.
    """
    return (
        statement.verdict is Verdict.WRITE
        and not statement.multiple
        and statement.reason in _FORWARDED
        and statement.command in _FORWARDED_COMMANDS
        and not _named(tokens, temporary)
    )


def refused_level(engine: str, level: str | None) -> str | None:
    """Return the isolation level in which nothing is forwarded, if it is one.

    *level* is its name, or the statement that set it; None where nobody did.
    """
    found = None if level is None else _LEVEL.search(level.upper())
    if found is None:
        return None
    name = found[0].replace("-", " ")
    fine = name == "REPEATABLE READ" if engine == "mysql" else name != "SERIALIZABLE"
    return None if fine else name


def not_forwarded(engine: str, operation: str, region: str | None) -> NotForwardedError:
    """Return the error with which Aurora refuses *operation* in *region*."""
    refusal = f"{operation} is not supported with write forwarding"
    if engine == "mysql":
        refusal = (
            "This version of MySQL doesn't yet support "
            f"'{operation} with write forwarding'"
        )
    return NotForwardedError(
        f"{refusal}: Aurora refuses it in a region without the writer (here {region}), "
        "and forwarding is not 'driver'. Nothing was sent. Use route='writer' for it, "
        "or forwarding='driver'"
    )


def switched(
    engine: str,
    written: str | None,
    *,
    before: Consistency | None,
    default: Consistency | None,
    inside: bool,
) -> Consistency | None:
    """Return the mode that a SET to *written* leads to, as `SetConsistency` has it.

    *inside* a transaction MySQL's may go neither from empty to set nor back. Raises
    `SettingError`, for that and for what is no mode.
    """
    variable = VARIABLES[engine]
    try:
        mode = default if written == "default" else parse_consistency(written or "")
    except ConfigurationError:
        raise SettingError(
            f"Variable '{variable}' can't be set to the value of '{written}'. It must "
            f"be one of {', '.join(repr(each.value) for each in Consistency)}, or "
            + ("'' for off" if engine == "mysql" else "'off'")
        ) from None
    if engine == "mysql" and inside and (mode is None) is not (before is None):
        raise SettingError(
            f"{variable} can't be changed between empty and set while a transaction "
            "is in progress. Commit or roll back first",
            errno=1568,
        )
    return mode


def _on_temporary(
    statement: Statement, tokens: Sequence[Token], temporary: Collection[str]
) -> bool:
    """Whether it changes nothing but a temporary table, which lives on the reader."""
    if statement.reason == "temporary_object":
        return True
    if statement.command == "LOAD":
        words = [token.text.lower() for token in tokens]
        at = words.index("table") + 1 if "table" in words else len(words)
        return _table(tokens, at) in temporary
    return statement.command in _CHANGES and _table(tokens, 1) in temporary


def _by_names(
    engine: str,
    statement: Statement,
    tokens: Sequence[Token],
    temporary: Collection[str],
) -> str | None:
    """Return what is refused because of a name that stands in the statement."""
    if engine == "postgresql":
        called = _named(tokens, ("nextval", "setval"))
        return _REASONS[engine]["sequence"] if called else None
    if statement.command in _CHANGES and _named(tokens, temporary):
        return "temporary table"
    return None


def _named(tokens: Sequence[Token], wanted: Collection[str]) -> bool:
    return bool(wanted) and any(
        token.kind in _NAMES and token.text.lower() in wanted for token in tokens
    )


def _table(tokens: Sequence[Token], at: int) -> str:
    """Return the name of the table that is named first from *at* on."""
    while at < len(tokens) and tokens[at].text in _MODIFIERS:
        at += 1
    if [token.text for token in tokens[at + 1 : at + 2]] == ["."]:
        at += 2
    return tokens[at].text.lower() if at < len(tokens) else ""
