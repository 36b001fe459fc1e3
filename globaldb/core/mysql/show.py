"""SHOW: what it tells is the same everywhere, or about one node or connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from globaldb.core.findings import SEVERITY
from globaldb.core.lexer.mysql import literal
from globaldb.core.mysql.settings import CONSISTENCY
from globaldb.core.statement import GlobaldbShow, ShowConsistency, Statement, Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from globaldb.core.lexer.reader import TokenReader
    from globaldb.core.mysql.queries import Judge

_SHARED: Final = names(
    """
    authors character charset collation columns contributors create databases events
    fields function grants index indexes keys library package privileges procedure
    schemas table tables triggers
    """
)
_NODE: Final = names(
    """
    analyze client_statistics engine engines explain index_statistics open plugins
    processlist query_response_time relaylog replica slave slaves status storage
    table_statistics user_statistics user_variables variables wsrep_membership
    wsrep_status
    """
)
_CONNECTION: Final = names("errors profile profiles warnings")
# What the writer writes for others to read, and who reads it.
_WRITER: Final = names("binary binlog master replicas")
_ADJECTIVES: Final = ("full", "extended", "global", "local", "session", "all")


def show(reader: TokenReader, judge: Judge) -> Statement | None:
    """SHOW, of our own tables too."""
    reader.next()
    if reader.accept("globaldb"):
        what = reader.identifier()
        return _ours(what) if what is not None and reader.done else None
    first = reader.word()
    while reader.word() in _ADJECTIVES:
        reader.next()
    what = reader.word()
    reader.next()
    if what == "pools" and reader.done:
        return _ours(what)
    if what == "variables" and (name := _exact_name(reader)) == CONSISTENCY:
        action = ShowConsistency(name)
        return Statement(Verdict.READ, "show_consistency", "SHOW", action)
    found = _about(reader, what, first)
    if found is None or found.verdict is Verdict.WRITE:
        return found
    return _where(reader, judge, found)


def _where(reader: TokenReader, judge: Judge, found: Statement) -> Statement:
    """Return *found* with what its WHERE, which takes any expression, does beyond."""
    while not reader.done and not reader.accept("where"):
        reader.next()
    carried = judge.expression(reader.rest())
    if SEVERITY[carried.verdict] <= SEVERITY[found.verdict]:
        return found
    verdict = carried.verdict
    return Statement(
        Verdict.PIN if verdict is Verdict.SESSION else verdict, carried.reason, "SHOW"
    )


def _ours(what: str) -> Statement:
    return Statement(Verdict.READ, "globaldb_show", "SHOW", GlobaldbShow(what.lower()))


def _exact_name(reader: TokenReader) -> str | None:
    """Return the name in ``LIKE 'name'``, or WHERE, which is all that follows."""
    *words, last = [token.text.lower() for token in reader.rest()] or [""]
    if words not in (["like"], ["where", "variable_name", "="]) or not last:
        return None
    text = literal(reader.rest()[-1])
    return None if text is None else text.lower()


def _about(reader: TokenReader, what: str, first: str) -> Statement | None:
    """Return what SHOW *what* is about; *first* is the first word behind SHOW."""
    if what == "count":
        reader.skip_parentheses()
        what = reader.word()
        reader.next()
    found: tuple[Verdict, str] | None = None
    if what in _CONNECTION:
        found = Verdict.SAME_CONNECTION, "diagnostics"
    elif what == "status" and first in ("session", "local"):
        found = Verdict.SAME_CONNECTION, "session_state"
    elif what in _WRITER or (what == "slave" and reader.word() == "hosts"):
        found = Verdict.WRITE, "administration"
    elif what in _NODE:
        reason = "node_setting" if what == "variables" else "node_view"
        found = Verdict.NODE_LOCAL, reason
    elif what in _SHARED:
        found = Verdict.READ, "show"
    return None if found is None else Statement(*found, "SHOW")
