"""``manage.py globaldb_status``: the nodes of a database and the pools to them."""

from __future__ import annotations

import json
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from globaldb.core.topology import Role
from globaldb.django.wrapper import GlobaldbWrapper

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

_TABLES: Final = {"nodes": "SHOW GLOBALDB NODES", "pools": "SHOW GLOBALDB POOLS"}
_UNKNOWN: Final = Role.UNKNOWN.value
#: Seconds that nodes have to answer, and between two looks whether they have.
_PATIENCE: Final = 5.0
_AGAIN: Final = 0.02


class Command(BaseCommand):
    """Shows what this process sees of the cluster behind an alias."""

    help = "Show the nodes of a globaldb database, and the pools to them."
    requires_system_checks: list[str] | tuple[str, ...] | Literal["__all__"] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the alias, and the form of the answer."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        """Ask every node and print the tables; exit 1 where a node does not answer."""
        alias = options["database"]
        wrapper = connections[alias]
        if not isinstance(wrapper, GlobaldbWrapper):
            raise CommandError(
                f"DATABASES[{alias!r}] has another ENGINE: there is nothing to show"
            )
        with wrapper.cursor() as cursor:
            _hear_every_node(cursor)
            tables = {name: _rows(cursor, sql) for name, sql in _TABLES.items()}
        if options["json"]:
            self.stdout.write(json.dumps(tables, default=str, indent=2))
        else:
            self.stdout.write("\n\n".join(_text(rows) for rows in tables.values()))
        silent = [row["node"] for row in tables["nodes"] if row["role"] == _UNKNOWN]
        if silent:
            raise CommandError(f"no answer from {', '.join(silent)}", returncode=1)


def _hear_every_node(cursor: Any) -> None:
    """Give each node the time to answer its first probe, or to fail it."""
    asked_again = threading.Event()
    until = monotonic() + _PATIENCE
    while monotonic() < until:
        rows = _rows(cursor, _TABLES["nodes"])
        if all(row["role"] != _UNKNOWN or row["problem"] for row in rows):
            return
        asked_again.wait(_AGAIN)


def _rows(cursor: Any, sql: str) -> list[dict[str, Any]]:
    cursor.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _text(rows: list[dict[str, Any]]) -> str:
    lines = [list(rows[0]), *(list(map(_word, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _word(value: Any) -> str:
    return "" if value is None else str(value)
