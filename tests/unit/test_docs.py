"""What the pages say of names, codes, numbers and files is what the code says."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import globaldb
from globaldb import errors
from globaldb.core.postgresql.classify import classify

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
ROUTES = DOCS / "reference" / "routes.md"


def codes_under(page: Path, heading: str) -> set[str]:
    """The codes in the first column of the table under *heading*."""
    section = page.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {code for cell in first_cells for code in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).name)
def test_every_link_leads_to_a_file(page: Path):
    targets = [t for t in LINK.findall(page.read_text()) if "://" not in t]
    broken = [t for t in targets if not (page.parent / t).exists()]
    assert broken == []


def test_every_page_is_reachable_from_the_index():
    index = DOCS / "README.md"
    linked = {(DOCS / target).resolve() for target in LINK.findall(index.read_text())}
    pages = {page.resolve() for page in DOCS.rglob("*.md")} - {index.resolve()}
    assert sorted(pages - linked) == []


def test_every_error_is_explained():
    page = (DOCS / "howto" / "errors.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", page, re.MULTILINE))
    classes = {
        name: found
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.Error) and found.__module__ == errors.__name__
    }
    assert set(rows) == set(classes)
    assert rows == {n: "yes" if c.retryable else "no" for n, c in classes.items()}


#: Calls that take a reason code, and where among their arguments it stands.
DECIDING = {"Decision": 1, "write": 2}
#: Names that hold a reason code.
HOLDING = re.compile(r"^(reason|why|NEAREST_READER|_READ_ONLY|_NO_FORWARDING) = ")


def decided(tree: ast.AST) -> Iterator[str]:
    """Reason codes given to decisions, and to writes that a read turned into."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            at = DECIDING.get(getattr(node.func, "id", ""), len(node.args))
            yield from codes_in(*node.args[at : at + 1])
            yield from codes_in(*(k.value for k in node.keywords if k.arg == "reason"))
        elif isinstance(node, ast.AsyncFunctionDef) and node.name == "find_reader":
            returns = (n.value for n in ast.walk(node) if isinstance(n, ast.Return))
            yield from codes_in(*(value for value in returns if value is not None))
        elif isinstance(node, ast.Assign) and HOLDING.search(ast.unparse(node)):
            yield from codes_in(node.value)


def codes_in(*nodes: ast.expr) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.IfExp):
            yield from codes_in(node.body, node.orelse)


def test_every_reason_of_a_route_is_explained():
    source = ROOT / "globaldb"
    files = [
        source / "core" / "routing.py",
        source / "dbapi" / "postgresql" / "local.py",
        *(source / "runtime" / "flow").glob("*.py"),
    ]
    trees = [ast.parse(file.read_text()) for file in files]
    codes = {code for tree in trees for code in decided(tree)}
    assert len(codes) > 15
    documented = codes_under(ROUTES, "Why there")
    assert sorted(codes - documented) == []
    everything = "".join(file.read_text() for file in files)
    assert sorted(c for c in documented if f'"{c}"' not in everything) == []


def test_every_reason_of_a_verdict_is_explained():
    lines = (ROOT / "tests" / "spec" / "statements.jsonl").read_text().splitlines()
    cases = [json.loads(line) for line in lines]
    codes = {
        classify(case["sql"]).reason for case in cases if case["engine"] == "postgresql"
    }
    assert len(codes) > 20
    assert sorted(codes - codes_under(ROUTES, "What the text was taken for")) == []


def test_every_table_of_show_is_described():
    from globaldb.runtime import show

    page = (DOCS / "reference" / "sql.md").read_text()
    missing = [
        name for name in show._TABLES if f"SHOW GLOBALDB {name.upper()}" not in page
    ]
    assert missing == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_says_why_what_follows_and_how_it_is_known(page: Path):
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Evidence"]
    number = re.findall(r"\A# (\d{4}): ", page.read_text())
    assert number == [page.name[:4]]


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == globaldb.__version__
    assert f"## [{globaldb.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_supported_versions_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [
        c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c
    ]
    readme = (ROOT / "README.md").read_text()
    assert f"| Python | {pythons[0]} to {pythons[-1]} |" in readme
    [psycopg] = project["optional-dependencies"]["postgresql"]
    assert f"| psycopg | {re.findall(r'>=([0-9.]+)', psycopg)[0]} |" in readme
