"""What the pages say of names, codes, numbers and files is what the code says."""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import globaldb
from globaldb import errors
from globaldb.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).name)
def test_every_link_leads_to_a_file(page: Path):
    targets = [t for t in LINK.findall(page.read_text()) if "://" not in t]
    broken = [t for t in targets if not (page.parent / t).exists()]
    assert broken == []


def headings(page: Path) -> set[str]:
    """The fragments under which a page's headings are reached, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).name)
def test_every_link_into_a_page_leads_to_a_heading(page: Path):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text())
    targets = [((page.parent / name) if name else page, part) for name, part in links]
    assert [part for target, part in targets if part not in headings(target)] == []


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


def test_what_is_generated_is_current():
    """`python docs/generate.py` renews it."""
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_every_generated_part_stands_in_a_page():
    pages = "".join(page.read_text() for page in PAGES)
    marked = re.findall(r"^<!-- generated: (.+) -->$", pages, re.MULTILINE)
    parts = runpy.run_path(str(DOCS / "generate.py"))["PARTS"]
    assert sorted(marked) == sorted(parts)
    assert pages.count("<!-- end -->") == len(marked)


def test_every_command_of_the_command_line_is_described():
    pages = "".join(page.read_text() for page in PAGES)
    assert [name for name in COMMANDS if f"globaldb {name}" not in pages] == []


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
    [pymysql] = project["optional-dependencies"]["mysql"]
    assert f"| PyMySQL | {re.findall(r'>=([0-9.]+)', pymysql)[0]} |" in readme
