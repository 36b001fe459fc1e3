"""Settings of MySQL and MariaDB: SET in all its forms, and USE, as actions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.findings import Finding
from globaldb.core.lexer.mysql import literal
from globaldb.core.modes import modes
from globaldb.core.mysql.transactions import control
from globaldb.core.settings import DATABASE
from globaldb.core.statement import (
    Action,
    ResetSetting,
    SetCharacteristics,
    SetConfig,
    SetConsistency,
    SetSetting,
    SetTransaction,
    ShowConsistency,
    ShowSetting,
    Statement,
    Verdict,
)
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from globaldb.core.lexer import Token
    from globaldb.core.lexer.reader import TokenReader
    from globaldb.core.mysql.queries import Judge

#: The name under which Aurora knows the consistency mode of a connection.
CONSISTENCY: Final = "aurora_replica_read_consistency"

_SHARED: Final = frozenset(("global", "persist", "persist_only"))
_OWN: Final = frozenset(("session", "local"))
_SCOPES: Final = _SHARED | _OWN
# What these set is used up by a later statement: it must not be set again elsewhere.
_USED_UP: Final = names(
    """
    gtid_domain_id gtid_next gtid_seq_no identity insert_id last_insert_id
    pseudo_thread_id rand_seed1 rand_seed2
    """
)
_TRANSACTION_MODES: Final = {
    "transaction_isolation": "isolation",
    "tx_isolation": "isolation",
    "transaction_read_only": "read_only",
    "tx_read_only": "read_only",
}
# The session must understand these, which it does where one stands alone.
_ALONE: Final = frozenset((*_TRANSACTION_MODES, CONSISTENCY, "autocommit"))
# What SET changes for everybody, and what it knows by words of their own.
_ACCOUNTS: Final = (("password",), ("default", "role"), ("resource", "group"))
_PHRASES: Final = (
    (("names",), "names"),
    (("charset",), "character_set"),
    (("character", "set"), "character_set"),
    (("role",), "role"),
)
_TRUE: Final = frozenset(("1", "on", "true"))
_FALSE: Final = frozenset(("0", "off", "false"))
_LEVELS: Final = frozenset(
    ("read uncommitted", "read committed", "repeatable read", "serializable")
)
_OF_LITERALS: Final = frozenset(("true", "false", "null", "date", "time", "timestamp"))
# A value with one of these is another one later, or on another node.
_UNSTABLE: Final = names(
    """
    connection_id curdate current_date current_role current_time current_timestamp
    current_user curtime database from localtime localtimestamp next now previous rand
    random_bytes schema session_user sys_guid sysdate system_user unix_timestamp user
    utc_date utc_time utc_timestamp uuid uuid_short version
    """
)
_READABLE: Final = frozenset((Verdict.READ, Verdict.NODE_LOCAL))
_KEPT: Final = Finding(Verdict.SESSION, "user_variable")


class _Assignment(NamedTuple):
    """One of the assignments of a SET.

    *scope* is empty where none was written, ``next`` for ``@@name`` without one.
    """

    name: str
    scope: str
    value: Sequence[Token]


def use(reader: TokenReader, _judge: Judge) -> Statement | None:
    """USE of a database."""
    reader.next()
    name = reader.identifier()
    if name is None or not reader.done:
        return None
    return _session("use", SetSetting(DATABASE, reader.sql, value=name), "USE")


def _session(reason: str, action: Action, command: str = "SET") -> Statement:
    return Statement(Verdict.SESSION, reason, command, action)


def set_statement(reader: TokenReader, judge: Judge) -> Statement | None:
    """SET, in all its forms."""
    reader.next()
    return _special(reader, judge) or _assignments(reader, judge)


def _special(reader: TokenReader, judge: Judge) -> Statement | None:
    """Read the forms of SET that assign no variables."""
    if any(reader.accept(*words) for words in _ACCOUNTS):
        return Statement(Verdict.WRITE, "administration", "SET")
    if reader.accept("statement"):
        return _for_one_statement(reader, judge)
    for words, name in _PHRASES:
        if reader.accept(*words):
            return _one(reader, name)
    ahead = [token.text for token in reader.rest()[:2]]
    if "transaction" in ahead and (ahead[0] in _SCOPES or ahead[0] == "transaction"):
        return _transaction(reader)
    return None


def _one(reader: TokenReader, name: str) -> Statement | None:
    rest = reader.rest()
    if not rest:
        return None
    if any(token.kind == "variable" or token.text in (",", "(") for token in rest):
        # SET NAMES utf8, @x = 1: the assignments behind it have meanings of their own.
        return Statement(Verdict.PIN, "set", "SET")
    value = None if rest[0].kind == "param" else literal(rest[0]) or rest[0].text
    if len(rest) == 1 and rest[0].text == "default":
        return _session("set", ResetSetting(name, reader.sql))
    return _session("set", SetSetting(name, reader.sql, value=value))


def _for_one_statement(reader: TokenReader, judge: Judge) -> Statement | None:
    """SET STATEMENT name = value, ... FOR a statement, in MariaDB."""
    tokens = reader.rest()
    while not reader.done and not reader.accept("for"):
        reader.next()
    settings = tokens[: len(tokens) - len(reader.rest())]
    if (
        reader.done
        or reader.word() == "set"
        or any(token.kind == "variable" or token.text == "(" for token in settings)
    ):
        return None
    carried = judge.statement(reader.rest())
    verdict = carried.verdict
    if verdict in (Verdict.SESSION, Verdict.TRANSACTION):
        verdict = Verdict.PIN
    return Statement(verdict, carried.reason, "SET")


def _transaction(reader: TokenReader) -> Statement | None:
    """SET [scope] TRANSACTION: for the next one, or for all later ones."""
    if reader.accept("global"):
        return Statement(Verdict.WRITE, "administration", "SET")
    later = reader.accept("session") or reader.accept("local")
    if not reader.accept("transaction"):
        return None
    asked = modes(reader)
    if asked is None:
        return None
    if not later:
        return control("SET", "set_transaction", asked)
    action = SetCharacteristics(asked.isolation, asked.read_only)
    return _session("set_characteristics", action)


def _assignments(reader: TokenReader, judge: Judge) -> Statement | None:
    """Judge one assignment or several."""
    found: list[_Assignment] = []
    scope = ""
    for part in _split(reader.rest()):
        assignment = _assignment(part, scope)
        if assignment is None:
            return None
        if part[0].text != "@@" and part[0].kind != "variable":
            scope = assignment.scope
        found.append(assignment)
    return _judged(found, reader.sql, judge) if found else None


def _judged(found: Sequence[_Assignment], sql: str, judge: Judge) -> Statement:
    if _switches(found):
        # These are the connection's own books: it has to be told by itself.
        action = SetSetting("autocommit", sql)
        return Statement(Verdict.PIN, "set", "SET", action)
    finding = _beyond_settings(found, judge)
    if finding is not None:
        return Statement(*finding, "SET")
    if len(found) == 1:
        return _single(found[0], sql)
    if any(one.name in _ALONE for one in found):
        return Statement(Verdict.PIN, "set", "SET")
    return _session("set", SetConfig(None, local=False, sql=sql))


def _split(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """Cut at the commas outside parentheses."""
    parts: list[Sequence[Token]] = []
    depth = start = 0
    for index, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text in "()":
            depth += 1 if token.text == "(" else -1
        elif token.text == "," and depth <= 0:
            parts.append(tokens[start:index])
            start = index + 1
    parts.append(tokens[start:])
    return parts


def _assignment(tokens: Sequence[Token], scope: str) -> _Assignment | None:
    """Read ``target = value``; *scope* is that of the assignment before."""
    texts = [token.text.lower() for token in tokens]
    end = next((at for at, text in enumerate(texts) if text in ("=", ":=")), 0)
    if end == 0 or end + 1 >= len(tokens):
        return None
    target, value = texts[:end], tokens[end + 1 :]
    if tokens[0].kind == "variable":
        return _Assignment(target[0], "session", value) if end == 1 else None
    if target[0] == "@@":
        scope, target = "next", target[1:]
        if target[:1] and target[0] in _SCOPES and target[1:2] == ["."]:
            scope, target = target[0], target[2:]
    elif target[0] in _SCOPES and end > 1:
        scope, target = target[0], target[1:]
    if not target or any(text == "." for text in target[::2]):
        return None
    return _Assignment("".join(target), scope, value)


def _switches(found: Sequence[_Assignment]) -> bool:
    """Whether autocommit is set among others, or to what is no literal."""
    own = [one for one in found if one.name == "autocommit"]
    if not own or own[-1].scope in _SHARED:
        return False
    value = own[-1].value
    return len(found) > 1 or _value(value) is None or value[-1].kind == "variable"


def _beyond_settings(found: Sequence[_Assignment], judge: Judge) -> Finding | None:
    """Return a finding where the assignments are more than settings to replay."""
    shared = [one.scope in _SHARED for one in found]
    finding: Finding | None = None
    for one in found:
        judged = _value_finding(one, judge)
        if judged is None:
            continue
        if finding is None or judged.verdict is Verdict.PIN:
            finding = judged
    if not any(shared):
        return finding
    if all(shared) and (finding is None or finding.verdict is not Verdict.PIN):
        return Finding(Verdict.WRITE, "administration")
    return Finding(Verdict.PIN, "administration")


def _value_finding(one: _Assignment, judge: Judge) -> Finding | None:
    """Judge one assignment; ``None`` where running it again does the same again."""
    if one.name in _USED_UP:
        return Finding(Verdict.PIN, "session_state")
    words = {token.text for token in one.value if token.kind in ("name", "op")}
    own = one.name.startswith("@")
    names_only = words.isdisjoint(("(", "@@")) and all(
        token.kind != "variable" for token in one.value
    )
    if names_only and words.isdisjoint(_UNSTABLE) and not (own and _names(one.value)):
        return None
    found = judge.expression(one.value)
    if found.verdict in _READABLE:
        return _KEPT if own or not words.isdisjoint(_UNSTABLE) else None
    if found.verdict in (Verdict.SAME_CONNECTION, Verdict.SESSION):
        return _KEPT
    return Finding(Verdict.PIN, found.reason)


def _names(tokens: Sequence[Token]) -> bool:
    """Return whether a name stands there that is no part of a literal."""
    return any(
        token.kind == "quoted"
        or (
            token.kind == "name"
            and token.text not in _OF_LITERALS
            and token.text[0] != "_"
        )
        for token in tokens
    )


def _single(one: _Assignment, sql: str) -> Statement:
    value = _value(one.value)
    default = len(one.value) == 1 and one.value[0].text == "default"
    if one.name == CONSISTENCY:
        # What is no literal has no value that the session could know: it is refused.
        written = _written(one.value, sql) if value is None else value
        mode = "default" if default else _mode(written)
        return _session("set_consistency", SetConsistency(mode))
    if one.scope == "next" and one.name in _TRANSACTION_MODES:
        return _next_transaction(_TRANSACTION_MODES[one.name], value)
    if one.name in _TRANSACTION_MODES:
        return _later_transactions(_TRANSACTION_MODES[one.name], value, sql)
    if one.name.startswith("@"):
        return _session("user_variable", SetSetting(one.name, sql, value=value))
    if default:
        return _session("set", ResetSetting(one.name, sql))
    return _session("set", SetSetting(one.name, sql, value=value))


def _value(tokens: Sequence[Token]) -> str | None:
    """Return the literal or word that was written, if it is one."""
    sign = "-" if tokens[0].text == "-" and len(tokens) == 2 else ""
    if len(tokens) > 1 + len(sign) or tokens[-1].kind == "param":
        return None
    if tokens[-1].kind == "string":
        return literal(tokens[-1])
    return sign + tokens[-1].text


def _written(tokens: Sequence[Token], sql: str) -> str:
    """Return *tokens* as they stand at the end of *sql*."""
    return sql[-(tokens[-1].end - tokens[0].start) :]


def _mode(value: str) -> str | None:
    """Return the consistency mode written as *value*."""
    mode = value.strip().lower()
    return None if mode in ("", "off", "none", "null") else mode


def _next_transaction(mode: str, value: str | None) -> Statement:
    """SET of a characteristic without a scope, which means the next transaction."""
    word = (value or "").lower()
    if mode == "isolation":
        asked = SetTransaction(isolation=word.replace("-", " ") or None)
    else:
        asked = SetTransaction(read_only=word in _TRUE)
    return control("SET", "set_transaction", asked)


def _later_transactions(mode: str, value: str | None, sql: str) -> Statement:
    """SET of a characteristic of the session's transactions."""
    if (value or "").lower() == "default":
        return _session("set", ResetSetting(f"default_transaction_{mode}", sql))
    asked = _asked(mode, value)
    if asked is None:
        # Nobody knows what it was set to.
        return Statement(Verdict.PIN, "set", "SET")
    action = SetCharacteristics(asked.isolation, asked.read_only)
    return _session("set_characteristics", action)


def _asked(mode: str, value: str | None) -> SetTransaction | None:
    """Return what a characteristic was set to, None for a value that is none."""
    word = (value or "").lower()
    if mode == "isolation":
        level = word.replace("-", " ")
        return SetTransaction(isolation=level) if level in _LEVELS else None
    if word in _TRUE or word in _FALSE:
        return SetTransaction(read_only=word in _TRUE)
    return None


def shown(tokens: Sequence[Token], found: Statement) -> Statement:
    """Return *found* with what ``SELECT @@name`` shows, where that is all it does."""
    words = [token.text.lower() for token in tokens]
    if words[:2] != ["select", "@@"]:
        return found
    rest = tokens[4:] if words[2] in _OWN and words[3:4] == ["."] else tokens[2:]
    if not rest or any(token.kind not in ("name", "quoted") for token in rest):
        return found
    variable, *alias = (token.text.lower() for token in rest)
    alias = alias[1:] if alias[:1] == ["as"] else alias
    if len(alias) > 1:
        return found
    if variable == CONSISTENCY:
        action = ShowConsistency(*alias or (variable,))
        return Statement(Verdict.READ, "show_consistency", "SELECT", action)
    return found if alias else replace(found, action=ShowSetting(variable))
