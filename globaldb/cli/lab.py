"""`globaldb lab`: start a lab, look at it, and break it in known ways."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable
from typing import Any, Final

from globaldb.cli import DEGRADED, OK, UNREACHABLE, complain
from globaldb.cli.progress import Progress
from globaldb.lab import Lab, LabNotRunningError, LabSpec, LabSpecError
from globaldb.lab.names import FAULTS
from globaldb.lab.spec import ENGINES, LINKS, NETS
from globaldb.lab.state import DEFAULT_NAME, labs_home, running_labs, sweep

_UNITS: Final = {"ms": 0.001, "s": 1.0, "": 1.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|)\Z")

_Run = Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to *parser*."""
    commands = parser.add_subparsers(metavar="WHAT", required=True)

    def command(name: str, run: _Run, purpose: str) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=purpose, description=purpose)
        each.add_argument("--json", action="store_true", help="print JSON")
        each.add_argument("--name", help=f"which lab (default: {DEFAULT_NAME})")
        each.set_defaults(lab_run=run)
        return each

    _add_up(command("up", _up, "start a lab in the background"))
    down = command("down", _down, "end a lab and remove its files")
    down.add_argument("--all", action="store_true", help="every lab of this user")
    command("status", _status, "show nodes, latencies and faults")
    url = command("url", _url, "print the cluster's URL as a region sees it")
    url.add_argument("--region", help="the client's region (default: every one)")
    command("aws", _aws, "serve AWS's API of the lab; print what to set to use it")
    command("rotate-password", _rotate, "give applications a new password")
    counters = command("counters", _counters, "show what passed over each link")
    counters.add_argument("--reset", action="store_true", help="then count anew")
    for name, purpose in _ON_NODES.items():
        command(name, _on_node, purpose).set_defaults(what=name)
        commands.choices[name].add_argument("node", metavar="NODE")
    partition = command("partition", _partition, "cut two regions off each other")
    heal = command("heal", _heal, "undo partitions and faults of links and of DNS")
    heal.set_defaults(what="heal")
    latency = command("latency", _latency, "change a round-trip time")
    for each in (partition, latency):
        each.add_argument("a", metavar="REGION")
        each.add_argument("b", metavar="REGION")
    dns_fault = command("dns-fault", _dns_fault, "have the name server fail until heal")
    dns_fault.add_argument("kind", choices=FAULTS)
    dns_fault.add_argument("--region", help="the clients' region (default: every one)")
    dns_fault.add_argument(
        "--seconds", type=seconds, default=1.0, help="how late with delay (default: 1s)"
    )
    dns_lag = command("dns-lag", _dns_lag, "have changes show late in DNS; 0 ends it")
    inside = command("exec", _exec, "run a program where a region's clients are")
    inside.add_argument("region", metavar="REGION")
    inside.add_argument("program", metavar="PROGRAM", nargs=argparse.REMAINDER)
    lag = command("lag", _lag, "hold back replay in a region; 0 ends it")
    lag.add_argument("region", metavar="REGION")
    for each in (lag, latency, dns_lag):
        each.add_argument("seconds", metavar="SECONDS", type=seconds)
    for name, purpose in _PROMOTIONS.items():
        command(name, _promote, purpose).set_defaults(what=name)
        commands.choices[name].add_argument("region", metavar="REGION")


def run(args: argparse.Namespace) -> int:
    """Carry out the subcommand; a lab that does not answer is exit code 3."""
    try:
        return int(args.lab_run(args))
    except LabNotRunningError as failure:
        complain(failure, as_json=args.json)
        return UNREACHABLE


