"""`globaldb demo`: a database over three regions, and what a connection makes of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from globaldb.cli import DEGRADED, OK
from globaldb.cli.demo_play import Result, Stage, compare, look_around, walk
from globaldb.cli.demo_report import Page, as_json
from globaldb.cli.demo_story import LOOKS, OPERATIONS, WALKTHROUGH
from globaldb.cli.progress import Progress
from globaldb.errors import ConfigurationError
from globaldb.lab import Lab, LabSpec

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from globaldb.cli.demo_story import Look, Operation, Step

_REGION: Final = "ap-south-1"


@dataclass(frozen=True, slots=True)
class Script:
    """What is played, chapter by chapter; a chapter without content is left out."""

    steps: Sequence[Step] = WALKTHROUGH
    looks: Sequence[Look] = LOOKS
    operations: Sequence[Operation] = OPERATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to *parser*."""
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
    spec = LabSpec()
    _check_region(args.region, list(spec.regions))
    started = monotonic()
    with Progress() as progress:
        lab = Lab.start(spec, background=args.keep, report=progress.say)
    with lab:
        stage = Stage(lab, lab.writer().region, args.region)
        code = play(stage, script or Script(), in_json=args.json, started=started)
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
        yield from compare(stage, script.operations)


def _say_kept(lab: Lab, region: str) -> None:
    # On standard error: standard output may be a program's.
    print(
        f"The lab {lab.name} goes on. Connect with\n"
        f'  globaldb.connect("{lab.url(region)}")\n'
        f"and end it with\n  globaldb lab down --name {lab.name}",
        file=sys.stderr,
    )
