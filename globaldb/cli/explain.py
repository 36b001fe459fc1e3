"""`globaldb explain`: where statements would run now, and why. Runs none of them."""

from __future__ import annotations

import contextlib
import json
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

import globaldb
from globaldb.cli import OK
from globaldb.cli.language import catalog_of
from globaldb.cli.statements import batches
from globaldb.core.reasons import meaning

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from globaldb.core.routing import Route


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to *parser*."""
    parser.epilog = (
        "Without STATEMENT, standard input has one a line, plain or as a JSON object "
        'with the key "sql".'
    )
    parser.add_argument("statement", nargs="*", metavar="STATEMENT")
    parser.add_argument("--url", required=True, help="the cluster")
    parser.add_argument("--region", help="as if the application were there")
    parser.add_argument(
        "--consistency", help="session, global, eventual or off (default: the URL's)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object for each statement"
    )


def run(args: argparse.Namespace) -> int:
    """Explain what was given, as a new connection in autocommit would route it."""
    options: dict[str, Any] = {"autocommit": True}
    if args.region is not None:
        options["region"] = args.region
    if args.consistency is not None:
        options["consistency"] = args.consistency
    with (
        globaldb.Cluster(args.url, **options) as cluster,
        cluster.connect() as connection,
    ):
        # An application has it soon after its start; a command does not live so long.
        cluster.runtime.knowledge.update(catalog_of(cluster.config))
        with contextlib.suppress(globaldb.NoNodeAvailableError):
            patience = monotonic() + cluster.config.connect_timeout
            cluster.runtime.awaiting.writer(patience)
        for sql in _given(args.statement):
            route = connection.explain_route(sql)
            print(
                json.dumps(as_json(sql, route)) if args.json else in_words(sql, route)
            )
            sys.stdout.flush()
    return OK


def _given(statements: Iterable[str]) -> Iterator[str]:
    if statements:
        yield from statements
        return
    for batch in batches(sys.stdin.buffer):
        yield from batch


def as_json(sql: str, route: Route) -> dict[str, Any]:
    """Return the decision for *sql*, with its codes and their meaning."""
    return {
        "sql": sql,
        "verdict": route.verdict,
        "statement": route.statement,
        "reason": route.reason,
        "node": route.node,
        "region": route.region,
        "role": route.role.value,
        "fence": route.fence.value,
        "required": route.required,
        "meaning": [meaning(code) for code in _codes(route)],
    }


def in_words(sql: str, route: Route) -> str:
    """Return the decision for *sql* for a person."""
    lines = [sql, f"  goes to   {route.node or 'no node'} ({route.role.value})"]
    if route.required is not None:
        lines.append(f"  requires  {route.required} replayed there")
    lines.append(f"  verdict   {route.verdict}")
    lines.extend(f"  because   {code}: {meaning(code)}" for code in _codes(route))
    return "\n".join(lines)


def _codes(route: Route) -> list[str]:
    """Return why it goes there, and why the text was taken for what it is."""
    return list(dict.fromkeys((route.reason, route.statement)))
