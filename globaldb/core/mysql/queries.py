"""What a query does beyond reading: its calls, locks, variables and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from globaldb.core.findings import SEVERITY, Finding
from globaldb.core.mysql.functions import (
    HARMLESS,
    OLD_GEOMETRY,
    SPECIAL,
    SYS_FUNCTIONS,
)
from globaldb.core.mysql.words import (
    CONNECTION_TABLES,
    CONNECTION_VARIABLES,
    NEVER_FUNCTIONS,
    NODE_LOGS,
    NODE_TABLES,
    RESETTING_TABLES,
)
from globaldb.core.script import partners
from globaldb.core.statement import Statement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer import Token

READ: Final = Finding(Verdict.READ, "select")
_UNKNOWN: Final = Finding(Verdict.WRITE, "unknown_function")
_DATA_CHANGE: Final = Finding(Verdict.WRITE, "write_statement")
_LOCKING: Final = Finding(Verdict.WRITE, "locking_clause")
_SEQUENCE: Final = Finding(Verdict.WRITE, "sequence")
_VARIABLE: Final = Finding(Verdict.SAME_CONNECTION, "user_variable")
_ASSIGNMENT: Final = Finding(Verdict.SESSION, "user_variable")
_COUNTED: Final = Finding(Verdict.SAME_CONNECTION, "found_rows")
_NODE_VIEW: Final = Finding(Verdict.NODE_LOCAL, "node_view")
_OWN_TABLES: Final = {
    **dict.fromkeys(NODE_TABLES, _NODE_VIEW),
    **dict.fromkeys(
        CONNECTION_TABLES, Finding(Verdict.SAME_CONNECTION, "session_state")
    ),
    **dict.fromkeys(RESETTING_TABLES, Finding(Verdict.WRITE, "administration")),
}
#: Words that change data, unless a parenthesis makes functions of two of them.
DML: Final = frozenset(("insert", "update", "delete", "replace"))
_SCHEMAS: Final = frozenset(
    ("performance_schema", "information_schema", "sys", "mysql")
)
_WATCHED: Final = (
    DML
    | _SCHEMAS
    | frozenset(("for", "into", "lock", "next", "previous", "nextval", "currval"))
    | frozenset(("sql_calc_found_rows",))
)
_WATCHED_SIGNS: Final = frozenset(("(", "@@"))
# In front of these words and signs a table's name may stand, and no column's.
_BEFORE_TABLES: Final = frozenset(
    ("from", "join", "straight_join", "table", "update", "into", ",", "(", "in")
)
_SCOPES: Final = frozenset(("global", "session", "local"))


class Judge(NamedTuple):
    """What commands ask about the parts they carry."""

    expression: Callable[[Sequence[Token]], Finding]
    statement: Callable[[Sequence[Token]], Statement]
    #: Of a statement given as text.
    text: Callable[[str], Statement]


class Query:
    """The tokens of one query, or of any statement that may contain one."""

    __slots__ = ("_catalog", "_partner", "_tokens")

    def __init__(self, tokens: Sequence[Token], catalog: Catalog) -> None:
        self._tokens = tokens
        self._catalog = catalog
        self._partner = partners(tokens)

    def judge(self) -> Finding:
        """Return the gravest finding; ``read`` when there is none.

        What writes, and changes what its connection knows, must keep its connection.
        """
        worst, writes = READ, None
        quiet = not self._catalog.relations
        for index, (kind, text, _, _) in enumerate(self._tokens):
            if (
                text not in _WATCHED_SIGNS
                if kind == "op"
                else (
                    kind == "number"
                    or (quiet and kind == "name" and text not in _WATCHED)
                )
            ):
                continue
            finding = self._look(index)
            if finding is None:
                continue
            if finding.verdict is Verdict.WRITE:
                writes = writes or finding
            if SEVERITY[finding.verdict] > SEVERITY[worst.verdict]:
                worst = finding
        if writes is not None and worst.verdict is Verdict.SESSION:
            return Finding(Verdict.PIN, worst.reason)
        return worst

    def _look(self, index: int) -> Finding | None:
        kind, text, _, _ = self._tokens[index]
        if kind == "op":
            if text == "@@":
                return self._system_variable(index + 1)
            return self._call(index - 1) if text == "(" and index else None
        if kind == "variable":
            return _ASSIGNMENT if self._text(index + 1) == ":=" else _VARIABLE
        if kind == "name":
            return self._word(index) if text in _WATCHED else self._relation(index)
        return self._object(index) if kind in ("quoted", "string") else None

    def _text(self, index: int) -> str:
        """Return the word or sign at *index*; empty for anything else."""
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind in ("name", "op"):
                return token.text
        return ""

    def _name(self, index: int) -> str:
        """Return the name at *index*, quoted or not, in lower case."""
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind == "name":
                return token.text
            if token.kind == "quoted":
                return token.text.lower()
            if token.kind == "string" and token.text[0] == '"':
                # With ANSI_QUOTES it is a name.
                return token.text[1:-1].replace('""', '"').lower()
        return ""

    def _word(self, index: int) -> Finding | None:
        """Judge a word that may have a meaning of its own here."""
        word = self._text(index)
        before, after = self._text(index - 1), self._text(index + 1)
        if word in ("nextval", "currval"):
            return self._oracle_sequence(word, before, after)
        if before == "." or word in _SCHEMAS:
            return self._object(index)
        if word in DML:
            return self._data_change(word, before, after)
        if word == "into":
            return self._into(index + 1)
        return self._clause(word, after, self._text(index + 2))

    def _oracle_sequence(self, word: str, before: str, after: str) -> Finding | None:
        """Judge ``s.nextval``, as MariaDB reads it in its Oracle mode."""
        if before != "." or after == "(":
            return None
        if word == "nextval":
            return _SEQUENCE
        return Finding(Verdict.SAME_CONNECTION, "sequence")

    def _data_change(self, word: str, before: str, after: str) -> Finding | None:
        if word == "update" and before == "for":
            return _LOCKING
        if word in ("insert", "replace") and after == "(":
            return None
        return _DATA_CHANGE

    def _clause(self, word: str, after: str, then: str) -> Finding | None:
        if word == "for" and after == "share":
            return _LOCKING
        if word == "lock" and after == "in":
            return _LOCKING
        if word in ("next", "previous") and (after, then) == ("value", "for"):
            if word == "next":
                return _SEQUENCE
            return Finding(Verdict.SAME_CONNECTION, "sequence")
        # FOUND_ROWS() must be asked of the connection that counted.
        return _COUNTED if word == "sql_calc_found_rows" else None

    def _into(self, index: int) -> Finding | None:
        """Judge what stands behind INTO: variables, a file, or a table."""
        if index < len(self._tokens) and self._tokens[index].kind == "variable":
            return _ASSIGNMENT
        if self._text(index) in ("outfile", "dumpfile"):
            return Finding(Verdict.WRITE, "server_file")
        return Finding(Verdict.WRITE, "select_into")

    def _object(self, index: int) -> Finding | None:
        """Judge a name of whatever kind, quoted or not."""
        return self._schema(index) or self._relation(index)

    def _schema(self, index: int) -> Finding | None:
        """Judge a name that may be that of one of the server's own schemas."""
        schema = self._name(index)
        if schema not in _SCHEMAS or self._text(index + 1) != ".":
            return None
        if self._text(index + 3) == "(" or self._text(index - 1) == ".":
            return None
        table = self._name(index + 2)
        if schema == "information_schema":
            return _OWN_TABLES.get(table)
        if self._text(index - 1) not in _BEFORE_TABLES:
            return None
        return _NODE_VIEW if schema != "mysql" or table in NODE_LOGS else None

    def _relation(self, index: int) -> Finding | None:
        """Judge a name that may be that of a table or a view."""
        if not self._catalog.relations or self._text(index + 1) in ("(", "."):
            return None
        schema = ""
        first = index
        if self._text(index - 1) == ".":
            schema, first = self._name(index - 2), index - 2
        if self._text(first - 1) not in _BEFORE_TABLES:
            return None
        return self._catalog.relation(schema, self._name(index))

    def _system_variable(self, index: int) -> Finding:
        name = self._name(index)
        scope = ""
        if name in _SCOPES and self._text(index + 1) == ".":
            scope, name = name, self._name(index + 2)
        if scope != "global" and name in CONNECTION_VARIABLES:
            return Finding(Verdict.SAME_CONNECTION, "session_state")
        return Finding(Verdict.NODE_LOCAL, "node_setting")

    def _call(self, last: int) -> Finding | None:
        """Judge the name that ends at *last*, in front of a parenthesis."""
        kind, name, _, _ = self._tokens[last]
        if kind == "param":
            # Without parameters "a %s(b)" is "a % s(b)": a call.
            return _UNKNOWN
        if self._text(last - 1) == "." and kind != "op":
            return self._qualified(self._name(last - 2), self._name(last))
        if not self._name(last) or (kind == "name" and name in NEVER_FUNCTIONS):
            return None
        if not self._may_be_called(last):
            return None
        return self._function(self._name(last), last + 1, quoted=kind != "name")

    def _may_be_called(self, last: int) -> bool:
        """Return whether an expression may begin at *last*.

        Two operands never stand side by side: behind one of them, and behind AS, a
        name with a parenthesis is an alias with columns, or a keyword.
        """
        if last == 0:
            return True
        kind, before, _, _ = self._tokens[last - 1]
        if before == "member" and self._text(last) == "of":
            return False
        if kind in ("string", "number", "quoted", "variable"):
            return False
        # Behind a brace it is a word of ODBC: {oj (a LEFT JOIN b ON ...)}.
        if before in (")", "as", "{"):
            return False
        # name (a, b) AS (SELECT ...
        closing = self._partner[last + 1]
        return (self._text(closing + 1), self._text(closing + 2)) != ("as", "(")

    def _qualified(self, schema: str, name: str) -> Finding | None:
        known = self._catalog.function(schema, name)
        if known is not None:
            return known if known.verdict is not Verdict.READ else None
        if schema == "sys" and name in SYS_FUNCTIONS:
            return Finding(Verdict.NODE_LOCAL, "node_function")
        return _UNKNOWN

    def _function(self, name: str, opened: int, *, quoted: bool) -> Finding | None:
        said = self._catalog.listed and self._catalog.listing("", name)
        if said:
            return said if said.verdict is not Verdict.READ else None
        if name in SPECIAL:
            if name == "last_insert_id" and self._partner[opened] != opened + 1:
                # With an argument it sets what it returns.
                return Finding(Verdict.SESSION, "last_insert_id")
            return Finding(*SPECIAL[name])
        # In quotes it may be a user's function even where the word is the server's.
        if name in HARMLESS and not quoted:
            return None
        known = self._catalog.function("", name)
        if known is None:
            return None if name in OLD_GEOMETRY and not quoted else _UNKNOWN
        return known if known.verdict is not Verdict.READ else None
