"""`globaldb classify` says what each statement is, line by line, whatever the line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from globaldb.cli import main
from globaldb.cli.language import knowledge
from globaldb.cli.stream import Stream
from globaldb.core.postgresql.classify import classify
from globaldb.core.reasons import meaning

COMMAND = [
    sys.executable,
    "-c",
    "from globaldb.cli import main; raise SystemExit(main())",
]

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run `globaldb classify` on bytes; return what it answered, an object a line."""

    def run(given: bytes, *words: str) -> list[dict[str, Any]]:
        stdin = io.TextIOWrapper(io.BytesIO(given))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["classify", *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_every_line_gets_its_verdict_in_order(ask: Ask):
    given = b"""{"sql": "SELECT 1"}\nDELETE FROM t\n{"sql": "SHOW work_mem"}\n"""
    assert ask(given) == [
        {"sql": "SELECT 1", "verdict": "read", "reason": "select"},
        {"sql": "DELETE FROM t", "verdict": "write", "reason": "write_statement"},
        {
            "sql": "SHOW work_mem",
            "verdict": "same_connection",
            "reason": "session_state",
        },
    ]


def test_other_keys_of_a_line_are_ignored(ask: Ask):
    given = b'{"verdict": "read", "sql": "DELETE FROM t", "engine": "mysql", "n": [1]}'
    assert ask(given) == [
        {"sql": "DELETE FROM t", "verdict": "write", "reason": "write_statement"}
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"sql": "SELECT 1"',
        "{sql: SELECT 1}",
        '{"query": "SELECT 1"}',
        '{"sql": null}',
        '["SELECT 1"]',
    ],
    ids=["cut", "unquoted", "other key", "no text", "list"],
)
def test_a_line_that_is_no_object_with_a_statement_is_the_statement(
    ask: Ask, line: str
):
    [answer] = ask(line.encode())
    assert answer["sql"] == line
    assert answer["verdict"] == "write"


def test_a_line_of_more_levels_than_python_counts_is_the_statement():
    """In a process of its own: here, what others left is finalized at that depth."""
    line = '{"a": ' * 100_000
    done = subprocess.run(
        [*COMMAND, "classify"], input=line.encode(), capture_output=True, check=True
    )
    answer = json.loads(done.stdout)
    assert (answer["sql"], answer["verdict"]) == (line, "write")
    assert done.stderr == b""


def test_a_line_break_inside_a_json_text_is_part_of_the_statement(ask: Ask):
    [answer] = ask(b'{"sql": "SELECT 1 -- x\\n, nextval(\'s\')"}\n')
    assert answer["sql"] == "SELECT 1 -- x\n, nextval('s')"
    assert answer["verdict"] == "write"


def test_a_tab_may_stand_in_a_json_text_as_it_is(ask: Ask):
    assert [answer["sql"] for answer in ask(b'{"sql": "SELECT\t1"}')] == ["SELECT\t1"]


def test_empty_lines_are_skipped_and_line_ends_of_windows_are_no_text(ask: Ask):
    answers = ask(b'\r\n\nSELECT 1\r\n  \n{"sql": "SELECT 2"}\r\nSELECT 3')
    assert [answer["sql"] for answer in answers] == ["SELECT 1", "SELECT 2", "SELECT 3"]


def test_a_return_in_the_middle_of_a_line_ends_nothing(ask: Ask):
    [answer] = ask(b"SELECT 1 -- \r, nextval('s')\n")
    assert answer["verdict"] == "write"  # to PostgreSQL it ends the comment


def test_bytes_that_are_no_text_come_back_as_they_were(ask: Ask):
    [answer] = ask(b"SELECT '\xff\xe9'\n")
    assert answer["verdict"] == "read"
    assert answer["sql"].encode("utf-8", "surrogateescape") == b"SELECT '\xff\xe9'"


def test_a_statement_longer_than_any_buffer_is_one_statement(ask: Ask):
    text = f"SELECT '{'x' * 3_000_000}'"
    assert [a["sql"] == text for a in ask(text.encode() + b"\nSELECT 1\n")] == [
        True,
        False,
    ]


def test_the_verdicts_are_those_of_the_classifier(ask: Ask):
    texts = ["SELECT f(1)", "BEGIN", "LISTEN a", "SELECT 1; SET x = 1", "VACUUM", ""]
    given = "\n".join(json.dumps({"sql": text}) for text in texts)
    expected = [classify(text) for text in texts]
    assert [(a["verdict"], a["reason"]) for a in ask(given.encode())] == [
        (statement.verdict.value, statement.reason) for statement in expected
    ]


DEFINITION = (
    b"CREATE FUNCTION f(int) RETURNS int %s LANGUAGE sql AS 'SELECT $1'\nSELECT f(1)\n"
)


