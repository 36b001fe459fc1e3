"""What the body of a stored routine does beyond what its queries do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.catalog import graver
from globaldb.core.findings import Finding
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from globaldb.core.lexer import Token

_READ: Final = Finding(Verdict.READ, "known_function")
_CHANGES: Final = Finding(Verdict.WRITE, "write_statement")
_OPAQUE: Final = Finding(Verdict.WRITE, "opaque_body")
_KEEPS: Final = Finding(Verdict.PIN, "stateful_function")

#: Behind these a statement begins.
_SURE: Final = frozenset((";", "begin", "atomic", "loop", "repeat", ":"))
#: Behind these too, unless they are part of an expression.
_UNSURE: Final = frozenset(("then", "else", "do"))
_FLOW: Final = names(
    """
    begin end if elseif else case when while loop repeat until for leave iterate goto
    return declare open fetch close null signal resignal get do call raise exit
    continue select with values table insert update delete replace set
    """
)
#: Statements that leave something on their connection, or run a text.
_KEEPING: Final = names(
    "prepare execute deallocate lock unlock handler xa flush use backup"
)
_CHANGING: Final = names(
    """
    create drop alter truncate rename grant revoke load analyze optimize check repair
    cache install uninstall kill reset purge change start stop commit rollback
    savepoint release binlog import shutdown
    """
)
#: Words of a body, and types, in front of a parenthesis that begins no arguments.
_NO_CALLS: Final = names(
    """
    until then elseif else when while return if case do in enum set varchar2 nvarchar
    nchar raw loop repeat begin call
    """
)
_SCOPES: Final = frozenset(("global", "session", "local", "@@"))


def plain_body(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of a body without those that mean something else in a query.

    INTO names a variable of the routine there, and a routine's name may follow CALL.
    """
    kept = []
    for index, token in enumerate(tokens):
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.text == "into" and after is not None and _names_variable(after):
            continue
        if token.text in _NO_CALLS and after is not None and after.text == "(":
            continue
        kept.append(token)
    return kept


def _names_variable(token: Token) -> bool:
    return token.kind == "quoted" or (
        token.kind == "name" and token.text not in ("outfile", "dumpfile")
    )


def body_finding(tokens: Sequence[Token], variables: frozenset[str]) -> Finding:
    """Judge the statements of a body that are no queries.

    *variables* are the parameters of the routine; it may declare more.
    """
    declared = variables | frozenset(_declared(tokens))
    found = _READ
    for index, sure in _starts(tokens):
        found = graver(found, _started(tokens, index, declared, sure=sure))
    return found


def _declared(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the names behind DECLARE, up to their type."""
    for index, token in enumerate(tokens):
        if token.text != "declare":
            continue
        for at in range(index + 1, len(tokens), 2):
            if tokens[at].kind not in ("name", "quoted"):
                break
            yield tokens[at].text.lower()
            if at + 1 == len(tokens) or tokens[at + 1].text != ",":
                break


def _starts(tokens: Sequence[Token]) -> Iterator[tuple[int, bool]]:
    """Yield where statements begin, and whether one surely does there."""
    before = ";"
    for index, token in enumerate(tokens):
        if before in _SURE:
            yield index, True
        elif before in _UNSURE:
            yield index, False
        before = token.text if token.kind in ("name", "op") else ""


def _started(
    tokens: Sequence[Token], index: int, declared: frozenset[str], *, sure: bool
) -> Finding:
    """Judge the statement that begins at *index*, by its first words."""
    word = tokens[index].text.lower()
    after = tokens[index + 1].text.lower() if index + 1 < len(tokens) else ""
    if word in ("create", "drop", "alter") and "temporary" in (
        token.text for token in tokens[index + 1 : index + 4]
    ):
        return _KEEPS
    if word in _KEEPING:
        return _KEEPS
    if word in _CHANGING:
        return _CHANGES
    if word == "set":
        return _assigned(tokens, index + 1, declared)
    unknown = sure and word not in _FLOW and after != ":" and word not in ("(", ";")
    return _OPAQUE if unknown and word not in declared else _READ


def _assigned(tokens: Sequence[Token], index: int, declared: frozenset[str]) -> Finding:
    """Judge SET: of the routine's own variables, of columns, or of a session's."""
    depth = 0
    begins = True
    for at in range(index, len(tokens)):
        token = tokens[at]
        if token.text == ";" and not depth:
            break
        if begins and not _own_variable(tokens, at, declared):
            return _KEEPS
        depth += (token.text == "(") - (token.text == ")")
        begins = token.text == "," and not depth
    return _READ


def _own_variable(
    tokens: Sequence[Token], index: int, declared: frozenset[str]
) -> bool:
    name = tokens[index].text.lower()
    if tokens[index].kind == "variable" or name in _SCOPES:
        return False
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return name in declared or (name in ("new", "old") and after == ".")
