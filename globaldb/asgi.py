"""ASGI middleware: what a request has written, the next one of its user sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from globaldb.carried import FOLLOWED, Carrier, private

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from globaldb.dbapi.work import Work

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

#: The messages that have the headers of a response.
_HEADS: Final = frozenset(
    ("http.response.start", "websocket.accept", "websocket.http.response.start")
)


class CausalityMiddleware:
    """Makes each request of *app* a `globaldb.session`, with the token of its user.

    The token is read from the *header* and the *cookie*, and is sent in both, but only
    by a response whose request has written, or has seen something at the writer. It is
    computed when the headers are sent: what is written behind them, in a body that is
    streamed or in a background task, is not in it. A websocket is one piece of work.

    Tokens come from users, so only signed ones are believed, and sent: those of clusters
    with a ``token_secret``, or all if the middleware has a *secret*, the same in every
    process. ``unsigned=True`` does without. *cookie* or *header* None leaves that one
    out; the cookie lasts *max_age* seconds; *secure* False lets it travel without TLS;
    *path*, *domain* and *samesite* are the cookie's.

    Raises `ConfigurationError` for options that make no sense.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], **options: Any) -> None:
        self._app = app
        self._carrier = Carrier(**options)

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer the request."""
        if scope["type"] not in ("http", "websocket") or FOLLOWED in scope:
            await self._app(scope, receive, send)
            return
        header = self._carrier.header
        given = None if header is None else _of(scope, header)
        # Servers begin what is next on a connection in the context of what was before.
        work = self._carrier.begin(given, _of(scope, "cookie", ";"), alone=True)

        async def send_with_token(message: Message) -> None:
            if message["type"] in _HEADS:
                message = await self._complete(message, work)
            await send(message)

        scope[FOLLOWED] = True
        try:
            with work.inside():
                await self._app(scope, receive, send_with_token)
        finally:
            scope.pop(FOLLOWED, None)
            work.end()

    async def _complete(self, message: Message, work: Work) -> Message:
        """Return *message* with the token, if there is one to send."""
        if work.settled or not _in_asyncio():
            # A loop of another kind has to wait: none of ours knows its threads.
            more = self._carrier.headers(work)
        else:
            # A position has to be asked for at the writer.
            more = await asyncio.to_thread(self._carrier.headers, work)
        if not more:
            return message
        encoded = [(name.lower().encode(), value.encode()) for name, value in more]
        headers = _private(message.get("headers"))
        return {**message, "headers": [*headers, *encoded]}


def _private(
    headers: Iterable[tuple[bytes, bytes]] | None,
) -> list[tuple[bytes, bytes]]:
    """Return *headers* with one that keeps the response from caches users share."""
    given = list(headers or ())
    others = [each for each in given if each[0].lower() != b"cache-control"]
    said = [value for name, value in given if name.lower() == b"cache-control"]
    value = private(b",".join(said).decode("latin-1")).encode("latin-1")
    return [*others, (b"cache-control", value)]


def _in_asyncio() -> bool:
    """Whether it is asyncio that awaits the caller; Trio may be it, too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _of(
    scope: MutableMapping[str, Any], name: str, between: str | None = None
) -> str | None:
    """Return the header *name*; all there are of it if they can be joined."""
    wanted = name.lower().encode()
    found = [
        value.decode("latin-1")
        for key, value in scope.get("headers", ())
        if key.lower() == wanted
    ]
    if not found:
        return None
    return found[0] if between is None else between.join(found)
