"""What a DO body sets for the session keeps the session on its connection."""

from __future__ import annotations

import pytest

from globaldb.core.postgresql.classify import classify
from globaldb.core.statement import Verdict

SETS = [
    "DO $$ BEGIN SET application_name TO 'inside'; END $$",
    "DO $b$ BEGIN PERFORM 1; SET SESSION work_mem = '8MB'; END $b$",
    "do 'begin if true then set search_path to x; end if; end'",
    "DO $$ BEGIN EXECUTE 'SET role app'; END $$",
    "DO $$ BEGIN PERFORM set_config('a.b', 'c', false); END $$",
]

SETS_NOTHING = [
    "DO $$ BEGIN UPDATE t SET a = 1; END $$",
    "DO $$ BEGIN SET LOCAL work_mem = '8MB'; END $$",
    "DO $$ BEGIN INSERT INTO t VALUES (1) ON CONFLICT (i) DO UPDATE SET i = 2; END $$",
    "DO $$ BEGIN SET CONSTRAINTS ALL DEFERRED; END $$",
]


@pytest.mark.parametrize("sql", SETS)
def test_a_body_that_sets_something_pins_the_session(sql):
    assert classify(sql).verdict is Verdict.PIN


@pytest.mark.parametrize("sql", SETS_NOTHING)
def test_a_body_that_sets_nothing_lasting_is_a_write(sql):
    assert classify(sql).verdict is Verdict.WRITE
