"""Labs for tests: one that they share, and fresh ones for those that break them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from globaldb.lab import Lab, LabSpec
from globaldb.runtime.cluster import _clusters

FreshLab = Callable[[LabSpec], Lab]


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """The lab of the whole run, as the last test left it; use `lab` instead."""
    # What a server writes for itself is flushed, and so sent to its readers, at once:
    # else a session that read at the writer may have to wait 200 ms for its reader.
    with Lab.start(LabSpec(settings={"wal_writer_delay": "10ms"})) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: Lab) -> Lab:
    """A lab with the default regions, healed, at rest, with its counters at nothing.

    Other tests use it too: leave its writer where it is.
    """
    shared_lab.restore()
    shared_lab.reset_counters()
    return shared_lab


def _fresh_labs() -> Iterator[FreshLab]:
    """Start labs that nobody else uses; they end with the fixture."""
    with contextlib.ExitStack() as stack:
        yield lambda spec: stack.enter_context(Lab.start(spec))


#: Starts labs that one test, or the tests of one module, may break as they like.
fresh_lab = pytest.fixture(_fresh_labs)
module_lab = pytest.fixture(scope="module")(_fresh_labs)


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left_behind() -> Iterator[None]:
    """Close the clusters a module leaves open: their probes are trips others count."""
    yield
    for cluster in list(_clusters):
        cluster.close()
