"""GTID positions in the text of a token: short, and one text for each position."""

from __future__ import annotations

import base64
from typing import Final
from uuid import UUID

from globaldb.core.gtid import GtidSet, MariadbGtid

#: Servers, or domains, that a token may name; runs of each.
_MOST: Final = 64
_RUNS: Final = 17

_NUMBER: Final = "(?:0|[1-9a-f][0-9a-f]{0,15})"
_RUN: Final = f"{_NUMBER}(?:-{_NUMBER})?"
_SOURCE: Final = (
    rf"[0-9A-Za-z_-]{{22}}(?:![a-z_][a-z0-9_]{{0,31}})?(?::{_RUN}){{1,{_RUNS}}}"
)
_DOMAIN: Final = f"{_NUMBER}-{_NUMBER}-{_NUMBER}"
#: What a regular expression must find: ``g`` and MySQL's sources, or ``m`` and MariaDB's
#: domains, with ``*`` between them and numbers in hexadecimal.
PATTERN: Final = (
    rf"g(?:{_SOURCE}(?:\*{_SOURCE}){{0,{_MOST - 1}}})?"
    rf"|m(?:{_DOMAIN}(?:\*{_DOMAIN}){{0,{_MOST - 1}}})?"
)


def written(log: GtidSet | MariadbGtid) -> str:
    """Return *log* as `PATTERN` has it."""
    if isinstance(log, MariadbGtid):
        return "m" + "*".join(
            f"{domain:x}-{server:x}-{number:x}"
            for domain, server, number in log.domains
        )
    return "g" + "*".join(
        ":".join((_short(source), *(_run(*run) for run in runs)))
        for source, runs in log.sources
    )


def read(text: str) -> GtidSet | MariadbGtid:
    """Return the position that `written` made *text* of, which matches `PATTERN`.

    Raises `DataError` for runs of numbers that go backwards.
    """
    kind, pieces = text[0], [piece for piece in text[1:].split("*") if piece]
    if kind == "m":
        triples = [piece.split("-") for piece in pieces]
        return MariadbGtid.of(
            [(int(d, 16), int(s, 16), int(n, 16)) for d, s, n in triples]
        )
    sources: dict[str, list[tuple[int, int]]] = {}
    for piece in pieces:
        source, *runs = piece.split(":")
        sources.setdefault(_long(source), []).extend(_numbers(run) for run in runs)
    return GtidSet.of(sources)


def _short(source: str) -> str:
    uuid, colon, tag = source.partition(":")
    short = base64.urlsafe_b64encode(UUID(uuid).bytes).decode().rstrip("=")
    return f"{short}!{tag}" if colon else short


def _long(short: str) -> str:
    uuid, mark, tag = short.partition("!")
    long = str(UUID(bytes=base64.urlsafe_b64decode(f"{uuid}==")))
    return f"{long}:{tag}" if mark else long


def _run(first: int, last: int) -> str:
    return f"{first:x}" if first == last else f"{first:x}-{last:x}"


def _numbers(run: str) -> tuple[int, int]:
    first, dash, last = run.partition("-")
    return int(first, 16), int(last if dash else first, 16)
