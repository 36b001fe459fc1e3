"""A visitor of a web application: asks for pages as a browser does, in this process."""

from __future__ import annotations

import io
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its status, its headers, its text."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    @property
    def cookies(self) -> dict[str, str]:
        """Every ``Set-Cookie`` by its name."""
        lines = [value.strip() for name, value in self.headers if name == "Set-Cookie"]
        return {line.partition("=")[0]: line for line in lines}

    @property
    def location(self) -> str:
        """Where the visitor is sent; nothing if nowhere."""
        return dict(self.headers).get("Location", "")


class Visitor:
    """Keeps its cookies; sends the token against forged forms as scripts do.

    Follows no redirect: each page is asked for by itself.
    """

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self.cookies: dict[str, str] = {}

    def get(self, url: str) -> Page:
        """Ask for a page."""
        return self._ask(url, {"REQUEST_METHOD": "GET"}, b"")

    def post(self, url: str, **form: object) -> Page:
        """Send a form."""
        body = urlencode(form, doseq=True).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_CSRFTOKEN": self.cookies.get("csrftoken", ""),
        }
        return self._ask(url, environ, body)

    def _ask(self, url: str, environ: WSGIEnvironment, body: bytes) -> Page:
        path, _, query = url.partition("?")
        environ |= {
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_HOST": "localhost",
            "HTTP_COOKIE": "; ".join(f"{k}={v}" for k, v in self.cookies.items()),
            "wsgi.input": io.BytesIO(body),
        }
        setup_testing_defaults(environ)
        begun: list[Any] = []
        answer = self._application(environ, lambda *told: begun.extend(told[:2]))
        try:
            text = b"".join(answer).decode()
        finally:
            if hasattr(answer, "close"):
                answer.close()
        page = Page(int(begun[0].split()[0]), tuple(begun[1]), text)
        self._take(page)
        return page

    def _take(self, page: Page) -> None:
        for line in page.cookies.values():
            for name, cookie in SimpleCookie(line).items():
                if cookie["max-age"] == "0" or not cookie.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = cookie.coded_value
