"""The question that tells what the objects of a database do, asked of its catalogs.

It answers in rows of kind, schema, causes and names: all these objects do what each
of the causes does. Bodies and query trees are looked at where they are. A cause is a
letter, a colon and a name:

| letter | what is behind it |
|---|---|
| ``v`` | a volatile function (the name is that of its extension, if it has one) |
| ``w`` | a word in a body: one of the server's functions, or ``keep`` |
| ``f`` | a function of the application, as ``schema.name`` |
| ``s`` | the function of the same name |
| ``b`` | one of the server's functions, called by a query tree |
| ``c`` | one of the server's views |
| ``r`` | a kind of relation: ``unlogged``, ``foreign``, ``sequence``; ``lock`` for rows |
"""

from __future__ import annotations

from typing import Final

from globaldb.core.postgresql.functions import SPECIAL
from globaldb.core.postgresql.touched import ROAMING
from globaldb.drivers.psycopg import tables_query

#: Seconds after which the server gives up.
TIMEOUT: Final = 10.0


def _quoted(text: str) -> str:
    """Return a literal that means the same with standard_conforming_strings off."""
    return "E'" + text.replace("\\", r"\\").replace("'", "''") + "'"


# Names from elsewhere must not be found first, and compiling costs more than it saves.
_SETTINGS: Final = f"""\
SET LOCAL statement_timeout = {round(TIMEOUT * 1000)};
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL jit = off;
"""

# What else in a body stays on its connection: a word that is quick to look for, and the
# pattern that makes sure. A statement begins behind a semicolon, a keyword or a comment,
# or as a text for EXECUTE; up to the next semicolon comments may be between words.
_START: Final = r"(?:^|[;'$]|\*/|--[^\n]*\n|\m(?:begin|then|else|loop)\M)\s*"
_KEEPING: Final = (
    ("temp", r"\m(?:create|into)\M[^;]{0,60}\mtemp(?:orary)?\M|\mpg_temp\M"),
    ("listen", _START + r'(?:un)?listen\s+["a-z_*%]'),
    ("hold", r"\mwith\s+hold\M"),
    ("set", _START + r'set\s+(?!local\M|constraints\M|transaction\M)["a-z_%]'),
    ("set_config", r"set_config\s*\((?![^;()]*,\s*true\s*\))"),
    ("reset", _START + r'reset\s+["a-z_%]'),
    ("discard", _START + r"discard\s"),
    ("prepare", _START + r'prepare\s+["a-z_%]'),
    ("deallocate", _START + r'deallocate\s+["a-z_%]'),
    ("load", _START + r"load\s+'"),
    # Where the procedural languages keep what outlives a call.
    ("gd[", r"\mgd\["),
    ("sd[", r"\msd\["),
    ("_shared", r"[%$]_shared\M"),
)
_KEEPS: Final = " OR ".join(
    f"(strpos(body, {_quoted(word)}) > 0 AND body ~ {_quoted(pattern)})"
    for word, pattern in _KEEPING
)
# A comment may stand between a name and its parenthesis.
_CALL: Final = _quoted(r'(\w+)"?\s*(?:\(|/\*|--)')
_SPECIAL: Final = _quoted("{" + ",".join((*SPECIAL, "set_config")) + "}") + "::text[]"

