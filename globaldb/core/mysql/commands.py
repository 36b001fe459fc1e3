"""Commands that carry a statement or an expression, or name what others set up.

Prepared statements, EXPLAIN, CALL and DO, HANDLER, XA, locks on tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.lexer.mysql import literal
from globaldb.core.statement import (
    Deallocate,
    Execute,
    ExplainRoute,
    Prepare,
    Statement,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer.reader import TokenReader
    from globaldb.core.mysql.queries import Judge

_KEEPING: Final = frozenset((Verdict.PIN, Verdict.SESSION, Verdict.TRANSACTION))
_STARTS: Final = frozenset(
    ("select", "with", "values", "table", "(", "insert", "update", "delete", "replace")
)


def _at_least_write(verdict: Verdict) -> Verdict:
    return Verdict.PIN if verdict in _KEEPING else Verdict.WRITE


def prepare(reader: TokenReader, judge: Judge) -> Statement | None:
    """PREPARE of a text: one in a literal can be judged."""
    reader.next()
    name = reader.identifier()
    if name is None or not reader.accept("from"):
        return None
    source = reader.next()
    text = None if source is None or not reader.done else literal(source)
    if text is None:
        # The text is in a variable, whose value no other connection has.
        opaque = Statement(Verdict.WRITE, "opaque_query", "")
        action = Prepare(name.lower(), opaque, reader.sql)
        return Statement(Verdict.PIN, "opaque_query", "PREPARE", action)
    action = Prepare(name.lower(), judge.text(text), reader.sql)
    return Statement(Verdict.SESSION, "prepare", "PREPARE", action)


def execute(reader: TokenReader, judge: Judge) -> Statement | None:
    """EXECUTE: a write, until the session looks up what was prepared."""
    reader.next()
    if reader.accept("immediate"):
        source = reader.next()
        text = None if source is None or not reader.done else literal(source)
        if text is None:
            return Statement(Verdict.WRITE, "opaque_query", "EXECUTE")
        carried = judge.text(text)
        verdict = carried.verdict
        if verdict in _KEEPING:
            verdict = Verdict.PIN
        return Statement(verdict, carried.reason, "EXECUTE")
    name = reader.identifier()
    if name is None:
        return None
    return Statement(Verdict.WRITE, "execute", "EXECUTE", Execute(name.lower()))


def deallocate(reader: TokenReader, _judge: Judge) -> Statement | None:
    """DEALLOCATE PREPARE, also written DROP PREPARE."""
    command = reader.word().upper()
    reader.next()
    if not reader.accept("prepare"):
        return None
    name = reader.identifier()
    if name is None or not reader.done:
        return None
    return Statement(Verdict.SESSION, "deallocate", command, Deallocate(name.lower()))


def explain(reader: TokenReader, judge: Judge) -> Statement | None:
    """EXPLAIN, DESCRIBE: of a table, a statement, or a connection.

    Planning may run a part of the query, and a replica refuses to plan a write.
    """
    command = reader.word().upper()
    reader.next()
    if reader.accept("route"):
        return Statement(
            Verdict.READ, "explain_route", command, ExplainRoute(reader.rest_sql())
        )
    while reader.word() in ("extended", "partitions", "analyze", "format"):
        formatted = reader.word() == "format"
        reader.next()
        if formatted and reader.accept("="):
            reader.next()
    if reader.accept("into"):
        # The plan goes to a user variable.
        return Statement(Verdict.SESSION, "user_variable", command)
    if reader.accept("for", "connection"):
        return Statement(Verdict.NODE_LOCAL, "node_view", command)
    if reader.accept("for"):
        reader.next()
        reader.identifier()
    if reader.word() not in _STARTS:
        return _describe(reader, command)
    return _explained(reader, judge, command)


def _describe(reader: TokenReader, command: str) -> Statement | None:
    """Read a table's name, and maybe a column's name or a pattern."""
    if reader.dotted() is None or len(reader.rest()) > 3:
        return None
    return Statement(Verdict.READ, "explain", command)


def _explained(reader: TokenReader, judge: Judge, command: str) -> Statement:
    carried = judge.statement(reader.rest())
    if carried.verdict is Verdict.READ:
        return Statement(Verdict.READ, "explain", command)
    return Statement(carried.verdict, carried.reason, command)


def analyze(reader: TokenReader, judge: Judge) -> Statement | None:
    """ANALYZE TABLE, or MariaDB's ANALYZE of a statement, which runs it."""
    reader.next()
    if reader.accept("format", "="):
        reader.next()
    if reader.word() in _STARTS and reader.word() != "table":
        return _explained(reader, judge, "ANALYZE")
    return Statement(Verdict.WRITE, "maintenance", "ANALYZE", alone=True)


