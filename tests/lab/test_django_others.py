"""Habits of others' Django applications: what `tests/django_site/others.py` saw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from globaldb.lab import Lab

SITE = Path(__file__).parents[1] / "django_site" / "others.py"
#: Seconds that the site may take on a busy machine; a tenth of it otherwise.
LIMIT = 100


@pytest.fixture(scope="module")
def sites(shared_labs: Callable[[str], Lab]) -> Callable[[str], dict[str, Any]]:
    """What a site saw, by engine."""

    @cache
    def look(engine: str) -> dict[str, Any]:
        lab = shared_labs(engine)
        lab.restore()
        done = subprocess.run(
            [sys.executable, str(SITE), lab.name],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        lab.restore()
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return look


@pytest.fixture(params=("postgresql", "mariadb"))
def saw(
    sites: Callable[[str], dict[str, Any]], request: pytest.FixtureRequest
) -> dict[str, Any]:
    """What was seen with each engine in turn."""
    return sites(request.param)


def test_closing_a_connection_forgets_no_write(saw: dict[str, Any]) -> None:
    assert saw["closing"] == {"close": True, "close_all": True, "twice": True}


def test_what_a_request_wrote_delays_no_other_request(saw: dict[str, Any]) -> None:
    assert set(saw["ending"].values()) == {"reader"}


def test_a_cache_in_the_database_keeps_what_is_set_behind_another(
    saw: dict[str, Any],
) -> None:
    assert saw["caching"] == {"touch": True, "set": "second", "inside": "second"}
