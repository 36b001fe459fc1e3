"""Hints: what a leading comment may ask for, and what is no hint."""

from __future__ import annotations

import pytest

from globaldb.core.consistency import Consistency
from globaldb.core.hints import hints
from globaldb.errors import ConfigurationError


@pytest.mark.parametrize(
    ("sql", "asked"),
    [
        ("/* globaldb: route=writer */ SELECT 1", {"route": "writer"}),
        ("  /*globaldb:route=READER*/SELECT 1", {"route": "reader"}),
        (
            "/* globaldb: consistency=eventual, max_staleness=250ms region=eu-1 */ x",
            {
                "consistency": Consistency.EVENTUAL,
                "max_staleness": 0.25,
                "region": "eu-1",
            },
        ),
        ("/* globaldb: consistency=off */ SELECT 1", {"consistency": None}),
        ("/* globaldb: */ SELECT 1", {}),
    ],
)
def test_a_leading_comment_is_a_hint(sql: str, asked: dict[str, object]) -> None:
    assert hints(sql) == asked


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 1 /* globaldb: route=writer */",
        "/* route=writer */ SELECT 1",
        "-- globaldb: route=writer\nSELECT 1",
        "SELECT '/* globaldb: route=writer */'",
        "/* globaldb: route=writer",
        "",
    ],
)
def test_anything_else_is_none(sql: str) -> None:
    assert hints(sql) is None


@pytest.mark.parametrize(
    "hint", ["rout=writer", "route", "route=", "route=near", "max_staleness=soon"]
)
def test_what_is_not_understood_is_an_error(hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint.partition("=")[0]):
        hints(f"/* globaldb: {hint} */ SELECT 1")
