"""`globaldb verify`: use a database from several regions, and check every promise."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

import globaldb
from globaldb.cli import DEGRADED, OK
from globaldb.cli.progress import Progress
from globaldb.errors import ConfigurationError
from globaldb.lab.spec import ENGINES
from globaldb.verify.checker import check
from globaldb.verify.plan import MODES, Plan
from globaldb.verify.run import perform
from globaldb.verify.summary import Summary, summarize
from globaldb.verify.tables import Tables

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from globaldb.verify.faults import Breaker

_NEAREST: Final = "nearest"
#: Seconds between the regions of a lab of its own: short, so that much happens.
_ROUND_TRIP: Final = 0.02
_REGIONS: Final = {"us-west-2": 1, "ap-south-1": 1, "ap-southeast-2": 1}
#: Seconds that the readers of such a lab lag when nothing else is broken in it.
_LAG: Final = 0.03


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to *parser*."""
    parser.epilog = (
        "Makes a schema globaldb_verify_... in the database (the user needs CREATE), "
        "reads and writes there alone, and removes it. It is as much load as that many "
        "sessions can make: use a database for staging. Faults are for labs only. Exit "
        "code 1: a promise was broken, or --operations was not reached."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="the cluster")
    where.add_argument(
        "--lab", action="store_true", help="a lab of its own, for as long as it takes"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what the lab has"
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, metavar="N", help="how long (30)"
    )
    parser.add_argument(
        "--operations",
        type=int,
        metavar="N",
        help="end when there are so many; fewer than that is a failure",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="session",
        help="the consistency that is asked for and judged (session)",
    )
    parser.add_argument(
        "--max-staleness",
        type=float,
        metavar="SECONDS",
        help="how old an eventual read may be",
    )
    parser.add_argument(
        "--baseline",
        choices=[_NEAREST],
        help="judge plain reads from the nearest replica by the mode instead",
    )
    parser.add_argument(
        "--sessions", type=int, default=12, metavar="N", help="how many at once (12)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="how many processes they are spread over (1)",
    )
    parser.add_argument(
        "--regions",
        metavar="REGION,...",
        help="where sessions are (default: every region that has a node)",
    )
    parser.add_argument(
        "--faults",
        nargs="?",
        const="",
        metavar="FAULT,...",
        help="break the lab meanwhile: every fault but failover, or those named",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draw other actions and faults"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run, check, and say what was found."""
    _check(args)
    # What goes wrong on the way is counted and shown by kind.
    logging.getLogger("globaldb").addHandler(logging.NullHandler())
    with ExitStack() as stack:
        progress = stack.enter_context(Progress())
        place = _lab(args, stack, progress) if args.lab else _database(args)
        plan = Plan(
            place.urls,
            mode=args.mode,
            consistency="eventual" if args.baseline else None,
            sessions=args.sessions,
            processes=args.processes,
            options=_options(args),
            seed=args.seed,
            tables=Tables(engine=place.engine),
        )
        if not args.json:
            print(_introduction(plan), flush=True)
        history = perform(
            plan,
            args.seconds,
            operations=args.operations,
            breaker=place.breaker,
            report=lambda done, left: progress.say(
                f"{done:,} operations, {max(left, 0.0):.0f} s left"
            ),
        )
        progress.say("checking")
        findings = check(
            history, upgrades=place.upgrades, max_staleness=args.max_staleness
        )
    summary = summarize(history, findings)
    enough = args.operations is None or summary.operations >= args.operations
    if args.json:
        about = {"mode": args.mode, "baseline": args.baseline, "schema": plan.schema}
        ok = enough and not summary.violations
        print(json.dumps({**about, "ok": ok, **summary.as_json()}))
    else:
        _tell(summary, None if enough else args.operations)
    return DEGRADED if summary.violations or not enough else OK


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run takes place, and what its transactions promise."""

    urls: Mapping[str, str]
    breaker: Breaker | None
    upgrades: bool
    #: As a configuration names it.
    engine: str


def _check(args: argparse.Namespace) -> None:
    if args.faults is not None and not args.lab:
        raise ConfigurationError(
            "--faults would break the database; it goes with --lab only"
        )
    if args.engine != ENGINES[0] and not args.lab:
        raise ConfigurationError("--engine goes with --lab; a URL names its own")
    if args.regions and args.lab:
        raise ConfigurationError("--regions goes with --url; the lab has its own")
    if args.max_staleness is not None and args.mode != "eventual":
        raise ConfigurationError("--max-staleness goes with --mode eventual")
    for name in ("seconds", "sessions", "processes", "operations"):
        given = getattr(args, name)
        if given is not None and given <= 0:
            raise ConfigurationError(f"--{name} is {given:g}; it must be above 0")
    if args.processes > args.sessions:
        raise ConfigurationError(
            f"--processes {args.processes} is more than --sessions {args.sessions}"
        )


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what every connection is opened with."""
    if args.max_staleness is None:
        return {}
    return {"max_staleness": args.max_staleness}


def _database(args: argparse.Namespace) -> _Place:
    """Return the regions of a cluster, once it has answered."""
    with globaldb.Cluster(args.url) as cluster, cluster.connect():
        known = {state.region for state in cluster.topology.nodes.values()}
        upgrades = cluster.config.transaction_reads != "local"
        engine = cluster.config.engine
    regions = sorted(region for region in known if region)
    if args.regions:
        regions = args.regions.split(",")
    return _Place(dict.fromkeys(regions or [""], args.url), None, upgrades, engine)


def _lab(args: argparse.Namespace, stack: ExitStack, progress: Progress) -> _Place:
    """Start a lab that ends with *stack*."""
    from globaldb.lab import Lab, LabSpec
    from globaldb.verify.faults import HARMLESS, Breaker, check_faults

    faults = check_faults(args.faults.split(",")) if args.faults else HARMLESS
    names = list(_REGIONS)
    # Within a region nothing is waited for: it is the way between them that counts.
    rtt = {(a, b): 0.0 if a == b else _ROUND_TRIP for a in names for b in names}
    spec = LabSpec(regions=_REGIONS, rtt=rtt, engine=args.engine)
    lab = stack.enter_context(Lab.start(spec, report=progress.say))
    breaker = None
    if args.faults is None:
        for region in names:
            lab.lag(region, _LAG)
    else:
        breaker = Breaker(lab, faults, Random(args.seed))
    engine = "postgresql" if args.engine == "postgresql" else "mysql"
    urls = {name: lab.url(name) for name in names}
    return _Place(urls, breaker, upgrades=True, engine=engine)


def _introduction(plan: Plan) -> str:
    regions = ", ".join(region or "no region" for region in plan.urls)
    judged = ""
    if plan.asked != plan.mode:
        judged = f", reading from the nearest replica, judged as {plan.mode}"
    return (
        f"{plan.sessions} sessions in {regions}; mode {plan.asked}{judged}\n"
        f"schema {plan.schema} is made, and removed afterwards"
    )


def _tell(summary: Summary, missed: int | None) -> None:
    for line in summary.lines():
        print(line)
    if missed is not None:
        print(f"\nonly {summary.operations:,} of {missed:,} operations were made")
