"""Settings of PostgreSQL: SET, RESET, SHOW and set_config() as actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.lexer.postgresql import literal
from globaldb.core.postgresql.transactions import (
    control,
    set_characteristics,
    set_transaction,
)
from globaldb.core.postgresql.words import NODE_SETTINGS
from globaldb.core.statement import (
    GlobaldbShow,
    ResetSetting,
    SetConfig,
    SetConsistency,
    SetSetting,
    SetTransaction,
    ShowConsistency,
    ShowSetting,
    Statement,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token
    from globaldb.core.lexer.reader import TokenReader

#: The names under which Aurora knows the consistency mode of a connection.
CONSISTENCY: Final = frozenset(
    ("apg_write_forward.consistency_mode", "aurora_replica_read_consistency")
)
# SET and SHOW know these by words that are not the setting's name.
_PHRASES: Final = (
    (("time", "zone"), "timezone"),
    (("session", "authorization"), "session_authorization"),
    (("xml", "option"), "xmloption"),
    (("transaction", "isolation", "level"), "transaction_isolation"),
)
_WORDS: Final = {
    "names": "client_encoding",
    "role": "role",
    "schema": "search_path",
    "catalog": "catalog",
}
_SET_DIRECTLY: Final = frozenset(
    ("timezone", "session_authorization", "xmloption", *_WORDS.values())
)
_BOOLEANS: Final = {
    "on": True, "true": True, "yes": True, "1": True, "t": True, "y": True,
    "off": False, "false": False, "no": False, "0": False, "f": False, "n": False,
}  # fmt: skip


def set_statement(reader: TokenReader) -> Statement | None:
    """SET, in all its forms."""
    reader.next()
    if reader.accept("constraints"):
        return Statement(Verdict.TRANSACTION, "set_constraints", "SET")
    if reader.accept("session", "characteristics", "as", "transaction"):
        return set_characteristics(reader, "SET")
    local = reader.accept("local")
    if not local and [token.text for token in reader.rest()[:2]] != [
        "session",
        "authorization",
    ]:
        reader.accept("session")
    if reader.accept("transaction"):
        return set_transaction(reader, "SET")
    if reader.accept("@", "@") and reader.accept("session"):
        reader.accept(".")
    name = _setting(reader)
    if name is None:
        return None
    if not (reader.accept("=") or reader.accept("to") or name in _SET_DIRECTLY):
        return None
    return _set(reader, name, local=local)


def _setting(reader: TokenReader) -> str | None:
    """Read the name of a setting, as a phrase or as a dotted name, in lower case."""
    for words, name in _PHRASES:
        if reader.accept(*words):
            return name
    if reader.word() in _WORDS and len(reader.rest()) > 1:
        following = reader.rest()[1]
        if following.text not in ("=", "to", "."):
            return _WORDS[(reader.identifier() or "")]
    named = reader.dotted()
    return None if named is None else named.lower()


def _set(reader: TokenReader, name: str, *, local: bool) -> Statement | None:
    rest = reader.rest()
    if not rest:
        return None
    value = _value(rest, reader.rest_sql())
    default = len(rest) == 1 and rest[0].kind == "name" and value == "default"
    if name == "timezone" and value == "local" and len(rest) == 1:
        default = default or rest[0].kind == "name"
    if name in CONSISTENCY:
        mode = "default" if default else _mode(value)
        return Statement(
            Verdict.SESSION, "set_consistency", "SET", SetConsistency(mode, local)
        )
    if name.startswith("transaction_") and name[12:] in _TRANSACTION_MODES:
        return _set_mode(name[12:], None if default else value)
    verdict = Verdict.TRANSACTION if local else Verdict.SESSION
    reason = "set_local" if local else "set"
    if default:
        return Statement(verdict, reason, "SET", ResetSetting(name, reader.sql, local))
    action = SetSetting(name, reader.sql, local, value)
    return Statement(verdict, reason, "SET", action)


def _value(tokens: Sequence[Token], written: str) -> str | None:
    if any(token.kind == "param" for token in tokens):
        return None
    if len(tokens) != 1:
        return written
    text = literal(tokens[0])
    return tokens[0].text if text is None else text


def _mode(value: str | None) -> str | None:
    """Return the consistency mode written as *value*."""
    mode = (value or "").strip().lower()
    return None if mode in ("", "off", "none", "null") else mode


_TRANSACTION_MODES: Final = frozenset(("isolation", "read_only", "deferrable"))


def _set_mode(mode: str, value: str | None) -> Statement:
    """SET of a ``transaction_*`` parameter, which means the current transaction."""
    word = (value or "").lower()
    asked = SetTransaction(
        isolation=(word or None) if mode == "isolation" else None,
        read_only=_BOOLEANS.get(word) if mode == "read_only" else None,
        deferrable=_BOOLEANS.get(word) if mode == "deferrable" else None,
    )
    return control("SET", "set_transaction", asked)


def reset(reader: TokenReader) -> Statement | None:
    """RESET of one setting or of all."""
    reader.next()
    if reader.accept("all"):
        return Statement(
            Verdict.SESSION, "reset", "RESET", ResetSetting(None, reader.sql)
        )
    name = _setting(reader)
    if name is None or not reader.done:
        return None
    if name in CONSISTENCY:
        action = SetConsistency("default")
        return Statement(Verdict.SESSION, "set_consistency", "RESET", action)
    return Statement(Verdict.SESSION, "reset", "RESET", ResetSetting(name, reader.sql))


def show(reader: TokenReader) -> Statement | None:
    """SHOW: our own tables, the consistency mode, or a setting."""
    reader.next()
    if reader.accept("globaldb"):
        what = reader.identifier()
        return _ours(what) if what is not None and reader.done else None
    if reader.accept("@", "@") and reader.accept("session"):
        reader.accept(".")
    name = _setting(reader)
    if name is None or not reader.done:
        return None
    if name == "pools":
        return _ours(name)
    if name in CONSISTENCY:
        return Statement(
            Verdict.READ, "show_consistency", "SHOW", ShowConsistency(name)
        )
    if name in NODE_SETTINGS:
        return Statement(Verdict.NODE_LOCAL, "node_setting", "SHOW", ShowSetting(name))
    return Statement(
        Verdict.SAME_CONNECTION, "session_state", "SHOW", ShowSetting(name)
    )


def _ours(what: str) -> Statement:
    return Statement(Verdict.READ, "globaldb_show", "SHOW", GlobaldbShow(what.lower()))


def set_config(reader: TokenReader) -> Statement | None:
    """Read a SELECT that is exactly ``set_config()`` calls; ``None`` for any other.

    Values are literals or placeholders, so that the statement can be replayed.
    """
    reader.next()
    calls: list[tuple[str | None, str | None, bool | None]] = []
    while True:
        call = _set_config_call(reader)
        if call is None:
            return None
        calls.append(call)
        if reader.accept("as") or reader.word() not in (",", ""):
            reader.identifier()
        if not reader.accept(","):
            break
    if not reader.done:
        return None
    return _set_config(calls, reader.sql)


def _set_config(
    calls: list[tuple[str | None, str | None, bool | None]], sql: str
) -> Statement:
    scopes = {local for _, _, local in calls}
    local = scopes.pop() if len(scopes) == 1 else None
    name, value = calls[0][:2] if len(calls) == 1 else (None, None)
    if name in CONSISTENCY and value is not None and local is not None:
        action = SetConsistency(_mode(value), local)
        return Statement(Verdict.SESSION, "set_consistency", "SELECT", action)
    if local is None:
        verdict = Verdict.PIN
    else:
        verdict = Verdict.TRANSACTION if local else Verdict.SESSION
    return Statement(
        verdict, "set_config", "SELECT", SetConfig(name, local, sql, value)
    )


def _set_config_call(
    reader: TokenReader,
) -> tuple[str | None, str | None, bool | None] | None:
    """Read one call: name, value and scope, each ``None`` where it is no literal."""
    reader.accept("pg_catalog", ".")
    if not reader.accept("set_config", "("):
        return None
    arguments: list[Token] = []
    for end in (",", ",", ")"):
        token = reader.next()
        if token is None or not (
            token.kind in ("string", "number", "param")
            or token.text in ("true", "false", "null")
        ):
            return None
        if reader.accept("::"):
            reader.identifier()
        if not reader.accept(end):
            return None
        arguments.append(token)
    name, value, scope = arguments
    folded = literal(name)
    return (
        None if folded is None else folded.lower(),
        value.text if value.kind == "number" else literal(value),
        _BOOLEANS.get((literal(scope) or scope.text).lower()),
    )
