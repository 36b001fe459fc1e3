"""Several statements of MySQL in one text, and statements with a body."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from globaldb.core.mysql.utilities import defines_routine
from globaldb.core.script import join
from globaldb.core.statement import (
    Deallocate,
    Execute,
    Prepare,
    SetSetting,
    Statement,
    Verdict,
)
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.lexer import Token

#: What may begin a statement of MariaDB with statements inside.
BLOCKS: Final = frozenset(("if", "case", "loop", "while", "repeat", "for", "declare"))
_BODIES: Final = BLOCKS | frozenset(("begin",))
# Words of statements that change what only the connection knows.
_STATEFUL: Final = names(
    """
    set prepare execute temporary lock unlock handler use xa call get_lock
    release_lock release_all_locks is_free_lock is_used_lock start
    """
)


def script(parts: Sequence[Statement], cut: Sequence[Sequence[Token]]) -> Statement:
    """Join the verdicts of *parts*, whose tokens are *cut*.

    A statement that is prepared and executed in the same text is what its body is.
    """
    joined: dict[int, Statement] = dict(enumerate(parts))
    carriers = _carriers(parts)
    prepared: dict[str, int] = {}
    for index, part in enumerate(parts):
        if isinstance(part.action, Prepare):
            prepared[part.action.name] = index
        elif isinstance(part.action, Execute) and part.action.name in prepared:
            source = prepared[part.action.name]
            action = parts[source].action
            assert isinstance(action, Prepare)  # noqa: S101 - it was put there above
            body = action.body
            joined[index] = Statement(body.verdict, body.reason, "EXECUTE")
            joined.pop(source, None)
            joined.pop(carriers.get(cut[source][-1].text, -1), None)
        elif isinstance(part.action, Deallocate) and part.action.name in prepared:
            joined.pop(index)
    together = join(list(joined.values())) if joined else parts[0]
    return replace(together, command=parts[0].command, multiple=True)


def _carriers(parts: Sequence[Statement]) -> dict[str, int]:
    """Return the SET of each variable that is set once: it may carry a text."""
    found: dict[str, int] = {}
    for index, part in enumerate(parts):
        if isinstance(part.action, SetSetting):
            name = part.action.name
            found[name] = -1 if name in found else index
    return found


def compound(tokens: Sequence[Token]) -> bool:
    """Return whether a statement begins here that may hold others."""
    words = [token.text for token in tokens[:3]]
    if words == ["begin", "not", "atomic"] or words[0] in BLOCKS:
        return True
    return defines_routine(tokens)


def block(
    tokens: Sequence[Token],
    parts: Sequence[Sequence[Token]],
    judge: Callable[[Sequence[Token]], Statement],
) -> Statement:
    """Judge a text that begins with a statement that may hold others."""
    if parts[0][0].text in ("create", "alter"):
        return _definition(parts, judge)
    stateful = any(
        token.kind == "variable" or token.text in _STATEFUL for token in tokens
    )
    verdict = Verdict.PIN if stateful else Verdict.WRITE
    return Statement(verdict, "opaque_body", parts[0][0].text.upper(), alone=True)


def _definition(
    parts: Sequence[Sequence[Token]], judge: Callable[[Sequence[Token]], Statement]
) -> Statement:
    """Judge CREATE of a routine; what its body says is not done now."""
    first = judge(parts[0])
    if len(parts) == 1:
        return first
    if not _BODIES.isdisjoint(token.text for token in parts[0]):
        last = max(
            (at for at, part in enumerate(parts) if part[0].text == "end"), default=0
        )
        if any(defines_routine(part) for part in parts[1:]):
            return Statement(
                Verdict.PIN, "definition", first.command, multiple=True, alone=True
            )
        parts = parts[last:]
    if len(parts) == 1:
        return first
    return script([first, *map(judge, parts[1:])], parts)
