"""Several statements in one text: where they part, and what they are together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from globaldb.core.findings import SEVERITY
from globaldb.core.statement import Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token


def pieces(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """Cut at the semicolons outside parentheses; leave out what is empty."""
    found: list[Sequence[Token]] = []
    depth = start = 0
    for index, (kind, sign, _, _) in enumerate(tokens):
        if kind != "op":
            continue
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == ";" and depth <= 0:
            if index > start:
                found.append(tokens[start:index])
            start = index + 1
            depth = 0
    if start < len(tokens):
        found.append(tokens[start:])
    return found


def partners(tokens: Sequence[Token]) -> list[int]:
    """Return for each parenthesis the index of its partner, elsewhere -1."""
    partner = [-1] * len(tokens)
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text == "(":
            opened.append(index)
        elif token.text == ")" and opened:
            partner[index] = opened.pop()
            partner[partner[index]] = index
    return partner


def join(parts: Sequence[Statement]) -> Statement:
    """Join the verdicts of several statements that travel as one text."""
    graver = max(parts, key=gravity)
    verdict = graver.verdict
    reason = graver.reason
    if verdict is Verdict.TRANSACTION and graver.action is None:
        verdict = Verdict.WRITE
    elif verdict in (Verdict.SESSION, Verdict.TRANSACTION):
        verdict, reason = Verdict.PIN, f"script_{reason}"
    alone = any(part.alone for part in parts)
    defines = max((part.defines for part in parts), key=lambda d: d.value)
    return Statement(
        verdict,
        reason,
        parts[0].command,
        multiple=True,
        alone=alone,
        defines=defines,
    )


def gravity(part: Statement) -> int:
    """Return how much the verdict of *part* weighs among others."""
    return SEVERITY[part.verdict]
