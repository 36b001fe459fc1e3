"""Whatever a query looks like: what it hides is found, and nothing else is."""

from __future__ import annotations

import time

from hypothesis import assume, example, given, settings, strategies as st
from linear import grows_linearly

from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.definitions import Definitions
from globaldb.core.statement import Verdict

READABLE = {Verdict.READ, Verdict.NODE_LOCAL}
#: Where an expression or a row source may be put in place of another.
HOLE, SOURCE = "\x01", "\x02"

leaves = st.sampled_from(
    (
        HOLE, "1", "-2.5e3", "'a;b'", "'it''s -- no'", "E'\\\\'", "$$x' ;$$", "%s", "%(p)s",
        "$1", "a", "t.b", '"C d"', 't."update"', "NULL", "true", "DATE '2020-01-01'",
        "current_date", "B'01'", "U&'\\0041'", "interval '1' day",
    )
)  # fmt: skip
shapes = st.sampled_from(
    (
        "lower({})", "coalesce({}, {})", "({})", "{} + {}", "{}::text", "CAST({} AS int)",
        "CASE WHEN {} THEN {} ELSE {} END", "{} IN ({}, {})", "{} BETWEEN {} AND {}",
        "ARRAY[{}, {}]", "({})[1]", "ROW({}, {})", "NOT {}", "{} IS NOT NULL",
        "count(*) FILTER (WHERE {})", "sum({}) OVER (PARTITION BY {} ORDER BY {})",
        "EXTRACT(year FROM {})", "substring({} FROM {} FOR {})", "{} AT TIME ZONE 'UTC'",
        "{} || {}", "{} LIKE {}", "pg_catalog.upper({})", "{} = ANY (ARRAY[{}])",
        "greatest({}, least({}, {}))", "overlay({} PLACING {} FROM 1)", "trim(both {})",
        '{} COLLATE "C"', "json_build_object('a', {})", "{} OPERATOR(pg_catalog.+) {}",
    )
)  # fmt: skip
queries = st.sampled_from(
    (
        "SELECT {0}", "SELECT {0} AS x, {1} FROM " + SOURCE, "SELECT DISTINCT ON ({0}) {1} FROM t",
        "SELECT a FROM t JOIN u ON {0} WHERE {1}", "SELECT a FROM t, LATERAL ({2}) AS l(x)",
        "SELECT a FROM t GROUP BY {0} HAVING {1}", "SELECT a FROM t ORDER BY {0} LIMIT {1}",
        "SELECT a FROM t WHERE EXISTS ({2})", "SELECT ({2}) AS s", "({2}) UNION ALL ({3})",
        "WITH w AS ({2}), v(a, b) AS MATERIALIZED ({3}) SELECT * FROM w",
        "WITH RECURSIVE w(n) AS ({2}) SELECT {0} FROM w", "VALUES ({0}, {1}), (1, 2)",
        "SELECT a FROM generate_series(1, {0}) AS g(a) FETCH FIRST 1 ROW ONLY",
        "SELECT x FROM t WINDOW w AS (ORDER BY {0})", "TABLE t",
        "SELECT a FROM t GROUP BY GROUPING SETS (CUBE (a), (b), ROLLUP (c), ())",
        "SELECT a FROM t TABLESAMPLE system ({0})", "SELECT ARRAY({2})",
    )
)  # fmt: skip
gaps = st.sampled_from(
    (" ", "\n", "\t ", "/* ' */", "/* /* ; */ for update */ ", '-- " $$ ;\n', " /**/\n")
)
#: Expressions that need the writer, or the connection of before.
poisons = st.sampled_from(
    (
        "nextval('s')", "app.wr(1)", '"wr"(a)', "pg_advisory_lock(1)", "currval('s')",
        "setval('s', 1)", "pg_notify('c', '')", "txid_current()", "lo_create(0)",
        "dblink('', '')", "set_config('a.b', '1', false)", "wr ( 1 )", "WR/**/(1)",
        "pg_catalog . nextval ('s')", "(SELECT wr(1))", "pg_terminate_backend(1)",
        "query_to_xml('SELECT wr(1)', true, true, '')", "lower(wr(1))",
        "ARRAY(SELECT a FROM t FOR UPDATE)", "(SELECT 1 FROM t FOR NO KEY UPDATE OF t)",
        "a OPERATOR(app.+) b", "pg_export_snapshot()", "setseed(0.5)", "ß(1)", "wr$1(1)",
    )
)  # fmt: skip
sources = st.sampled_from(
    (
        "wr(1) AS f", "ROWS FROM (lower('a'), wr(1)) AS f", "nextval('s') AS n(v)",
        "(SELECT a FROM t FOR SHARE) AS s", "LATERAL wr(1) WITH ORDINALITY",
    )
)  # fmt: skip
modifying = st.sampled_from(
    (
        "INSERT INTO t VALUES (1) RETURNING a",
        "UPDATE t SET a = 1 RETURNING a",
        "DELETE FROM t USING u RETURNING *",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING a",
    )
)


