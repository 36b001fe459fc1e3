"""A guest book whose visitors read their own entries, whichever process serves them.

A token in a cookie carries what the visitor has seen from one request to the next. Run
it with ``python examples/web_request.py`` and open http://127.0.0.1:8000/?say=hello
"""

from __future__ import annotations

import os
from html import escape
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

import globaldb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from globaldb.postgresql import Connection

COOKIE = "seen"
TABLE = "CREATE TABLE IF NOT EXISTS entries (id bigint GENERATED ALWAYS AS IDENTITY, said text)"


def observe(conn: Connection, environ: WSGIEnvironment) -> None:
    """Read nothing older than this visitor has seen."""
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    if cookie is None:
        return
    try:
        conn.observe(cookie.value)
    except globaldb.DataError:
        # Damaged, forged, or of another database: as good as none.
        return


def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Add what ``?say=`` says, and show all entries."""
    # A connection per request costs nothing: the pools belong to the process.
    with globaldb.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        observe(conn, environ)
        said = parse_qs(environ.get("QUERY_STRING", "")).get("say")
        if said:
            conn.execute("INSERT INTO entries (said) VALUES (%s)", (said[0],))
        rows = conn.execute("SELECT said FROM entries ORDER BY id").fetchall()
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Set-Cookie", f"{COOKIE}={conn.token}; HttpOnly; SameSite=Lax"),
        ]
    start_response("200 OK", headers)
    return [f"<li>{escape(entry)}</li>\n".encode() for (entry,) in rows]


def main() -> None:
    with globaldb.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        conn.execute(TABLE)
    with make_server("127.0.0.1", 8000, application) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
