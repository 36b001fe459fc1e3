"""PostgreSQL commands that carry or name something that the session must know.

Cursors, prepared statements, channels, libraries, COPY and EXPLAIN.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from globaldb.core.findings import Finding
from globaldb.core.lexer.postgresql import literal
from globaldb.core.postgresql.transactions import prepare_transaction
from globaldb.core.statement import (
    Copy,
    Deallocate,
    Discard,
    Execute,
    ExplainRoute,
    Listen,
    Load,
    Prepare,
    Statement,
    Unlisten,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.lexer import Token
    from globaldb.core.lexer.reader import TokenReader

#: Judges the query or the data change that a command carries.
Body: TypeAlias = "Callable[[Sequence[Token]], Finding]"

_HARMLESS: Final = frozenset(
    (Verdict.READ, Verdict.NODE_LOCAL, Verdict.SAME_CONNECTION)
)
# EXPLAIN takes these too; without ANALYZE it only plans them.
_EXPLAINED: Final = frozenset(("create", "declare", "refresh"))
_TEMPORARY: Final = frozenset(("temp", "temporary", "pg_temp"))
_FALSE: Final = frozenset(("false", "off", "0"))


def prepare(reader: TokenReader, body: Body) -> Statement | None:
    """PREPARE, of a statement or of a transaction."""
    reader.next()
    if reader.accept("transaction"):
        return prepare_transaction(reader)
    name = reader.identifier()
    reader.skip_parentheses()
    if name is None or not reader.accept("as") or reader.done:
        return None
    verdict, reason = body(reader.rest())
    carried = Statement(verdict, reason, reader.word().upper())
    action = Prepare(name, carried, reader.sql)
    return Statement(Verdict.SESSION, "prepare", "PREPARE", action)


def execute(reader: TokenReader, body: Body) -> Statement | None:
    """EXECUTE: a write, until the session looks up what was prepared."""
    reader.next()
    name = reader.identifier()
    if name is None:
        return None
    # Arguments are no statement; a reason beyond that is what one of them does.
    arguments = body(reader.rest())
    if arguments.reason != "unknown_statement":
        return Statement(_at_least_write(arguments), arguments.reason, "EXECUTE")
    return Statement(Verdict.WRITE, "execute", "EXECUTE", Execute(name))


def _at_least_write(found: Finding) -> Verdict:
    return Verdict.PIN if found.verdict is Verdict.PIN else Verdict.WRITE


def deallocate(reader: TokenReader, _body: Body) -> Statement | None:
    """DEALLOCATE [PREPARE] of one name or ALL."""
    reader.next()
    if len(reader.rest()) > 1:
        reader.accept("prepare")
    name = None if reader.accept("all") else reader.identifier()
    action = Deallocate(name)
    return Statement(Verdict.SESSION, "deallocate", "DEALLOCATE", action)


def declare(reader: TokenReader, body: Body) -> Statement | None:
    """DECLARE of a cursor: part of its transaction, or beyond it WITH HOLD."""
    reader.next()
    hold = False
    while not reader.done and not reader.accept("for"):
        if reader.accept("with", "hold"):
            hold = True
        else:
            reader.next()
    if reader.done:
        return None
    verdict, reason = body(reader.rest())
    if hold:
        return Statement(Verdict.PIN, "holdable_cursor", "DECLARE")
    if verdict not in _HARMLESS:
        return Statement(verdict, reason, "DECLARE")
    return Statement(Verdict.TRANSACTION, "declare_cursor", "DECLARE")


def cursor(reader: TokenReader, _body: Body) -> Statement | None:
    """FETCH, MOVE and CLOSE: where the cursor was declared."""
    return Statement(Verdict.SAME_CONNECTION, "cursor", reader.word().upper())


def discard(reader: TokenReader, _body: Body) -> Statement | None:
    """DISCARD."""
    reader.next()
    what = reader.word().upper()
    if what == "TEMPORARY":
        what = "TEMP"
    if what not in ("ALL", "PLANS", "SEQUENCES", "TEMP"):
        return None
    verdict = Verdict.PIN if what == "TEMP" else Verdict.SESSION
    # DISCARD ALL is refused inside any transaction, a pipeline's too.
    alone = what == "ALL"
    return Statement(verdict, "discard", "DISCARD", Discard(what), alone=alone)


def listen(reader: TokenReader, _body: Body) -> Statement | None:
    """LISTEN."""
    reader.next()
    channel = reader.identifier()
    if channel is None:
        return None
    return Statement(Verdict.PIN, "listen", "LISTEN", Listen(channel))


def unlisten(reader: TokenReader, _body: Body) -> Statement | None:
    """UNLISTEN of one channel or of all."""
    reader.next()
    channel = None if reader.accept("*") else reader.identifier()
    return Statement(Verdict.PIN, "listen", "UNLISTEN", Unlisten(channel))


def load(reader: TokenReader, _body: Body) -> Statement | None:
    """LOAD of a library."""
    reader.next()
    token = reader.next()
    library = None if token is None else literal(token)
    if library is None:
        return None
    return Statement(Verdict.SESSION, "load", "LOAD", Load(library, reader.sql))


def copy(reader: TokenReader, body: Body) -> Statement | None:
    """COPY: through the connection, or between the server and its own files."""
    reader.next()
    found = Finding(Verdict.READ, "copy_out")
    if reader.word() == "(":
        tokens = reader.rest()
        reader.skip_parentheses()
        query = tokens[1 : len(tokens) - len(reader.rest()) - 1]
        carried = body(query)
        if carried.verdict is not Verdict.READ:
            found = carried
    else:
        reader.accept("binary")
        ahead = reader.rest()
        if reader.dotted() is None:
            return None
        named = body(ahead[: len(ahead) - len(reader.rest())])
        if named.reason != "unknown_statement":
            found = named
        reader.skip_parentheses()
    return _copy_direction(reader, found)


def _copy_direction(reader: TokenReader, found: Finding) -> Statement | None:
    # STDIN and STDOUT mean the same to the server: the client.
    out = reader.accept("to")
    if not out and not reader.accept("from"):
        return None
    if not (reader.accept("stdin") or reader.accept("stdout")):
        return Statement(_at_least_write(found), "server_file", "COPY")
    if not out:
        return Statement(Verdict.WRITE, "copy_in", "COPY", Copy(to_client=False))
    return Statement(found.verdict, found.reason, "COPY", Copy(to_client=True))


def explain(reader: TokenReader, body: Body) -> Statement | None:
    """EXPLAIN: planning reads, ANALYZE does what the statement does."""
    reader.next()
    if reader.accept("route"):
        return Statement(
            Verdict.READ, "explain_route", "EXPLAIN", ExplainRoute(reader.rest_sql())
        )
    analyze = _explain_options(reader)
    if reader.word() == "execute":
        # Planning looks the name up: it is known where EXECUTE would know it.
        named = execute(reader, body)
        return None if named is None else replace(named, command="EXPLAIN")
    found = Finding(Verdict.READ, "explain")
    if reader.word() not in _EXPLAINED:
        found = body(reader.rest())
    elif analyze:
        temporary = not _TEMPORARY.isdisjoint(t.text for t in reader.rest()[:4])
        found = Finding(Verdict.WRITE, "definition")
        if temporary:
            found = Finding(Verdict.PIN, "temporary_object")
    if found.reason == "unknown_statement":
        return None
    # Planning is enough for a standby to refuse an unlogged table.
    runs = analyze or found.reason == "unlogged_table"
    if not runs or found.verdict is Verdict.READ:
        found = Finding(Verdict.READ, "explain")
    return Statement(found.verdict, found.reason, "EXPLAIN")


def _explain_options(reader: TokenReader) -> bool:
    """Read the options; return whether ANALYZE may be among them."""
    analyze = reader.accept("analyze") or reader.accept("analyse")
    reader.accept("verbose")
    ahead = reader.rest()
    if len(ahead) < 2 or reader.word() != "(" or ahead[1].text in _STARTS:
        return analyze
    reader.skip_parentheses()
    options = ahead[1 : len(ahead) - len(reader.rest()) - 1]
    for index, token in enumerate(options):
        if token.text.lower() in ("analyze", "analyse"):
            value = options[index + 1] if index + 1 < len(options) else token
            written = (literal(value) or value.text).lower()
            analyze = analyze or written not in _FALSE
    return analyze


_STARTS: Final = frozenset(("select", "with", "values", "table", "("))

#: The commands of this module by their first word.
CARRIERS: Final[dict[str, Callable[[TokenReader, Body], Statement | None]]] = {
    "prepare": prepare,
    "execute": execute,
    "deallocate": deallocate,
    "declare": declare,
    "fetch": cursor,
    "move": cursor,
    "close": cursor,
    "discard": discard,
    "listen": listen,
    "unlisten": unlisten,
    "load": load,
    "copy": copy,
    "explain": explain,
}
