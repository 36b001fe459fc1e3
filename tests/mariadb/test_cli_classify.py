"""`globaldb classify --url` asks a MariaDB server for what its objects do."""

from __future__ import annotations

import json

import pytest
from mariadb_pair import USER, Pair

from globaldb.cli import main

OBJECTS = (
    "CREATE TABLE asked.t (a int)",
    "CREATE FUNCTION asked.price(n int) RETURNS int DETERMINISTIC RETURN n + 1",
    "CREATE FUNCTION asked.taken(n int) RETURNS int RETURN GET_LOCK('a', n)",
    "CREATE VIEW asked.prices AS SELECT asked.price(a) FROM asked.t",
)


@pytest.fixture
def url(mariadb: Pair) -> str:
    """The writer, with objects of its own."""
    mariadb.add_schema("asked")
    mariadb.allow_reading()
    mariadb.writer.ask("SET GLOBAL log_bin_trust_function_creators = 1", *OBJECTS)
    host, port = mariadb.writer.host, mariadb.writer.port
    return f"mariadb://{USER}:{mariadb.password}@{host}:{port}/asked"


def test_what_the_catalog_tells_counts(url: str, capsys: pytest.CaptureFixture[str]):
    texts = {
        "SELECT price(1)": "read",
        "SELECT asked.taken(1)": "pin",
        "SELECT * FROM prices": "read",
        "SELECT unheard(1)": "write",
        "SELECT 1 /*M!100000 FOR UPDATE */": "write",
    }
    assert main(["classify", "--json", "--url", url, *texts]) == 0
    answers = map(json.loads, capsys.readouterr().out.splitlines())
    assert {answer["sql"]: answer["verdict"] for answer in answers} == texts
