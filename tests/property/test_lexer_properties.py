"""Whatever the text, it gets a verdict; and no disguise turns a write into a read."""

from __future__ import annotations

import json
import time
from pathlib import Path

from hypothesis import example, given, strategies as st

from globaldb.core.catalog import EMPTY
from globaldb.core.lexer.postgresql import single, tokenize
from globaldb.core.postgresql.classify import _exact, classify
from globaldb.core.postgresql.skim import plain_read
from globaldb.core.statement import Verdict

SPEC = Path(__file__).parent.parent / "spec"
READS = [
    line.removesuffix(";")
    for line in (SPEC / "ordinary_reads.sql").read_text().splitlines()
    if not line.startswith("--")
]
CASES = [
    json.loads(line)["sql"]
    for line in (SPEC / "statements.jsonl").read_text().splitlines()
    if '"engine": "postgresql"' in line
]
READABLE = {Verdict.READ, Verdict.NODE_LOCAL}
TAG = ("$a$", "$b$", "$$", "$")
PIECES = (
    "'", "''", '"', "E'", "U&'", 'U&"', "\\", "\\'", "--", "\n", "/*", "*/", ";", "(",
    ")", ",", ".", "%", "%s", "%(a)s", "$1", "1", "1.", " ", "\u00a0", "\0", "é", "\u212a", "pg_", "pg_catalog.", "/*/", *TAG,
    "select ", "with ", "as ", "insert ", "into ", "update ", "delete ", "for ",
    "share ", "from ", "f(", "lower(", "nextval(", "pg_locks ", "set ", "to ", "begin ",
    "copy ", "explain ", "analyze ", "execute ", "declare ", "prepare ", "over(",
    "operator(", "join ", "::", "table ", "values ", "temp ", "create ", "set_config(",
)  # fmt: skip
salads = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
gaps = st.sampled_from(
    (" ", "\n", "\t ", "/* ' */", "/* /* ; */ for update */ ", '-- " $$ ;\n', " /**/\n")
)
writes = st.sampled_from(
    (
        "INSERT INTO a VALUES (1) RETURNING id",
        "UPDATE a SET v = 1 RETURNING id",
        "DELETE FROM a RETURNING id",
        "MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE RETURNING id",
        "SELECT id FROM a FOR UPDATE",
        "SELECT nextval('s') AS id",
        "SELECT app.wr(1) AS id",
        "SELECT pg_advisory_lock(1) AS id",
    )
)
wrappers = st.sampled_from(
    (
        "WITH x AS ({}) SELECT * FROM x",
        "WITH x(y) AS MATERIALIZED ({}) SELECT * FROM x",
        "WITH a AS (SELECT 1), x AS NOT MATERIALIZED ({}) TABLE x",
        "WITH RECURSIVE x AS (WITH y AS ({}) TABLE y) SELECT 1",
        "SELECT 'a', \"b\", $$c$$, E'\\''; {}",
        "{}; SELECT 1",
        "EXPLAIN ANALYZE {}",
        "EXPLAIN (VERBOSE, ANALYZE) {}",
        "COPY ({}) TO STDOUT",
        "/* ' */ {} -- '",
        'SELECT 1 AS "\'"; {}',
    )
)


@given(st.one_of(st.text(), st.binary(), salads))
@example("SELECT \ud800")
def test_every_text_gets_a_verdict(sql):
    assert classify(sql) == classify(sql)


@given(salads, st.integers(200, 2000))
def test_a_verdict_takes_time_in_proportion_to_the_text(salad, times):
    text = (salad * times)[:100_000]
    started = time.thread_time()
    classify(text)
    classify(f"SELECT {text}")
    assert time.thread_time() - started < 3.0


@given(salads)
def test_the_glance_says_read_only_where_the_tokens_say_so(salad):
    for sql in (f"select {salad}", f"select 1 from t where {salad}"):
        if plain_read(sql):
            exact = _exact(sql, "", EMPTY)
            assert (exact.verdict, exact.multiple) == (Verdict.READ, False)


@given(st.sampled_from(READS + CASES), st.data())
def test_comments_and_white_space_change_nothing(sql, data):
    tokens = tokenize(sql)
    spread = "".join(
        sql[token.start : token.end] + data.draw(gaps, label="gap") for token in tokens
    )
    before, after = classify(sql), classify(data.draw(gaps) + spread)
    assert (before.verdict, before.reason) == (after.verdict, after.reason)
    assert before.multiple == after.multiple


@given(st.sampled_from(READS + CASES), st.randoms(use_true_random=False))
def test_letter_case_of_words_changes_nothing(sql, random):
    shuffled = list(sql)
    for token in tokenize(sql):
        if token.kind == "name" and sql[token.start : token.end].isascii():
            for at in range(token.start, token.end):
                shuffled[at] = random.choice((sql[at].lower(), sql[at].upper()))
    before, after = classify(sql), classify("".join(shuffled))
    assert (before.verdict, before.reason) == (after.verdict, after.reason)


@given(writes, wrappers)
def test_a_wrapped_write_is_never_a_read(write, wrapper):
    assert classify(wrapper.format(write)).verdict not in READABLE


@given(writes, st.sampled_from(("'{}'", "$${}$$", "$x${}$x$", '"{}"', "1 /* {} */")))
def test_a_quoted_write_is_only_text(write, quote):
    text = quote.format(write.replace("'", "''"))
    assert classify(f"SELECT {text} FROM t").verdict is Verdict.READ


@given(st.sampled_from(READS), writes)
def test_a_write_behind_a_read_makes_a_script_that_writes(read, write):
    script = classify(f"{read};{write}")
    assert script.verdict in {Verdict.WRITE, Verdict.PIN}
    assert script.multiple


@given(salads)
def test_one_statement_to_the_fast_look_is_one_to_the_tokens(salad):
    if single(salad):
        assert not classify(salad).multiple
