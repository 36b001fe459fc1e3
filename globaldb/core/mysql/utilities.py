"""Commands of MySQL and MariaDB that define, maintain and administer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.statement import Defines, Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token
    from globaldb.core.mysql.queries import Judge

_REASONS: Final = {
    "definition": "create alter drop rename grant revoke",
    "write_statement": "truncate",
    "maintenance": "check optimize repair cache",
    "administration": "kill reset shutdown restart install uninstall binlog change "
    "purge clone stop import",
}

#: The reason of each command, by its first word.
UTILITIES: Final = {
    word: reason for reason, words in _REASONS.items() for word in words.split()
}
#: Statements that only read, by their first word.
READS: Final = {"checksum": "checksum", "help": "help"}
_ROUTINES: Final = frozenset(("procedure", "function", "trigger", "event", "package"))
# What makes something that acts when it is read, or gives it another name; engines
# whose tables are elsewhere. A word too many costs little.
_CODE: Final = _ROUTINES | frozenset(
    (
        "view",
        "sequence",
        "rename",
        "federated",
        "federatedx",
        "connect",
        "spider",
        "blackhole",
    )
)
_KEEPING: Final = frozenset((Verdict.PIN, Verdict.SESSION))


def utility(word: str, tokens: Sequence[Token], judge: Judge) -> Statement:
    """Classify a command of this module by its first *word*."""
    command = word.upper()
    head = [token.text for token in tokens[:5]]
    if word in ("create", "drop") and "temporary" in head[1:4]:
        return Statement(Verdict.PIN, "temporary_object", command)
    reason = UTILITIES[word]
    if word == "create" and not defines_routine(tokens):
        # CREATE TABLE ... SELECT runs its query.
        found = judge.expression(tokens)
        if found.verdict in _KEEPING:
            return Statement(
                Verdict.PIN, found.reason, command, alone=True, defines=Defines.DATA
            )
    defines = _defines(tokens) if reason == "definition" else Defines.NOTHING
    return Statement(Verdict.WRITE, reason, command, alone=True, defines=defines)


def _defines(tokens: Sequence[Token]) -> Defines:
    """Return what is defined: an object that is gone acts no more."""
    if tokens[0].text == "drop":
        return Defines.DATA
    acts = any(token.text.lower() in _CODE for token in tokens)
    return Defines.CODE if acts else Defines.DATA


def defines_routine(tokens: Sequence[Token]) -> bool:
    """Return whether a body stands in *tokens*, which may hold semicolons."""
    if tokens[0].text not in ("create", "alter"):
        return False
    for token in tokens:
        if token.text in ("table", "view", "database", "schema", "user", "index"):
            return False
        if token.text in _ROUTINES:
            return True
    return False
