"""Middleware: what a request has written, the next one of its user sees."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core import signing
from django.core.exceptions import ImproperlyConfigured

from globaldb.carried import FOLLOWED, LONGEST, private
from globaldb.dbapi.work import Work
from globaldb.errors import Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest, HttpResponseBase

logger = logging.getLogger("globaldb")

#: Name of the cookie, and of the entry in ``request.session``.
TOKEN: Final = "globaldb_token"  # noqa: S105 - a name

#: Seconds that a cookie lasts: longer than any reader lags.
_AGE: Final = 60


class CausalityMiddleware:
    """Makes each request a `globaldb.session`, with the token of its user.

    It comes in a cookie, signed with ``SECRET_KEY``, which only a response sets whose
    request has written; or, with ``GLOBALDB_TOKEN_STORE = "session"``, it is kept in
    ``request.session``. The middleware stands first in ``MIDDLEWARE``, or right behind
    ``SessionMiddleware``.

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
        with Work(self._came_with(request), alone=_alone(request)) as work:
            response = self._get_response(request)
            self._keep(request, response, work)
        return response

    async def _answer_later(self, request: HttpRequest) -> Any:
        # Sessions may be in the database.
        came_with = await sync_to_async(self._came_with)(request)
        with Work(came_with, alone=_alone(request)) as work:
            response = await self._get_response(request)
            await sync_to_async(self._keep)(request, response, work)
        return response

    def _came_with(self, request: HttpRequest) -> str | None:
        found: Any
        if self._in_session:
            found = _session(request).get(TOKEN)
        else:
            try:
                cookie = request.COOKIES.get(TOKEN, "")
                found = signing.loads(cookie, salt=TOKEN, max_age=self._age)
            except signing.BadSignature:
                # Expired, made up, or not there.
                return None
        return found if isinstance(found, str) else None

    def _keep(self, request: HttpRequest, response: Any, work: Work) -> None:
        try:
            token = work.token
        except Error as error:
            # What was written is written: the request has not failed.
            logger.warning("token_missing error=%s", error)
            return
        if token is None:
            return
        if self._in_session:
            _session(request)[TOKEN] = str(token)
            return
        response["Cache-Control"] = private(response.get("Cache-Control", ""))
        response.set_cookie(
            TOKEN,
            signing.dumps(str(token), salt=TOKEN),
            max_age=self._age,
            secure=self._secure,
            httponly=True,
            samesite="Lax",
        )
        if len(response.cookies[TOKEN].OutputString()) > LONGEST:
            # Browsers would drop it without a word.
            del response.cookies[TOKEN]
            logger.warning("token_too_long characters=%s", len(token))


def _alone(request: HttpRequest) -> bool:
    """Whether what goes on in this context is the request before it on a connection.

    ASGI servers begin the next one there; another middleware of ours says that it is not.
    """
    scope = getattr(request, "scope", None)
    return scope is not None and FOLLOWED not in scope


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
