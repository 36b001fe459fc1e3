"""Sets of words, written the way they are read."""

from __future__ import annotations


def names(listed: str) -> frozenset[str]:
    """Return the words of *listed*, separated by white space, as a set."""
    return frozenset(listed.split())
