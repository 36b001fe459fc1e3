"""Middleware: what a request has written, the next one of its user sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from globaldb.django import causality
from globaldb.django.causality import Causality
from globaldb.django.wrapper import GlobaldbWrapper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest, HttpResponseBase

#: Name of the cookie, and of the entry in ``request.session``.
TOKEN: Final = "globaldb_token"  # noqa: S105 - a name

#: Seconds that a cookie lasts: longer than any reader lags.
_AGE: Final = 60


class CausalityMiddleware:
    """Carries the position of a user's writes from request to request.

    In a cookie, signed with ``SECRET_KEY``, and set only by a response whose request has
    written; or, with ``GLOBALDB_TOKEN_STORE = "session"``, in ``request.session``. It
    stands first in ``MIDDLEWARE``, or right behind ``SessionMiddleware``.

    ``GLOBALDB_TOKEN_AGE`` is how many seconds a cookie lasts (60);
    ``GLOBALDB_TOKEN_SECURE = False`` lets it travel without TLS, for development.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[
            [HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]
        ],
    ) -> None:
        self._get_response: Callable[[HttpRequest], Any] = get_response
        self._in_session = _store() == "session"
        self._age: int = getattr(settings, "GLOBALDB_TOKEN_AGE", _AGE)
        self._secure: bool = getattr(settings, "GLOBALDB_TOKEN_SECURE", True)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer *request*, and have its user's next one see what it has written."""
        if iscoroutinefunction(self):
            return self._answer_later(request)
        with causality.following(Causality(self._came_with(request))) as followed:
            _join(followed)
            response = self._get_response(request)
            self._keep(request, response, followed.advanced())
        return response

    async def _answer_later(self, request: HttpRequest) -> Any:
        # Sessions may be in the database.
        tokens = await sync_to_async(self._came_with)(request)
        with causality.following(Causality(tokens)) as followed:
            response = await self._get_response(request)
            # In the thread of the request's statements.
            advanced = await sync_to_async(followed.advanced)()
            await sync_to_async(self._keep)(request, response, advanced)
        return response

    def _came_with(self, request: HttpRequest) -> dict[str, str]:
        if self._in_session:
            return dict(_session(request).get(TOKEN, {}))
        cookie = request.COOKIES.get(TOKEN)
        if cookie is None:
            return {}
        try:
            tokens: Any = signing.loads(cookie, salt=TOKEN, max_age=self._age)
        except signing.BadSignature:
            # Expired, or made up: as if there were none.
            return {}
        return dict(tokens)

    def _keep(
        self, request: HttpRequest, response: Any, advanced: dict[str, Any]
    ) -> None:
        if not advanced:
            return
        tokens = {alias: str(token) for alias, token in advanced.items()}
        if self._in_session:
            session = _session(request)
            session[TOKEN] = {**session.get(TOKEN, {}), **tokens}
            return
        response.set_cookie(
            TOKEN,
            signing.dumps({**self._came_with(request), **tokens}, salt=TOKEN),
            max_age=self._age,
            secure=self._secure,
            httponly=True,
            samesite="Lax",
        )


def _store() -> str:
    store: str = getattr(settings, "GLOBALDB_TOKEN_STORE", "cookie")
    if store not in ("cookie", "session"):
        raise ImproperlyConfigured(
            f"GLOBALDB_TOKEN_STORE is {store!r}; it must be 'cookie' or 'session'"
        )
    return store


def _session(request: HttpRequest) -> Any:
    session = getattr(request, "session", None)
    if session is None:
        raise ImproperlyConfigured(
            "GLOBALDB_TOKEN_STORE is 'session', so CausalityMiddleware has to stand "
            "behind SessionMiddleware in MIDDLEWARE"
        )
    return session


def _join(followed: Causality) -> None:
    """Follow the sessions that had begun before the request did."""
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, GlobaldbWrapper) and wrapper.connection is not None:
            followed.began(wrapper.alias, wrapper.connection)
