"""Statements that nobody here wrote, run where the classifier would send them."""

from __future__ import annotations

import os

import pytest
from corpus.mariadb_judging import confusion, must_not_run_on_a_reader
from corpus.mariadb_stage import play_all
from corpus.mysqltest import scripts
from corpus.scripts import literals

from globaldb.core.mysql.classify import classify
from globaldb.core.statement import Statement, Verdict

# A run of everything takes half an hour.
pytestmark = pytest.mark.timeout(7200 if os.environ.get("GLOBALDB_CORPUS_ALL") else 300)

#: Of the folder `main`: quick ones with many kinds of statements.
CHOSEN = {
    *("except", "flush", "fulltext2", "func_misc", "func_regexp", "func_rollback"),
    *("innodb_mysql_lock", "intersect", "limit", "lock", "negation_elimination"),
    *("outfile", "prepare", "read_only", "select_found", "sp-innodb"),
    *("table_value_constr", "temp_table", "trigger-trans", "user_var"),
}
#: Views over functions that write: text alone cannot tell.
NEEDS_THE_CATALOG = {"from vin", "from vdn", "from vis", "from vds", "FROM v1_func"}


@pytest.fixture(scope="module")
def played():
    """What a writer and a reader made of the chosen scripts."""
    every = bool(os.environ.get("GLOBALDB_CORPUS_ALL"))
    names = {f"main/{name}" for name in CHOSEN}
    chosen = [each for each in scripts("main") if every or each.name in names]
    chosen.append(literals("mysql"))
    return list(play_all(chosen))


def test_no_reader_refuses_what_was_taken_for_a_read(played):
    refused = [each.sql for each in confusion(played, classify).refused]
    assert [
        sql for sql in refused if not any(part in sql for part in NEEDS_THE_CATALOG)
    ] == []


def test_nothing_that_a_reader_runs_silently_is_taken_for_a_read(played):
    assert [each.sql for each in confusion(played, classify).silent] == []
    assert sum(must_not_run_on_a_reader(each.sql) for each in played) > 300


def test_few_reads_are_kept_on_the_writer(played):
    found = confusion(played, classify)
    assert found.reads > 800
    assert found.kept.total() <= 0.05 * found.reads, str(found)


def test_a_classifier_by_the_first_word_is_found_out(played):
    def by_first_word(sql: str) -> Statement:
        verdict = Verdict.READ if sql.lower().startswith("select") else Verdict.WRITE
        return Statement(verdict, "planted", "")

    found = confusion(played, by_first_word)
    assert len(found.refused) > 10
    assert len(found.silent) > 10
