"""What it costs to tell a read from a write, beside the parsers one could ask.

``python benchmarks/classification.py [--quick] [--json FILE]``. Each figure is the best
of several rounds: the machine's noise only ever adds. Parsers that are not installed
are left out. They are timed at parsing alone, without any judgement of the result.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.mysql.classify import classify as classify_mysql
from globaldb.core.postgresql.classify import classify
from globaldb.core.query_cache import QueryCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TYPICAL: Final = (
    "SELECT o.id, o.total, c.name, count(l.id) AS lines FROM orders o "
    "JOIN customers c ON c.id = o.customer_id LEFT JOIN lines l ON l.order_id = o.id "
    "WHERE o.status = 'open' AND c.region = 'eu' GROUP BY o.id, c.name LIMIT 20"
)
_COLUMNS: Final = ", ".join(f'"shop_order"."column_{n}"' for n in range(66))
_MAPPED: Final = (
    f'SELECT {_COLUMNS} FROM "shop_order" INNER JOIN "shop_customer" ON '
    '("shop_order"."customer_id" = "shop_customer"."id") WHERE '
    '("shop_order"."status" IN (1, 2, 3) AND UPPER("shop_customer"."name"::text) '
    'LIKE UPPER(\'a%\') AND "shop_order"."total" > 10) ORDER BY 1 DESC LIMIT 21'
)
_INTROSPECTION: Final = (
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), "
    "pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attribute a "
    "LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid "
    "WHERE a.attrelid = 16384 AND a.attnum > 0 AND NOT a.attisdropped"
)
#: What is classified, by what is special about it.
TEXTS: Final = {
    "read, 200 characters": _TYPICAL,
    "read, 2,000 characters": _MAPPED,
    "read behind a comment": f"/* controller: orders */ {_TYPICAL}",
    "read of the catalogs": _INTROSPECTION,
    "call of an unknown function": _TYPICAL.replace("count(", "app.total("),
    "read with a lock": f"{_TYPICAL.replace(' GROUP BY o.id, c.name', '')} FOR UPDATE",
    "insert": "INSERT INTO carts (id, label) VALUES (1, 'a'), (2, 'b') RETURNING id",
    "SET": "SET search_path TO app, public",
    "script of two": "UPDATE carts SET label = 'a' WHERE id = 1; SELECT 1",
}
_MEGABYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """Microseconds that one call took on one text."""

    text: str
    reader: str
    microseconds: float


def parsers() -> dict[str, Callable[[str], Any]]:
    """Return the classifier of each dialect, and the parsers that are installed."""
    found: dict[str, Callable[[str], Any]] = {
        "globaldb": classify,
        "globaldb, mysql": classify_mysql,
    }
    try:
        import sqlparse

        found["sqlparse"] = sqlparse.parse
    except ImportError:
        pass
    try:
        import sqlglot

        # It warns of each statement that it does not take apart.
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        found["sqlglot"] = lambda text: sqlglot.parse(text, read="postgres")
    except ImportError:
        pass
    try:
        import pglast

        found["pglast"] = pglast.parse_sql
    except ImportError:
        pass
    return found


def best(call: Callable[[str], Any], text: str, rounds: int, seconds: float) -> float:
    """Return the least microseconds that a call took, over *rounds* of *seconds*."""
    call(text)
    least = float("inf")
    for _ in range(rounds):
        calls = 0
        started = perf_counter()
        spent = 0.0
        while not calls or spent < seconds:
            call(text)
            calls += 1
            spent = perf_counter() - started
        least = min(least, spent / calls)
    return least * 1e6


def measure(*, quick: bool) -> Iterator[Figure]:
    """Time everything, so long that the figures are still unless it is to be quick."""
    rounds, seconds = (2, 0.002) if quick else (15, 0.02)
    for name, text in TEXTS.items():
        for reader, call in parsers().items():
            yield Figure(name, reader, best(call, text, rounds, seconds))
    hit = QueryCache(classify)
    hit.lookup(_TYPICAL)
    repeated = best(
        lambda text: [hit.lookup(text) for _ in range(100)], _TYPICAL, rounds, seconds
    )
    yield Figure("read, met before", "globaldb", repeated / 100)
    values = ", ".join("(1234567, 'some text of a value')" for _ in range(1000))
    rows = ", ".join([values] * (_MEGABYTES * 1_000_000 // len(values)))
    insert = f"INSERT INTO t (a, b) VALUES {rows}"
    for reader, call in (("globaldb", classify), ("globaldb, mysql", classify_mysql)):
        yield Figure(f"insert of {_MEGABYTES} MB", reader, best(call, insert, 2, 0.0))


def table(figures: list[Figure]) -> str:
    """Return *figures* as a table: a row a text, a column a reader."""
    readers = list(dict.fromkeys(figure.reader for figure in figures))
    rows: dict[str, dict[str, float]] = {}
    for figure in figures:
        rows.setdefault(figure.text, {})[figure.reader] = figure.microseconds
    lines = [
        f"| microseconds | {' | '.join(readers)} |",
        "|---|" + "---:|" * len(readers),
    ]
    for text, by_reader in rows.items():
        cells = (
            f"{by_reader[reader]:,.{2 if by_reader[reader] < 1 else 0}f}"
            if reader in by_reader
            else "-"
            for reader in readers
        )
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write the figures where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, to see it run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures = list(measure(quick=options.quick))
    print(table(figures))
    if options.json:
        rows = [
            {"text": each.text, "reader": each.reader, "us": each.microseconds}
            for each in figures
        ]
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
