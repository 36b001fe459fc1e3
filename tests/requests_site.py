"""Small applications, each in every form that a request can come in, and its process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any, Self
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import sqlalchemy
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import globaldb
from globaldb import asgi, wsgi
from globaldb.core.position import Lsn, Position
from globaldb.core.token import Seen, Token

COUNT = "SELECT count(*) FROM r_t"
INSERT = "INSERT INTO r_t VALUES (1)"
SECRET = "of the middleware"
#: On a busy machine a node nearby may seem slow: none that is far away takes its place.
NEARBY = {"latency_factor": 1.0}

#: Status, headers by lower-case name, and how many rows the request saw.
Answer = tuple[str, dict[str, str], int]


def drivers_own(cluster: globaldb.Cluster, *, write: bool) -> int:
    """One request: what it writes and reads, each on a connection of its own."""
    if write:
        with cluster.connect() as conn:
            conn.execute(INSERT)
    with cluster.connect() as conn:
        return int(conn.execute(COUNT).fetchone()[0])


def with_sqlalchemy(engine: sqlalchemy.Engine, *, write: bool) -> int:
    """The same with sessions of an ORM."""
    if write:
        with Session(engine) as session, session.begin():
            session.execute(sqlalchemy.text(INSERT))
    with Session(engine) as session:
        return int(session.execute(sqlalchemy.text(COUNT)).scalar_one())


class Site:
    """The applications over one cluster, as one process has them."""

    def __init__(self, url: str, **options: Any) -> None:
        options = {**NEARBY, "probe_interval": 60, **options}
        self.cluster = globaldb.Cluster(url, autocommit=True, **options)
        self.engine = sqlalchemy.create_engine(
            url.replace("postgresql:", "postgresql+globaldb:", 1),
            connect_args=options,
        )

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The body is a generator: it works when its first part is asked for."""
        write = environ["REQUEST_METHOD"] == "POST"
        text = json.dumps(drivers_own(self.cluster, write=write)).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        yield text

    def asgi(self) -> Starlette:
        async def in_the_loop(request: Request) -> JSONResponse:
            write = request.method == "POST"
            return JSONResponse(drivers_own(self.cluster, write=write))

        def in_a_thread(request: Request) -> JSONResponse:
            write = request.method == "POST"
            return JSONResponse(drivers_own(self.cluster, write=write))

        async def in_several(request: Request) -> JSONResponse:
            # A dependency writes in one thread, the endpoint reads in another.
            write = request.method == "POST"
            found = await run_in_threadpool(with_sqlalchemy, self.engine, write=write)
            return JSONResponse(found)

        methods = ["GET", "POST"]
        routes = (
            Route("/async", in_the_loop, methods=methods),
            Route("/sync", in_a_thread, methods=methods),
            Route("/sqlalchemy", in_several, methods=methods),
        )
        return Starlette(routes=list(routes))

    def ask(
        self,
        form: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        *,
        followed: bool = True,
        **options: Any,
    ) -> Answer:
        """Send a request to the application of that *form*."""
        given = {} if headers is None else headers
        options = {"secret": SECRET, **options} if followed else {}
        if form == "function":
            return self._function(method, given, followed=followed)
        if form == "wsgi":
            app = wsgi.CausalityMiddleware(self.wsgi, **options)
            return call(app if followed else self.wsgi, method, given)
        routed: Any = self.asgi()
        if followed:
            routed = asgi.CausalityMiddleware(routed, **options)
        return asyncio.run(_call_asgi(routed, form, method, given))

    def _function(
        self, method: str, headers: dict[str, str], *, followed: bool
    ) -> Answer:
        write = method == "POST"
        if not followed:
            return "200", {}, drivers_own(self.cluster, write=write)
        with globaldb.session(headers.get("globaldb-token")) as work:
            found = drivers_own(self.cluster, write=write)
        told = {} if work.token is None else {"globaldb-token": work.token}
        return "200", told, found

    def close(self) -> None:
        self.engine.dispose()
        self.cluster.close()


def call(app: Callable[..., Any], method: str, headers: dict[str, str]) -> Answer:
    """Do as a WSGI server does, and check that everybody keeps to the rules."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "QUERY_STRING": ""}
    for name, value in headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    setup_testing_defaults(environ)
    found: dict[str, Any] = {}

    def start_response(status: str, given: Any, exc_info: Any = None) -> Any:
        found.update(status=status, headers=given)
        return lambda data: None

    body = validator(app)(environ, start_response)
    try:
        text = b"".join(body)
    finally:
        body.close()
    told = {name.lower(): value for name, value in found["headers"]}
    return found["status"][:3], told, json.loads(text)


def far_away(found: globaldb.Cluster, secret: str | None = None) -> str:
    """Return a token of what no node will reach."""
    return token_at(found, (1 << 64) - 1, secret)


def token_at(found: globaldb.Cluster, lsn: int, secret: str | None = None) -> str:
    """Return a token of that position, with a signature if there is a *secret*."""
    epoch = found.topology.epoch
    position = Position(Lsn(lsn, epoch))
    return str(Token.of(Seen(found.runtime.system, epoch, position, 1 << 33), secret))


async def _call_asgi(
    app: Any, form: str, method: str, headers: dict[str, str]
) -> Answer:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.request(method, f"/{form}", headers=headers)
    return str(answer.status_code), dict(answer.headers), answer.json()


class Elsewhere:
    """Another process with the same applications."""

    def __init__(self, url: str, folder: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self._say(url)
        self._hear()

    def ask(
        self, form: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        self._say([form, method, headers])
        status, told, found = self._hear()
        return status, told, found

    def _say(self, what: Any) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(what) + "\n")
        self._child.stdin.flush()

    def _hear(self) -> Any:
        assert self._child.stdout is not None
        return json.loads(self._child.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


def _main() -> None:
    site = Site(json.loads(sys.stdin.readline()))
    # As one that has been up for a while: it knows its nodes.
    for form in ("wsgi", "sqlalchemy"):
        site.ask(form)
    print("true", flush=True)
    for line in sys.stdin:
        form, method, headers = json.loads(line)
        print(json.dumps(site.ask(form, method, headers)), flush=True)
    site.close()


if __name__ == "__main__":
    _main()
