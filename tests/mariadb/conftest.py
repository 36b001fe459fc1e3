"""One MariaDB writer and its reader for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mariadb_pair import Pair, running_pair


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Pair]:
    """A writer and its reader; make a schema of your own in it."""
    with running_pair() as pair:
        yield pair
