"""The Flask example: what each of its processes shows, whatever commits."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from lab_client import until

import globaldb
from benchmarks.pages_flask import application
from benchmarks.served import served_elsewhere
from benchmarks.sites import Place
from flask_notes.app import create_app
from globaldb.postgresql import Connection
from globaldb.wsgi import CausalityMiddleware

HEADER = "Globaldb-Token"
SERVE = """
import sys
from werkzeug.serving import make_server
from flask_notes.app import create_app
server = make_server("127.0.0.1", 0, create_app(), threaded=True, fd=int(sys.argv[1]))
server.log = lambda *_: None
server.serve_forever()
"""


@pytest.fixture(scope="module")
def notes(place: Place) -> Iterator[httpx.Client]:
    """The application in this process, with nothing going on beside it."""
    with application(place.routed) as (client, engine):
        cluster = place.rest(engine)
        yield client
    cluster.close()


@pytest.fixture(scope="module")
def elsewhere(place: Place, notes: httpx.Client) -> Iterator[httpx.Client]:
    """The application in another process."""
    with served_elsewhere(place.elsewhere, "-c", SERVE, "{fd}") as client:
        client.get("/").raise_for_status()
        yield client


@pytest.fixture
def alone(place: Place, notes: httpx.Client) -> FlaskClient:
    """The application in this very thread, which answers one request after the other."""
    return create_app(place.routed).test_client(use_cookies=False)


def token(answer: httpx.Response) -> dict[str, str]:
    """What a browser sends; the one here does not, for want of TLS."""
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def test_the_page_behind_a_form_shows_what_was_saved_in_another_process(
    notes: httpx.Client, elsewhere: httpx.Client, lagging: None
) -> None:
    saved = notes.post("/1", data={"body": "the bread"})

    assert (saved.status_code, saved.headers["Location"]) == (302, "/")
    # On a machine that is busy the writer may be the quicker one to ask.
    until(lambda: "the bread" not in elsewhere.get("/").text, what="lag")
    assert 'value="the bread"' in elsewhere.get("/", headers=token(saved)).text


def test_a_page_that_only_reads_sends_no_token(
    place: Place, notes: httpx.Client
) -> None:
    place.replication.settle()

    answer = notes.get("/")

    assert HEADER not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_what_a_user_wrote_keeps_no_other_of_the_thread_from_the_reader(
    place: Place, alone: FlaskClient, lagging: None
) -> None:
    written = alone.post("/", data={"body": "by one user"})
    pages = []

    cost = place.meter.count(lambda: pages.append(alone.get("/").text))

    assert cost.wide == 0
    assert "by one user" not in pages[0], "the reader did not lag"
    told = {HEADER: written.headers[HEADER]}
    assert "by one user" in alone.get("/", headers=told).text


def test_what_is_committed_at_teardown_is_told_of(
    place: Place, notes: httpx.Client, lagging: None
) -> None:
    app = Flask(__name__)

    def connection() -> Connection:
        if "connection" not in g:
            g.connection = globaldb.connect(place.url)
        return g.connection

    @app.teardown_appcontext
    def end(_: BaseException | None) -> None:
        with g.pop("connection") as ending:
            ending.commit()

    @app.post("/")
    def add() -> str:
        connection().execute("INSERT INTO notes (body) VALUES ('at teardown')")
        return ""

    @app.get("/")
    def index() -> list[str]:
        return [body for (body,) in connection().execute("SELECT body FROM notes")]

    app.wsgi_app = CausalityMiddleware(app.wsgi_app, secret="a secret")
    client = app.test_client(use_cookies=False)

    written = client.post("/")

    until(lambda: "at teardown" not in client.get("/").json, what="lag")
    told = {HEADER: written.headers[HEADER]}
    assert "at teardown" in client.get("/", headers=told).json
