"""What SQLAlchemy and Django send by themselves goes where it should."""

from __future__ import annotations

import pytest

from globaldb.core.postgresql.classify import classify

#: Reads of data and of the catalogs, as the two write them.
READS = [
    # SQLAlchemy, when an engine meets its server and when it reflects.
    "SELECT oid, typarray FROM pg_type WHERE oid = to_regtype('hstore')",
    (
        "SELECT pg_catalog.pg_type.typname FROM pg_catalog.pg_type "
        "JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = "
        "pg_catalog.pg_type.typnamespace WHERE pg_catalog.pg_type.typname = %(n)s::VARCHAR "
        "AND pg_catalog.pg_type_is_visible(pg_catalog.pg_type.oid)"
    ),
    (
        "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN "
        "pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = "
        "pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = "
        "%(table_name)s::VARCHAR AND pg_catalog.pg_class.relkind = ANY "
        "(ARRAY[%(k1)s::VARCHAR, %(k2)s::VARCHAR]) AND "
        "pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND "
        "pg_catalog.pg_namespace.nspname != %(nspname_1)s::VARCHAR"
    ),
    (
        "SELECT pg_catalog.pg_attribute.attname AS name, "
        "pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, "
        "pg_catalog.pg_attribute.atttypmod) AS format_type, (SELECT "
        "pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, "
        "pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef WHERE "
        "pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid) AS default_, "
        "pg_catalog.col_description(pg_catalog.pg_attribute.attrelid, "
        "pg_catalog.pg_attribute.attnum) AS comment FROM pg_catalog.pg_class "
        "LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = "
        "pg_catalog.pg_attribute.attrelid AND NOT pg_catalog.pg_attribute.attisdropped"
    ),
    (
        "SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) "
        "FROM (SELECT con.conrelid, unnest(con.conkey) AS attnum, "
        "generate_subscripts(con.conkey, %(x)s::INTEGER) AS ord, "
        "pg_catalog.pg_get_constraintdef(con.oid, true) FROM pg_catalog.pg_constraint con) "
        "AS attr GROUP BY attr.conrelid"
    ),
    # SQLAlchemy, compiled expressions.
    (
        "SELECT users.id, users.name FROM users WHERE users.id = %(id_1)s::INTEGER "
        "ORDER BY users.id LIMIT %(param_1)s::INTEGER OFFSET %(param_2)s::INTEGER"
    ),
    (
        "SELECT anon_1.id, row_number() OVER (PARTITION BY anon_1.kind ORDER BY anon_1.id "
        "DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS rn FROM (SELECT t.id AS "
        "id, t.kind AS kind FROM t) AS anon_1"
    ),
    (
        "SELECT count(*) FILTER (WHERE t.done) AS c, percentile_cont(0.5) WITHIN GROUP "
        "(ORDER BY t.v) AS p FROM t GROUP BY GROUPING SETS((t.a, t.b), (t.a), ())"
    ),
    (
        "SELECT t.data ->> %(data_1)s AS x, t.data #> %(p)s AS y, t.data @> "
        "%(q)s::JSONB AS z, (t.tags && ARRAY[%(a)s::VARCHAR]) FROM t WHERE t.period @> "
        "CAST(%(d)s AS DATE) AND t.body @@ plainto_tsquery(%(s)s)"
    ),
    (
        "SELECT values_1.a FROM (VALUES (%(m1)s, %(m2)s), (%(m3)s, %(m4)s)) AS "
        "values_1 (a, b) JOIN LATERAL (SELECT 1) AS l ON true"
    ),
    (
        "WITH RECURSIVE tree(id, up) AS (SELECT n.id, n.up FROM n UNION ALL SELECT m.id, "
        "m.up FROM n AS m JOIN tree ON m.up = tree.id) SELECT tree.id FROM tree"
    ),
    "SELECT EXISTS (SELECT 1 FROM t WHERE t.id IN (%(id_1_1)s, %(id_1_2)s)) AS anon_1",
    "SELECT t.a FROM t TABLESAMPLE bernoulli(%(b)s) REPEATABLE (%(r)s)",
    # Django's introspection.
    (
        "\n            SELECT\n                c.relname,\n                CASE\n"
        "                    WHEN c.relispartition THEN 'p'\n                    WHEN "
        "c.relkind IN ('m', 'v') THEN 'v'\n                    ELSE 't'\n                "
        "END,\n                obj_description(c.oid, 'pg_class')\n            FROM "
        "pg_catalog.pg_class c\n            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = "
        "c.relnamespace\n            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')\n"
        "                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')\n                "
        "AND pg_catalog.pg_table_is_visible(c.oid)\n        "
    ),
    (
        "SELECT a.attname, pg_get_serial_sequence(quote_ident(s.nspname), a.attname), "
        "array(SELECT unnest(i.indkey)), pg_get_expr(d.adbin, d.adrelid), am.amname, "
        "pg_get_indexdef(i.indexrelid) FROM pg_index i, pg_attribute a, pg_am am"
    ),
    # Django's querysets.
    (
        'SELECT "auth_user"."id", "auth_user"."username" FROM "auth_user" WHERE '
        'UPPER("auth_user"."username"::text) LIKE UPPER(%s) ORDER BY "auth_user"."id" ASC '
        "LIMIT 21"
    ),
    'SELECT COUNT(*) AS "__count" FROM "shop_order"',
    'SELECT 1 AS "a" FROM "shop_order" WHERE "shop_order"."id" = %s LIMIT 1',
    (
        'SELECT DISTINCT ON ("t"."a") "t"."a", COALESCE(SUM("t"."b"), 0) AS "s" FROM "t" '
        'GROUP BY "t"."a" HAVING SUM("t"."b") > %s'
    ),
    (
        'SELECT DATE_TRUNC(\'day\', "t"."at" AT TIME ZONE \'UTC\') AS "d", '
        'EXTRACT(YEAR FROM "t"."at"), (("t"."at" AT TIME ZONE %s))::date FROM "t"'
    ),
    (
        'SELECT ts_rank(to_tsvector(COALESCE("p"."body", %s)), plainto_tsquery(%s)) AS '
        '"rank", ARRAY_AGG("p"."tag" ORDER BY "p"."tag") AS "tags", JSONB_BUILD_OBJECT('
        '(\'a\')::text, "p"."id") FROM "p" WHERE "p"."data" ? %s'
    ),
    'SELECT (1) AS "a" FROM "t" WHERE "t"."r" && %s::int4range',
    "EXPLAIN (FORMAT JSON) SELECT 1",
]

