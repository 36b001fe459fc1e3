"""WSGI middleware: what a request has written, the next one of its user sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from globaldb.carried import FOLLOWED, Carrier, private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from globaldb.dbapi.work import Work


class CausalityMiddleware:
    """Makes each request of *app* a `globaldb.session`, with the token of its user.

    The token is read from the *header* and the *cookie*, and is sent in both, but only
    by a response whose request has written, or has seen something at the writer. It is
    computed when the first bytes of the body are there: what is written behind them is
    not in it.

    Tokens come from users, so only signed ones are believed, and sent: those of clusters
    with a ``token_secret``, or all if the middleware has a *secret*, the same in every
    process. ``unsigned=True`` does without. *cookie* or *header* None leaves that one
    out; the cookie lasts *max_age* seconds; *secure* False lets it travel without TLS;
    *path*, *domain* and *samesite* are the cookie's.

    Raises `ConfigurationError` for options that make no sense.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], **options: Any) -> None:
        self._app = app
        self._carrier = Carrier(**options)
        header = self._carrier.header
        self._key = header and f"HTTP_{header.upper().replace('-', '_')}"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer the request."""
        if FOLLOWED in environ:
            return self._app(environ, start_response)
        header = None if self._key is None else environ.get(self._key)
        work = self._carrier.begin(header, environ.get("HTTP_COOKIE"))
        head = _Head(self._carrier, work, start_response)
        environ[FOLLOWED] = True
        try:
            with work.inside():
                body = self._app(environ, head.start)
        except BaseException:
            work.end()
            raise
        finally:
            environ.pop(FOLLOWED, None)
        if not _is_whole(body, environ):
            return _Body(body, head, work).begun()
        # Servers look at what it is, and at its length.
        try:
            head.send()
        finally:
            work.end()
        return body


class _Head:
    """The status and headers of a response, kept back until there is a body."""

    def __init__(
        self, carrier: Carrier, work: Work, start_response: Callable[..., Any]
    ) -> None:
        self._carrier = carrier
        self._work = work
        self._start_response = start_response
        self._kept: tuple[Any, ...] | None = None
        self._sent = False
        self._write: Callable[[bytes], object] | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Do what the server's ``start_response`` does, later."""
        again = self._kept is not None and exc_info is None
        if again:
            # The server knows what to say to that.
            self.send()
        behind = () if exc_info is None else (exc_info,)
        if self._sent:
            write: Callable[[bytes], object]
            write = self._start_response(status, headers, *behind)
            return write
        self._kept = (status, headers, *behind)
        return self.write

    def write(self, data: bytes) -> None:
        """Do what the function does that ``start_response`` returns."""
        self.send()
        if self._write is not None:
            self._write(data)

    def send(self) -> None:
        """Have the server know the headers, with the token, if it does not yet."""
        if self._kept is None:
            return
        (status, headers, *behind), self._kept = self._kept, None
        self._sent = True
        token = self._carrier.headers(self._work)
        if token:
            headers = [*_private(headers), *token]
        self._write = self._start_response(status, headers, *behind)


class _Body:
    """A body that is made while it is sent."""

    def __init__(self, body: Iterable[bytes], head: _Head, work: Work) -> None:
        self._body = body
        self._head = head
        self._work = work
        self._chunks: Iterator[bytes] | None = None
        self._first: bytes | None = None

    def begun(self) -> Self:
        """Have the first part, and so the headers, before the server asks for it.

        Granian looks at the headers only once, when it gets the body.
        """
        try:
            self._first = next(self, None)
        except BaseException:
            # The server will not: it has nothing to close.
            self.close()
            raise
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        # Each part by itself: the server may ask for the next in another context.
        with self._work.inside():
            if self._chunks is None:
                # An empty one would make a server ask for headers not sent to it yet.
                self._chunks = filter(None, self._body)
            chunk = next(self._chunks, None)
        self._head.send()
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """End the request."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                with self._work.inside():
                    close()
        finally:
            self._work.end()


def _private(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *headers* with one that keeps the response from caches users share."""
    others = [each for each in headers if each[0].lower() != "cache-control"]
    said = [value for name, value in headers if name.lower() == "cache-control"]
    return [*others, ("Cache-Control", private(",".join(said)))]


def _is_whole(body: Iterable[bytes], environ: dict[str, Any]) -> bool:
    """Whether nothing of the application's runs while *body* is sent."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        return True
    return isinstance(body, list | tuple)