@st.composite
def expressions(draw, depth=2):
    if depth == 0 or draw(st.booleans()):
        return draw(leaves)
    shape = draw(shapes)
    parts = [draw(expressions(depth - 1)) for _ in range(shape.count("{}"))]
    return shape.format(*parts)


@st.composite
def statements(draw, depth=2):
    shape = draw(queries)
    inner = [
        draw(statements(depth - 1)) if depth and f"{{{slot}}}" in shape else "SELECT 1"
        for slot in (2, 3)
    ]
    return shape.format(draw(expressions()), draw(expressions()), *inner)


def filled(query, hole="1", source="t"):
    """The query with its first hole filled so, and the others plainly."""
    for mark, filling, plain in ((HOLE, hole, "1"), (SOURCE, source, "t")):
        query = query.replace(mark, filling, 1).replace(mark, plain)
    return query


@given(statements())
def test_a_query_that_hides_nothing_is_a_read(query):
    found = classify(filled(query))
    assert (found.verdict, found.multiple) == (Verdict.READ, False), filled(query)


@given(statements(), poisons)
def test_an_expression_that_is_more_than_a_read_is_found(query, poison):
    assume(HOLE in query)
    assert classify(filled(query, poison)).verdict not in READABLE


@given(statements(), sources)
def test_a_row_source_that_is_more_than_a_read_is_found(query, source):
    sql = f"SELECT a FROM {SOURCE} WHERE EXISTS ({query})"
    assert classify(filled(sql, source=source)).verdict not in READABLE


@given(statements(), modifying, st.sampled_from((" AS x ", "(a) AS NOT MATERIALIZED")))
def test_a_data_change_in_a_query_is_found(query, change, naming):
    sql = f"WITH m{naming} ({change}) {filled(query)}"
    assert classify(sql).verdict not in READABLE


@given(statements(), poisons, st.data())
def test_no_decoration_hides_anything(query, poison, data):
    assume(HOLE in query)
    sql = filled(query, data.draw(st.sampled_from(("1", poison))))
    spread = data.draw(gaps)
    for token in tokenize(sql):
        written = sql[token.start : token.end]
        if token.kind == "name" and written.isascii():
            written = data.draw(st.sampled_from((written.upper(), written.lower())))
        spread += written + data.draw(gaps)
    before, after = classify(sql), classify(spread)
    assert before.verdict is after.verdict


@given(statements(), poisons)
def test_what_hides_in_a_function_is_found_in_its_definition(query, poison):
    assume(HOLE in query)
    known = Definitions()
    sql = filled(query, poison)
    assume("$x$" not in sql)
    known.observe(f"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x${sql}$x$")
    assert classify("SELECT f()", known.catalog).verdict not in READABLE
    body = f"BEGIN RETURN QUERY {sql}; END"
    known.observe(f"CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $x${body}$x$")
    assert classify("SELECT g()", known.catalog).verdict not in READABLE


REPEATED = (
    "$a$", "$b", "/*", "*/", "--", "'", "\\'", '"', "(", ")", ", rollup(a)", "f(", "%s",
    "a.", "1for ", "x as (", "/* a */", "é", "$1", "over(", "operator(", "E'\\'", "; ",
    "case when ", "into ", "u&", "pg_", "a\x7f(", "'\n'", "::", "1.", "- -",
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(st.sampled_from(REPEATED), min_size=1, max_size=4).map("".join))
@example(", rollup(a)")
@example("$a$ $b$ ")
@example("'\n'")
@example(" ")
@example("f(" + " " * 1000)
def test_the_time_grows_with_the_text_and_no_faster(piece):
    head = "SELECT a FROM t GROUP BY a "
    assert grows_linearly(lambda text: classify(head + text), piece, size=2_000)


def test_megabytes_are_judged_from_what_settles_it():
    values = ", ".join(["(1, 'some text')"] * 600_000)
    started = time.thread_time()
    assert classify(f"INSERT INTO t VALUES {values}").reason == "write_statement"
    assert (
        classify(f"/* load */ INSERT INTO t VALUES {values}").reason
        == "write_statement"
    )
    assert classify(f"VALUES {values}").verdict is Verdict.READ
    assert time.thread_time() - started < 4.0
