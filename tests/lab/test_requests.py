"""Requests: what one has written the next one sees, in whatever process it is served."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults

import pytest
from promises import FAR, admin, cluster, one, until
from requests_site import (
    COUNT,
    INSERT,
    NEARBY,
    SECRET,
    Elsewhere,
    Site,
    call,
    far_away,
    token_at,
)

import globaldb
from globaldb import asgi, wsgi
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

Connection = Any
FORMS = ("wsgi", "async", "sync", "sqlalchemy", "function")
TOKEN = "globaldb-token"


@pytest.fixture(scope="module")
def homes(far_behind: Lab) -> Iterator[tuple[Site, Elsewhere]]:
    """The applications in this process and in another one, both up for a while."""
    here = Site(far_behind.url(FAR))
    folder = str(Path(__file__).parent.parent)
    with Elsewhere(far_behind.url(FAR), folder) as elsewhere:
        for form in FORMS:
            here.ask(form)
        until(lambda: here.cluster.runtime.catalog.present)
        yield here, elsewhere
        here.close()


@pytest.fixture
def here(homes: tuple[Site, Elsewhere], empty: Lab) -> Site:
    return homes[0]


@pytest.fixture
def elsewhere(homes: tuple[Site, Elsewhere], empty: Lab) -> Elsewhere:
    return homes[1]


def count(conn: Connection) -> int:
    return int(one(conn.execute(COUNT))[0])


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


def cookie_of(headers: dict[str, str]) -> str:
    return headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_request_sees_what_the_one_before_wrote_in_another_process(
    here: Site, elsewhere: Elsewhere, form: str
) -> None:
    status, headers, found = here.ask(form, "POST")
    assert (status, found) == ("200", 1)
    assert elsewhere.ask(form, headers={TOKEN: headers[TOKEN]})[2] == 1
    # Without it, it would not.
    assert elsewhere.ask(form)[2] == 0


@pytest.mark.parametrize("form", ["wsgi", "sync"])
def test_the_cookie_does_as_well_and_is_kept_from_scripts(
    here: Site, elsewhere: Elsewhere, form: str
) -> None:
    _, headers, _ = here.ask(form, "POST")
    known = cookie_of(headers)
    assert known == f"globaldb_token={headers[TOKEN]}"
    for word in ("Max-Age=60", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"):
        assert f"; {word}" in headers["set-cookie"]
    assert elsewhere.ask(form, headers={"cookie": f"theme=dark; {known}; a=b"})[2] == 1


def test_an_old_header_does_not_hide_a_newer_cookie(here: Site) -> None:
    """A script may go on sending what it got before a form was posted."""
    options: dict[str, Any] = {"secret": None, "unsigned": True}
    _, headers, _ = here.ask("wsgi", "POST", **options)
    old = {TOKEN: token_at(here.cluster, 1)}
    assert here.ask("wsgi", headers=old, **options)[2] == 0
    both = {**old, "cookie": cookie_of(headers)}
    assert here.ask("wsgi", headers=both, **options)[2] == 1


@pytest.mark.parametrize("form", ["wsgi", "sync", "async"])
def test_without_the_middleware_even_the_request_itself_may_not_see_its_write(
    here: Site, form: str
) -> None:
    _, headers, found = here.ask(form, "POST", followed=False)
    assert found == 0
    assert TOKEN not in headers


@pytest.mark.parametrize("form", FORMS)
def test_a_request_that_only_reads_says_nothing(here: Site, form: str) -> None:
    _, headers, found = here.ask(form)
    assert found == 0
    assert not {TOKEN, "set-cookie"} & headers.keys()


@pytest.mark.parametrize("form", ["wsgi", "async"])
def test_no_cache_that_users_share_keeps_a_token(here: Site, form: str) -> None:
    """It would be the cookie of others, in place of a newer one of theirs."""
    _, written, _ = here.ask(form, "POST")
    _, read, _ = here.ask(form)

    assert written["cache-control"] == "private"
    assert "cache-control" not in read


@pytest.mark.parametrize("form", ["wsgi", "async"])
@pytest.mark.parametrize("options", [{}, {"secret": None}], ids=["secret", "none"])
def test_what_users_send_harms_nobody(
    here: Site, form: str, options: dict[str, Any]
) -> None:
    forged = far_away(here.cluster) + "!" + "A" * 43
    long = "x" * 100_000
    for made_up in ("", "gdb1.rubbish", "~" * 99, long, "gdb9.1.2", '"\\', forged):
        headers = {TOKEN: made_up, "cookie": f"a; globaldb_token={made_up}; =;"}
        status, told, found = here.ask(form, headers=headers, **options)
        # Nobody waits for what was made up, nor is sent to the writer.
        assert (status, found, told.keys() & {TOKEN}) == ("200", 0, set())


def test_tokens_that_nobody_has_signed_are_neither_believed_nor_sent(
    here: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "globaldb")
    app = wsgi.CausalityMiddleware(here.wsgi)
    _, headers, _ = call(app, "POST", {})
    assert TOKEN not in headers
    assert "token_secret" in caplog.text
    unsigned = far_away(here.cluster)
    # What looks like a signature is none to who has no secret to check it with.
    for made_up in (unsigned, far_away(here.cluster, secret="of the user")):
        caplog.clear()
        assert call(app, "GET", {TOKEN: made_up})[2] == 0
        assert "token_ignored reason=unsigned" in caplog.text
        assert made_up not in caplog.text
    trusting = wsgi.CausalityMiddleware(here.wsgi, unsigned=True)
    _, headers, _ = call(trusting, "POST", {})
    assert call(trusting, "GET", {TOKEN: headers[TOKEN]})[2] == 2


def test_tokens_that_the_cluster_signs_need_no_other_secret(
    empty: Lab,
) -> None:
    site = Site(empty.url(FAR), token_secret="s")
    try:
        _, headers, _ = site.ask("wsgi", "POST", secret=None)
        assert "!" not in headers[TOKEN]
        assert site.ask("wsgi", headers={TOKEN: headers[TOKEN]}, secret=None)[2] == 1
    finally:
        site.close()


# WSGI, by its rules.


def serve(app: Any, options: dict[str, Any] | None = None) -> tuple[list[Any], bytes]:
    """Call *app* as the plainest server does; return what it was told, in order."""
    events: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        names = {name.lower() for name, _ in headers}
        events.append((status, TOKEN in names, exc_info is not None))
        return events.append

    environ = {"REQUEST_METHOD": "GET", **(options or {})}
    middleware = wsgi.CausalityMiddleware(app, secret=SECRET)
    body = middleware(environ, start_response)
    try:
        return events, b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def test_headers_that_are_sent_late_tell_of_all_that_came_before(here: Site) -> None:
    def late(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        yield b"one"
        yield b"two"

    assert serve(late) == ([("200 OK", True, False)], b"onetwo")


def test_a_body_that_is_whole_stays_what_it_is(here: Site) -> None:
    def whole(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        return everything

    everything = [b"all"]
    told: list[Any] = []
    app = wsgi.CausalityMiddleware(whole, secret=SECRET)
    assert app({}, lambda status, headers: told.extend(headers)) is everything
    names = ["Cache-Control", "Globaldb-Token", "Set-Cookie"]
    assert [name for name, _ in told] == names


def test_what_is_written_by_hand_comes_behind_the_headers(here: Site) -> None:
    def by_hand(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        write(b"one")
        return [b"two"]

    assert serve(by_hand) == ([("200 OK", True, False), b"one"], b"two")


def test_a_server_hears_of_the_headers_before_any_part_of_the_body(here: Site) -> None:
    def begins_empty(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        yield b"one"

    middleware = wsgi.CausalityMiddleware(begins_empty, secret=SECRET)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    sent = BytesIO()
    server = SimpleHandler(BytesIO(), sent, StringIO(), environ)
    server.run(middleware)
    head, _, body = sent.getvalue().partition(b"\r\n\r\n")
    assert body == b"one"
    assert TOKEN.encode() in head.lower()


def test_a_server_may_look_at_the_headers_as_soon_as_it_has_the_body(
    here: Site,
) -> None:
    """As Granian does, and sends what it finds then."""

    def streams(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("418 Teapot", [])
        return filter(None, (part() for part in (nothing, write)))

    def nothing() -> bytes:
        return b""

    def write() -> bytes:
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        return b"one"

    told: list[Any] = []
    app = wsgi.CausalityMiddleware(streams, secret=SECRET)
    body = app({}, lambda status, headers: told.extend((status, dict(headers))))
    status, headers = told
    assert status == "418 Teapot"
    assert "Globaldb-Token" in headers
    assert list(body) == [b"one"]


def test_a_body_whose_first_part_fails_is_closed() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError("x")

        def close(self) -> None:
            closed.append(globaldb.current_token() is None)

    def fails(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body()

    with pytest.raises(ValueError, match="x"):
        serve(fails)
    assert closed == [True]


def test_an_error_page_takes_the_place_of_what_was_not_sent(here: Site) -> None:
    def fails(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 Oh", [], (ValueError, ValueError("x"), None))
        return [b"sorry"]

    assert serve(fails) == ([("500 Oh", False, True)], b"sorry")


def test_an_error_behind_the_headers_is_the_servers(here: Site) -> None:
    def fails(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        start_response("500 Oh", [], (ValueError, ValueError("x"), None))
        yield b"two"

    events, _ = serve(fails)
    assert events == [("200 OK", False, False), ("500 Oh", False, True)]


def test_a_request_that_fails_leaves_its_thread_as_it_was(here: Site) -> None:
    def fails(environ: Any, start_response: Any) -> list[bytes]:
        assert globaldb.current_token() is None
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        serve(fails)
    assert globaldb.current_token() is None
    with here.cluster.connect() as conn:
        assert count(conn) == 0


def test_a_body_nobody_closes_is_no_part_of_the_next_request(here: Site) -> None:
    def streams(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        yield b"one"
        yield b"two"

    app = wsgi.CausalityMiddleware(streams, secret=SECRET)
    body = app({}, lambda *_: None)
    assert next(iter(body)) == b"one"
    assert globaldb.current_token() is None
    # And it may be closed in another context than it was read in.
    assert copy_context().run(lambda: next(iter(body))) == b"two"
    copy_context().run(body.close)  # type: ignore[attr-defined]
    assert globaldb.current_token() is None


def test_a_file_is_given_to_the_server_as_it_is(here: Site) -> None:
    class Wrapper:
        def __iter__(self) -> Iterator[bytes]:
            return iter((b"file",))

    def sends(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]()

    app = wsgi.CausalityMiddleware(sends, secret=SECRET)
    body = app({"wsgi.file_wrapper": Wrapper}, lambda *_: None)
    assert type(body) is Wrapper


# ASGI, by its rules.


def exchange(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    middleware = asgi.CausalityMiddleware(app, secret=SECRET)
    asyncio.run(middleware(scope, receive, send))
    return sent


def test_what_is_no_request_passes_untouched() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete", "same": scope})

    scope = {"type": "lifespan"}
    [message] = exchange(app, scope)
    assert message["same"] is scope


def test_a_websocket_is_one_piece_of_work(here: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        await send({"type": "websocket.accept"})
        with here.cluster.connect() as conn:
            await send({"type": "websocket.send", "text": str(count(conn))})

    accepted, sent = exchange(app, {"type": "websocket", "headers": []})
    assert b"globaldb-token" in dict(accepted["headers"])
    assert sent["text"] == "1"


def test_a_token_that_has_to_be_asked_for_does_not_stop_the_loop(here: Site) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with here.cluster.connect() as conn, conn.cursor() as cur:
            # Its position is not told with it.
            cur.executemany("INSERT INTO r_t VALUES (%s)", [(1,), (2,)])
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        before = len(ticks)
        await send({"type": "http.response.start", "status": 200})
        ticks.append(-before)
        ticking.cancel()

    [start] = exchange(app, {"type": "http", "headers": []})
    assert b"globaldb-token" in dict(start["headers"])
    # The loop has turned many times while the writer, far away, was asked.
    assert len(ticks) + ticks[-1] > 10


def test_a_loop_of_another_kind_gets_its_token_too(here: Site) -> None:
    """As Trio's, of which this one has what counts: it is not asyncio's."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with here.cluster.connect() as conn, conn.cursor() as cur:
            cur.executemany(INSERT, [(), ()])
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    followed = asgi.CausalityMiddleware(app, secret=SECRET)
    answering = followed({"type": "http", "headers": []}, receive, send)
    with pytest.raises(StopIteration):
        answering.send(None)
    assert b"globaldb-token" in dict(sent[0]["headers"])


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("form", ["wsgi", "asgi"])
def test_a_request_has_succeeded_whatever_becomes_of_the_question_for_its_token(
    empty: Lab, caplog: pytest.LogCaptureFixture, form: str, *, answers: bool
) -> None:
    """The connections are lost; another one is as good, where there can be one."""

    def write() -> None:
        with found.connect() as conn, conn.cursor() as cur:
            # Its position is not told with it.
            cur.executemany("INSERT INTO r_t VALUES (%s)", [(1,), (2,)])
        with admin(empty) as elsewhere:
            elsewhere.execute(f"ALTER ROLE app {'LOGIN' if answers else 'NOLOGIN'}")
            elsewhere.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'unlucky%'"
            )

    def plain(environ: Any, start_response: Any) -> list[bytes]:
        write()
        start_response("200 OK", [])
        return [b"one"]

    async def later(scope: Any, receive: Any, send: Any) -> None:
        write()
        await send({"type": "http.response.start", "status": 200})

    try:
        with cluster(empty, application_name="unlucky", **NEARBY) as found:
            if form == "wsgi":
                told = serve(plain)
                assert told == ([("200 OK", answers, False)], b"one")
            else:
                [start] = exchange(later, {"type": "http", "headers": []})
                assert start["status"] == 200
                assert ("headers" in start) is answers
    finally:
        with admin(empty) as elsewhere:
            elsewhere.execute("ALTER ROLE app LOGIN")
    assert ("token_missing" in caplog.text) is not answers


def test_the_common_token_is_made_without_a_thread(here: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with here.cluster.connect() as conn:
            conn.execute(INSERT)
        before = threading.active_count()
        await send({"type": "http.response.start", "status": 200})
        assert threading.active_count() == before

    [start] = exchange(app, {"type": "http", "headers": []})
    assert b"globaldb-token" in dict(start["headers"])
