"""`globaldb explain` and `globaldb classify --url`, asked on a shell, with a database."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from promises import caught_up

from globaldb.cli import main
from globaldb.core.reasons import meaning
from globaldb.lab import Lab

HERE = "ap-south-1"
OBJECTS = """
CREATE SCHEMA asked;
CREATE FUNCTION asked.price(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION asked.audit(int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE VIEW asked.audited AS SELECT asked.audit(1);
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def url(lab: Lab) -> Iterator[str]:
    """The cluster as its reader region sees it, with functions of its own."""
    writer = lab.writer()
    dsn = lab.dsn(writer.region, writer.name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(OBJECTS)
        caught_up(lab)
        yield lab.url(HERE)
        connection.execute("DROP SCHEMA asked CASCADE")


def ask(capsys: Capture, *words: str) -> list[dict[str, Any]]:
    assert main([*words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_read_is_local_and_a_write_is_not(capsys: Capture, lab: Lab):
    read, write = ask(
        capsys,
        *("explain", "--url", lab.url(HERE), "--region", HERE),
        *("SELECT 1", "DELETE FROM pg_class"),
    )
    assert (read["region"], read["role"], read["reason"]) == (
        HERE,
        "reader",
        "nearest_reader",
    )
    assert read["meaning"] == [meaning("nearest_reader"), meaning("select")]
    writer = lab.writer()
    assert write["region"] == writer.region
    assert write["node"].endswith(f":{writer.port}")
    assert (write["role"], write["verdict"]) == ("writer", "write")
    assert write["reason"] == write["statement"] == "write_statement"
    assert write["meaning"] == [meaning("write_statement")]


def test_a_consistency_asked_for_counts(capsys: Capture, lab: Lab):
    words = ["explain", "--url", lab.url(HERE), "--consistency", "global"]
    [read] = ask(capsys, *words, "SELECT 1")
    assert (read["role"], read["reason"]) == ("writer", "global_read")


def test_a_person_reads_it_in_words(capsys: Capture, lab: Lab):
    assert main(["explain", "--url", lab.url(HERE), "SELECT 1"]) == 0
    printed = capsys.readouterr().out
    assert "(reader)" in printed
    assert f"nearest_reader: {meaning('nearest_reader')}" in printed


def test_statements_come_on_standard_input_too(
    capsys: Capture, lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    given = io.TextIOWrapper(io.BytesIO(b'SELECT 1\n{"sql": "DELETE FROM t"}\n'))
    monkeypatch.setattr(sys, "stdin", given)
    answers = ask(capsys, "explain", "--url", lab.url(HERE))
    assert [answer["verdict"] for answer in answers] == ["read", "write"]


def test_what_the_catalog_tells_counts(capsys: Capture, url: str):
    texts = ["SELECT asked.price(1)", "SELECT asked.audit(1)", "TABLE asked.audited"]
    for command in ("classify", "explain"):
        answers = ask(capsys, command, "--url", url, *texts)
        assert [answer["verdict"] for answer in answers] == ["read", "write", "write"]
    assert [answer["role"] for answer in answers] == ["reader", "writer", "writer"]


def test_the_users_word_on_functions_counts(capsys: Capture, url: str):
    said = f"{url}&read_functions=asked.audit&write_functions=asked.price"
    texts = ["SELECT asked.price(1)", "SELECT asked.audit(1)"]
    answers = ask(capsys, "classify", "--url", said, *texts)
    assert [answer["verdict"] for answer in answers] == ["write", "read"]


def test_a_cluster_that_is_not_there_is_exit_code_3(capsys: Capture):
    gone = "postgresql://127.0.0.1:1/shop?connect_timeout=1"
    assert main(["explain", "--url", gone, "SELECT 1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err
