"""The table of a benchmark of failovers, and which of its goals were missed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.failover_stage import Background, Moved

#: Of the wrapper's median.
_SHARE: Final = 0.5
#: Queries a second at the remote writer: at rest, and while it moves.
_STEADY: Final = 1.0
_DURING: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured."""

    moves: list[Moved]
    background: list[Background]


def report(found: Report) -> list[str]:
    """Print the table; return the goals that globaldb missed."""
    groups: dict[tuple[str, str], list[Moved]] = {}
    for each in found.moves:
        groups.setdefault((each.fault, each.client), []).append(each)
    print(
        "| | writes again after: median | 90 % | longest | errors | reads failed |"
        " lost | twice | hidden |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for (fault, client), moves in groups.items():
        print(_row(fault, client, moves))
    if found.background:
        print(
            "\n| queries a second | at the writer, at first | at rest "
            "| at the next one, most while there is none | last 5 s of that "
            "| after a failover |"
        )
        print("|---|---:|---:|---:|---:|---:|")
        for client in dict.fromkeys(each.client for each in found.background):
            print(_asked(client, [e for e in found.background if e.client == client]))
    missed = [*_missed_moves(groups), *_missed_background(found.background)]
    for goal in missed:
        print(f"MISSED: {goal}")
    return missed


def _row(fault: str, client: str, moves: list[Moved]) -> str:
    times = sorted(each.writing for each in moves)
    most = (
        quantiles(times, n=10, method="inclusive")[-1] if len(times) > 1 else times[0]
    )
    acknowledged = sum(each.acknowledged for each in moves)
    errors = median(sum(each.errors.values()) for each in moves)
    reads = sum(each.reads for each in moves)
    cells = (
        f"{fault}, {client}",
        f"{median(times):.2f} s",
        f"{most:.2f} s",
        f"{times[-1]:.2f} s",
        f"{errors:g}",
        f"{sum(each.reads_failed for each in moves)} of {reads:,}",
        f"{sum(each.lost for each in moves)} of {acknowledged:,}",
        str(sum(each.twice for each in moves)),
        str(sum(each.hidden for each in moves)),
    )
    return f"| {' | '.join(cells)} |"


def _asked(client: str, rounds: list[Background]) -> str:
    early = median(each.early for each in rounds)
    steady = median(each.steady for each in rounds)
    after = median(each.after for each in rounds)
    most = max(max(each.seconds) for each in rounds)
    end = median(sum(each.seconds[-5:]) / 5 for each in rounds)
    return (
        f"| {client} | {early:.2f} | {steady:.2f} | {most} | {end:.1f} | {after:.1f} |"
    )


def _missed_moves(groups: dict[tuple[str, str], list[Moved]]) -> list[str]:
    missed = []
    for (fault, client), moves in groups.items():
        if client != "globaldb":
            continue
        ours = median(each.writing for each in moves)
        peer = groups.get((fault, "wrapper"))
        if peer is not None:
            allowed = _SHARE * median(each.writing for each in peer)
            if ours > allowed:
                missed.append(f"{fault}: {ours:.2f} s, allowed {allowed:.2f} s")
        counts = {
            "local reads failed": sum(each.reads_failed for each in moves),
            "writes applied twice": sum(each.twice for each in moves),
            "writes applied and said to have failed": sum(e.hidden for e in moves),
        }
        if fault == "switchover":
            counts["acknowledged writes lost"] = sum(each.lost for each in moves)
        missed += [f"{fault}: {n} {what}" for what, n in counts.items() if n]
    return missed


def _missed_background(rounds: list[Background]) -> list[str]:
    ours = [each for each in rounds if each.client == "globaldb"]
    missed = []
    if ours and median(each.steady for each in ours) > _STEADY:
        missed.append(f"more than {_STEADY:g} query a second at rest")
    if any(max(each.seconds) > _DURING for each in ours):
        missed.append(f"more than {_DURING} queries in a second while the writer moves")
    return missed
