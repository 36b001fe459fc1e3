"""Durations in text: ``250ms``, ``2s``, ``1m``, ``1h``, or seconds as a number."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(ms|s|m|min|h|)", re.IGNORECASE
)


def seconds(text: str) -> float | None:
    """Return *text* in seconds; ``None`` when it is no duration."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS[match[2].lower()]


def number(text: str) -> float | None:
    """Return *text* as a number without a unit; ``None`` when it is none."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None or match[2] else float(match[1])