_ROUTINES: Final = """
place AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
   WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
),
routine AS MATERIALIZED (
  SELECT p.oid, n.nspname, p.proname, p.provolatile = 'v' AS volatile, x.extname,
         p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AS fired,
         CASE WHEN l.lanname IN ('c', 'internal') THEN '' ELSE lower(p.prosrc) END
           AS body,
         p.prosqlbody IS NOT NULL OR p.pronargdefaults > 0 OR p.prokind = 'a' AS uses,
         CASE WHEN p.prosqlbody IS NOT NULL OR p.pronargdefaults > 0
              THEN concat(p.proargdefaults::text, p.prosqlbody::text) END AS tree,
         p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1 AS single
    FROM pg_proc p JOIN place n ON n.oid = p.pronamespace
         JOIN pg_language l ON l.oid = p.prolang
         LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
              AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
         LEFT JOIN pg_extension x ON x.oid = d.refobjid
   WHERE p.prorettype <> 'internal'::regtype
     AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
),
called AS MATERIALIZED (
  SELECT DISTINCT r.oid, m[1] AS word
    FROM routine r, regexp_matches(r.body, {call}, 'g') m
   WHERE m[1] = ANY ({special}) OR m[1] IN (SELECT lower(proname) FROM routine)
),
said AS (
  SELECT oid, word FROM called WHERE word = ANY ({special})
  UNION SELECT oid, 'keep' FROM routine WHERE {keeps}
  UNION SELECT c.oid, s.word
    FROM said s JOIN routine r ON r.oid = s.oid
         JOIN called c ON c.word = lower(r.proname)
),"""

_EDGES: Final = """
wordy AS MATERIALIZED (SELECT DISTINCT oid FROM said),
special AS MATERIALIZED (
  SELECT oid::text AS id, proname FROM pg_proc
   WHERE pronamespace = 'pg_catalog'::regnamespace
     AND (provolatile = 'v' OR proname::text = ANY ({special}))
),
viewed AS MATERIALIZED (
  SELECT r.oid, r.ev_class, r.ev_action::text AS tree
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
         JOIN place n ON n.oid = c.relnamespace
   WHERE r.ev_type = '1' AND c.relkind = 'v'
),
tree AS (
  SELECT 'pg_class'::regclass::oid AS class, ev_class AS id, tree FROM viewed
  UNION ALL
  SELECT 'pg_class'::regclass, polrelid, polqual::text FROM pg_policy
   WHERE polcmd IN ('*', 'r')
  UNION ALL
  SELECT 'pg_type'::regclass, contypid, conbin::text FROM pg_constraint
   WHERE contypid <> 0
  UNION ALL
  SELECT 'pg_proc'::regclass, oid, tree FROM routine
),
call_node AS MATERIALIZED (
  SELECT DISTINCT t.class, t.id, split_part(part, ' ', 1) AS routine
    FROM tree t, string_to_table(t.tree, ':funcid ') AS part
),
dep AS MATERIALIZED (
  SELECT classid, objid, refclassid, refobjid FROM pg_depend
   WHERE refclassid IN ('pg_proc'::regclass, 'pg_class'::regclass,
                        'pg_operator'::regclass, 'pg_type'::regclass)
     AND classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass,
                     'pg_policy'::regclass, 'pg_constraint'::regclass,
                     'pg_type'::regclass)
),
-- What uses what: doing the first may do what the second does.
edge AS MATERIALIZED (
  SELECT 'pg_class'::regclass::oid AS class, v.ev_class AS id,
         d.refclassid AS on_class, d.refobjid AS on_id
    FROM viewed v JOIN dep d ON d.classid = 'pg_rewrite'::regclass AND d.objid = v.oid
  UNION ALL
  SELECT d.classid, d.objid, d.refclassid, d.refobjid
    FROM routine r JOIN dep d ON d.classid = 'pg_proc'::regclass AND d.objid = r.oid
         JOIN pg_proc p ON p.oid = r.oid
   WHERE r.uses AND d.refobjid <> p.prosupport
  UNION ALL
  SELECT classid, objid, refclassid, refobjid FROM dep
   WHERE refclassid = 'pg_type'::regclass
     AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass)
  UNION ALL
  SELECT 'pg_class'::regclass, p.polrelid, d.refclassid, d.refobjid
    FROM pg_policy p
         JOIN dep d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
   WHERE p.polcmd IN ('*', 'r')
  UNION ALL
  SELECT 'pg_class'::regclass, inhparent, 'pg_class'::regclass, inhrelid
    FROM pg_inherits
  UNION ALL
  SELECT 'pg_operator'::regclass, o.oid, 'pg_proc'::regclass, o.oprcode
    FROM pg_operator o JOIN place n ON n.oid = o.oprnamespace
  UNION ALL
  SELECT 'pg_type'::regclass, c.contypid, d.refclassid, d.refobjid
    FROM pg_constraint c
         JOIN dep d ON d.classid = 'pg_constraint'::regclass AND d.objid = c.oid
   WHERE c.contypid <> 0 AND d.refclassid <> 'pg_type'::regclass
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 'pg_proc'::regclass, c.castfunc
    FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget)
   WHERE c.castfunc <> 0 AND c.oid >= 16384
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 'pg_proc'::regclass, a.amproc::oid
    FROM pg_amproc a JOIN pg_type t ON t.oid IN (a.amproclefttype, a.amprocrighttype)
         JOIN place n ON n.oid = t.typnamespace
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 'pg_operator'::regclass, o.oid
    FROM pg_operator o JOIN place n ON n.oid = o.oprnamespace
         JOIN pg_type t ON t.oid IN (o.oprleft, o.oprright)
         JOIN place m ON m.oid = t.typnamespace
  UNION ALL
  SELECT 'pg_class'::regclass, t.typrelid, 'pg_type'::regclass, t.oid
    FROM pg_operator o JOIN place n ON n.oid = o.oprnamespace
         JOIN pg_type t ON t.oid IN (o.oprleft, o.oprright) AND t.typrelid <> 0
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 'pg_class'::regclass, c.oid
    FROM pg_class c JOIN pg_type t ON t.typrelid = c.oid WHERE c.relkind = 'c'
),
leaf AS (
  SELECT 'pg_proc'::regclass::oid AS class, r.oid AS id,
         'f:' || r.nspname || '.' || r.proname AS cause
    FROM routine r LEFT JOIN wordy w USING (oid)
   WHERE r.volatile OR w.oid IS NOT NULL OR r.extname IS NULL
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid,
         CASE WHEN c.relkind = 'S' THEN 'r:sequence' WHEN c.relkind = 'f'
              THEN 'r:foreign' WHEN c.relpersistence = 'u' THEN 'r:unlogged'
              ELSE 'c:' || c.relname END
    FROM pg_class c LEFT JOIN place n ON n.oid = c.relnamespace
   WHERE CASE WHEN n.oid IS NULL
              THEN c.relkind = 'v' AND c.relnamespace = 'pg_catalog'::regnamespace
              ELSE c.relkind IN ('S', 'f')
                   OR (c.relkind IN ('r', 'p', 'm') AND c.relpersistence = 'u') END
  UNION ALL
  SELECT t.class, t.id, 'b:' || s.proname
    FROM call_node t JOIN special s ON s.id = t.routine
  UNION ALL
  SELECT class, id, 'r:lock' FROM tree
   WHERE strpos(tree, ':hasForUpdate true') > 0
),
reached AS (
  SELECT class, id, cause FROM leaf
  UNION
  SELECT e.class, e.id, r.cause
    FROM reached r JOIN edge e ON e.on_class = r.class AND e.on_id = r.id
),"""

