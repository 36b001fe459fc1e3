"""PostgreSQL commands that define, maintain and administer: all of them write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from globaldb.core.findings import Finding
from globaldb.core.statement import Defines, Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer import Token

_REASONS: Final = {
    "definition": "create alter drop comment grant revoke security import refresh "
    "reassign",
    "write_statement": "truncate",
    "maintenance": "vacuum analyze analyse cluster reindex checkpoint repack",
    "opaque_body": "do call",
    "notify": "notify",
    "lock_table": "lock",
}

#: The reason of each command, by its first word.
UTILITIES: Final = {
    word: reason for reason, words in _REASONS.items() for word in words.split()
}

# What may be created, changed or dropped together with other commands. Everything
# else (databases, tablespaces, subscriptions, ALTER SYSTEM) is better alone.
_TRANSACTIONAL: Final = frozenset(
    (
        "aggregate",
        "domain",
        "extension",
        "function",
        "global",
        "index",
        "local",
        "materialized",
        "or",
        "policy",
        "procedure",
        "role",
        "rule",
        "schema",
        "sequence",
        "table",
        "temp",
        "temporary",
        "trigger",
        "unique",
        "unlogged",
        "user",
        "view",
    )
)
_TOGETHER: Final = frozenset(
    ("comment", "grant", "revoke", "truncate", "notify", "lock", "refresh")
)
_DEFINE: Final = frozenset(("create", "alter", "drop"))
# What may change an object that the catalog tells of.
_DEFINING: Final = _DEFINE | {"import"}
# Kinds of objects that act when a statement reads; a word too many costs little.
_CODE: Final = frozenset(
    (
        "aggregate",
        "cast",
        "domain",
        "extension",
        "function",
        "operator",
        "policy",
        "procedure",
        "rename",
        "routine",
        "rule",
        "schema",
        "security",
        "type",
        "view",
    )
)
_TEMPORARY: Final = frozenset(("temp", "temporary"))
# A body is text to us; these words in it may change what only the connection knows.
_NAME: Final = re.compile(r"[^\W\d][\w$]*+")
_STATEFUL: Final = ("advisory", "set_config", "setseed", "dblink", "temp", "listen")


def utility(
    word: str,
    tokens: Sequence[Token],
    judge: Callable[[Sequence[Token]], Finding],
    catalog: Catalog,
) -> Statement:
    """Classify a command of this module by its first *word*."""
    command = word.upper()
    alone = _travels_alone(word, tokens)
    if word == "lock":
        return Statement(Verdict.TRANSACTION, "lock_table", command)
    if word == "alter" and tokens[1:2] and tokens[1].text == "system":
        return Statement(Verdict.WRITE, "administration", command, alone=True)
    if word == "create" and not _TEMPORARY.isdisjoint(t.text for t in tokens[1:5]):
        return Statement(Verdict.PIN, "temporary_object", command, alone=alone)
    if any(token.text == "pg_temp" for token in tokens):
        return Statement(Verdict.PIN, "temporary_object", command, alone=alone)
    verdict, reason = _judged(word, tokens, judge, catalog)
    defines = _defines(word, tokens)
    return Statement(verdict, reason, command, alone=alone, defines=defines)


def _judged(
    word: str,
    tokens: Sequence[Token],
    judge: Callable[[Sequence[Token]], Finding],
    catalog: Catalog,
) -> Finding:
    """Return what the command does, and whether it may keep its connection."""
    plain = Finding(Verdict.WRITE, UTILITIES[word])
    if word in ("do", "call") and _stateful(tokens, catalog):
        return plain._replace(verdict=Verdict.PIN)
    if word not in _DEFINE and word != "call":
        return plain
    found = judge(tokens)
    if found.verdict is Verdict.PIN and found.reason != "temporary_object":
        return found
    if word == "call" and catalog.functions and found.reason == "unknown_function":
        # The catalog would know what a procedure keeps, if it could see it.
        return found._replace(verdict=Verdict.PIN)
    return plain


def _defines(word: str, tokens: Sequence[Token]) -> Defines:
    if word == "do":
        bodies = " ".join(t.text for t in tokens if t.kind == "string").lower()
        return Defines.CODE if any(w in bodies for w in _DEFINE) else Defines.NOTHING
    if word not in _DEFINING:
        return Defines.NOTHING
    # An object that is gone acts no more.
    acts = word != "drop" and any(token.text in _CODE for token in tokens[1:])
    return Defines.CODE if acts else Defines.DATA


def _travels_alone(word: str, tokens: Sequence[Token]) -> bool:
    if any(token.text == "concurrently" for token in tokens):
        return True
    if word in _DEFINE:
        return len(tokens) < 2 or tokens[1].text not in _TRANSACTIONAL
    return word not in _TOGETHER


def _stateful(tokens: Sequence[Token], catalog: Catalog) -> bool:
    bodies = " ".join(token.text for token in tokens if token.kind == "string").lower()
    if any(word in bodies for word in _STATEFUL):
        return True
    keeping = catalog.keeping
    return bool(keeping) and not keeping.isdisjoint(_NAME.findall(bodies))
