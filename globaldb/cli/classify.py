"""`globaldb classify`: what statements are taken for, and why. Runs none of them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from globaldb.cli import OK
from globaldb.cli.language import ENGINES, knowledge
from globaldb.cli.statements import batches, split
from globaldb.cli.stream import Stream
from globaldb.core.reasons import meaning

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from globaldb.core.statement import Statement

    LookUp = Callable[[str], Statement]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to *parser*."""
    parser.epilog = (
        "Without STATEMENT, standard input has one a line, plain or as a JSON object "
        'with the key "sql", and one JSON object a line is printed: sql, verdict, '
        "reason."
    )
    parser.add_argument("statement", nargs="*", metavar="STATEMENT")
    parser.add_argument(
        "--engine", choices=ENGINES, help="default: the URL's, else postgresql"
    )
    parser.add_argument(
        "--url", help="a database that is asked for its functions, views and tables"
    )
    parser.add_argument(
        "--split",
        action="store_true",
        help="standard input is a file of SQL, its statements end with semicolons",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Classify what was given; the exit code says nothing about the verdicts."""
    look_up = _look_up(args.engine, args.url)
    if args.statement:
        write = _write_lines if args.json else _tell
        write(args.statement, look_up)
        return OK
    if sys.stdin.isatty():
        print("globaldb: one statement a line; Ctrl-D ends", file=sys.stderr)
    given = sys.stdin.buffer
    for statements in [split(given)] if args.split else batches(given):
        _write_lines(statements, look_up)
    return OK


def _look_up(engine: str | None, url: str | None) -> LookUp:
    """Return what classifies one statement after the other."""
    known = knowledge(engine, url)
    definitions = None
    if url is None and engine in (None, "postgresql"):
        from globaldb.core.postgresql.definitions import Definitions

        definitions = Definitions()
    return Stream(known, definitions).look_up


def _write_lines(statements: Iterable[str], look_up: LookUp) -> None:
    """Print a JSON object for each of *statements*, for whoever waits to read them."""
    write = json.dumps
    lines = []
    for sql in statements:
        found = look_up(sql)
        answer = {"sql": sql, "verdict": found.verdict.value, "reason": found.reason}
        lines.append(write(answer) + "\n")
    sys.stdout.write("".join(lines))
    sys.stdout.flush()


def _tell(statements: Iterable[str], look_up: LookUp) -> None:
    """Print for a person what each of *statements* is taken for, and why."""
    for sql in statements:
        found = look_up(sql)
        print(f"{found.verdict.value}: {sql}")
        print(f"  {found.reason}: {meaning(found.reason)}")
