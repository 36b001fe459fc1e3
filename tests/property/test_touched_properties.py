"""However a statement is written, no table that it touches is left out."""

from __future__ import annotations

import pytest
from hypothesis import find, given, strategies as st
from hypothesis.errors import NoSuchExample
from linear import grows_linearly

from globaldb.core.catalog import Catalog
from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.postgresql import touched as module
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.touched import touched
from globaldb.core.statement import Verdict
from globaldb.core.tables import Relations, Sort, Touched

#: Tables as they may be written, and what they are called.
TABLES = {
    "orders": "orders",
    "shop.orders": "orders",
    "ITEMS": "items",
    '"Mixed"': "Mixed",
    'shop."Mixed"': "Mixed",
    '"has "" quote"': 'has " quote',
    "tags": "tags",
    "logs": "logs",
}
KNOWN = sorted({*TABLES.values(), "parts", "part1", "seen"})
RELATIONS = Relations.of(
    [
        (Sort.KNOWN, KNOWN, []),
        (Sort.VIEW, ["seen"], ["parts"]),
        (Sort.PARENT, ["parts"], ["part1"]),
        (Sort.CASCADE, ["tags"], ["logs"]),
    ]
)
CATALOG = Catalog(tables=RELATIONS)

#: Each piece of SQL is drawn together with the tables that it reads.
Piece = tuple[str, frozenset[str]]
NONE: frozenset[str] = frozenset()

tables = st.sampled_from([(text, frozenset((name,))) for text, name in TABLES.items()])
views = st.just(("seen", frozenset(("seen", "parts", "part1"))))
leaves = st.sampled_from(
    [
        (text, NONE)
        for text in (
            "1", "x.id", "'from orders'", "$$from tags$$", "%s", "id", "E'\\''",
            "/* from logs */ 2", "EXTRACT(year FROM made)", "trim(both ' ' from y)",
            "a IS DISTINCT FROM b", "substring(n from 2 for 3)", "now()", "-- ' \n 3",
        )
    ]
)  # fmt: skip


def filled(shape: str, *pieces: Piece) -> Piece:
    text = shape.format(*(text for text, _ in pieces))
    return text, NONE.union(*(reads for _, reads in pieces))


def of(shapes: list[str], *parts: st.SearchStrategy[Piece]) -> st.SearchStrategy[Piece]:
    return st.builds(filled, st.sampled_from(shapes), *parts)


def nested(inner: st.SearchStrategy[Piece]) -> st.SearchStrategy[Piece]:
    """Queries whose sources and expressions may hold *inner* queries."""
    source = st.one_of(
        tables,
        views,
        of(["({0}) AS x", "LATERAL ({0}) x", "({0}) x(id, v)"], inner),
        of(["{0} AS x", "{0} x", "ONLY {0} x", "ONLY ({0}) AS x"], tables),
        of(
            ["{0} JOIN {1} USING (id)", "{0}, {1}", "({0} CROSS JOIN {1})"],
            tables,
            views,
        ),
        of(["{0} AS o LEFT JOIN ({1}) AS x ON o.id = x.id"], tables, inner),
    )
    value = st.one_of(
        leaves,
        of(
            ["({0})", "EXISTS ({0})", "id IN ({0})", "ARRAY({0})", "f = ALL ({0})"],
            inner,
        ),
        of(["coalesce({0}, ({1}))", "CASE WHEN ({1}) > 0 THEN {0} END"], leaves, inner),
    )
    return st.one_of(
        of(["SELECT {0} FROM {1}", "SELECT DISTINCT {0} AS a FROM {1} ORDER BY 1"], value, source),
        of(["SELECT * FROM {1} WHERE {0}", "SELECT 1 FROM {1} GROUP BY {0}"], value, source),
        of(["{0} UNION ALL {1}", "({0}) EXCEPT ({1})"], inner, inner),
        of(["WITH q AS ({0}) SELECT * FROM q, {1}", ("WITH q(id) AS MATERIALIZED ({0}) "
            "SELECT id FROM q JOIN {1} ON true")], inner, source),
        of(["WITH RECURSIVE q AS (SELECT 1 UNION SELECT * FROM q, {1}) {0}"], inner, source),
        of(["WITH q AS ({0}), r AS (TABLE q) SELECT * FROM r WHERE id = {1}"], inner, value),
        of(["TABLE {0}"], tables),
    )  # fmt: skip


