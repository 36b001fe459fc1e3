"""Requests of several users that a server or an application has one behind the other."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from promises import cluster, one, until
from requests_site import COUNT, INSERT, NEARBY, SECRET, call
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import globaldb
from globaldb import asgi, wsgi
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

TOKEN = b"globaldb-token:"


@pytest.fixture
def shop(empty: Lab) -> Iterator[globaldb.Cluster]:
    with cluster(empty, **NEARBY) as found:
        yield found


def ask(found: globaldb.Cluster, *, write: bool) -> int:
    if write:
        with found.connect() as conn:
            conn.execute(INSERT)
    with found.connect() as conn:
        return int(one(conn.execute(COUNT))[0])


def application(found: globaldb.Cluster) -> Any:
    """What is written goes on in the background until somebody reads."""
    read = asyncio.Event()

    async def write(_: Request) -> JSONResponse:
        rows = ask(found, write=True)
        return JSONResponse(rows, background=BackgroundTask(read.wait))

    async def look(_: Request) -> JSONResponse:
        rows = ask(found, write=False)
        read.set()
        return JSONResponse(rows)

    return Starlette(
        routes=[Route("/", write, methods=["POST"]), Route("/", look, methods=["GET"])]
    )


@contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """Have a server answer with *app*, on the address it gives."""
    config = uvicorn.Config(app, port=0, http="h11", log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()
    finally:
        server.should_exit = True
        thread.join()


def in_one_go(address: tuple[str, int], *methods: str) -> list[bytes]:
    """Send requests without waiting for answers, as a proxy for several users may."""
    heads = [
        f"{each} / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n" for each in methods
    ]
    heads[-1] += "Connection: close\r\n"
    with socket.create_connection(address, timeout=60) as proxy:
        proxy.sendall("".join(f"{head}\r\n" for head in heads).encode())
        answers = b"".join(iter(lambda: proxy.recv(65536), b""))
    return answers.split(b"HTTP/1.1 ")[1:]


def test_a_request_has_no_part_in_the_one_before_it_on_its_connection(
    shop: globaldb.Cluster,
) -> None:
    followed = asgi.CausalityMiddleware(application(shop), secret=SECRET)
    with served(followed) as address:
        mine, theirs = in_one_go(address, "POST", "GET")
    assert TOKEN in mine.lower()
    assert mine.endswith(b"\r\n\r\n1")
    assert TOKEN not in theirs.lower()
    assert theirs.endswith(b"\r\n\r\n0")


def test_a_part_of_an_application_that_follows_requests_too_leaves_it_to_the_whole(
    shop: globaldb.Cluster,
) -> None:
    """Of two cookies with one name a browser keeps the last, whatever that tells."""

    def part(environ: Any, start_response: Any) -> list[bytes]:
        found = ask(shop, write=environ["REQUEST_METHOD"] == "POST")
        start_response("200 OK", [("Content-Type", "application/json")])
        return [str(found).encode()]

    followed = wsgi.CausalityMiddleware(part, secret=SECRET)

    def whole(environ: Any, start_response: Any) -> Any:
        ask(shop, write=environ["REQUEST_METHOD"] == "POST")
        return followed(environ, start_response)

    app = wsgi.CausalityMiddleware(whole, secret=SECRET)
    told: list[str] = []
    _, headers, _ = call(hearing(app, told), "POST", {})
    assert told.count("Set-Cookie") == told.count("Globaldb-Token") == 1
    cookie = headers["set-cookie"].partition(";")[0]
    assert call(app, "GET", {"cookie": cookie})[2] == 2


def hearing(app: Any, told: list[str]) -> Callable[..., Any]:
    def heard(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *failed: Any) -> Any:
            told.extend(name for name, _ in headers)
            return start_response(status, headers, *failed)

        return app(environ, start)

    return heard


def test_a_mounted_application_that_follows_requests_too_leaves_it_to_the_whole(
    shop: globaldb.Cluster,
) -> None:
    def write(_: Request) -> JSONResponse:
        return JSONResponse(ask(shop, write=True))

    def look(_: Request) -> JSONResponse:
        return JSONResponse(ask(shop, write=False))

    inner = [Route("/", write, methods=["POST"]), Route("/", look, methods=["GET"])]
    part: Any = asgi.CausalityMiddleware(Starlette(routes=inner), secret=SECRET)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        ask(shop, write=scope["method"] == "POST")
        await part(scope, receive, send)

    whole = Starlette(routes=[Mount("/part", app=counted)])
    app: Any = asgi.CausalityMiddleware(whole, secret=SECRET)

    async def visit() -> None:
        transport = httpx.ASGITransport(app=app)
        base = "https://shop.test"
        async with httpx.AsyncClient(transport=transport, base_url=base) as user:
            written = await user.post("/part/")
            assert len(written.headers.get_list("set-cookie")) == 1
            assert (await user.get("/part/")).json() == 2

    asyncio.run(visit())