_CHANGES: Final = """
-- Tables with something that a change sets off, and what is changed through them.
fires AS (
  SELECT t.tgrelid AS id, t.tgfoid AS routine FROM pg_trigger t
  UNION ALL
  SELECT coalesce(a.adrelid, c.conrelid, r.ev_class), d.refobjid
    FROM pg_depend d
         LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
         LEFT JOIN pg_constraint c
           ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
         LEFT JOIN pg_rewrite r
           ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_type <> '1'
   WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM wordy)
     AND d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass,
                       'pg_rewrite'::regclass)
),
changing AS (
  SELECT f.id, f.routine FROM fires f JOIN wordy w ON w.oid = f.routine
   WHERE f.id <> 0
  UNION
  SELECT u.id, c.routine
    FROM changing c
         JOIN (SELECT inhparent AS id, inhrelid AS on_id FROM pg_inherits
               UNION ALL SELECT inhrelid, inhparent FROM pg_inherits
               UNION ALL SELECT confrelid, conrelid FROM pg_constraint
                          WHERE contype = 'f'
               UNION ALL SELECT id, on_id FROM edge
                          WHERE class = 'pg_class'::regclass AND on_class = class) u
           ON u.on_id = c.id
),"""

_ANSWER: Final = """
cause AS (
  SELECT q.class, q.id, q.cause
    FROM reached q
         LEFT JOIN routine r ON q.class = 'pg_proc'::regclass AND q.id = r.oid
   WHERE r.oid IS NULL OR q.cause <> 'f:' || r.nspname || '.' || r.proname
  UNION ALL
  SELECT 'pg_proc'::regclass, oid, 'v:' || coalesce(extname, '')
    FROM routine WHERE volatile
  UNION ALL
  SELECT 'pg_proc'::regclass, oid, 'w:' || word FROM said
),
causes AS (
  SELECT class, id, array_agg(DISTINCT cause ORDER BY cause) AS causes
    FROM cause GROUP BY class, id
),
answer AS (
  SELECT 'function' AS kind, r.nspname AS schema, c.causes, r.proname AS name
    FROM routine r
         LEFT JOIN causes c ON c.class = 'pg_proc'::regclass AND c.id = r.oid
   WHERE NOT r.fired OR r.oid IN (SELECT oid FROM wordy)
  UNION ALL
  SELECT 'relation', n.nspname, c.causes, o.relname
    FROM causes c JOIN pg_class o ON o.oid = c.id
         JOIN place n ON n.oid = o.relnamespace
   WHERE c.class = 'pg_class'::regclass
     AND o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT 'operator', n.nspname, c.causes, o.oprname
    FROM causes c JOIN pg_operator o ON o.oid = c.id
         JOIN place n ON n.oid = o.oprnamespace
   WHERE c.class = 'pg_operator'::regclass
     AND NOT EXISTS (SELECT FROM pg_type t JOIN place m ON m.oid = t.typnamespace
                      WHERE t.oid IN (o.oprleft, o.oprright))
  UNION ALL
  SELECT 'type', n.nspname, c.causes, t.typname
    FROM causes c JOIN pg_type t ON t.oid = c.id JOIN place n ON n.oid = t.typnamespace
   WHERE c.class = 'pg_type'::regclass AND t.typcategory <> 'A'
     AND (t.typrelid = 0
          OR t.typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c'))
  UNION ALL
  -- What takes one argument may be written as its column.
  SELECT 'column', r.nspname, ARRAY['s:'], r.proname
    FROM routine r
   WHERE r.single AND NOT r.fired
     AND (r.volatile OR r.oid IN (SELECT oid FROM wordy))
  UNION ALL
  SELECT 'change', n.nspname,
         array_agg(DISTINCT 'f:' || r.nspname || '.' || r.proname), o.relname
    FROM changing c JOIN pg_class o ON o.oid = c.id
         JOIN place n ON n.oid = o.relnamespace JOIN routine r ON r.oid = c.routine
   GROUP BY n.nspname, o.relname
)
SELECT kind, schema, coalesce(causes, '{}'), array_agg(DISTINCT name::text)
  FROM answer GROUP BY kind, schema, causes
"""


def _question(parts: str, rows: str) -> str:
    """Return the batch to send, with further *parts*, and further *rows* of answer."""
    question = f"WITH RECURSIVE{_ROUTINES}{_EDGES}{_CHANGES}{parts}{_ANSWER}{rows}"
    return _SETTINGS + (
        question.replace("{special}", _SPECIAL)
        .replace("{keeps}", _KEEPS)
        .replace("{call}", _CALL)
        .replace("{roams}", _quoted(f"^(?:{ROAMING})$"))
    )


#: The batch to send; the last result is the answer.
QUESTION: Final = _question("", "")
#: The same, for an answer that tells of tables too.
QUESTION_WITH_TABLES: Final = _question(tables_query.PARTS, tables_query.ANSWER)