def test_a_function_defined_on_the_way_is_known_from_there_on(ask: Ask):
    answers = ask(b"SELECT f(1)\n" + DEFINITION % b"STABLE" + b"DROP FUNCTION f(int)\n")
    assert [answer["verdict"] for answer in answers] == [
        "write",
        "write",
        "read",
        "write",
    ]
    assert ask(DEFINITION % b"STABLE" + b"DROP FUNCTION f(int)\nSELECT f(1)")[-1] == {
        "sql": "SELECT f(1)",
        "verdict": "write",
        "reason": "unknown_function",
    }


@pytest.mark.parametrize("engine", ["mysql", "mariadb"])
def test_an_engine_asked_for_reads_the_statements(ask: Ask, engine: str):
    given = b"SELECT 1 # nextval(s)\nSELECT @x\nSELECT LAST_INSERT_ID()\n"
    assert [answer["verdict"] for answer in ask(given, "--engine", engine)] == [
        "read",
        "same_connection",
        "same_connection",
    ]


def test_a_file_of_statements_is_taken_apart(ask: Ask):
    given = (
        b"SELECT 1;\nSELECT 'a;b',\n  nextval('s');\n"
        b"CREATE FUNCTION f() RETURNS int AS $$ BEGIN; RETURN 1; END $$\n"
        b"  LANGUAGE plpgsql;\n\n-- the end\n"
    )
    reasons = [answer["reason"] for answer in ask(given, "--split")]
    assert reasons == ["select", "sequence", "definition", "empty"]


def test_without_sqlparse_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "sqlparse", None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT 1")))
    assert main(["classify", "--split"]) == 2
    assert "pip install 'globaldb[cli]'" in capsys.readouterr().err


def test_a_person_is_told_what_it_means_and_what_would_help(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["classify", "SELECT f(1)", "SELECT 1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "write: SELECT f(1)",
        f"  unknown_function: {meaning('unknown_function')}",
        "read: SELECT 1",
        f"  select: {meaning('select')}",
    ]
    assert "read_functions" in meaning("unknown_function")


def test_a_program_may_give_statements_as_arguments(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["classify", "--json", "SELECT 1"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sql": "SELECT 1",
        "verdict": "read",
        "reason": "select",
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--engine", "oracle"], 2, "invalid choice: 'oracle'"),
        (
            ["--engine", "mysql", "--url", "postgresql://localhost/shop"],
            2,
            "--engine mysql with a URL of postgresql",
        ),
        (["--url", "nonsense"], 2, "this is not a database URL"),
        (
            ["--url", "postgresql://127.0.0.1:1/shop"],
            3,
            "no node gave its catalog (127.0.0.1:1: ",
        ),
    ],
)
def test_wrong_usage_and_a_database_that_is_not_there_are_told(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
):
    assert main(["classify", *words, "SELECT 1"]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("postgresql://localhost/shop", "psycopg", "postgresql"),
        ("mariadb://localhost/shop", "pymysql", "mysql"),
    ],
)
def test_without_the_driver_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    driver: str,
    extra: str,
):
    monkeypatch.setitem(sys.modules, driver, None)
    assert main(["classify", "--url", url, "SELECT 1"]) == 2
    told = f"{driver} is not installed: pip install 'globaldb[{extra}]'"
    assert told in capsys.readouterr().err


def test_an_answer_comes_before_the_next_question():
    with subprocess.Popen(
        [*COMMAND, "classify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for sql in ("SELECT 1", "SELECT 2"):
            process.stdin.write(f"{sql}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["sql"] == sql
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    with subprocess.Popen(
        [*COMMAND, "classify"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"SELECT 1\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"SELECT 2\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_an_argument_that_is_no_text_comes_out_as_its_bytes():
    done = subprocess.run(
        [*COMMAND, "classify", b"SELECT '\xff'"], capture_output=True, check=True
    )
    assert done.stdout.splitlines()[0] == b"read: SELECT '\xff'"


def test_what_was_prepared_is_known_when_it_is_executed() -> None:
    lines = [
        "PREPARE r AS SELECT 1",
        "PREPARE w AS INSERT INTO t VALUES (1)",
        "EXECUTE r",
        "EXPLAIN ANALYZE EXECUTE r",
        "EXECUTE w",
        "EXECUTE unknown",
        "EXECUTE r(nextval('s'))",
        "DEALLOCATE r",
        "EXECUTE r",
        "PREPARE r AS SELECT 1",
        "DISCARD ALL",
        "EXECUTE r",
    ]
    stream = Stream(knowledge("postgresql", None), None)
    verdicts = [stream.look_up(line).verdict.value for line in lines]
    executed = [
        verdict
        for line, verdict in zip(lines, verdicts, strict=True)
        if "EXECUTE" in line
    ]
    expected = ["read", "read", "write", "write", "write", "write", "write"]
    assert executed == expected
