"""What every test gets: the lab's fixtures, and the marker of those that use them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
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

#: Files that take long, the longest first: whoever takes one last keeps all waiting.
LONG = (
    *("test_django_suite.py", "test_docs_examples.py", "test_histories.py"),
    *("test_verify.py", "test_django_shop.py", "test_mysql_round_trips.py"),
    *("test_pymysql_suite.py", "test_benchmarks.py", "test_compliance.py"),
    *("test_lab_promotion.py", "test_demo.py", "test_shared_sessions.py"),
    *("test_lab_engines.py", "test_mysql_sessions.py", "test_mysql_transactions.py"),
    *("test_lab_cli.py", "test_transaction_reads.py", "test_lab_aurora.py"),
    *("test_corpus.py", "test_run_transaction.py"),
    *("test_query_grammar.py", "test_forwarding_mysql.py", "test_lab_start.py"),
    *("test_failover_mysql.py", "test_failover.py", "test_tokens.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test with `lab` if any of its fixtures starts one; put long files first."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))
    for item in items:
        if {"shared_labs", "fresh_lab", "module_lab"} & set(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """Have no test leave the process's loggers otherwise than it found them.

    The tests after it that listen would hear nothing, and which those are is a matter
    of the order.
    """
    loggers = [logging.getLogger(), logging.getLogger("globaldb")]
    before = [(one.level, one.disabled, one.propagate) for one in loggers]
    yield
    assert [(one.level, one.disabled, one.propagate) for one in loggers] == before
