"""A catalog knows what names do; the user's word goes above it."""

from __future__ import annotations

from time import perf_counter

import pytest

from globaldb.core.catalog import EMPTY, Catalog, Entry, Kind, folded
from globaldb.core.findings import Finding
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.objects import entries
from globaldb.core.postgresql.skim import plain_read
from globaldb.core.statement import Verdict

READ, WRITE, PIN = Verdict.READ, Verdict.WRITE, Verdict.PIN
READS = Finding(READ, "known_function")
WRITES = Finding(WRITE, "volatile_function")
KEEPS = Finding(PIN, "stateful_function")


def function(name: str, own: Finding = READS, *calls: str, schema: str = "app"):
    return Entry(Kind.FUNCTION, schema, name, own, calls)


def relation(name: str, own: Finding = WRITES, *calls: str):
    return Entry(Kind.RELATION, "app", name, own, calls)


CATALOG = Catalog.of(
    [
        function("reads"),
        function("writes", WRITES),
        function("keeps", KEEPS),
        function("lower", WRITES),
        function("Odd", READS),
        function("nextval", READS),
        function("substring", WRITES),
        relation("special"),
        relation("Mixed"),
        relation("view", READS, "app.writes"),
        relation("plain_view", READS, "app.reads"),
        Entry(Kind.OPERATOR, "app", "###", READS, ("app.writes",)),
        Entry(Kind.OPERATOR, "app", "#%", READS, ("app.writes",)),
        Entry(Kind.TYPE, "app", "domain_type", READS, ("app.writes",)),
        Entry(Kind.COLUMN, "app", "writes", READS, ("app.writes",)),
        Entry(Kind.CHANGE, "app", "guarded", READS, ("app.keeps",)),
        Entry(Kind.CHANGE, "app", "logged", READS, ("app.writes",)),
    ]
)


def verdict(sql: str, catalog: Catalog = CATALOG) -> Verdict:
    return classify(sql, catalog).verdict


def test_a_name_in_several_schemas_stands_for_the_gravest():
    catalog = Catalog.of([function("f"), function("f", WRITES, schema="other")])
    assert catalog.function("app", "f") == READS
    assert catalog.function("other", "f") == WRITES
    assert catalog.function("", "f") == WRITES


def test_overloads_stand_for_the_gravest():
    catalog = Catalog.of([function("f", KEEPS), function("f"), function("f", WRITES)])
    assert catalog.function("app", "f") == KEEPS


def test_an_object_does_what_it_calls_however_far_away():
    calling = [function(f"f{i}", READS, f"app.f{i + 1}") for i in range(50)]
    top = relation("v", READS, "app.f0")
    assert Catalog.of([*calling, top]).relation("app", "v") is None
    kept = Catalog.of([*calling, top, function("f50", KEEPS)])
    assert kept.relation("", "v") == kept.function("app", "f0") == KEEPS


def test_functions_that_call_each_other_come_to_an_end():
    catalog = Catalog.of(
        [function("a", READS, "app.b"), function("b", WRITES, "app.a")]
    )
    assert catalog.function("", "a") == WRITES


def test_a_change_matters_only_when_it_keeps_something():
    assert set(CATALOG.changes) == {"guarded", "app.guarded"}


@pytest.mark.parametrize(
    ("written", "name"),
    [("F", "f"), ("App.F", "app.f"), ('"App".f', "App.f"), ('app."F ""x"', 'app.F "x')],
)
def test_a_listed_name_folds_as_the_server_folds_it(written: str, name: str):
    assert folded(written) == name


class TestTheUsersLists:
    def test_a_volatile_function_is_a_read_when_listed(self):
        assert verdict("SELECT writes(1)") is WRITE
        for name in ("writes", "app.writes", "App.Writes"):
            listed = CATALOG.with_options(read_functions=[name])
            assert verdict("SELECT app.writes(1)", listed) is READ
            assert verdict("SELECT writes(1)", listed) is READ

    def test_what_calls_it_follows(self):
        listed = CATALOG.with_options(["writes"], ["reads"])
        assert verdict("SELECT * FROM view", listed) is READ
        assert verdict("SELECT 1 ### 2", listed) is READ
        assert verdict("SELECT * FROM plain_view", listed) is WRITE

    def test_a_built_in_function_may_be_listed(self):
        listed = EMPTY.with_options(["nextval"], ["random", "app.upper"])
        assert verdict("SELECT nextval('s')", listed) is READ
        assert verdict("SELECT pg_catalog.random()", listed) is WRITE
        assert verdict("SELECT random()", listed) is WRITE
        assert verdict("SELECT upper('x')", listed) is WRITE
        assert verdict("SELECT lower('x')", listed) is READ

    def test_a_function_that_no_catalog_has_may_be_listed(self):
        listed = EMPTY.with_options(["f", 'app."G"'], ["w"])
        assert verdict("SELECT f(1), any_schema.f(2)", listed) is READ
        assert verdict('SELECT app."G"(1)', listed) is READ
        assert verdict("SELECT g(1)", listed) is WRITE
        assert verdict("SELECT w(1)", listed) is WRITE

    def test_a_schema_goes_above_a_bare_name_and_writing_above_reading(self):
        listed = CATALOG.with_options(["f", "app.w"], ["app.f", "w"])
        assert verdict("SELECT app.f(1)", listed) is WRITE
        assert verdict("SELECT f(1)", listed) is WRITE
        assert verdict("SELECT other.f(1)", listed) is READ
        assert verdict("SELECT app.w(1)", listed) is READ
        assert verdict("SELECT w(1)", listed) is WRITE
        both = EMPTY.with_options(["x"], ["x"])
        assert verdict("SELECT x(1)", both) is WRITE

    def test_they_go_above_a_catalog_made_by_hand(self):
        made = Catalog(functions={"f": WRITES, "app.f": WRITES, "g": READS})
        listed = made.with_options(["f"], ["g"])
        assert verdict("SELECT f(1), app.f(1)", listed) is READ
        assert verdict("SELECT g(1)", listed) is WRITE

    def test_no_lists_change_nothing(self):
        assert EMPTY.with_options() is EMPTY
        assert CATALOG.with_options([], []) is CATALOG


