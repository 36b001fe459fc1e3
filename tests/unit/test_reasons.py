"""Every reason code that the code can give is explained, and nothing else is."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from globaldb.core.catalog import EMPTY
from globaldb.core.mysql import (
    functions as mysql_functions,
    utilities as mysql_utilities,
)
from globaldb.core.mysql.classify import classify as classify_mysql
from globaldb.core.postgresql import functions, utilities
from globaldb.core.postgresql.classify import classify
from globaldb.core.reasons import ROUTES, STATEMENTS, meaning, reason
from globaldb.core.statement import Verdict

ROOT = Path(__file__).parents[2]
CORE = ROOT / "globaldb" / "core"
#: What is wrong with a token is a reason of its error, not of a statement.
OF_TOKENS = (CORE / "token.py", ROOT / "globaldb" / "runtime" / "flow" / "causality.py")
FLOW = sorted({*(ROOT / "globaldb" / "runtime" / "flow").glob("*.py")} - {*OF_TOKENS})
#: Where texts are judged.
JUDGING = sorted(
    [
        *(file for file in CORE.glob("*.py") if file not in OF_TOKENS),
        *CORE.glob("postgresql/*.py"),
        *CORE.glob("mysql/*.py"),
        *FLOW,
    ]
)
#: Where it is decided who serves.
DECIDING = [
    CORE / "routing.py",
    ROOT / "globaldb" / "dbapi" / "postgresql" / "local.py",
    *FLOW,
]
#: Calls that take the reason of a text, and where among their arguments it stands.
JUDGES = {
    "Finding": 1,
    "Statement": 1,
    "control": 1,
    "_session": 0,
    "_refused": 0,
    "_named": 2,
    "_prepared": 2,
}
#: Calls that take the reason of a route.
DECISIONS = {"Decision": 1, "write": 2}
#: Names that hold the reason of a route.
HOLDING = re.compile(
    r"^(reason|why|NEAREST_READER|_READ_ONLY|_NO_FORWARDING|_NO_READER) = "
)
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
CASES = [
    json.loads(line)
    for line in (ROOT / "tests" / "spec" / "statements.jsonl").read_text().splitlines()
]


def constants(*nodes: ast.expr) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.IfExp):
            yield from constants(node.body, node.orelse)


def argument(node: ast.Call, places: dict[str, int]) -> Iterator[str]:
    at = places.get(getattr(node.func, "id", ""), len(node.args))
    yield from constants(*node.args[at : at + 1])
    yield from constants(*(k.value for k in node.keywords if k.arg == "reason"))


def judged(tree: ast.AST) -> Iterator[str]:
    """Reason codes given to statements and findings, in calls and in tables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from argument(node, JUDGES)
        elif isinstance(node, ast.Tuple) and len(node.elts) >= 2:
            # A verdict and a reason, side by side in a table or an assignment.
            if ast.unparse(node.elts[0]).startswith("Verdict."):
                yield from constants(node.elts[1])
        elif isinstance(node, ast.Assign) and ast.unparse(node).startswith("reason = "):
            yield from constants(node.value)


def decided(tree: ast.AST) -> Iterator[str]:
    """Reason codes given to decisions, and to writes that a read turned into."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from argument(node, DECISIONS)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in ("find_reader", "_writer_only"):
                returns = (n.value for n in ast.walk(node) if isinstance(n, ast.Return))
                yield from constants(*(value for value in returns if value is not None))
        elif isinstance(node, ast.Assign) and HOLDING.search(ast.unparse(node)):
            yield from constants(node.value)


def statement_codes() -> set[str]:
    trees = [ast.parse(file.read_text()) for file in JUDGING]
    codes = {code for tree in trees for code in judged(tree) if CODE.fullmatch(code)}
    codes.update(found for _, found in functions.SPECIAL.values())
    codes.update(found for _, found in mysql_functions.SPECIAL.values())
    codes.update(utilities.UTILITIES.values(), mysql_utilities.UTILITIES.values())
    codes.update(mysql_utilities.READS.values(), ("values", "table"))
    return codes


def route_codes() -> set[str]:
    trees = [ast.parse(file.read_text()) for file in DECIDING]
    return {code for tree in trees for code in decided(tree)}


def test_every_reason_of_a_verdict_is_explained():
    codes = statement_codes()
    assert len(codes) > 70
    assert sorted(codes - STATEMENTS.keys() - ROUTES.keys()) == []


def test_every_reason_of_a_route_is_explained():
    codes = route_codes()
    assert len(codes) > 15
    assert sorted(codes - ROUTES.keys() - STATEMENTS.keys()) == []


def test_nothing_is_explained_that_nothing_gives():
    everything = "".join(file.read_text() for file in {*JUDGING, *DECIDING})
    used = statement_codes() | route_codes()
    unused = (STATEMENTS.keys() | ROUTES.keys()) - used
    explained = (CORE / "reasons.py").read_text()
    elsewhere = everything.replace(explained, "")
    assert sorted(code for code in unused if f'"{code}"' not in elsewhere) == []


def test_a_code_is_explained_once():
    # The route of what stays with its connection is called like the verdict.
    assert STATEMENTS.keys() & ROUTES.keys() == set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"][:60])
def test_a_recorded_statement_has_a_reason_in_words(case):
    judge = classify if case["engine"] == "postgresql" else classify_mysql
    statement = judge(case["sql"], EMPTY)
    assert reason(statement.reason) is not None
    usual = STATEMENTS[statement.reason].where.split(", ")
    assert statement.verdict.value in usual


def test_a_usual_verdict_is_a_verdict():
    verdicts = {verdict.value for verdict in Verdict} | {"any"}
    for found in STATEMENTS.values():
        assert set(found.where.split(", ")) <= verdicts


def test_the_reason_of_several_statements_names_that_of_the_gravest():
    code = classify("SELECT 1; SET x = 1").reason
    assert code == "script_set"
    assert STATEMENTS["set"].means in meaning(code)


def test_sentences_are_sentences():
    for found in (*STATEMENTS.values(), *ROUTES.values()):
        for text in filter(None, (found.means, found.local)):
            assert not text.endswith(".")
            assert "|" not in text  # it stands in tables
