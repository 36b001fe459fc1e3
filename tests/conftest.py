"""What every test gets: the lab's fixtures, and the marker of those that use them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A run in the background may have been started with Ctrl-C ignored, which its children
# would inherit: tests that press it need it to arrive.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, and no deadline an example can miss on a busy
# machine. HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# The fixtures are beside this file, and `tests` is no package.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["lab_fixtures"]

#: Files that take a minute and more: whoever takes one last keeps everybody waiting.
LONG = {
    *("test_corpus.py", "test_round_trips.py", "test_mysql_round_trips.py"),
    *("test_histories.py", "test_verify.py", "test_benchmarks.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test with `lab` if any of its fixtures starts one; put long files first."""
    items.sort(key=lambda item: item.path.name not in LONG)
    for item in items:
        if {"shared_labs", "fresh_lab", "module_lab"} & set(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker(pytest.mark.lab)
