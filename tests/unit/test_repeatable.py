"""What can be compared when it is read again, and what cannot."""

from __future__ import annotations

import pytest

from globaldb.core.lexer.mysql import tokenize as mysql_tokens
from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.repeatable import UNKNOWN, Repeatable, repeatable

CHANGING = [
    "SELECT now()",
    "SELECT id FROM t WHERE at > now() - interval '1 day'",
    "SELECT CURRENT_TIMESTAMP, id FROM t",
    "SELECT id FROM t WHERE day = current_date",
    "SELECT random() FROM t",
    "SELECT gen_random_uuid()",
    "SELECT * FROM t LIMIT 10 OFFSET 20",
    "SELECT * FROM t LIMIT %s",
    "SELECT * FROM t LIMIT $1",
    "SELECT * FROM t FETCH FIRST 3 ROWS ONLY",
    "SELECT * FROM t OFFSET 3",
    "SELECT DISTINCT ON (a) a, b FROM t",
    "SELECT * FROM (SELECT * FROM t LIMIT 3) s ORDER BY 1",
    "SELECT * FROM t WHERE id IN (SELECT id FROM u LIMIT 1)",
    "WITH few AS (SELECT * FROM t LIMIT 3) SELECT * FROM few ORDER BY id",
    "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
    "SELECT pg_sleep(1)",
    "SELECT pg_stat_get_backend_pid(1)",
]
LASTING = [
    "SELECT id FROM t",
    "SELECT id FROM t WHERE now = 1",
    "SELECT t.now FROM t",
    "SELECT 'now()' FROM t",
    'SELECT "current_date" FROM t',
    "SELECT 1 AS a FROM t WHERE id = 3 LIMIT 1",
    'SELECT %s AS "a" FROM t WHERE id = %s LIMIT 1',
    "SELECT * FROM t WHERE EXISTS (SELECT 1 AS a FROM u LIMIT 1)",
    "SELECT count(*) FROM t -- limit 3",
]
ORDERED = [
    "SELECT id FROM t ORDER BY id",
    "SELECT id FROM t ORDER BY id LIMIT 10 OFFSET 20",
    "SELECT id FROM t ORDER BY id LIMIT %s",
    "SELECT * FROM (SELECT * FROM t ORDER BY id LIMIT 3) s ORDER BY 1",
    "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b",
    "SELECT id FROM t UNION SELECT id FROM u ORDER BY 1",
]
UNORDERED = [
    "SELECT array_agg(id ORDER BY id) FROM t",
    "SELECT rank() OVER (ORDER BY id) FROM t",
    "SELECT * FROM (SELECT * FROM t ORDER BY id LIMIT 3) s",
]


@pytest.mark.parametrize("sql", CHANGING)
def test_what_changes_by_itself_is_not_compared(sql: str) -> None:
    assert repeatable(tokenize(sql)) == UNKNOWN


@pytest.mark.parametrize("sql", LASTING + UNORDERED)
def test_what_stays_the_same_is_compared_without_its_order(sql: str) -> None:
    found = repeatable(tokenize(sql))
    assert (found.changing, found.ordered, found.most) == (False, False, None)


@pytest.mark.parametrize("sql", ORDERED)
def test_the_order_counts_where_the_query_orders(sql: str) -> None:
    found = repeatable(tokenize(sql))
    assert (found.changing, found.ordered, found.most) == (False, True, None)


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM t LIMIT 21", "SELECT a FROM t limit 21;"]
)
def test_a_limit_matters_once_as_many_rows_are_there(sql: str) -> None:
    assert repeatable(tokenize(sql)).most == 21


@pytest.mark.parametrize(
    ("sql", "alone"),
    [
        ("SELECT name, statement FROM pg_prepared_statements", True),
        ("SELECT count(*) FROM pg_cursors WHERE name = 'a'", True),
        ("SELECT count(*) FROM pg_cursors WHERE position('a' in name) > 0", True),
        ("SELECT * FROM rows(1), t", False),
        ("SELECT * FROM pg_settings, t", False),
        ("SELECT * FROM pg_settings JOIN t ON true", False),
        ("SELECT * FROM pg_settings WHERE name IN (SELECT n FROM t)", False),
        ("SELECT (SELECT n FROM t) FROM pg_settings", False),
        ("TABLE t", False),
    ],
)
def test_one_relation_stands_alone(sql: str, *, alone: bool) -> None:
    assert repeatable(tokenize(sql)).alone is alone


def test_another_dialect_is_read_by_its_own_tokens() -> None:
    assert repeatable(mysql_tokens("SELECT UUID()")) == UNKNOWN
    found = repeatable(mysql_tokens("SELECT a FROM t ORDER BY a LIMIT 2, 5"))
    assert found == Repeatable(ordered=True)
