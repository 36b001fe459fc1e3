"""`globaldb demo`: a database over three regions, and what a connection makes of it."""

from __future__ import annotations

import json
import sys
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.cli import DEGRADED, OK
from globaldb.cli.demo_mysql import MYSQL
from globaldb.cli.demo_play import Result, Stage, compare, look_around, walk
from globaldb.cli.demo_report import Page, as_json
from globaldb.cli.demo_story import POSTGRESQL
from globaldb.cli.progress import Progress
from globaldb.errors import ConfigurationError
from globaldb.lab import Lab, LabSpec
from globaldb.lab.spec import ENGINES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from globaldb.cli.demo_story import Script

_REGION: Final = "ap-south-1"
_SCRIPTS: Final = {"postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to *parser*."""
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="which servers"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--region",
        default=_REGION,
        help=f"where the application is: a region without the writer ({_REGION})",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the lab running afterwards"
    )


def run(args: argparse.Namespace, script: Script | None = None) -> int:
    """Start a lab and play on it; exit code 1 if any expectation failed."""
    spec = LabSpec(engine=args.engine)
    _check_region(args.region, list(spec.regions))
    started = monotonic()
    with Progress() as progress:
        lab = Lab.start(spec, background=args.keep, report=progress.say)
    with lab:
        stage = Stage(lab, lab.writer().region, args.region)
        code = play(
            stage, script or _SCRIPTS[args.engine], in_json=args.json, started=started
        )
    if args.keep:
        _say_kept(lab, args.region)
    return code


def _check_region(region: str, regions: list[str]) -> None:
    if region in regions[1:]:
        return
    where = "has the writer" if region in regions else "is not in the lab"
    raise ConfigurationError(
        f"region {region!r} {where}; the demo is told from {' or '.join(regions[1:])}"
    )


def play(
    stage: Stage, script: Script, *, in_json: bool, started: float | None = None
) -> int:
    """Play *script*, print what happens, and return the exit code.

    *started* is when everything began, in monotonic seconds.
    """
    began = monotonic() if started is None else started
    results: list[Result] = []
    page = Page(sys.stdout, stage)
    for result in _chapters(stage, script):
        results.append(result)
        if not in_json:
            page.add(result)
    seconds = monotonic() - began
    ok = all(result.ok for result in results)
    if in_json:
        print(json.dumps(as_json(stage, results, seconds)))
    else:
        page.end(results, seconds)
    return OK if ok else DEGRADED


def _chapters(stage: Stage, script: Script) -> Iterator[Result]:
    if script.steps:
        yield from walk(stage, script.steps)
    if script.looks:
        yield from look_around(stage, script.looks)
    if script.operations:
        yield from compare(stage, script.operations, script.measured)


def _say_kept(lab: Lab, region: str) -> None:
    # On standard error: standard output may be a program's.
    print(
        f"The lab {lab.name} goes on. Connect with\n"
        f'  globaldb.connect("{lab.url(region)}")\n'
        f"and end it with\n  globaldb lab down --name {lab.name}",
        file=sys.stderr,
    )
