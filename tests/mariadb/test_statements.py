"""The recorded statements, judged with a real catalog, as a real reader takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CLIENT

from globaldb.core.mysql.classify import classify
from globaldb.core.mysql.dialect import Dialect
from globaldb.core.statement import Verdict
from globaldb.drivers.pymysql.catalog import read_catalog

LINES = (Path(__file__).parent.parent / "spec" / "statements.jsonl").read_text()
CASES = {
    case["sql"]: case
    for case in map(json.loads, LINES.splitlines())
    if case["engine"] == "mysql"
}
#: Only MySQL understands these.
FOREIGN = {
    "SHOW BINARY LOG STATUS",
    "SET PERSIST max_connections=100",
    "VALUES ROW(1),ROW(2)",
    "SELECT PS_CURRENT_THREAD_ID()",
    "SELECT @@global.gtid_executed",
    "TABLE a",
    "SELECT * FROM a FOR SHARE",
}
#: What the statements name, and a user may make.
SCHEMA = """
CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v INT)
CREATE TABLE my (i INT) ENGINE=MyISAM
CREATE FUNCTION ro(i INT) RETURNS INT READS SQL DATA DETERMINISTIC RETURN (SELECT MAX(v) FROM a)
CREATE FUNCTION wr(i INT) RETURNS INT MODIFIES SQL DATA DETERMINISTIC BEGIN INSERT INTO a(v) VALUES (i); RETURN i; END
CREATE PROCEDURE p_ro() BEGIN SELECT COUNT(*) FROM a; END
CREATE PROCEDURE p_wr() BEGIN INSERT INTO a(v) VALUES (9); END
CREATE PROCEDURE p_tmp() BEGIN CREATE TEMPORARY TABLE ptmp(i INT); END
CREATE VIEW vw AS SELECT wr(7) AS x
"""


@pytest.fixture(scope="module")
def schema(mariadb):
    mariadb.add_schema("t")
    with mariadb.connect(mariadb.writer, database="t") as connection:
        with connection.cursor() as cursor:
            for statement in SCHEMA.strip().splitlines():
                cursor.execute(statement)
    mariadb.catch_up()
    return mariadb


@pytest.fixture(scope="module")
def catalog(schema):
    with schema.connect(schema.reader, database="t") as connection:
        return read_catalog(connection)


@pytest.fixture
def reader(schema):
    flags = {"client_flag": CLIENT.MULTI_STATEMENTS, "database": "t"}
    with schema.connect(schema.reader, **flags) as connection:
        yield connection


def answer(connection, sql):
    """Return the number and text of the error; 0 when all of *sql* was run."""
    try:
        connection.query(sql)
        while connection._result.has_next:
            connection.next_result()
    except pymysql.err.MySQLError as error:
        return error.args
    return (0, "")


@pytest.mark.parametrize("sql", CASES)
def test_a_recorded_statement_has_its_verdict_with_the_catalog(catalog, sql):
    assert classify(sql, catalog).verdict.value == CASES[sql]["verdict"]


@pytest.mark.parametrize("sql", CASES)
def test_it_is_the_same_to_a_dialect_that_is_known(catalog, schema, sql):
    major, minor, patch = schema.reader.binaries.version
    dialect = Dialect(mariadb=True, version=major * 10000 + minor * 100 + patch)
    assert classify(sql, catalog, dialect).verdict.value == CASES[sql]["verdict"]


@pytest.mark.parametrize("sql", CASES)
def test_what_a_reader_refuses_as_read_only_is_no_read(catalog, reader, sql):
    number, text = answer(reader, sql)
    refused = number == 1290 and "--read-only" in text
    assert not (refused and CASES[sql]["verdict"] in ("read", "node_local"))


@pytest.mark.parametrize(
    "sql", [sql for sql, case in CASES.items() if case["verdict"] == "read"]
)
def test_what_is_called_a_read_is_run_by_a_reader_that_knows_it(reader, sql):
    number, text = answer(reader, sql)
    understood = sql not in FOREIGN
    assert (number, text) == (0, "") or not understood


def test_a_reader_runs_some_statements_silently_that_are_no_reads(reader, catalog):
    silent = [sql for sql, case in CASES.items() if case["silent"]]
    assert len(silent) > 10
    readable = {Verdict.READ, Verdict.NODE_LOCAL}
    assert [s for s in silent if classify(s, catalog).verdict in readable] == []