def seconds(text: str) -> float:
    """Read a duration: `220ms`, `2s`, `0.22`."""
    found = _DURATION.match(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: use 220ms, 2s or 0.22")
    return float(found.group(1)) * _UNITS[found.group(2)]


def regions(text: str) -> dict[str, int]:
    """Read regions and their readers: `us-west-2=1,ap-south-1=2`."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        if not (count or "1").isdigit():
            raise argparse.ArgumentTypeError(f"{part!r}: use REGION=READERS")
        found[name] = int(count or 1)
    return found


def pair(text: str) -> tuple[tuple[str, str], float]:
    """Read the round-trip time of two regions: `us-west-2,ap-south-1=220ms`."""
    names, _, time = text.partition("=")
    a, comma, b = names.partition(",")
    if not (comma and time):
        raise argparse.ArgumentTypeError(f"{text!r}: use REGION,REGION=220ms")
    return (a.strip(), b.strip()), seconds(time)


def setting(text: str) -> tuple[str, str]:
    """Read a server setting: `work_mem=64MB`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: use NAME=VALUE")
    return name.strip(), value.strip()


_ON_NODES: Final = {
    "kill": "kill a server as a power failure would",
    "start": "start a killed server",
}
_PROMOTIONS: Final = {
    "switchover": "move the writer to a region; no row is lost",
    "failover": "kill the writer and promote in a region",
}


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help=f"which servers (default: {ENGINES[0]})",
    )
    parser.add_argument(
        "--regions",
        type=regions,
        metavar="REGION=READERS,...",
        help="the first region has the writer too",
    )
    parser.add_argument(
        "--rtt",
        type=pair,
        action="append",
        default=[],
        metavar="REGION,REGION=TIME",
        help="a round-trip time; may be repeated",
    )
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a server setting; may be repeated",
    )
    parser.add_argument(
        "--aurora",
        nargs="?",
        const=True,
        default=False,
        choices=("strict",),
        help="with Aurora's functions and tables; strict: without PostgreSQL's positions",
    )
    parser.add_argument(
        "--net",
        choices=NETS,
        default=LINKS,
        help="join regions by links of the lab's own, or give each a network namespace "
        f"(default: {LINKS})",
    )
    parser.add_argument(
        "--direct", action="store_true", help="no proxy between clients and nodes"
    )
    parser.add_argument(
        "--single-address",
        action="store_true",
        help="use 127.0.0.1 alone, with a port for every link",
    )


def _up(args: argparse.Namespace) -> int:
    options: dict[str, Any] = {"regions": args.regions} if args.regions else {}
    spec = LabSpec(
        name=args.name or DEFAULT_NAME,
        engine=args.engine,
        rtt=dict(args.rtt),
        settings=dict(args.set),
        direct=args.direct,
        net=args.net,
        single_address=args.single_address,
        aurora=args.aurora,
        **options,
    )
    with Progress() as progress:
        lab = Lab.start(spec, background=True, report=progress.say)
    urls = {region: lab.url(region) for region in lab.spec.regions}
    if args.json:
        return _print({"name": lab.name, "nodes": lab.status()["nodes"], "urls": urls})
    print(f"lab {lab.name} is up: {', '.join(node.name for node in lab.nodes)}")
    for url in urls.values():
        print(url)
    return OK


def _down(args: argparse.Namespace) -> int:
    home = labs_home()
    removed = sweep(home)
    names = running_labs(home) if args.all else []
    if not args.all and not (removed and args.name in {None, *removed}):
        names = [Lab.attach(args.name).name]
    for name in names:
        Lab.attach(name).down()
    if args.json:
        return _print({"ended": names, "cleaned": removed})
    for name in names:
        print(f"lab {name} has ended")
    for name in removed:
        print(f"removed what lab {name} had left behind")
    return OK


def _status(args: argparse.Namespace) -> int:
    status = Lab.attach(args.name).status()
    writers = [node for node in status["nodes"] if node["role"] == "writer"]
    faulty = [
        node["name"]
        for node in status["nodes"]
        if not node["up"] or (node["role"] == "reader" and not node["streaming"])
    ]
    faults = any(
        status[kind] for kind in ("partitions", "frozen", "refused", "dns_faults")
    )
    code = DEGRADED if faulty or faults or len(writers) != 1 else OK
    if args.json:
        print(json.dumps({**status, "degraded": code == DEGRADED}))
        return code
    _print_nodes(status)
    for a, b, rtt in status["latency"]:
        print(f"{a} - {b}: {rtt * 1000:g} ms")
    for kind in ("partitions", "frozen", "refused"):
        for each in status[kind]:
            print(f"{kind}: {each if isinstance(each, str) else ' - '.join(each)}")
    _print_dns(status)
    return code


def _print_nodes(status: dict[str, Any]) -> None:
    print(f"{'NODE':<24} {'ROLE':<8} {'STATE':<14} {'POSITION':<12} ADDRESS")
    for node in status["nodes"]:
        state = "up" if node["up"] else "down"
        if node["up"] and node["role"] == "reader":
            state = "streaming" if node["streaming"] else "not streaming"
        held = f"  held back {node['held_back']:g} s" if node["held_back"] else ""
        print(
            f"{node['name']:<24} {node['role']:<8} {state:<14} "
            f"{node['position'] or '-':<12} {node['host']}:{node['port']}{held}"
        )


