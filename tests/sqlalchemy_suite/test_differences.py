"""What counts as a difference: everything that the page does not say, and only that."""

from __future__ import annotations

import pytest

from sqlalchemy_suite.differences import PAGE, documented, judge

ROW = "| `HasTableTest::test_has_table` | mariadb | 2.0 | It is told of elsewhere |\n"
HEAD = "\n## What is different\n\n"


def test_the_page_as_it_is_can_be_read() -> None:
    for line in ("2.0", "2.1"):
        assert len(documented(PAGE.read_text(), "postgresql", line)) <= 10


def test_a_test_is_listed_for_its_server_and_its_line() -> None:
    assert documented(HEAD + ROW, "mariadb", "2.0") == {"HasTableTest::test_has_table"}
    assert not documented(HEAD + ROW, "mariadb", "2.1")
    assert not documented(HEAD + ROW, "mysql", "2.0")


def test_there_may_be_no_more_than_ten_in_the_list() -> None:
    with pytest.raises(ValueError, match="11 tests"):
        documented(HEAD + ROW * 11, "mariadb", "2.0")


def test_a_failure_counts_unless_the_stock_dialect_has_it_or_the_page() -> None:
    ours = dict.fromkeys(("A::a#0", "A::b#0", "A::c#0", "A::d#0"), "failure")
    judged = judge(ours, {"A::b#0": "error", "A::c#0": "passed"}, {"A::d"})
    assert judged.worse == {"A::a#0": "failure", "A::c#0": "failure"}


def test_a_test_that_does_not_run_counts_if_it_passes_with_the_stock_dialect() -> None:
    stock = {"A::a#0": "passed", "A::b#0": "passed", "A::c#0": "skipped"}
    judged = judge({"A::a#0": "skipped"}, stock, set())
    assert judged.worse == {"A::a#0": "skipped", "A::b#0": "missing"}


def test_a_test_of_the_list_that_passes_counts() -> None:
    ours = {"A::a#0": "passed", "A::a#1": "failure", "A::b#0": "passed"}
    assert judge(ours, {}, {"A::a", "A::b", "A::not_run"}).better == ["A::b"]
