"""What the pages of the examples with SQLAlchemy cost, counted on the wire.

With SQLAlchemy's default `Session`, from ap-south-1, each of the first ten times.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from benchmarks import pages_fastapi, pages_flask
from benchmarks.sites import Case, Place

SITES = {"fastapi": pages_fastapi, "flask": pages_flask}
RESERVE = Case(
    "takes of a stock, by run_transaction",
    3,
    lambda c: c.post("/products/tea/reservations", json={"quantity": 1}),
)
CASES = [
    *(("fastapi", case) for case in (*pages_fastapi.CASES, RESERVE)),
    *(("flask", case) for case in pages_flask.CASES),
]


@pytest.fixture(scope="module")
def site(place: Place, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """An application in this process, with nothing going on beside it."""
    with SITES[request.param].application(place.routed) as (client, engine):
        cluster = place.rest(engine)
        yield client
    cluster.close()


@pytest.mark.parametrize(
    ("site", "case"),
    CASES,
    indirect=["site"],
    ids=[f"{site} {case.name}" for site, case in CASES],
)
def test_a_page_costs_no_more_than_it_may_from_the_first_to_the_tenth_time(
    place: Place, site: httpx.Client, case: Case
) -> None:
    costs = [cost.wide for cost in place.costs(site, case)]

    assert len(costs) == 10
    assert max(costs) <= case.budget, costs
