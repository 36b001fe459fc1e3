"""What the examples run on: a schema of their own in the lab, far from its writer."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.served import EXAMPLES
from benchmarks.sites import Place
from globaldb.lab import Lab

# Where those who start them are: `uvicorn --app-dir examples`.
sys.path.append(str(EXAMPLES))

#: Seconds by which readers lag where a request must not find what another has written:
#: no machine is so busy.
LAG = 60.0


@pytest.fixture(scope="module")
def place(shared_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A schema of the module's own, and the way there; the lab's distances shorter."""
    shared_lab.restore()
    with Place(shared_lab, request.module.__name__.rpartition(".")[2]) as place:
        yield place
    shared_lab.restore()


@pytest.fixture
def lagging(place: Place) -> Iterator[None]:
    """All readers are behind, from what they have when the test begins."""
    place.replication.settle()
    for region in place.lab.spec.regions:
        place.lab.lag(region, LAG)
    yield
    for region in place.lab.spec.regions:
        place.lab.lag(region, 0)
