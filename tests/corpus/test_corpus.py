"""Statements that nobody here wrote, run where the classifier would send them."""

from __future__ import annotations

import pytest

from corpus.judging import confusion, must_not_run_on_a_reader
from corpus.selection import FIXTURES, chosen, every
from corpus.stage import stage
from globaldb.core.postgresql.classify import classify
from globaldb.core.statement import Statement, Verdict

# A run of everything takes minutes where the machine is busy.
pytestmark = [pytest.mark.timeout(900), pytest.mark.lab]

#: Text alone cannot tell, so these need a catalog: the names of the views that call a
#: function that writes, and what a session's search path makes of a name.
OF_THE_SESSION = "SELECT current_schema() ~ 'pg_temp'"
NEEDS_THE_CATALOG = ("from my_locks", "SELECT 1 FROM foo AS x", OF_THE_SESSION)


@pytest.fixture(scope="module")
def play():
    """What a writer and a standby made of the chosen scripts.

    With those that text alone cannot tell stands what they are by the catalog.
    """
    scripts = every()
    told = []
    played = []
    with stage() as theatre:
        theatre.prepare([scripts[name] for name in FIXTURES])
        for script in chosen(scripts):
            for each in theatre.play(script):
                played.append(each)
                if _needs_the_catalog(each):
                    told.append((each, classify(each.sql, theatre.catalog())))
    return played, told


def _needs_the_catalog(played):
    found = classify(played.sql)
    return played.standby is not None and (
        found.reason == "unknown_function"
        or (found.verdict is Verdict.READ and played.standby.read_only)
    )


@pytest.fixture
def played(play):
    return play[0]


def test_no_standby_refuses_what_was_taken_for_a_read(played):
    refused = [each.sql for each in confusion(played, classify).refused]
    assert [
        sql for sql in refused if not any(part in sql for part in NEEDS_THE_CATALOG)
    ] == []


def test_no_standby_refuses_what_the_catalog_tells_is_a_read(play):
    told = play[1]
    refused = [
        each.sql
        for each, known in told
        if known.verdict is Verdict.READ and each.standby.read_only
    ]
    assert [sql for sql in refused if OF_THE_SESSION not in sql] == []
    # And it does tell of many.
    assert sum(known.verdict is Verdict.READ for _, known in told) > 5


def test_nothing_that_a_standby_runs_silently_is_taken_for_a_read(played):
    assert [each.sql for each in confusion(played, classify).silent] == []
    assert sum(must_not_run_on_a_reader(each.sql) for each in played) > 300


def test_few_reads_are_kept_on_the_writer(played):
    found = confusion(played, classify)
    assert found.reads > 2000
    assert found.kept.total() <= 0.1 * found.reads, str(found)


def test_a_classifier_by_the_first_word_is_found_out(played):
    def by_first_word(sql: str) -> Statement:
        verdict = Verdict.READ if sql.lower().startswith("select") else Verdict.WRITE
        return Statement(verdict, "planted", "")

    found = confusion(played, by_first_word)
    assert len(found.refused) > 10
    assert len(found.silent) > 10