SEEN = [
    "SELECT writes(1)",
    "SELECT app.writes(1)",
    'SELECT "writes"(1)',
    "SELECT reads(writes(1))",
    "SELECT lower('X')",
    "SELECT LOWER ('X')",
    "SELECT substring(a, 1)",
    "SELECT nextval('s')",
    "SELECT odd(1)",
    "SELECT other.reads(1)",
    "SELECT db.app.reads(1)",
    "SELECT * FROM special",
    "SELECT * FROM SPECIAL",
    "SELECT * FROM app.special",
    "SELECT * FROM app . special",
    "SELECT * FROM db.app.special",
    'SELECT * FROM "special"',
    'SELECT * FROM "app"."special"',
    'SELECT * FROM app."Mixed" m',
    "SELECT * FROM ONLY special",
    "SELECT * FROM a, special",
    "SELECT * FROM a x, LATERAL (SELECT 1) y, special z",
    "SELECT * FROM a JOIN b USING (id), special",
    "SELECT * FROM (a JOIN (special s JOIN b USING (id)) USING (id))",
    "SELECT * FROM a LEFT JOIN special USING (id)",
    "SELECT (SELECT 1 FROM special)",
    "SELECT 1 WHERE EXISTS (TABLE special)",
    "WITH x AS (SELECT 1 FROM a, special) SELECT 2",
    "TABLE special",
    "COPY special TO STDOUT",
    "COPY app.special (a, b) TO STDOUT",
    "COPY (SELECT 1 FROM special) TO STDOUT",
    "EXPLAIN ANALYZE SELECT * FROM special",
    'SELECT U&"!0073pecial".a FROM U&"!0073pecial" UESCAPE \'!\'',
    "SELECT 1 ### 2",
    "SELECT 1###2",
    "SELECT 1 -###2",
    "SELECT 1 #% 2",
    "SELECT 1 #%% 2",
    "SELECT 1 OPERATOR(app.###) 2",
    "SELECT (1).writes",
    'SELECT (1)."writes"',
    "SELECT a.writes FROM a",
    "SELECT (a.b[1]) . writes FROM a",
    "SELECT 1::domain_type",
    "SELECT 1::app.domain_type",
    "SELECT CAST(1 AS app.domain_type)",
    'SELECT 1::"domain_type"',
    "SELECT domain_type '1'",
    "SELECT '{1}'::domain_type[]",
    "SELECT 1::domain_type(3)",
    "SELECT query_to_xml('SELECT writes(1)', true, true, '')",
]
UNSEEN = [
    "SELECT reads(1)",
    "SELECT app.reads (1) FROM a",
    'SELECT "reads"(1)',
    'SELECT "Odd"(1)',
    "SELECT pg_catalog.lower('X')",
    "SELECT special FROM a",
    "SELECT a, special FROM a WHERE special = 1 ORDER BY b, special",
    'SELECT a.special, a."Mixed" FROM a GROUP BY a, special',
    "SELECT special.a FROM b special",
    "SELECT 'special', 'SELECT writes(1)'",
    "SELECT 1 /* FROM special */",
    "SELECT writes FROM a AS writes",
    "SELECT * FROM mixed",
    "SELECT * FROM plain_view",
    "SELECT * FROM special_offers, a_special",
    "SELECT 1 # 2, a #>> '{b}' FROM a",
    "SELECT * FROM guarded",
    "SELECT query_to_xml('SELECT reads(1)', true, true, '')",
]


@pytest.mark.parametrize("sql", SEEN)
def test_an_object_is_seen_wherever_it_is_used(sql: str):
    assert verdict(sql) is WRITE


@pytest.mark.parametrize("sql", UNSEEN)
def test_the_same_word_elsewhere_is_only_a_word(sql: str):
    assert verdict(sql) is READ


