"""The pages of the FastAPI example, with SQLAlchemy's default `Session`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.served import served
from benchmarks.sites import Case, compared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from sqlalchemy import Engine

    from benchmarks.pages import Page
    from globaldb.lab import Lab

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from fastapi_orders.app import create_app

_STATES: Final = cycle(["paid", "sent", "open"])
_ORDER: Final = {
    "customer": "ada",
    "lines": [{"sku": "tea", "quantity": 1}, {"sku": "cake", "quantity": 2}],
}

LIST: Final = Case(
    "shows a list, with what belongs to it", 0, lambda c: c.get("/orders")
)
FORM: Final = Case(
    "saves a form: reads two tables, updates a row",
    3,
    lambda c: c.put("/orders/1", json={"status": next(_STATES)}),
)
CASES: Final = (
    LIST,
    Case("shows one", 0, lambda c: c.get("/orders/1")),
    Case("counts, in an async endpoint", 0, lambda c: c.get("/orders/totals")),
    FORM,
    Case(
        "saves a new one: inserts into two tables",
        3,
        lambda c: c.post("/orders", json=_ORDER),
    ),
)


@contextmanager
def application(url: str) -> Iterator[tuple[httpx.Client, Engine]]:
    """Serve the example on the database of *url*, with some orders in it."""
    app = create_app(url)
    with served(app) as client:
        for sku in ("tea", "cake"):
            client.put(f"/products/{sku}", json={"sku": sku, "stock": 100})
        for _ in range(3):
            client.post("/orders", json=_ORDER)
        yield client, app.state.sessions.kw["bind"]


def pages(lab: Lab) -> Iterator[Page]:
    """Ask for each page, ten times."""
    yield from compared(lab, "FastAPI", CASES, application)