queries = st.recursive(
    of(["SELECT {0} FROM {1}"], leaves, tables), nested, max_leaves=8
)


def said(sql: str) -> Touched:
    return touched(classify(sql, CATALOG), tokenize(sql), CATALOG)


@given(queries)
def test_every_table_in_a_query_is_read(query):
    sql, reads = query
    assert classify(sql, CATALOG).verdict is Verdict.READ
    assert said(sql).reads is not None, sql
    assert reads <= (said(sql).reads or NONE), sql
    assert said(sql).writes == NONE


WRITTEN = {
    "INSERT INTO {0} (id) {1}": False,
    "INSERT INTO {0} AS t {1} ON CONFLICT DO NOTHING": True,
    "INSERT INTO {0} {1} ON CONFLICT (id) DO UPDATE SET (a, b) = (1, 2)": True,
    "UPDATE {0} SET id = ({1})": True,
    "UPDATE ONLY {0} * AS t SET id = 1 FROM ({1}) x WHERE t.id = x.id RETURNING t.id": True,
    "DELETE FROM {0} USING ({1}) x": True,
    "DELETE FROM ONLY ({0}) WHERE id IN ({1})": True,
    "MERGE INTO {0} t USING ({1}) x ON x.id = t.id WHEN MATCHED THEN DELETE": True,
    "WITH d AS (DELETE FROM {0} RETURNING id) SELECT * FROM d, ({1}) x": True,
    "WITH s AS ({1}) INSERT INTO {0} SELECT * FROM s": False,
    "EXPLAIN (ANALYZE, BUFFERS) UPDATE {0} SET id = ({1})": True,
}


@given(st.sampled_from(sorted(WRITTEN)), tables, queries)
def test_what_a_statement_writes_is_written(shape, target, query):
    sql, _ = filled(shape, target, query)
    expected = set(target[1])
    if WRITTEN[shape] and "tags" in expected:
        expected.add("logs")
    assert said(sql).writes == expected, sql
    assert query[1] | target[1] <= (said(sql).reads or NONE), sql


@pytest.mark.parametrize("omission", ["views", "parents", "with", "subqueries"])
def test_an_omission_is_found(monkeypatch, omission):
    if omission in ("views", "parents"):
        empty = {name: getattr(RELATIONS, name) for name in Relations.__slots__}
        monkeypatch.setitem(
            globals(), "CATALOG", Catalog(tables=Relations(**{**empty, omission: {}}))
        )
    else:
        # As one would who trusts in the first FROM, or in the text behind a WITH.
        word = "from" if omission == "subqueries" else ")"
        places = module.places

        def short(tokens):
            texts = [token.text for token in tokens]
            at = texts.index(word) + 2 if word in texts else len(texts)
            return places(tokens[:at] if word == "from" else tokens[at - 2 :])

        monkeypatch.setattr(module, "places", short)
    try:
        find(queries, lambda query: not query[1] <= (said(query[0]).reads or query[1]))
    except NoSuchExample:
        pytest.fail("nothing was found")


@pytest.mark.parametrize(
    "piece",
    [
        "extract(x from y), ",
        "extract(x from (",
        "(with q as (select 1) table q), ",
        "with q as (",
        "a is distinct from b, ",
        "update ",
        "insert into orders ",
    ],
)
def test_hostile_texts_take_linear_time(piece):
    statement = classify("UPDATE orders SET id = 1")

    def work(text: str) -> object:
        return touched(statement, tokenize(f"select {text}"), CATALOG)

    assert grows_linearly(work, piece, 2_500)
