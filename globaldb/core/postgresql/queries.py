"""What a query does beyond reading: its calls, locks, targets and relations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from globaldb.core.catalog import graver
from globaldb.core.findings import SEVERITY, Finding
from globaldb.core.lexer.postgresql import literal
from globaldb.core.postgresql.functions import AS_COLUMN, HARMLESS, RUN_QUERIES, SPECIAL
from globaldb.core.postgresql.references import mentioned, system_view
from globaldb.core.postgresql.words import (
    NEVER_FUNCTIONS,
    NODE_SETTINGS,
    OTHER_KEYWORDS,
)
from globaldb.core.script import partners
from globaldb.core.statement import Verdict
from globaldb.core.words import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from globaldb.core.catalog import Catalog
    from globaldb.core.lexer import Token

#: What a text given to a query-running function would do.
Inner: TypeAlias = "Callable[[str], Finding]"


_READ: Final = Finding(Verdict.READ, "select")
_UNKNOWN: Final = Finding(Verdict.WRITE, "unknown_function")
#: What a function does that runs the texts given to it, and changes nothing itself.
#: It is this very value that says so; others with the same reason do not.
RUNS_ARGUMENT: Final = Finding(Verdict.WRITE, "runs_argument")
_RUNNABLE: Final = names("select with values table explain")
_NOT_RUN: Final = names("create refresh declare execute copy do call prepare")
_DATA_CHANGE: Final = Finding(Verdict.WRITE, "data_modifying_cte")
# A replica shows the value up to 32 steps ahead, where the writer's log has it.
_SEQUENCE: Final = Finding(Verdict.WRITE, "sequence")
_DML: Final = frozenset(("insert", "update", "delete", "merge"))
_WATCHED: Final = _DML | frozenset(("for", "into", "last_value"))
_TEMPORARY: Final = frozenset(("temp", "temporary", "pg_temp"))
# The keywords that call what the search path has, when commas part their arguments.
_SHADOWED: Final = frozenset(("substring", "overlay"))
_QUERY_START: Final = frozenset(("select", "with", "table", "values"))
# Behind these tokens a statement cannot begin, so a command's word there is a name.
_INSIDE_EXPRESSION: Final = names(
    ", = < > + - * / | select distinct where and or not on by having when then else"
)
# Keywords that may stand for a function's name elsewhere, known by the one in front.
_PAIRS: Final = frozenset(
    (
        ("group", "by"),
        ("order", "by"),
        ("partition", "by"),
        ("time", "zone"),
        ("grouping", "sets"),
        ("fetch", "first"),
        ("fetch", "next"),
        ("character", "varying"),
        ("char", "varying"),
        ("nchar", "varying"),
        ("bit", "varying"),
        ("interval", "second"),
        ("to", "second"),
    )
)
_TRIPLES: Final = frozenset(
    (("group", "by", "rollup"), ("group", "by", "cube"), ("as", "not", "materialized"))
)
_GROUPINGS: Final = frozenset(("rollup", "cube"))
_LONGEST_LIST: Final = 100
_BEFORE_LIST: Final = names("by select from where having order limit")
_JOINED: Final = frozenset(
    ("left", "right", "full", "inner", "outer", "cross", "natural")
)
# Keywords an expression may follow; only to tell the keyword JOIN from a function.
_BEFORE_EXPRESSION: Final = NEVER_FUNCTIONS | names(
    """
    by columns content document escape first groups ilike is join key like name next
    overlaps passing path range recursive ref rows set similar tablesample uescape value version zone
    """
)


class Query:
    """The tokens of one query, or of any statement that may contain one."""

    __slots__ = ("_catalog", "_inner", "_partner", "_tokens")

    def __init__(
        self, tokens: Sequence[Token], catalog: Catalog, inner: Inner | None
    ) -> None:
        self._tokens = tokens
        self._catalog = catalog
        self._inner = inner
        self._partner = partners(tokens)

    def judge(self) -> Finding:
        """Return the gravest finding; ``read`` when there is none."""
        worst = mentioned(self._tokens, self._catalog) or _READ
        for index, token in enumerate(self._tokens):
            finding = None
            if token.kind == "op":
                if token.text == "(" and index > 0:
                    finding = self._call(index - 1)
            elif token.kind == "name":
                finding = self._word(index)
            elif token.kind == "quoted":
                finding = self._relation(index)
            if finding is not None and (
                SEVERITY[finding.verdict] > SEVERITY[worst.verdict]
            ):
                worst = finding
        return worst

    def calls(self) -> Iterator[Finding]:
        """Yield what each call does, where that is more than to read."""
        for index, token in enumerate(self._tokens):
            if token.text == "(" and token.kind == "op" and index > 0:
                finding = self._call(index - 1)
                if finding is not None:
                    yield finding

    def _text(self, index: int) -> str:
        """Return the word or sign at *index*; empty for anything else."""
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind in ("name", "op"):
                return token.text
        return ""

    def _word(self, index: int) -> Finding | None:
        word = self._tokens[index].text
        if word not in _WATCHED:
            known = word.startswith("pg_") or word in AS_COLUMN
            return self._relation(index) if known else None
        before = self._text(index - 1)
        if before == "as" or (before == "." and word != "last_value"):
            return None
        if word == "for":
            return self._locking(index + 1)
        if word == "into":
            return self._into(index)
        if word in _DML:
            return None if before in _INSIDE_EXPRESSION else _DATA_CHANGE
        return _SEQUENCE if self._text(index + 1) != "(" else None

    def _locking(self, index: int) -> Finding | None:
        """Judge what stands behind FOR: a lock, or the length of a substring."""
        strength = self._text(index)
        if strength in ("update", "share") or (strength, self._text(index + 1)) in (
            ("no", "key"),
            ("key", "share"),
        ):
            return Finding(Verdict.WRITE, "locking_clause")
        return None

    def _into(self, index: int) -> Finding:
        if {self._name(index + 1), self._name(index + 2)} & _TEMPORARY:
            return Finding(Verdict.PIN, "temporary_object")
        return Finding(Verdict.WRITE, "select_into")

    def _relation(self, index: int) -> Finding | None:
        """Judge a name that may be that of a relation, or of a function as a column."""
        name = self._tokens[index].text
        after = self._text(index + 1)
        if after != "(" and self._text(index - 1) == ".":
            column = _as_column(name)
            if column is not None:
                return column
        if name == "pg_temp" and after == ".":
            return Finding(Verdict.SAME_CONNECTION, "temporary_object")
        if after == "(" or (
            self._text(index - 1) == "." and self._name(index - 2) != "pg_catalog"
        ):
            return None
        return system_view(name)

    def _name(self, index: int) -> str:
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind in ("name", "quoted"):
                return token.text
        return ""

    def _call(self, last: int) -> Finding | None:
        """Judge the name that ends at *last*, in front of a parenthesis."""
        kind, name, _, _ = self._tokens[last]
        if kind == "param":
            # Without parameters "a %s(b)" is "a % s(b)": a call.
            return _UNKNOWN
        if kind not in ("name", "quoted"):
            return None
        first = last
        while self._text(first - 1) == "." and self._name(first - 2):
            first -= 2
        if kind == "name" and self._text(last - 1) != ".":
            if name in NEVER_FUNCTIONS:
                return self._shadow(name) if name in _SHADOWED else None
            if name == "operator":
                return self._operator(last + 1)
        return self._function(first, last) if self._may_be_called(first, last) else None

    def _operator(self, opened: int) -> Finding | None:
        """Judge OPERATOR(schema.sign): only those of pg_catalog are known.

        The catalog lists no operator that does nothing.
        """
        inside = self._tokens[opened + 1 : self._partner[opened]]
        signs = [token.text for token in inside[2:]]
        if (
            self._name(opened + 1) == "pg_catalog"
            and self._text(opened + 2) == "."
            and all(token.kind == "op" for token in inside[1:])
            and signs not in ([], ["*"])
        ):
            return None
        return Finding(Verdict.WRITE, "unknown_operator")

    def _may_be_called(self, first: int, last: int) -> bool:
        """Return whether an expression may begin at *first*.

        Two operands never stand side by side: behind one of them, a name with a
        parenthesis is an alias with columns, a type, or a keyword such as OVER.
        """
        if first == 0:
            return True
        kind, word, _, _ = self._tokens[first - 1]
        if kind == "op":
            return self._after_sign(word, first, last)
        if kind != "name" or self._text(first - 2) == ".":
            return False
        return self._after_word(word, first, last)

    def _after_word(self, word: str, first: int, last: int) -> bool:
        name, before = self._text(last), self._text(first - 2)
        if word in ("as", "ordinality") or (word, name) in _PAIRS:
            return False
        if (before, word, name) in _TRIPLES:
            return False
        if name in _GROUPINGS and word in ("all", "distinct"):
            return not self._groups(first - 1)
        if name == "join":
            return word not in _JOINED and word in _BEFORE_EXPRESSION
        if word in ("with", "recursive"):
            return not self._names_cte(last)
        return word in NEVER_FUNCTIONS or word in OTHER_KEYWORDS

    def _after_sign(self, sign: str, first: int, last: int) -> bool:
        if sign == ")":
            # DISTINCT ON (...) and OPERATOR(...) stand in front of expressions.
            opened = self._partner[first - 1]
            return self._text(opened - 1) == "operator" or (
                self._text(opened - 1) == "on" and self._text(opened - 2) == "distinct"
            )
        if sign in (",", "(") and self._text(last) in _GROUPINGS:
            return not self._groups(first - 1)
        if sign == ",":
            return not self._names_cte(last)
        return sign not in ("]", "::")

    def _groups(self, index: int) -> bool:
        """Return whether *index* is in the list behind GROUP BY."""
        # Not farther than a list reaches: looking back from each would take forever.
        last = max(0, index - _LONGEST_LIST)
        while index > last and self._text(index) not in _BEFORE_LIST:
            # A parenthesis that opens ends the way back, one that closes is skipped.
            partner = self._partner[index]
            if index < partner:
                return self._text(index - 1) == "sets"
            index = (partner if partner >= 0 else index) - 1
        return self._text(index) == "by" and self._text(index - 1) == "group"

    def _names_cte(self, last: int) -> bool:
        """Return whether ``name (a, b) AS (SELECT`` stands here."""
        index = self._partner[last + 1] + 1
        if index == 0 or self._text(index) != "as":
            return False
        index += 1
        if self._text(index) == "not":
            index += 1
        if self._text(index) == "materialized":
            index += 1
        if self._text(index) != "(":
            return False
        inside = self._text(index + 1)
        return inside == "(" or inside in _QUERY_START or inside in _DML

    def _function(self, first: int, last: int) -> Finding | None:
        parts = [self._tokens[index].text for index in range(first, last + 1, 2)]
        schema, name = ".".join(parts[:-1]), parts[-1]
        if schema == "information_schema" and name.startswith("_pg_"):
            return None
        if schema not in ("", "pg_catalog"):
            return self._ask(schema, name)
        if self._catalog.listed:
            found = self._catalog.listing(schema, name)
            if found is not None:
                return None if found.verdict is Verdict.READ else found
        found = self._built_in(schema, name, last + 2)
        if schema or found is _UNKNOWN:
            return found
        if found is RUNS_ARGUMENT:
            return self._run_arguments(last + 2)
        shadow = self._shadow(name)
        return graver(found or _READ, shadow) if shadow else found

    def _shadow(self, name: str) -> Finding | None:
        """Judge the application's own function under a name of the server's.

        Either may be meant: the better match of the arguments decides, wherever
        its schema stands on the search path.
        """
        found = self._catalog.function("", name)
        return None if found is None or found.verdict is Verdict.READ else found

    def _built_in(self, schema: str, name: str, argument: int) -> Finding | None:
        if name in HARMLESS:
            return None
        if name in SPECIAL:
            return Finding(*SPECIAL[name])
        return self._by_argument(schema, name, argument)

    def _by_argument(self, schema: str, name: str, index: int) -> Finding | None:
        """Judge a function by its first argument, at *index*."""
        argument = literal(self._tokens[index]) if index < len(self._tokens) else None
        if name == "current_setting":
            return _setting(argument)
        if name == "ts_rewrite":
            return self._rewrite(index)
        if name in RUN_QUERIES:
            return self._run_query(argument)
        if name == "set_config":
            return Finding(Verdict.PIN, "set_config")
        return _UNKNOWN if schema else self._ask("", name)

    def _ask(self, schema: str, name: str) -> Finding | None:
        found = self._catalog.function(schema, name)
        if found is None:
            return _UNKNOWN
        return None if found.verdict is Verdict.READ else found

    def _rewrite(self, index: int) -> Finding | None:
        """Judge ts_rewrite(): with two arguments, the second is a query."""
        starts = self._arguments(index)
        if len(starts) == 3:
            return None
        return self._run_query(literal(self._tokens[starts[-1]]))

    def _arguments(self, index: int) -> list[int]:
        """Return where each argument of the call begins whose first is at *index*."""
        starts, end = [index], self._partner[index - 1]
        while index < end:
            if self._text(index) == "(":
                index = max(index, self._partner[index])
            elif self._text(index) == ",":
                starts.append(index + 1)
            index += 1
        return starts

    def _run_arguments(self, index: int) -> Finding | None:
        """Judge the call of a function that runs its arguments, the first at *index*."""
        for token in self._tokens[index : self._partner[index - 1]]:
            text = literal(token)
            if text is None and token.text not in (",", "true", "false", "null"):
                return RUNS_ARGUMENT
            if text is not None:
                words = text.lower().replace("(", " ").split()
                if (words[:1] and words[0] not in _RUNNABLE) or set(words) & _NOT_RUN:
                    return RUNS_ARGUMENT
                if self._inner is None or self._inner(text).verdict is not Verdict.READ:
                    return RUNS_ARGUMENT
        return None

    def _run_query(self, text: str | None) -> Finding | None:
        """Judge a text that a function runs: the server refuses commands there."""
        if text is None or self._inner is None:
            return Finding(Verdict.WRITE, "opaque_query")
        inner = self._inner(text)
        if inner.verdict is Verdict.READ or inner.reason == "write_statement":
            return None
        if inner.verdict is Verdict.PIN:
            return inner
        return Finding(Verdict.WRITE, "opaque_query")


def _as_column(name: str) -> Finding | None:
    """Judge a name behind a dot, which may be a function of what stands before it."""
    if name[:2] in ("u&", "U&"):
        return Finding(Verdict.WRITE, "escaped_name")
    return Finding(*AS_COLUMN[name]) if name in AS_COLUMN else None


def _setting(name: str | None) -> Finding | None:
    """Judge current_setting(): a name with a dot is the application's own setting.

    It follows the session, which records and replays it.
    """
    if name is not None and "." in name:
        return None
    if name in NODE_SETTINGS:
        return Finding(Verdict.NODE_LOCAL, "node_setting")
    return Finding(Verdict.SAME_CONNECTION, "session_state")
