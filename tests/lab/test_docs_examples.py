"""The code in the pages and the examples works, as it stands there.

A page is one program: its python blocks in order, in one namespace. Of its console
blocks the commands that act on a running lab are carried out where they stand. The
cluster of the examples (the URL that begins with ``postgresql://app:secret@/shop``) and
``$DATABASE_URL`` are the lab's, in a schema of the page's own. Pages about MySQL, whose URL
begins with ``mysql://``, have a lab of MariaDB.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from globaldb.lab import Lab

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r'"(?:postgresql|mysql)://app:secret@/shop[^"]*"(\s*"[^"]*")*')
ACTS = re.compile(
    r"^\$ globaldb (lab (?:lag|latency|partition|heal|kill|start)\b[^#\n]*)",
    re.MULTILINE,
)
REGION = "ap-south-1"

PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if "\n```python\n" in page.read_text()
)
OF_MYSQL = [page for page in PAGES if '"mysql://app:secret' in page.read_text()]

#: What a page's program begins with; all in one line, so that the others keep theirs.
PRELUDE = (
    "import subprocess as _subprocess, sys as _sys;"
    "_lab = lambda *words: _subprocess.run([_sys.executable, '-c',"
    " 'import sys; from globaldb.cli import main; sys.exit(main())', *words],"
    " check=True, timeout=60)"
)

#: Pages need not show how everything that they open is closed.
EPILOGUE = "if 'conn' in globals(): conn.close()"


def program(page: Path, name: str) -> str:
    """The page as a program, each block on the lines where it stands in the page."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 2)
    lines[0], lines[-1] = PRELUDE, EPILOGUE
    for fence in FENCE.finditer(text):
        language, body = fence.groups()
        at = text.count("\n", 0, fence.start(2))
        if language == "python":
            for offset, line in enumerate(substituted(body).split("\n")):
                lines[at + offset] = line
        elif language == "console":
            for act in ACTS.finditer(body):
                words = [*act[1].split(), "--name", name]
                lines[at + body.count("\n", 0, act.start())] = f"_lab(*{words!r})"
    return "\n".join(lines)


def substituted(code: str) -> str:
    """The code with the placeholder URL replaced; it keeps its number of lines."""

    def replace(found: re.Match[str]) -> str:
        return '__import__("os").environ["DATABASE_URL"]' + "\\\n" * found[0].count(
            "\n"
        )

    return PLACEHOLDER.sub(replace, code)


@pytest.fixture
def environment(lab: Lab, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment of a reader's program, with a schema for this test alone."""
    schema = re.sub(r"\W", "_", request.node.name.lower())[:60]
    with psycopg.connect(
        lab.dsn("us-west-2", lab.writer().name), autocommit=True
    ) as conn:
        conn.execute(f'CREATE SCHEMA "{schema}"')
        url = f"{lab.url(REGION)}&options=-csearch_path%3D{schema}"
        # What was made here has to be there before a program looks for it.
        lab.restore()
        yield {**os.environ, "DATABASE_URL": url}
        conn.execute(f'DROP SCHEMA "{schema}" CASCADE')


def run(
    words: list[str], environment: dict[str, str], cwd: Path, code: str = ""
) -> str:
    """Run Python with *words*, *code* on its input; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        check=False,
        input=code,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    # Raised where nobody can catch it, such a warning is only printed.
    assert "ResourceWarning" not in done.stderr
    return done.stdout


def run_page(page: Path, lab: Lab, environment: dict[str, str], cwd: Path) -> str:
    launcher = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'))"
    words = ["-c", launcher, str(page)]
    return run(words, environment, cwd, program(page, lab.name))


def example(name: str, environment: dict[str, str], cwd: Path) -> str:
    return run([str(ROOT / "examples" / name)], environment, cwd)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p not in OF_MYSQL], ids=lambda page: page.stem
)
def test_the_code_of_a_page_works(
    page: Path, lab: Lab, environment: dict[str, str], tmp_path: Path
):
    run_page(page, lab, environment, tmp_path)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True, scope="session")
@pytest.mark.parametrize("page", OF_MYSQL, ids=lambda page: page.stem)
def test_the_code_of_a_page_about_mysql_works(
    page: Path, engine_lab: Lab, tmp_path: Path
):
    environment = {**os.environ, "DATABASE_URL": engine_lab.url(REGION)}
    run_page(page, engine_lab, environment, tmp_path)


def test_the_quickstart_writes_there_and_reads_here(
    environment: dict[str, str], tmp_path: Path
):
    # On a machine that is busy the writer may be the quicker one to ask.
    for visits in range(1, 6):
        said = example("quickstart.py", environment, tmp_path)
        assert "written: writer us-west-2" in said
        assert f"visits: {visits}\n" in said
        if f"read: reader {REGION}" in said:
            break
        assert ": reader_behind" in said
    else:
        pytest.fail("the reader was too far behind five times")


def test_the_report_is_made_next_door(environment: dict[str, str], tmp_path: Path):
    assert f"reader {REGION}@" in example("report.py", environment, tmp_path)


REQUESTS = """
import sys, time
sys.path.insert(0, {folder!r})
import web_request, globaldb, os

with globaldb.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
    conn.execute(web_request.TABLE)
    conn.consistency = "eventual"
    while conn.execute("SELECT to_regclass('entries')").fetchone() == (None,):
        time.sleep(0.01)  # the reader has the table later

def get(query="", cookie=""):
    sent = {{}}
    def start_response(status, headers):
        sent.update(headers, status=status)
    environ = {{"QUERY_STRING": query, "HTTP_COOKIE": cookie}}
    body = b"".join(web_request.application(environ, start_response)).decode()
    assert sent["status"] == "200 OK"
    return body, sent["Set-Cookie"].partition(";")[0]

body, cookie = get("say=%3Chello%3E")
assert body == "<li>&lt;hello&gt;</li>\\n", body
body, _ = get(cookie=cookie)
assert body == "<li>&lt;hello&gt;</li>\\n", body
get(cookie="seen=forged")
print("well")
"""


def test_visitors_of_the_guest_book_read_their_own_entries(
    lab: Lab, environment: dict[str, str], tmp_path: Path
):
    lab.lag(REGION, 1.0)
    code = REQUESTS.format(folder=str(ROOT / "examples"))
    assert run(["-"], environment, tmp_path, code) == "well\n"


def test_a_page_whose_code_fails_is_noticed(
    environment: dict[str, str], lab: Lab, tmp_path: Path
):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError, match=r'page.md", line 4'):
        run_page(page, lab, environment, tmp_path)
