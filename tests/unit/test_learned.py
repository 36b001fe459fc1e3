"""What readers refused is known again, whatever its values; and it is bounded."""

from __future__ import annotations

import pytest

from globaldb.core.learned import Learned, fingerprint
from globaldb.core.lexer.postgresql import tokenize


def key(sql: str) -> str:
    return fingerprint(tokenize(sql))


@pytest.mark.parametrize(
    "other",
    [
        "select  F( 2 ,'b')\n-- why not",
        "SELECT f(%s, %s)",
        "SELECT f($1, $2)",
        "SELECT f(1, 2, 3, 4)",
        "/* x */ SELECT f(1.5e3, E'a\\'b')",
    ],
)
def test_values_and_layout_do_not_count(other: str) -> None:
    assert key(other) == key("SELECT f(1, 'a')")


@pytest.mark.parametrize(
    "other",
    ["SELECT g(1, 'a')", 'SELECT "F"(1, 2)', "SELECT f(a, b)", "SELECT f(1, 2) FROM t"],
)
def test_names_do_count(other: str) -> None:
    assert key(other) != key("SELECT f(1, 'a')")


def test_a_lesson_holds_for_statements_like_it() -> None:
    learned = Learned(tokenize)
    assert "SELECT f(1)" not in learned
    learned.remember("SELECT f(1)", "cannot execute INSERT", "reader-1", 5.0)
    assert "SELECT f(2)" in learned
    assert "SELECT g(2)" not in learned
    [lesson] = learned.lessons()
    assert lesson.statement == "select f ( ? )"
    assert (lesson.node, lesson.at) == ("reader-1", 5.0)
    learned.clear()
    assert "SELECT f(2)" not in learned


def test_the_oldest_lessons_go_first() -> None:
    learned = Learned(tokenize, limit=2)
    for name in "abc":
        learned.remember(f"SELECT {name}()", "refused", "r", 0.0)
    assert [lesson.statement for lesson in learned.lessons()] == [
        "select b ( )",
        "select c ( )",
    ]


def test_a_text_of_megabytes_is_not_remembered() -> None:
    learned = Learned(tokenize)
    long = "SELECT f('" + "x" * 100_000 + "')"
    learned.remember(long, "refused", "r", 0.0)
    assert len(learned) == 0
    learned.remember("SELECT f('')", "refused", "r", 0.0)
    assert long not in learned


def test_a_long_statement_is_known_by_all_of_it_and_kept_in_part() -> None:
    learned = Learned(tokenize)
    columns = ", ".join(f"column_{number}" for number in range(1000))
    assert learned.remember(f"SELECT {columns} FROM v", "refused", "r", 0.0)
    assert f"SELECT {columns} FROM v" in learned
    assert f"SELECT {columns} FROM w" not in learned
    [lesson] = learned.lessons()
    assert len(lesson.statement) < 2100
