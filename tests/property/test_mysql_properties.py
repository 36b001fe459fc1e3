"""Whatever the text of MySQL, it gets a verdict; no disguise makes a write a read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st
from linear import grows_linearly

from globaldb.core.catalog import EMPTY
from globaldb.core.lexer.mysql import single, tokenize
from globaldb.core.mysql.classify import classify
from globaldb.core.mysql.dialect import Dialect
from globaldb.core.mysql.skim import plain_read
from globaldb.core.statement import Verdict

SPEC = Path(__file__).parent.parent / "spec"
CASES = [
    json.loads(line)["sql"]
    for line in (SPEC / "statements.jsonl").read_text().splitlines()
    if '"engine": "mysql"' in line and "/*!" not in line
]
READABLE = {Verdict.READ, Verdict.NODE_LOCAL}
KEPT = {Verdict.WRITE, Verdict.PIN}
PIECES = (
    "'", "''", '"', "`", "\\", "\\'", '\\"', "--", "-- ", "#", "\n", "/*", "/*!",
    "/*!50000 ", "/*!80000 ", "/*!99999 ", "/*M!", "*/", ";", "(", ")", ",", ".", "%",
    "%s", "%(a)s", "?", "1", "1.", " ", "\u00a0", "\0", "é", "@", "@a", "@@", ":=", "=",
    "select ", "with ", "as ", "insert ", "into ", "update ", "delete ", "replace(",
    "for ", "share ", "lock in ", "from ", "f(", "lower(", "get_lock(", "sys.", "set ",
    "global ", "begin ", "explain ", "execute ", "prepare ", "over(", "table ",
    "values ", "temporary ", "create ", "procedure ", "end", "{fn ", "_utf8", "n'",
    "show ", "call ", "transaction ", "statement ",
)  # fmt: skip
salads = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
gaps = st.sampled_from(
    (
        " ",
        "\n",
        "\t ",
        "/* ' */",
        "/* ; for update */ ",
        '-- " ` ;\n',
        "# '\n",
        " /**/\n",
    )
)

# A small grammar: expressions, tables and queries that read, in many dresses.
columns = st.sampled_from(("id", "`id`", "a.id", "`a`.`for update`", "`x y`", "a . v"))
literals = st.sampled_from(
    ("1", "-1.5e3", "'x'", "'it''s'", "'a\\'b'", '"q"', "0x41", "x'41'", "N'n'", "NULL",
     "_utf8mb4'é'", "%s", "%(p)s", "'for update'", "'wr(1)'", "'a' 'b'", "'; -- '")
)  # fmt: skip
calls = st.sampled_from(
    ("lower({})", "COUNT(DISTINCT {})", "coalesce({}, 1)", "if({} = 1, 2, 3)",
     "cast({} as char(5))", "replace({}, 'a', 'b')", "date_add({}, interval 1 day)",
     "sum({}) over (partition by id)", "({})", "{} in (1, 2)", "{} -- wr(1)\n",
     "case when {} then 1 else 2 end", "{} /* insert */", "json_extract({}, '$.a')")
)  # fmt: skip
expressions = st.recursive(
    columns | literals,
    lambda inner: st.builds(lambda call, one: call.format(one), calls, inner),
    max_leaves=3,
)
shapes = st.sampled_from(
    (
        "select {} from a",
        "(select {} from a) union all (select 2)",
        "with x as (select {} from a), y(z) as (select 1) select * from x, y",
        "select * from (select {} from `a` b) d(c) where id in (select 1)",
        "select 1 from a left join `b` using (id) where {} order by 1 limit 5",
        "select /*+ NO_INDEX(a) */ sql_no_cache id from a group by {} having count(*) > 1",
        "select exists (select {} from a partition (p0))",
    )
)
reads = st.builds(lambda shape, one: shape.format(one), shapes, expressions)
writes = st.sampled_from(
    (
        "select id from a for update",
        "select id from a where v = 1 lock in share mode",
        "select id from a for share skip locked",
        "select wr(1) as id",
        "select app.wr (1) as id",
        "select `wr`/**/(1) as id",
        "select get_lock('a', 1) as id",
        "select load_file('x') as id",
        "select nextval(s) as id",
    )
)
wrappers = st.sampled_from(
    (
        "with x as ({}) select * from x",
        "with a1 as (select 1), x(y) as ({}) table x",
        "with recursive x as (with y as ({}) select * from y) select 1",
        "select * from ({}) d",
        "select 1 union ({})",
        "select id, exists ({}) from a",
        "select 'a', \"b\", `c`, 'it\\'s'; {}",
        "{}; select 1",
        "explain {}",
        "explain analyze {}",
        "/* ' */ {} -- '",
        "# '\n{}",
        "/*! {} */",
        "/*!50000 {} */",
        "/*!80013 {} */",
        "/*M!100100 {} */",
        "prepare s from '{}'; execute s",
        "select '\\\\'; {}",
        "do ({})",
        "set @a = ({})",
        "create table x as {}",
    )
)
changes = st.sampled_from(
    (
        "insert into a values (1)",
        "replace a set v = 1",
        "update a set v = 1",
        "with x as (select 1) delete from a",
        "load data infile 'x' into table a",
        "call p()",
        "truncate a",
        "set global x = 1",
        "flush tables",
        "lock tables a read",
        "create temporary table x (i int)",
        "kill 1",
    )
)


@given(st.one_of(st.text(), st.binary(), salads))
@example("SELECT \ud800")
def test_every_text_gets_a_verdict(sql):
    assert classify(sql) == classify(sql)


@given(reads)
def test_a_query_that_only_reads_is_a_read(sql):
    assert classify(sql).verdict is Verdict.READ


@given(reads | st.sampled_from(CASES), st.data())
def test_comments_and_white_space_change_nothing(sql, data):
    spread = "".join(
        sql[token.start : token.end] + data.draw(gaps, label="gap")
        for token in tokenize(sql)
    )
    before, after = classify(sql), classify(data.draw(gaps) + spread)
    assert (before.verdict, before.reason) == (after.verdict, after.reason)
    assert before.multiple == after.multiple


@given(reads | st.sampled_from(CASES), st.randoms(use_true_random=False))
def test_letter_case_of_words_changes_nothing(sql, random):
    shuffled = list(sql)
    for token in tokenize(sql):
        if token.kind == "name" and sql[token.start : token.end].isascii():
            for at in range(token.start, token.end):
                shuffled[at] = random.choice((sql[at].lower(), sql[at].upper()))
    before, after = classify(sql), classify("".join(shuffled))
    assert (before.verdict, before.reason) == (after.verdict, after.reason)


@given(writes, wrappers, st.data())
def test_a_wrapped_write_is_never_a_read(write, wrapper, data):
    if "'{}'" in wrapper:
        write = write.replace("'", "''")
    assert classify(wrapper.format(write)).verdict not in READABLE
    gap = data.draw(gaps)
    assert classify(wrapper.replace("{}", gap + write + gap)).verdict not in READABLE


@given(reads, changes, reads)
def test_a_change_anywhere_in_a_script_makes_it_one(before, change, after):
    statement = classify(f"{before}\n;{change};{after}")
    assert statement.verdict in KEPT
    assert statement.multiple


@given(
    writes | changes,
    st.sampled_from(("'{}'", '"{}"', "`{}`", "1 /* {} */", "1 -- {}\n", "1 # {}\n")),
)
def test_a_quoted_write_is_only_text(write, quote):
    quoted = quote[0] * 2 if quote[0] in "'\"`" else ""
    text = quote.format(write.replace(quote[0], quoted) if quoted else write)
    assert classify(f"select {text} from t").verdict is Verdict.READ


@given(salads)
def test_the_glance_says_read_only_where_the_tokens_say_so(salad):
    for sql in (f"select {salad}", f"select 1 from t where {salad}"):
        if plain_read(sql, EMPTY):
            exact = classify(f"{sql} #")
            assert (exact.verdict, exact.multiple) == (Verdict.READ, False)


@given(salads)
def test_one_statement_to_the_fast_look_is_one_to_the_tokens(salad):
    if single(salad):
        assert not classify(salad, dialect=Dialect(version=80034)).multiple


@given(salads, st.integers(200, 2000))
def test_a_verdict_takes_time_in_proportion_to_the_text(salad, times):
    text = (salad * times)[:100_000]
    started = time.thread_time()
    classify(text)
    classify(f"select {text}")
    assert time.thread_time() - started < 3.0


@pytest.mark.parametrize(
    "piece",
    ["(", ")", "select (", "a(", "explain ", "set statement a=1 for ", "prepare s from '",
     "/*!80000 ", "begin not atomic ", ";", "@a:=", "with x as (", "`", "a.", "@@x,",
     "execute immediate '", "\\'", "'\\';", "information_schema.x,", "a, "],
)  # fmt: skip
def test_the_time_grows_with_the_text_and_no_faster(piece):
    def judge(text):
        classify(text)
        classify(f"select 1 for {text}")

    assert grows_linearly(judge, piece, size=2_000)
