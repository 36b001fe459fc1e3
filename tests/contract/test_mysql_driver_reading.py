"""Answers are read as PyMySQL reads them, if with less work."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest
from mysql_family import each_engine
from mysql_trips import HOME, link
from promises import WRITER

from globaldb.lab import Lab

pytestmark = [pytest.mark.lab, each_engine]

#: Around each length at which a value's length takes more bytes.
LENGTHS = (0, 1, 250, 251, 252, 255, 65_535, 65_536, 70_000)
#: With a converter that takes texts alone.
OF_TEXTS = [
    "SELECT 1, -1, 1.5, 1e300, 12345678901234567890, NULL, TRUE, 'a', N'é', x'00FF'",
    "SELECT DATE'2026-01-02', TIME'-12:13:14.5', TIMESTAMP'2026-01-02 03:04:05.6'",
    "SELECT CAST('2026' AS CHAR(4)), CAST(1.10 AS DECIMAL(9,2))",
]
ANSWERS = [
    "SELECT NULL, NULL, 'ω', NULL FROM (SELECT 1 UNION SELECT 2) t",
    "SELECT b'101', CAST('x' AS BINARY), '' AS `naïve name`, 0 AS ``",
    "SELECT 1 FROM DUAL WHERE 1 = 0",
    *(f"SELECT REPEAT('x', {length}), {length}" for length in LENGTHS),
    "SELECT * FROM information_schema.collations ORDER BY collation_name, character_set_name",
    "SHOW TABLES LIKE 'nothing'",
    "DO 1",
]


def told(conn: Any, sql: str) -> tuple[Any, ...]:
    conn.query(sql)
    result = conn._result
    return (
        result.rows,
        result.description,
        result.affected_rows,
        result.warning_count,
        bool(result.has_next),
        [(type(row), [type(value) for value in row]) for row in result.rows or ()],
    )


@pytest.mark.parametrize("plain", [True, False], ids=["text", "bytes"])
def test_every_answer_is_what_pymysql_makes_of_it(engine_lab: Lab, plain: bool):
    options = {"use_unicode": plain, "charset": "utf8mb4"}
    with (
        pymysql.connect(**engine_lab.options(HOME, WRITER), **options) as raw,
        link(engine_lab, **options) as ours,
    ):
        ours.use_unicode = plain
        ours.decoders = raw.decoders
        for sql in [*OF_TEXTS, *ANSWERS] if plain else ANSWERS:
            # Twice: the second time its columns are known.
            for _ in range(2):
                assert told(ours, sql) == told(raw, sql), sql


def test_a_value_of_more_than_one_packet_is_whole(engine_lab: Lab):
    size = 16 * 1024 * 1024 + 17
    with link(engine_lab, max_allowed_packet=64 * 1024 * 1024) as ours:
        ours.query("SELECT @@GLOBAL.max_allowed_packet")
        most = int(ours._result.rows[0][0])
        if most <= size:
            _allow(engine_lab, 64 * 1024 * 1024)
    with link(engine_lab, max_allowed_packet=64 * 1024 * 1024) as ours:
        ours.query(f"SELECT REPEAT('y', {size}), 'end'")
        [(value, end)] = ours._result.rows
        assert (len(value), value.strip("y"), end) == (size, "", "end")


def _allow(lab: Lab, size: int) -> None:
    options = lab.options(HOME, WRITER, superuser=True)
    with pymysql.connect(**options) as conn, conn.cursor() as cursor:
        cursor.execute(f"SET GLOBAL max_allowed_packet = {size}")


def test_an_error_in_the_middle_of_rows_is_raised(engine_lab: Lab):
    with link(engine_lab) as ours:
        with pytest.raises(pymysql.err.MySQLError):
            ours.query(
                "SELECT n, IF(n < 3, n, (SELECT 1 UNION SELECT 2)) FROM "
                "(SELECT 1 n UNION ALL SELECT 2 UNION ALL SELECT 3) t"
            )
        ours.query("SELECT 7")
        assert ours._result.rows == (("7",),), "as text, as the runtime asks"
