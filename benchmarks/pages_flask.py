"""The pages of the Flask example, with Flask-SQLAlchemy."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.served import served_wsgi
from benchmarks.sites import Case, compared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from sqlalchemy import Engine

    from benchmarks.pages import Page
    from globaldb.lab import Lab

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from flask_notes.app import create_app
from flask_notes.models import db

_WORDS: Final = map("remember {}".format, count())

CASES: Final = (
    Case("shows a list", 0, lambda c: c.get("/")),
    Case(
        "saves a form: reads a row, updates it",
        3,
        lambda c: c.post("/1", data={"body": next(_WORDS)}),
    ),
    Case(
        "saves a new one: inserts a row",
        3,
        lambda c: c.post("/", data={"body": next(_WORDS)}),
    ),
)


@contextmanager
def application(url: str) -> Iterator[tuple[httpx.Client, Engine]]:
    """Serve the example on the database of *url*, with a note in it."""
    app = create_app(url)
    with app.app_context():
        engine = db.engine
    with served_wsgi(app) as client:
        client.post("/", data={"body": "the milk"})
        yield client, engine


def pages(lab: Lab) -> Iterator[Page]:
    """Ask for each page, ten times."""
    yield from compared(lab, "Flask", CASES, application)
