"""Applications behind real web servers: in a thread here, or in another process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server

from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[1] / "examples"

#: Seconds that a request may take on a busy machine.
_LIMIT = 60.0


class _Quiet(WSGIRequestHandler):
    """Tells of no request."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(application: Any) -> Iterator[httpx.Client]:
    """Serve an ASGI *application* on a free port, and yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(
                lambda: server.started or not thread.is_alive(),
                limit=_LIMIT,
                what="the web server does not start",
            )
            with _client(listening.getsockname()[1]) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def served_wsgi(application: Any) -> Iterator[httpx.Client]:
    """Serve a WSGI *application*, a thread for each connection."""
    with make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=_Quiet
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with _client(server.server_port) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served_elsewhere(url: str, *words: str) -> Iterator[httpx.Client]:
    """Serve an example with ``python *words*`` in a process that works on *url*.

    ``{fd}`` in the words is the number of the socket that is to be listened on.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        paths = [str(EXAMPLES), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(
            [sys.executable, *(word.format(fd=number) for word in words)],
            env={
                **os.environ,
                "DATABASE_URL": url,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            },
            pass_fds=[number],
        )
        port = listening.getsockname()[1]
    try:
        # Whoever connects before the server is there waits for it.
        with _client(port) as client:
            yield client
    finally:
        process.terminate()
        process.wait(timeout=_LIMIT)


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_LIMIT)
