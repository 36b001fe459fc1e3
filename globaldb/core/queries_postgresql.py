"""What a query does beyond reading: its calls, locks, targets and relations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from globaldb.core.functions_postgresql import HARMLESS, RUN_QUERIES, SPECIAL
from globaldb.core.lexer import Token, literal
from globaldb.core.statement import Verdict
from globaldb.core.words_postgresql import (
    CONNECTION_VIEWS,
    NEVER_FUNCTIONS,
    NODE_SETTINGS,
    NODE_VIEWS,
    OTHER_KEYWORDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: What a catalog says about a function of the application, by its written name.
Known: TypeAlias = "Callable[[str], Verdict | None]"
#: What a text given to a query-running function would do.
Inner: TypeAlias = "Callable[[str], Finding]"


class Finding(NamedTuple):
    """A verdict and the reason for it."""

    verdict: Verdict
    reason: str


SEVERITY: Final = {
    Verdict.READ: 0,
    Verdict.NODE_LOCAL: 1,
    Verdict.SAME_CONNECTION: 2,
    Verdict.WRITE: 3,
    Verdict.TRANSACTION: 4,
    Verdict.SESSION: 5,
    Verdict.PIN: 6,
}

_READ: Final = Finding(Verdict.READ, "select")
_UNKNOWN: Final = Finding(Verdict.WRITE, "unknown_function")
_DML: Final = frozenset(("insert", "update", "delete", "merge"))
_STRENGTHS: Final = {"update": None, "share": None, "no": "key", "key": "share"}
_TEMPORARY: Final = frozenset(("temp", "temporary", "pg_temp"))
_QUERY_START: Final = frozenset(("select", "with", "table", "values"))
# Behind these tokens a statement cannot begin, so a command's word there is a name.
_INSIDE_EXPRESSION: Final = frozenset(
    ("as", ".", ",", "=", "<", ">", "+", "-", "*", "/", "|", "select", "distinct")
) | frozenset(
    ("where", "and", "or", "not", "on", "by", "having", "when", "then", "else")
)
# Keywords that may stand for a function's name elsewhere, known by the one in front.
_PAIRS: Final = frozenset(
    (
        ("group", "by"),
        ("order", "by"),
        ("partition", "by"),
        ("time", "zone"),
        ("grouping", "sets"),
        ("by", "rollup"),
        ("by", "cube"),
        ("fetch", "first"),
        ("fetch", "next"),
        ("not", "materialized"),
    )
)
_JOINED: Final = frozenset(
    ("left", "right", "full", "inner", "outer", "cross", "natural")
)
# Keywords an expression may follow; only to tell the keyword JOIN from a function.
_BEFORE_EXPRESSION: Final = NEVER_FUNCTIONS | frozenset(
    ("by", "zone", "escape", "like", "ilike", "value", "key", "passing", "content")
    + ("document", "version", "path", "rows", "range", "groups", "first", "next")
    + ("name", "set", "similar", "is", "uescape", "recursive", "columns", "overlaps")
)


class Query:
    """The tokens of one query, or of any statement that may contain one."""

    __slots__ = ("_inner", "_known", "_partner", "_tokens")

    def __init__(
        self, tokens: Sequence[Token], known: Known | None, inner: Inner | None
    ) -> None:
        self._tokens = tokens
        self._known = known
        self._inner = inner
        self._partner = _partners(tokens)

    def judge(self) -> Finding:
        """Return the gravest finding; ``read`` when there is none."""
        worst = _READ
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

    def _text(self, index: int) -> str:
        """Return the word or sign at *index*; empty for anything else."""
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind in ("name", "op"):
                return token.text
        return ""

    def _word(self, index: int) -> Finding | None:
        word = self._tokens[index].text
        before, after = self._text(index - 1), self._text(index + 1)
        if word == "for":
            if before not in ("as", ".") and after in _STRENGTHS:
                wanted = _STRENGTHS[after]
                if wanted is None or self._text(index + 2) == wanted:
                    return Finding(Verdict.WRITE, "locking_clause")
            return None
        if word == "into":
            return None if before in ("as", ".") else self._into(index)
        if word in _DML:
            if before in _INSIDE_EXPRESSION:
                return None
            return Finding(Verdict.WRITE, "data_modifying_cte")
        if word == "last_value" and before not in ("as", ".") and after != "(":
            return Finding(Verdict.WRITE, "sequence")
        return self._relation(index) if word.startswith("pg_") else None

    def _into(self, index: int) -> Finding:
        if {self._name(index + 1), self._name(index + 2)} & _TEMPORARY:
            return Finding(Verdict.PIN, "temporary_object")
        return Finding(Verdict.WRITE, "select_into")

    def _relation(self, index: int) -> Finding | None:
        """Judge a name that may be that of a relation."""
        name = self._tokens[index].text
        after = self._text(index + 1)
        if name == "pg_temp" and after == ".":
            return Finding(Verdict.SAME_CONNECTION, "temporary_object")
        if after == "(" or (
            self._text(index - 1) == "." and self._name(index - 2) != "pg_catalog"
        ):
            return None
        if name in CONNECTION_VIEWS:
            return Finding(Verdict.SAME_CONNECTION, "session_state")
        if name in NODE_VIEWS or name.startswith(("pg_stat_", "pg_statio_")):
            return Finding(Verdict.NODE_LOCAL, "node_view")
        return None

    def _name(self, index: int) -> str:
        if 0 <= index < len(self._tokens):
            token = self._tokens[index]
            if token.kind in ("name", "quoted"):
                return token.text
        return ""

    def _call(self, last: int) -> Finding | None:
        """Judge the name that ends at *last*, in front of a parenthesis."""
        token = self._tokens[last]
        if token.kind == "param":
            # Without parameters "a %s(b)" is "a % s(b)": a call.
            return _UNKNOWN
        if token.kind not in ("name", "quoted"):
            return None
        first = last
        while self._text(first - 1) == "." and self._name(first - 2):
            first -= 2
        qualified = self._text(last - 1) == "."
        if not qualified and token.kind == "name":
            if token.text in NEVER_FUNCTIONS:
                return None
            if token.text == "operator":
                return self._operator(last + 2)
        if not self._may_be_called(first, last):
            return None
        return self._function(first, last)

    def _operator(self, index: int) -> Finding | None:
        """OPERATOR(schema.sign): only those of pg_catalog are known."""
        if self._name(index) in ("pg_catalog", ""):
            return None
        return Finding(Verdict.WRITE, "unknown_operator")

    def _may_be_called(self, first: int, last: int) -> bool:
        """Return whether an expression may begin at *first*.

        Two operands never stand side by side: behind one of them, a name with a
        parenthesis is an alias with columns, a type, or a keyword such as OVER.
        """
        if first == 0:
            return True
        before = self._tokens[first - 1]
        if before.kind in ("quoted", "string", "number", "param"):
            return False
        if before.kind == "op":
            return self._after_sign(before.text, first, last)
        word, name = before.text, self._text(last)
        if (
            word in ("as", "ordinality")
            or (word, name) in _PAIRS
            or self._text(first - 2) == "."
        ):
            return False
        if name == "join":
            return word not in _JOINED and word in _BEFORE_EXPRESSION
        if word in ("with", "recursive"):
            return not self._names_cte(last)
        return word in NEVER_FUNCTIONS or word in OTHER_KEYWORDS

    def _after_sign(self, sign: str, first: int, last: int) -> bool:
        if sign == ")":
            opened = self._partner[first - 1]
            return (
                self._text(opened - 1) == "on" and self._text(opened - 2) == "distinct"
            )
        if sign == ",":
            return not self._names_cte(last)
        return sign not in ("]", "::")

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
        name = parts[-1]
        if parts[:-1] == ["information_schema"] and name.startswith("_pg_"):
            return None
        if parts[:-1] not in ([], ["pg_catalog"]):
            return self._ask(".".join(parts))
        if name in HARMLESS:
            return None
        if name == "set_config":
            return Finding(Verdict.PIN, "set_config")
        if name == "current_setting":
            return self._setting(last + 2)
        if name in RUN_QUERIES:
            return self._run_query(last + 2)
        special = SPECIAL.get(name)
        return self._ask(name) if special is None else Finding(*special)

    def _ask(self, name: str) -> Finding | None:
        verdict = None if self._known is None else self._known(name)
        if verdict is None:
            return _UNKNOWN
        if verdict is Verdict.READ:
            return None
        return Finding(verdict, "known_function")

    def _setting(self, index: int) -> Finding | None:
        """current_setting(): settings of the application's own follow its session."""
        name = literal(self._tokens[index]) if index < len(self._tokens) else None
        if name is not None and "." in name:
            return None
        if name in NODE_SETTINGS:
            return Finding(Verdict.NODE_LOCAL, "node_setting")
        return Finding(Verdict.SAME_CONNECTION, "session_state")

    def _run_query(self, index: int) -> Finding | None:
        """A function that runs a text: the server refuses commands that write there."""
        text = literal(self._tokens[index]) if index < len(self._tokens) else None
        if text is None or self._inner is None:
            return Finding(Verdict.WRITE, "opaque_query")
        inner = self._inner(text)
        if inner.reason in ("select", "values", "table", "write_statement"):
            return None
        if inner.verdict is Verdict.PIN:
            return inner
        return Finding(Verdict.WRITE, "opaque_query")


def _partners(tokens: Sequence[Token]) -> list[int]:
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