OTHERS = [
    ("select pg_catalog.version()", "node_local", "node_function"),
    ("SELECT version()", "node_local", "node_function"),
    ("select current_schema()", "read", "select"),
    ("show standard_conforming_strings", "same_connection", "session_state"),
    ("SHOW transaction isolation level", "same_connection", "session_state"),
    ("show transaction_read_only", "same_connection", "session_state"),
    ("SHOW server_version", "node_local", "node_setting"),
    ("SET TIME ZONE 'UTC'", "session", "set"),
    ("SELECT set_config('TimeZone', 'UTC', false)", "session", "set_config"),
    ("SET ROLE app", "session", "set"),
    ("BEGIN (implicit)", "write", "unknown_statement"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "transaction", "begin"),
    ("SAVEPOINT sa_savepoint_1", "transaction", "savepoint"),
    ("RELEASE SAVEPOINT sa_savepoint_1", "transaction", "release"),
    ("ROLLBACK TO SAVEPOINT sa_savepoint_1", "transaction", "rollback_to"),
    ('SAVEPOINT "s140_x1"', "transaction", "savepoint"),
    ("SET CONSTRAINTS ALL IMMEDIATE", "transaction", "set_constraints"),
    (
        (
            "INSERT INTO t (a, b) SELECT p0::VARCHAR, p1::INTEGER FROM (VALUES "
            "(%(a__0)s, %(b__0)s, 0), (%(a__1)s, %(b__1)s, 1)) AS imp_sen(p0, p1, "
            "sen_counter) ORDER BY sen_counter RETURNING t.id, t.id AS id__1"
        ),
        "write",
        "write_statement",
    ),
    (
        (
            'INSERT INTO "t" ("a") VALUES (%s) ON CONFLICT ("a") DO UPDATE SET "a" = '
            'EXCLUDED."a" RETURNING "t"."id"'
        ),
        "write",
        "write_statement",
    ),
    ("UPDATE t SET a=%(a)s WHERE t.id = %(t_id)s RETURNING t.b", "write", None),
    ('DELETE FROM "t" WHERE "t"."id" IN (%s, %s)', "write", "write_statement"),
    (
        "SELECT t.id FROM t WHERE t.id = %(id)s FOR UPDATE OF t SKIP LOCKED",
        "write",
        "locking_clause",
    ),
    (
        'SELECT "t"."id" FROM "t" LIMIT 1 FOR NO KEY UPDATE OF "t" NOWAIT',
        "write",
        "locking_clause",
    ),
    ("select nextval('t_id_seq')", "write", "sequence"),
    (
        (
            "SELECT setval(pg_get_serial_sequence('\"t\"','id'), coalesce(max(\"id\"), 1), "
            'max("id") IS NOT null) FROM "t"'
        ),
        "write",
        "sequence",
    ),
    ('TRUNCATE "a", "b" RESTART IDENTITY', "write", "write_statement"),
    ("CREATE INDEX CONCURRENTLY x ON t (a)", "write", "definition"),
    ('DECLARE "_django_curs_1" NO SCROLL CURSOR FOR SELECT 1', "transaction", None),
    ("EXPLAIN (ANALYZE) DELETE FROM t", "write", None),
]


@pytest.mark.parametrize("sql", READS, ids=lambda sql: sql.strip()[:60])
def test_a_read_of_a_framework_is_a_read(sql):
    found = classify(sql)
    assert found.verdict.value == "read", found


@pytest.mark.parametrize(
    ("sql", "verdict", "reason"), OTHERS, ids=lambda v: str(v)[:60]
)
def test_what_else_a_framework_sends_has_its_verdict(sql, verdict, reason):
    found = classify(sql)
    assert found.verdict.value == verdict, found
    assert reason in (None, found.reason)