def call(reader: TokenReader, judge: Judge, catalog: Catalog) -> Statement | None:
    """CALL: what the body does is known from the catalog, if at all.

    Even a body that only reads stays on the writer: it may read what it likes.
    """
    reader.next()
    name = reader.dotted()
    if name is None:
        return None
    schema, _, routine = name.lower().rpartition(".")
    known = catalog.function(schema, routine)
    if known is not None and known.verdict in _KEEPING:
        return Statement(Verdict.PIN, known.reason, "CALL", alone=True)
    arguments = judge.expression(reader.rest())
    if any(token.kind == "variable" for token in reader.rest()):
        # It may be set: arguments may be results.
        return Statement(Verdict.PIN, "user_variable", "CALL", alone=True)
    if arguments.verdict in _KEEPING:
        return Statement(Verdict.PIN, arguments.reason, "CALL", alone=True)
    return Statement(Verdict.WRITE, "opaque_body", "CALL", alone=True)


def do(reader: TokenReader, judge: Judge) -> Statement | None:
    """DO of expressions, which are evaluated for what they do."""
    reader.next()
    found = judge.expression(reader.rest())
    if found.verdict in _KEEPING or found.verdict is Verdict.WRITE:
        return Statement(_at_least_write(found.verdict), found.reason, "DO")
    return Statement(Verdict.WRITE, "do", "DO")


def xa(reader: TokenReader, _judge: Judge) -> Statement | None:
    """XA: the connection of a branch keeps it until it is prepared."""
    reader.next()
    if reader.accept("recover"):
        return Statement(Verdict.WRITE, "administration", "XA")
    return Statement(Verdict.PIN, "xa", "XA", alone=True)


def table_lock(reader: TokenReader, _judge: Judge) -> Statement | None:
    """LOCK and UNLOCK of tables or of the instance."""
    return Statement(Verdict.PIN, "lock_table", reader.word().upper(), alone=True)


def handler(_reader: TokenReader, _judge: Judge) -> Statement | None:
    """Judge HANDLER: a cursor over a table or an index, of this connection only."""
    return Statement(Verdict.PIN, "handler", "HANDLER")


def flush(reader: TokenReader, _judge: Judge) -> Statement | None:
    """FLUSH: of one server's memory; of tables with a lock that stays."""
    words = {token.text for token in reader.rest() if token.kind == "name"}
    if "lock" in words or "export" in words:
        return Statement(Verdict.PIN, "lock_table", "FLUSH", alone=True)
    return Statement(Verdict.WRITE, "administration", "FLUSH", alone=True)


def load(reader: TokenReader, _judge: Judge) -> Statement | None:
    """LOAD of rows from a file, the client's or the server's, or of an index."""
    reader.next()
    if reader.accept("index"):
        return Statement(Verdict.WRITE, "maintenance", "LOAD")
    reader.next()
    words = {token.text for token in reader.rest()[:3]}
    reason = "copy_in" if "local" in words else "server_file"
    return Statement(Verdict.WRITE, reason, "LOAD")


def diagnostics(reader: TokenReader, _judge: Judge) -> Statement | None:
    """GET DIAGNOSTICS of the statement before."""
    reader.next()
    _ = reader.accept("current") or reader.accept("stacked")
    if not reader.accept("diagnostics"):
        return None
    return Statement(Verdict.SAME_CONNECTION, "diagnostics", "GET")


#: The commands of this module by their first word; CALL needs the catalog too.
CARRIERS: Final[dict[str, Callable[[TokenReader, Judge], Statement | None]]] = {
    "prepare": prepare,
    "execute": execute,
    "deallocate": deallocate,
    "explain": explain,
    "describe": explain,
    "desc": explain,
    "analyze": analyze,
    "do": do,
    "xa": xa,
    "lock": table_lock,
    "unlock": table_lock,
    "backup": table_lock,
    "handler": handler,
    "flush": flush,
    "load": load,
    "get": diagnostics,
}
