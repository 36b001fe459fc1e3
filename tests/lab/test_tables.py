"""What a statement is said to touch holds all that a server sees it touch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings, strategies as st

from globaldb.core.catalog import Catalog
from globaldb.core.lexer.postgresql import tokenize
from globaldb.core.postgresql.classify import classify
from globaldb.core.postgresql.touched import touched
from globaldb.core.statement import Verdict
from globaldb.core.tables import Relations, Tables, Touched
from globaldb.drivers.psycopg.catalog import read_catalog
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

REGION, WRITER = "us-west-2", "us-west-2-1"
HERE = Path(__file__).parent

READS = [
    ("SELECT * FROM a", {"a"}),
    ("SELECT * FROM s.a, s2.a AS x", {"a"}),
    ("SELECT x.id FROM a AS x JOIN b USING (id)", {"a", "b"}),
    ("SELECT 1", set()),
    ("SELECT count(*) FROM a WHERE id IN (SELECT id FROM b)", {"a", "b"}),
    ("WITH b AS (SELECT * FROM a) SELECT * FROM b", {"a", "b"}),
    ("WITH x AS (SELECT * FROM a) SELECT * FROM x", {"a"}),
    ("WITH x(y) AS (SELECT id FROM a), z AS (TABLE x) SELECT * FROM z", {"a"}),
    (
        (
            "WITH RECURSIVE x AS (SELECT 1 AS n UNION SELECT n + 1 FROM x WHERE n < 5) "
            "SELECT * FROM x, a"
        ),
        {"a"},
    ),
    ("SELECT (WITH q AS (SELECT 1) SELECT count(*) FROM q), v FROM a", {"a"}),
    ("SELECT * FROM va", {"a", "va", "pg_catalog"}),
    ("SELECT * FROM vva", {"a", "va", "vva", "pg_catalog"}),
    ("SELECT * FROM vj", {"a", "b", "vj", "pg_catalog"}),
    ("SELECT * FROM mv", {"mv"}),
    ("SELECT * FROM part", {"part", "part1", "part2", "part2a"}),
    ("SELECT * FROM part1", {"part1"}),
    ("SELECT * FROM base", {"base", "heir"}),
    ("SELECT * FROM ONLY base", {"base", "heir"}),
    ("SELECT * FROM guarded", {"guarded", "secret"}),
    ('SELECT "from" FROM "Mixed Case"', {"Mixed Case"}),
    ("SELECT extract(year FROM year) FROM c", {"c"}),
    ("SELECT extract(month FROM c.year), substring(status from 1 for 2) FROM c", {"c"}),
    ("SELECT trim(both 'n' from status) FROM c WHERE id IS DISTINCT FROM v.n", {"c"}),
    ("SELECT id FROM c WHERE status IS NOT DISTINCT FROM status", {"c"}),
    ("TABLE b", {"b"}),
    ("SELECT * FROM generate_series(1, 2) AS g, a", {"a"}),
    ("SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) x", set()),
    ("SELECT * FROM (VALUES (1, 2)) AS v(x, y) JOIN a ON a.id = v.x", {"a"}),
    ("SELECT * FROM (a JOIN b USING (id)) JOIN c USING (id)", {"a", "b", "c"}),
    ("SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.id = a.id) x", {"a", "b"}),
    ("SELECT relname FROM pg_class", {"pg_catalog"}),
    ("SELECT table_name FROM information_schema.tables", {"pg_catalog"}),
    ("EXPLAIN SELECT * FROM a", {"a", "pg_catalog"}),
    (
        "SELECT v FROM a UNION SELECT v FROM b ORDER BY 1 FETCH FIRST ROW ONLY",
        {"a", "b"},
    ),
    ("SELECT count(*) OVER w FROM a WINDOW w AS (ORDER BY id)", {"a"}),
    ("SELECT 'x'::s.checked", None),
    ("SELECT s.sums()", None),
    ("SELECT sums FROM v_sums", None),
    ("SELECT a.of_a FROM a", None),
    ("SELECT 1 ### 2", None),
    ("SELECT * FROM v_size", None),
    ("SELECT pg_relation_size('a')", None),
    ("SELECT query_to_xml('SELECT * FROM a', true, true, '')", None),
    ("SELECT * FROM nobody_knows", None),
    ("SELECT * FROM (WITH a1 AS (SELECT 1) TABLE a1) x, a1", None),
]
CASCADED = {"owner", "deleted", "nulled", "defaulted", "grandchild"}
WRITES = [
    ("INSERT INTO a VALUES (100, 1)", {"a"}),
    ("INSERT INTO s.a(id) SELECT id + 100 FROM b", {"a"}),
    ("INSERT INTO a AS t VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET v = 2", {"a"}),
    ("INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING", {"a"}),
    ("UPDATE a SET v = b.v FROM b WHERE a.id = b.id", {"a"}),
    ("UPDATE ONLY base SET id = 3", {"base", "heir"}),
    ("UPDATE base * AS x SET id = 3", {"base", "heir"}),
    ("UPDATE a SET v = x.v FROM (VALUES (1, 2)) AS x(id, v) WHERE a.id = x.id", {"a"}),
    ("DELETE FROM a USING b WHERE a.id = b.id", {"a"}),
    (
        "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT id + 200 FROM gone",
        {"a", "b"},
    ),
    ("WITH x AS (UPDATE a SET v = 0 RETURNING id) SELECT * FROM x", {"a"}),
    (
        (
            "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET v = b.v "
            "WHEN NOT MATCHED THEN INSERT VALUES (b.id, b.v)"
        ),
        {"a"},
    ),
    ("MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", {"a"}),
    ('SELECT * FROM U&"\\0061"', None),
    ("UPDATE a SET (id, v) = (SELECT 1000, max(v) FROM b) WHERE id = 1", {"a"}),
    (
        (
            "MERGE INTO a USING b ON false WHEN NOT MATCHED THEN "
            "INSERT (id, v) VALUES (b.id + 100, 1)"
        ),
        {"a"},
    ),
    ("SELECT * FROM a FOR UPDATE", set()),
    ("SELECT * FROM a FOR NO KEY UPDATE OF a NOWAIT", set()),
    ("TRUNCATE a, b", {"a", "b", "pg_catalog"}),
    ("TRUNCATE TABLE ONLY a RESTART IDENTITY", {"a", "pg_catalog"}),
    ("TRUNCATE owner CASCADE", None),
    ("INSERT INTO owner VALUES (7)", {"owner"}),
    ("DELETE FROM owner WHERE id = 1", CASCADED),
    ("UPDATE owner SET id = 1000 WHERE id = 3", CASCADED),
    ("DELETE FROM deleted", {"deleted", "grandchild"}),
    ("INSERT INTO kept VALUES (1, 1)", {"kept"}),
    ("INSERT INTO audited VALUES (2, 2)", {"audited", "audit"}),
    ("UPDATE audited SET v = v + 1", {"audited", "audit"}),
    ("UPDATE stamped SET v = 2", {"stamped"}),
    ("INSERT INTO dynamic VALUES (2)", None),
    ("INSERT INTO calling VALUES (2)", None),
    ("INSERT INTO defaults DEFAULT VALUES", None),
    ("INSERT INTO of_domain VALUES (1)", None),
    ("INSERT INTO chain1 VALUES (1)", {"chain1", "chain2", "chain3"}),
    ("INSERT INTO ruled VALUES (1)", None),
    ("UPDATE va SET v = 3", {"va", "a"}),
    ("INSERT INTO vva VALUES (300, 1)", {"vva", "va", "a"}),
    ("INSERT INTO instead VALUES (1)", {"instead", "b"}),
    ("INSERT INTO part VALUES (3, 1), (4, 2)", {"part", "part1", "part2", "part2a"}),
    (
        "UPDATE part SET k = 2 WHERE id = 1",
        {"part", "part1", "part2", "part2a", "of_part"},
    ),
    ("DELETE FROM part1", {"part1", "of_part"}),
    ("INSERT INTO part2a VALUES (5, 2)", {"part2a"}),
    ("INSERT INTO heir VALUES (1, 1)", {"heir"}),
    ('UPDATE "Mixed Case" SET "from" = 0', {"Mixed Case"}),
    ("INSERT INTO a SELECT s.count_up(500), 1", None),
    ("SELECT s.count_up(1)", None),
    ("SELECT pg_notify('x', 'y')", set()),
    ("INSERT INTO nobody_knows VALUES (1)", None),
    ("EXPLAIN ANALYZE DELETE FROM a", {"a"}),
    ("REFRESH MATERIALIZED VIEW mv", None),
    ("DO $$begin insert into s.a values (900, 1); end$$", None),
    ("CREATE TABLE made()", None),
    ("SELECT * INTO made FROM a", None),
    ("GRANT SELECT ON a TO public", None),
    ("INSERT INTO a VALUES (901, 1); INSERT INTO b VALUES (901, 1)", None),
    ("LOCK TABLE a", set()),
    ("CREATE TEMP TABLE made (n int DEFAULT s.count_up(1))", set()),
    ("CREATE TEMP TABLE made AS SELECT * FROM a", set()),
    ("CREATE TEMP TABLE made AS SELECT s.count_up(1)", None),
    ("CREATE TEMP VIEW made AS SELECT * FROM a", None),
    ("NOTIFY x", set()),
    ("SET LOCAL work_mem = '4MB'", set()),
]
COPIES = [
    ("COPY a FROM STDIN", {"a"}),
    ("COPY s.audited(id, v) FROM STDIN", {"audited", "audit"}),
]


class Stage(NamedTuple):
    """A database, its catalog, and a connection to it whose counters are its own."""

    catalog: Catalog
    writer: psycopg.Connection[Any]

    def said(self, sql: str, catalog: Catalog | None = None) -> Touched:
        known = catalog or self.catalog
        return touched(classify(sql, known), tokenize(sql), known)

    def seen(self, sql: str, *, rows: str = "") -> tuple[set[str], set[str]]:
        """Run *sql* and undo it: what was scanned, and what was changed."""
        self.writer.execute("BEGIN")
        try:
            before = self._counted()
            if rows:
                with self.writer.cursor().copy(sql) as copy:
                    copy.write(rows)
            else:
                self.writer.execute(sql)
            after = self._counted()
        finally:
            self.writer.execute("ROLLBACK")
        new = {
            name: [now - then for now, then in zip(counts, before[name], strict=True)]
            for name, counts in after.items()
            if name in before
        }
        return (
            {name for name, (scans, _) in new.items() if scans},
            {name for name, (_, changes) in new.items() if changes},
        )

    def _counted(self) -> dict[str, tuple[int, int]]:
        found = self.writer.execute(
            "SELECT relname, sum(seq_scan + coalesce(idx_scan, 0)), "
            "sum(n_tup_ins + n_tup_upd + n_tup_del) "
            "FROM pg_stat_xact_all_tables WHERE schemaname IN ('s', 's2', 't') GROUP BY 1"
        )
        return {name: (int(scans), int(made)) for name, scans, made in found}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Lab.start(LabSpec(regions={REGION: 0}, direct=True)) as lab:
        dsn = lab.dsn(REGION, WRITER, superuser=True)
        with psycopg.connect(dsn, autocommit=True) as writer:
            writer.execute((HERE / "table_objects.sql").read_text())
            writer.prepare_threshold = None
            yield Stage(read_catalog(writer, tables=True), writer)


@pytest.fixture
def recorded(stage: Stage) -> Iterator[Stage]:
    """The database that the recorded statements are about."""
    schema = (HERE.parent / "spec" / "schema_postgresql.sql").read_text()
    stage.writer.execute(schema)
    stage.writer.execute("SET search_path = t")
    yield Stage(read_catalog(stage.writer, tables=True), stage.writer)
    stage.writer.execute("SET search_path = s")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO mine SELECT id FROM a", Touched(frozenset("a"), frozenset())),
        ("INSERT INTO a SELECT id FROM mine", Touched(frozenset("a"), frozenset("a"))),
        ("DROP TABLE mine", Touched(frozenset(), frozenset())),
        ("DROP TABLE mine, s.a", Touched(None, None)),
        ("DROP TABLE mine, a", Touched(None, None)),
        ("INSERT INTO theirs VALUES (1)", Touched(frozenset(), None)),
    ],
)
def test_a_temporary_table_does_not_count(stage, sql, expected):
    statement = classify(sql, stage.catalog)
    own = frozenset(("mine",))
    assert touched(statement, tokenize(sql), stage.catalog, own) == expected


RELATIONS = [
    "a",
    "s2.a",
    "b",
    "c",
    "owner",
    "deleted",
    "nulled",
    "defaulted",
    "grandchild",
    "kept",
    "audit",
    "audited",
    "stamped",
    "dynamic",
    "counter",
    "calling",
    "defaults",
    "chain1",
    "ruled",
    "va",
    "vva",
    "vj",
    "mv",
    "part",
    "part1",
    "part2",
    "part2a",
    "of_part",
    "base",
    "heir",
    "secret",
    "guarded",
    "v_sums",
    "of_domain",
]


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("shape", ["DELETE FROM {}", "UPDATE {0} SET id = {0}.id"])
def test_no_change_of_any_relation_is_left_out(stage, name, shape):
    sql = shape.format(name)
    try:
        _, changed = stage.seen(sql)
    except psycopg.Error:
        # Not every view can be written, and not every table has that column.
        return
    assert within(changed, stage.said(sql).writes)


relations = st.sampled_from(RELATIONS)
queries = st.recursive(
    st.builds("SELECT 1 FROM {}".format, relations),
    lambda inner: st.one_of(
        st.builds("SELECT 1 FROM {} WHERE EXISTS ({})".format, relations, inner),
        st.builds(
            "SELECT 1 FROM ({}) AS q CROSS JOIN {} AS r".format, inner, relations
        ),
        st.builds("WITH w AS ({}) SELECT 1 FROM w, {}".format, inner, relations),
        st.builds("({}) UNION ALL ({})".format, inner, inner),
        st.builds("SELECT count(*) FROM ({}) AS q".format, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(sql=queries)
def test_no_scan_of_any_query_is_left_out(stage, sql):
    scanned, _ = stage.seen(sql)
    assert within(scanned, stage.said(sql).reads), sql


RECORDED = [
    case["sql"]
    for line in (HERE.parent / "spec" / "statements.jsonl").read_text().splitlines()
    if (case := json.loads(line))["engine"] == "postgresql"
]


def test_nothing_of_the_recorded_statements_is_left_out(recorded):
    changing = 0
    for sql in RECORDED:
        if "copy" in sql.lower():
            # It talks on the connection; other tests copy.
            continue
        try:
            scanned, changed = recorded.seen(sql)
        except psycopg.Error:
            continue
        changing += bool(changed)
        said = recorded.said(sql)
        assert within(changed, said.writes), sql
        assert said.writes or within(scanned, said.reads), sql
    assert changing > 5


def within(seen: set[str], said: Tables) -> bool:
    """Whether all that was seen had been said."""
    return said is None or seen <= said


@pytest.mark.parametrize(("sql", "expected"), READS)
def test_a_read_names_the_tables_it_reads(stage, sql, expected):
    assert stage.said(sql).reads == (None if expected is None else frozenset(expected))
    assert stage.said(sql).writes == frozenset()


@pytest.mark.parametrize(("sql", "expected"), [*WRITES, *COPIES])
def test_a_write_names_the_tables_it_writes(stage, sql, expected):
    assert stage.said(sql).writes == (None if expected is None else frozenset(expected))


def _unseen(sql: str) -> bool:
    """Whether the server refuses it, be it that it has no libxml."""
    return any(word in sql for word in ("nobody", "_xml", "U&", "v.n", ", a1", "'x'::"))


@pytest.mark.parametrize("sql", [sql for sql, _ in READS if not _unseen(sql)])
def test_no_scan_is_left_out(stage, sql):
    scanned, changed = stage.seen(sql)
    assert within(scanned, stage.said(sql).reads)
    assert not changed


@pytest.mark.parametrize("sql", [sql for sql, _ in WRITES if not _unseen(sql)])
def test_no_change_is_left_out(stage, sql):
    _, changed = stage.seen(sql)
    assert within(changed, stage.said(sql).writes)


@pytest.mark.parametrize("sql", [sql for sql, _ in COPIES])
def test_no_change_by_copy_is_left_out(stage, sql):
    _, changed = stage.seen(sql, rows="700\t1\n")
    assert changed
    assert within(changed, stage.said(sql).writes)


@pytest.mark.parametrize(
    ("sql", "forgotten"),
    [
        ("DELETE FROM owner WHERE id = 1", "cascades"),
        ("INSERT INTO audited VALUES (2, 2)", "triggers"),
        ("UPDATE vva SET v = 3", "views"),
        ("INSERT INTO part VALUES (3, 1)", "parents"),
        ("INSERT INTO ruled VALUES (1)", "ruled"),
        ("INSERT INTO defaults DEFAULT VALUES", "runs"),
    ],
)
def test_what_the_catalog_left_out_would_be_noticed(stage, sql, forgotten):
    fields = {name: getattr(stage.catalog.tables, name) for name in Relations.__slots__}
    fields[forgotten] = type(fields[forgotten])()
    poorer = Catalog(functions=stage.catalog.functions, tables=Relations(**fields))
    _, changed = stage.seen(sql)
    assert not within(changed, stage.said(sql, poorer).writes)


def test_what_reads_are_said_to_read_is_not_everything(stage):
    """The checks above would be content with a set that is never known."""
    known = [stage.said(sql).reads for sql, expected in READS if expected is not None]
    assert all(reads is not None for reads in known)
    assert stage.said("SELECT * FROM a").reads == frozenset("a")
    assert classify("SELECT * FROM a").verdict is Verdict.READ
