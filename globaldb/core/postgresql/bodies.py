"""What the body of a routine does, judged by its text.

SQL is judged as it is anywhere. PL/pgSQL is judged word by word: a command that is no
query, a write, or a text that is put together from what nobody can see makes it one.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from globaldb.core.findings import Finding
from globaldb.core.lexer.postgresql import literal, tokenize
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.commands import CARRIERS
from globaldb.core.postgresql.functions import HARMLESS
from globaldb.core.postgresql.queries import RUNS_ARGUMENT, Query
from globaldb.core.postgresql.utilities import UTILITIES
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer import Token

READS: Final = Finding(Verdict.READ, "known_function")
OPAQUE: Final = Finding(Verdict.WRITE, "opaque_body")
_PLAIN: Final = frozenset((Verdict.READ, Verdict.NODE_LOCAL, Verdict.SAME_CONNECTION))

# Behind these a statement of PL/pgSQL begins.
_BEFORE_STATEMENT: Final = names("; begin then else loop declare")
_COMMANDS: Final = (
    UTILITIES.keys()
    | CARRIERS.keys()
    | names("set reset commit rollback abort savepoint release start")
) - names("fetch move close execute explain declare")
_DML: Final = names("insert update delete merge")
# Words an expression may follow, which the grammar of queries does not know.
_BEFORE_EXPRESSION: Final = names(
    "perform elsif elseif while assert reverse query raise exit foreach slice"
)
_EXECUTE_ENDS: Final = names("; loop into using")
# What may build a text out of the routine's own literals and its arguments.
_BUILDERS: Final = names("format concat quote_ident quote_literal quote_nullable text")
#: A variable's type as that of something else: `%t` would be a placeholder.
TYPE_OF: Final = re.compile(r"%(?=\s*(?:row)?type\b)", re.IGNORECASE)
_RUN: Final = re.compile(r"\s*(?:%s|explain\b|select\b|with\b)", re.IGNORECASE)
_CHANGES: Final = re.compile(
    r";|\b(?:insert|update|delete|merge|create|alter|drop|truncate|refresh|execute|"
    r"declare|copy|call|do|into|for)\b",
    re.IGNORECASE,
)


def judge(
    language: str, text: str, catalog: Catalog, arguments: frozenset[str]
) -> Finding | None:
    """Return what a body in *language* does; ``None`` where that is not known.

    *arguments* are the names under which it knows its arguments.
    """
    if language == "internal":
        return READS if text.strip() in HARMLESS else None
    if language == "sql":
        return _as_finding(text, catalog)
    if language == "plpgsql":
        return _procedural(text, catalog, arguments)
    return None


def _as_finding(text: str, catalog: Catalog) -> Finding:
    found = classify(text, catalog)
    if found.verdict is Verdict.READ:
        return READS
    if found.verdict in _PLAIN or found.verdict in (Verdict.WRITE, Verdict.PIN):
        return Finding(found.verdict, found.reason)
    return OPAQUE


def _procedural(text: str, catalog: Catalog, arguments: frozenset[str]) -> Finding:
    tokens = tokenize(TYPE_OF.sub(".", text))
    if not tokens or tokens[-1].kind == "bad" or commands(tokens) or _writes(tokens):
        return OPAQUE
    runs = False
    for index, token in enumerate(tokens):
        if token.kind == "name" and token.text == "execute":
            if not _builds(_executed(tokens, index + 1), arguments):
                return OPAQUE
            runs = True
    found = Query([as_query(token) for token in tokens], catalog, None).judge()
    if found.verdict is not Verdict.READ:
        return found
    return RUNS_ARGUMENT if runs else READS


def commands(tokens: Sequence[Token]) -> bool:
    """Return whether a statement among *tokens* is a command other than a query."""
    before = ";"
    for index, token in enumerate(tokens):
        if (
            token.kind == "name"
            and token.text in _COMMANDS
            and before in _BEFORE_STATEMENT
            and not (index + 1 < len(tokens) and tokens[index + 1].text in ":=[.")
        ):
            return True
        before = token.text if token.kind in ("name", "op") else ""
    return False


def _writes(tokens: Sequence[Token]) -> bool:
    """Return whether a word of *tokens* may begin a write, wherever it stands."""
    return any(
        token.kind == "name" and token.text in _DML and before.text not in (".", "as")
        for before, token in pairwise(tokens)
    )


def as_query(token: Token) -> Token:
    """Return *token* as the grammar of queries would have it."""
    if token.kind == "name":
        if token.text in _BEFORE_EXPRESSION:
            return token._replace(text="select")
        if token.text == "into":
            # Into a variable; where a write is meant, its own word tells.
            return token._replace(text="as")
    return token


def _executed(tokens: Sequence[Token], index: int) -> Sequence[Token]:
    """Return the expression behind EXECUTE, which begins at *index*."""
    end = index
    while end < len(tokens) and not (
        tokens[end].kind in ("name", "op") and tokens[end].text in _EXECUTE_ENDS
    ):
        end += 1
    return tokens[index:end]


def _builds(tokens: Sequence[Token], arguments: frozenset[str]) -> bool:
    """Return whether *tokens* make a reading text of literals and arguments alone."""
    texts = [literal(token) for token in tokens if token.kind == "string"]
    if texts and not _RUN.match(texts[0] or ""):
        return False
    if any(text is None or _CHANGES.search(text) for text in texts):
        return False
    return all(
        token.kind in ("string", "op", "number")
        or (token.kind == "param" and token.text[0] == "$")
        or (token.kind == "name" and token.text in _BUILDERS | arguments)
        for token in tokens
    )
