"""What the catalogs tell of tables beyond their definitions: who writes and reads whom.

More rows for the answer of the other question, asked along with it by those who keep
books by table. Names are bare, so that those of all schemas meet; see `Sort` for what
each kind of row tells.
"""

from __future__ import annotations

from typing import Final

#: Further parts of the question.
PARTS: Final = """
relation AS MATERIALIZED (
  SELECT c.oid, c.relname::text AS name, c.relkind
    FROM pg_class c JOIN place n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
-- Functions of the server's own that read whatever they are told to.
roaming AS MATERIALIZED (
  SELECT oid::text AS id FROM pg_proc
   WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ {roams}
),
sealed AS MATERIALIZED (
  SELECT p.oid
    FROM routine r JOIN pg_proc p USING (oid) JOIN pg_language l ON l.oid = p.prolang
   WHERE l.lanname IN ('c', 'internal')
     AND (r.extname IN ('pgcrypto', 'uuid-ossp')
          OR (r.extname IS NOT NULL AND p.provolatile = 'i'))
),
opaque AS (
  SELECT 'pg_proc'::regclass::oid AS class, oid AS id
    FROM routine WHERE oid NOT IN (SELECT oid FROM sealed)
  UNION
  SELECT t.class, t.id FROM call_node t JOIN roaming s ON s.id = t.routine
  UNION
  SELECT e.class, e.id FROM opaque o JOIN edge e ON e.on_class = o.class
                                                AND e.on_id = o.id
),
cascade AS (
  SELECT DISTINCT p.name, u.name AS uses
    FROM pg_constraint c JOIN relation p ON p.oid = c.confrelid
         JOIN relation u ON u.oid = c.conrelid
   WHERE c.contype = 'f'
     AND (c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd'))
),
leads AS (
  SELECT 'view' AS kind, v.name, u.name AS uses
    FROM viewed w JOIN relation v ON v.oid = w.ev_class
         JOIN dep d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
         JOIN relation u ON u.oid = d.refobjid
  UNION
  -- One that uses no relation of anybody's is a view all the same.
  SELECT 'view', name, '' FROM relation WHERE relkind = 'v'
  UNION
  SELECT 'policy', v.name, u.name
    FROM pg_policy p JOIN relation v ON v.oid = p.polrelid
         JOIN dep d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
              AND d.refclassid = 'pg_class'::regclass
         JOIN relation u ON u.oid = d.refobjid
  UNION
  SELECT 'parent', v.name, u.name
    FROM pg_inherits i JOIN relation v ON v.oid = i.inhparent
         JOIN relation u ON u.oid = i.inhrelid
  UNION
  SELECT 'cascade', name, uses FROM cascade
  UNION
  -- What a change of a row may run, of those that may change anything themselves.
  SELECT 'runs', v.name, r.nspname || '.' || r.proname
    FROM pg_depend d JOIN routine r ON r.oid = d.refobjid
         LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
         LEFT JOIN pg_constraint c
           ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
         LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
         LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
         JOIN relation v ON v.oid = coalesce(a.adrelid, c.conrelid, p.polrelid, i.indrelid)
   WHERE d.refclassid = 'pg_proc'::regclass
),
trigger AS MATERIALIZED (
  -- A longer body is not worth the journey: it stays unknown.
  SELECT t.tgfoid, l.lanname::text AS language,
         CASE WHEN length(p.prosrc) <= 20000 THEN p.prosrc ELSE '' END AS body,
         array_agg(DISTINCT v.name) AS names
    FROM pg_trigger t JOIN relation v ON v.oid = t.tgrelid
         JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
   WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
   GROUP BY 1, 2, 3
),"""

#: Further rows of the answer: kind, schema, what is used, names.
ANSWER: Final = """
UNION ALL
SELECT 'tables known', '', '{}', array_agg(DISTINCT name) FROM relation
HAVING count(*) > 0
UNION ALL
SELECT 'tables ' || kind, '', uses, array_agg(name)
  FROM (SELECT kind, name, array_agg(DISTINCT uses ORDER BY uses) AS uses
          FROM leads GROUP BY kind, name) AS each
 GROUP BY kind, uses
UNION ALL
SELECT 'tables fires', '', ARRAY[language, body], names FROM trigger
UNION ALL
SELECT 'tables ruled', '', '{}', array_agg(DISTINCT v.name)
  FROM pg_rewrite w JOIN relation v ON v.oid = w.ev_class
 WHERE w.ev_type <> '1' HAVING count(*) > 0
UNION ALL
SELECT 'tables opaque', '', '{}', array_agg(DISTINCT name)
  FROM (SELECT v.name FROM opaque o JOIN relation v ON v.oid = o.id
         WHERE o.class = 'pg_class'::regclass
        UNION
        SELECT t.typname::text FROM opaque o JOIN pg_type t ON t.oid = o.id
               JOIN place n ON n.oid = t.typnamespace
         WHERE o.class = 'pg_type'::regclass) AS each
HAVING count(*) > 0
UNION ALL
SELECT 'tables operator', '', '{}', array_agg(DISTINCT p.oprname::text)
  FROM opaque o JOIN pg_operator p ON p.oid = o.id
 WHERE o.class = 'pg_operator'::regclass
   AND NOT EXISTS (SELECT FROM pg_type t JOIN place m ON m.oid = t.typnamespace
                    WHERE t.oid IN (p.oprleft, p.oprright))
HAVING count(*) > 0
UNION ALL
SELECT 'tables pure', '', '{}', array_agg(name)
  FROM (SELECT r.proname::text AS name FROM routine r LEFT JOIN sealed s USING (oid)
         GROUP BY 1 HAVING bool_and(s.oid IS NOT NULL)) AS each
HAVING count(*) > 0
"""