def _print_dns(status: dict[str, Any]) -> None:
    late = f"  late by {status['dns_lag']:g} s" if status["dns_lag"] else ""
    for region, (host, port) in status["dns"].items():
        fault = status["dns_faults"].get(region)
        print(f"dns of {region}: {host}:{port}{late}{f'  {fault}' if fault else ''}")


def _url(args: argparse.Namespace) -> int:
    lab = Lab.attach(args.name)
    wanted = [args.region] if args.region else list(lab.spec.regions)
    urls = {region: lab.url(region) for region in wanted}
    if args.json:
        return _print(urls)
    for url in urls.values():
        print(url)
    return OK


def _aws(args: argparse.Namespace) -> int:
    aws = Lab.attach(args.name).aws()
    if args.json:
        about = {"global_cluster": aws.global_cluster, "secret": aws.secret}
        return _print({"environment": aws.environment, **about})
    for name, value in aws.environment.items():
        print(f"export {name}={value}")
    print(f"# global cluster {aws.global_cluster}, secret {aws.secret}")
    return OK


def _rotate(args: argparse.Namespace) -> int:
    Lab.attach(args.name).rotate_password()
    return _done(args)


def _exec(args: argparse.Namespace) -> int:
    program = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not program:
        raise LabSpecError("lab exec REGION -- PROGRAM: which program?")
    command = Lab.attach(args.name).inside(args.region, program)
    os.execv(command[0], command)  # noqa: S606 - the words came as words


def _counters(args: argparse.Namespace) -> int:
    lab = Lab.attach(args.name)
    rows: list[dict[str, Any]] = [
        {
            "client_region": link.client_region,
            "node": link.node,
            "wide_area": link.wide_area,
            "connects": link.connects,
            "round_trips": link.round_trips,
            "bytes_sent": link.bytes_sent,
            "bytes_received": link.bytes_received,
        }
        for link in lab.counters()
    ]
    if args.reset:
        lab.reset_counters()
    if args.json:
        return _print({"links": rows})
    print(f"{'FROM':<18} {'TO':<24} {'CONNECTS':>8} {'TRIPS':>8} {'BYTES':>12}")
    for row in rows:
        total = row["bytes_sent"] + row["bytes_received"]
        print(
            f"{row['client_region']:<18} {row['node']:<24} {row['connects']:>8} "
            f"{row['round_trips']:>8} {total:>12}"
        )
    return OK


def _on_node(args: argparse.Namespace) -> int:
    lab = Lab.attach(args.name)
    if args.what == "kill":
        lab.kill(args.node)
    else:
        lab.start_node(args.node)
    return _done(args, node=args.node)


def _partition(args: argparse.Namespace) -> int:
    Lab.attach(args.name).partition(args.a, args.b)
    return _done(args, regions=[args.a, args.b])


def _heal(args: argparse.Namespace) -> int:
    Lab.attach(args.name).heal()
    return _done(args)


def _lag(args: argparse.Namespace) -> int:
    Lab.attach(args.name).lag(args.region, args.seconds)
    return _done(args, region=args.region, seconds=args.seconds)


def _dns_fault(args: argparse.Namespace) -> int:
    lab = Lab.attach(args.name)
    lab.dns_fault(args.kind, args.region, seconds=args.seconds)
    return _done(args, fault=args.kind, region=args.region)


def _dns_lag(args: argparse.Namespace) -> int:
    Lab.attach(args.name).dns_lag(args.seconds)
    return _done(args, seconds=args.seconds)


def _latency(args: argparse.Namespace) -> int:
    Lab.attach(args.name).latency(args.a, args.b, args.seconds)
    return _done(args, regions=[args.a, args.b], seconds=args.seconds)


def _promote(args: argparse.Namespace) -> int:
    lab = Lab.attach(args.name)
    promote = lab.switchover if args.what == "switchover" else lab.failover
    with Progress() as progress:
        writer = promote(args.region, report=progress.say)
    if not args.json:
        print(f"the writer is {writer}")
        return OK
    return _print({"writer": writer})


def _done(args: argparse.Namespace, **about: Any) -> int:
    return _print({"ok": True, **about}) if args.json else OK


def _print(value: Any) -> int:
    print(json.dumps(value))
    return OK