def test_known_reads_need_no_look_at_tokens():
    assert plain_read("SELECT reads(a), app.reads(b) FROM a", CATALOG)
    assert plain_read('SELECT "a"."b" FROM "a" WHERE app.reads(c) = 1', CATALOG)


@pytest.mark.parametrize("sql", SEEN)
def test_the_quick_look_never_overlooks_an_object(sql: str):
    assert not plain_read(sql, CATALOG)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO guarded VALUES (1)", PIN),
        ('UPDATE app."guarded" SET a = 1', PIN),
        ("WITH d AS (DELETE FROM guarded RETURNING 1) SELECT * FROM d", PIN),
        ("INSERT INTO logged SELECT 1", WRITE),
        ("INSERT INTO a SELECT keeps(1)", PIN),
        ("INSERT INTO a VALUES ('guarded')", WRITE),
        ("DO $$ BEGIN PERFORM keeps(1); END $$", PIN),
        ("DO $$ BEGIN PERFORM writes(1); END $$", WRITE),
        ("CALL writes()", WRITE),
        ("CALL keeps()", PIN),
        ("CALL nobody_knows()", PIN),
        ("PREPARE p AS SELECT * FROM special", Verdict.SESSION),
        ("DECLARE c CURSOR FOR SELECT * FROM special", WRITE),
    ],
)
def test_a_write_may_keep_its_connection(sql: str, expected: Verdict):
    assert verdict(sql) is expected


def test_without_a_catalog_a_call_is_only_a_write():
    assert verdict("CALL nobody_knows()", EMPTY) is WRITE


def test_planning_is_enough_for_an_unlogged_table():
    unlogged = Catalog.of([relation("u", Finding(WRITE, "unlogged_table"))])
    assert verdict("EXPLAIN SELECT * FROM u", unlogged) is WRITE
    assert verdict("EXPLAIN SELECT * FROM special") is READ


def test_a_comparison_of_ones_own_is_meant_by_keywords_too():
    own = Catalog(operators={"=": WRITES})
    for sql in ("SELECT 1 = 2", "SELECT a IN (1) FROM t", "SELECT NULLIF(a, 1) FROM t"):
        assert verdict(sql, own) is WRITE
    assert verdict("SELECT a FROM t", own) is READ


@pytest.mark.parametrize(
    ("cause", "finding"),
    [
        ("v:", ("write", "volatile_function")),
        ("v:pgcrypto", ("write", "volatile_function")),
        ("w:keep", ("pin", "stateful_function")),
        ("w:pg_advisory_lock", ("pin", "stateful_function")),
        ("w:pg_advisory_xact_lock", ("write", "advisory_lock")),
        ("w:set_config", ("write", "set_config")),
        ("w:currval", ("same_connection", "sequence")),
        ("w:pg_is_in_recovery", ("node_local", "node_function")),
        ("b:nextval", ("write", "sequence")),
        ("b:random", ("read", "known_function")),
        ("b:set_config", ("pin", "set_config")),
        ("b:query_to_xml", ("write", "opaque_query")),
        ("b:pg_of_a_later_version", ("write", "volatile_function")),
        ("c:pg_stat_activity", ("node_local", "node_view")),
        ("c:pg_settings", ("same_connection", "session_state")),
        ("c:pg_tables", ("read", "known_function")),
        ("r:unlogged", ("write", "unlogged_table")),
        ("r:foreign", ("write", "foreign_table")),
        ("r:lock", ("write", "locking_clause")),
        ("?:what", ("write", "volatile_function")),
    ],
)
def test_a_cause_has_its_finding(cause: str, finding: tuple[str, str]):
    (entry,) = entries([("relation", "app", [cause], ["x"])])
    assert (entry.own.verdict.value, entry.own.reason) == finding


def test_what_is_written_as_a_column_is_the_function_of_that_name():
    rows = [("function", "a", ["v:"], ["f"]), ("column", "a", ["s:"], ["f"])]
    assert Catalog.of(entries(rows)).columns["f"] == WRITES


def test_functions_of_extensions_are_known_by_name():
    rows = [
        ("function", "x", ["v:pgcrypto"], ["gen_random_bytes", "made_up"]),
        ("function", "x", ["v:dblink"], ["dblink_connect"]),
        ("function", "x", ["v:pg_stat_statements"], ["pg_stat_statements"]),
    ]
    verdicts = {entry.name: entry.own.verdict for entry in entries(rows)}
    assert list(verdicts.values()) == [READ, WRITE, PIN, Verdict.NODE_LOCAL]


def test_hostile_texts_take_linear_time():
    texts = [
        "SELECT 1 FROM " + "a," * 100_000 + "b",
        "SELECT " + "special," * 30_000 + "1",
        "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
        "SELECT 1 " + "#" * 300_000 + " 2",
        "SELECT 1 FROM " + "special." * 30_000 + "a",
    ]
    started = perf_counter()
    for text in texts:
        classify(text, CATALOG)
    assert perf_counter() - started < 8
