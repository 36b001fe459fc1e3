"""The parts of the pages that tables of the code tell.

``python docs/generate.py`` brings the pages up to date; with ``--check`` it changes
nothing and fails when one of them is not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from globaldb.core.mysql import functions as mysql_functions, words as mysql_words
from globaldb.core.mysql.classify import classify as classify_mysql
from globaldb.core.postgresql import functions, words
from globaldb.core.postgresql.classify import classify
from globaldb.core.reasons import ROUTES, STATEMENTS, Reason, reason
from globaldb.core.statement import ShowSetting, Statement, Verdict

DOCS: Final = Path(__file__).parent

#: Where a statement of each verdict goes, in words.
WHERE: Final = {
    Verdict.READ: "the nearest reader that is fresh enough",
    Verdict.NODE_LOCAL: "the nearest reader that is fresh enough",
    Verdict.SAME_CONNECTION: "the connection that the session keeps; else the writer",
    Verdict.WRITE: "the writer",
    Verdict.PIN: "the writer, and the session keeps that connection",
    Verdict.SESSION: "recorded, and applied wherever the session goes",
    Verdict.TRANSACTION: "where the transaction runs",
}

POSTGRESQL: Final = """
SELECT * FROM carts WHERE id = 7
WITH big AS (SELECT ...) SELECT * FROM big
VALUES (1), (2)
EXPLAIN SELECT * FROM carts
COPY carts TO STDOUT
SELECT now(), random(), gen_random_uuid()
INSERT INTO carts VALUES (1) RETURNING id
WITH gone AS (DELETE FROM carts RETURNING *) SELECT * FROM gone
SELECT * FROM carts FOR UPDATE
SELECT * INTO copy FROM carts
EXPLAIN ANALYZE DELETE FROM carts
SELECT nextval('carts_id_seq')
SELECT total(7)
CALL restock()
DO $$ BEGIN NULL; END $$
COPY carts FROM STDIN
CREATE INDEX ON carts (label)
VACUUM carts
SELECT pg_advisory_lock(1)
SELECT pg_advisory_xact_lock(1)
CREATE TEMPORARY TABLE picked (id int)
LISTEN orders
NOTIFY orders
SET search_path = shop
SET LOCAL work_mem = '1GB'
SELECT set_config('app.user', '7', false)
PREPARE cart AS SELECT 1
SHOW work_mem
SELECT currval('carts_id_seq')
SELECT * FROM pg_stat_activity
SELECT inet_server_addr()
SHOW data_directory
BEGIN
SAVEPOINT a
LOCK TABLE carts
DECLARE c CURSOR FOR SELECT 1
FETCH c
SELECT 1; DELETE FROM carts
"""

MYSQL: Final = """
SELECT * FROM carts WHERE id = 7
SELECT NOW(), RAND(), UUID()
SHOW TABLES
EXPLAIN SELECT * FROM carts
INSERT INTO carts VALUES (1)
REPLACE INTO carts VALUES (1)
SELECT * FROM carts FOR UPDATE
SELECT * FROM carts LOCK IN SHARE MODE
SELECT * FROM carts INTO OUTFILE '/tmp/carts'
LOAD DATA LOCAL INFILE 'carts.csv' INTO TABLE carts
SELECT total(7)
CALL restock()
CREATE INDEX labels ON carts (label)
ANALYZE TABLE carts
SELECT GET_LOCK('carts', 1)
LOCK TABLES carts WRITE
HANDLER carts OPEN
XA START 'x'
CREATE TEMPORARY TABLE picked (id int)
SET time_zone = '+00:00'
SET GLOBAL max_connections = 500
SET @x = 1
SELECT @x
SELECT @x := 1
SELECT LAST_INSERT_ID()
SELECT ROW_COUNT()
SHOW WARNINGS
USE shop
SELECT @@server_id
SHOW PROCESSLIST
SELECT * FROM information_schema.processlist
START TRANSACTION
"""

Classify = Callable[[str], Statement]
Special = Mapping[str, tuple[Verdict, str]]


def examples(texts: str, judge: Classify) -> Iterator[str]:
    """Yield a table of statements, with what the classifier says of each."""
    yield "| statement | goes to | because |"
    yield "|---|---|---|"
    for sql in texts.strip().splitlines():
        found = judge(sql.replace("...", "1"))
        explained = reason(found.reason)
        assert explained is not None, found.reason
        where = WHERE[found.verdict]
        shown = isinstance(found.action, ShowSetting)
        if shown and found.verdict is Verdict.SAME_CONNECTION:
            where = "any node, as settings are the same everywhere"
        yield f"| {code(sql)} | {where} | {explained.means} |"


def special(table: Special) -> Iterator[str]:
    """Yield a table of the functions that are more than a read."""
    yield "| verdict | reason | functions |"
    yield "|---|---|---|"
    kinds = sorted({*table.values()}, key=lambda kind: (kind[0].value, kind[1]))
    for kind in kinds:
        names = [name for name, its in table.items() if its == kind]
        shown = ", ".join(map(code, shortened(names, r"pg_stat_get_")))
        yield f"| {kind[0].value} | `{kind[1]}` | {shown} |"


def shortened(names: Iterable[str], family: str) -> list[str]:
    """Return *names* in order; those of one large *family* stand as one."""
    return sorted({re.sub(f"^({family}).*", r"\1*", name) for name in names})


def listed(names: Iterable[str]) -> Iterator[str]:
    """Yield one paragraph of names."""
    # Whatever begins like these is one of them.
    yield ", ".join(map(code, shortened(names, r"pg_statio?_"))) + "."


def reasons(table: Mapping[str, Reason], where: str) -> Iterator[str]:
    """Yield a table of reason codes."""
    yield f"| code | {where} | meaning | what would keep it local |"
    yield "|---|---|---|---|"
    for name, found in table.items():
        yield f"| `{name}` | {found.where} | {found.means} | {found.local} |"


def code(text: str) -> str:
    """Return *text* as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


#: Each part that is generated, by the name it has in the pages.
PARTS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "statements of PostgreSQL": lambda: examples(POSTGRESQL, classify),
    "statements of MySQL": lambda: examples(MYSQL, classify_mysql),
    "functions of PostgreSQL": lambda: special(functions.SPECIAL),
    "functions of MySQL": lambda: special(mysql_functions.SPECIAL),
    "views of PostgreSQL": lambda: listed(words.NODE_VIEWS),
    "tables of MySQL": lambda: listed(mysql_words.NODE_TABLES),
    "reasons of routes": lambda: reasons(ROUTES, "where"),
    "reasons of statements": lambda: reasons(STATEMENTS, "verdict"),
}
_PART: Final = re.compile(
    r"(<!-- generated: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL
)


def renewed(page: str) -> str:
    """Return *page* with every part between marks generated anew."""

    def part(found: re.Match[str]) -> str:
        lines = "\n".join(PARTS[found[2]]())
        return f"{found[1]}\n{lines}\n\n{found[3]}"

    return _PART.sub(part, page)


def main(*, check: bool) -> int:
    """Renew every page, or tell which ones are not up to date."""
    old = []
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        if renewed(page) != page:
            old.append(path.relative_to(DOCS))
            if not check:
                path.write_text(renewed(page), encoding="utf-8")
    for path in old:
        print(f"{path}: {'out of date' if check else 'renewed'}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
