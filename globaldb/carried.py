"""How a token travels with HTTP: in a header or a cookie, and never unsigned unasked."""

from __future__ import annotations

import base64
import hmac
import logging
import re
from typing import TYPE_CHECKING, Final

from globaldb.core.token import Token, label, parts
from globaldb.dbapi.work import Work
from globaldb.errors import ConfigurationError, Error, TokenError
from globaldb.runtime import events

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("globaldb")

#: The name of a header or a cookie.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What a cookie's path and domain may not hold.
_OUTSIDE: Final = re.compile(r"[^ -:<-~]")
_SAME_SITE: Final = ("Lax", "Strict", "None")
#: Between a token and the signature of `Carrier`.
_SEAL: Final = "!"
#: What a request's environ or scope has while a middleware follows it: one does.
FOLLOWED: Final = "globaldb.followed"
#: Bytes of a cookie, with its attributes: browsers drop longer ones.
LONGEST: Final = 4096


class Carrier:
    """What a middleware reads from a request, and puts into its response."""

    def __init__(
        self,
        *,
        cookie: str | None = "globaldb_token",
        header: str | None = "Globaldb-Token",
        max_age: int = 60,
        secure: bool = True,
        path: str = "/",
        domain: str | None = None,
        samesite: str = "Lax",
        secret: str | None = None,
        unsigned: bool = False,
    ) -> None:
        """Check the options; raises `ConfigurationError` for what makes no sense."""
        for what, name in (("cookie", cookie), ("header", header)):
            if name is not None and not _NAME.fullmatch(name):
                raise ConfigurationError(f"{what} is {name!r}, which is no name of one")
        if samesite not in _SAME_SITE:
            known = ", ".join(_SAME_SITE)
            raise ConfigurationError(
                f"samesite is {samesite!r}; it must be one of {known}"
            )
        for what, value in (("path", path), ("domain", domain)):
            if value is not None and _OUTSIDE.search(value):
                raise ConfigurationError(
                    f"{what} is {value!r}, which no cookie can say"
                )
        if secret == "":
            raise ConfigurationError("secret is empty; leave it out, or give one")
        self.cookie, self.header = cookie, header
        self._attributes = _attributes(
            {"Max-Age": max_age, "Path": path, "Domain": domain, "SameSite": samesite},
            secure=secure,
        )
        self._secret = None if secret is None else secret.encode()
        #: Whether each part has to have a signature of its own.
        self._signed = secret is None and not unsigned
        self._warned = False

    def begin(
        self, header: str | None, cookies: str | None, *, alone: bool = False
    ) -> Work:
        """Return the work of a request that came with these headers, if any.

        It is *alone*, or a part of the piece of work that the caller is in.
        """
        # Whoever goes on sending one of them does not hide what is newer in the other.
        texts = {text for text in (header, self._cookie(cookies or "")) if text}
        if self._secret is None:
            return Work(*texts, signed=self._signed, alone=alone)
        opened = (self._opened(text, self._secret) for text in texts)
        return Work(*opened, alone=alone)

    def headers(self, work: Work) -> list[tuple[str, str]]:
        """Return what the response to a request says of its *work*: mostly nothing.

        What was written is written: that no token could be had is logged.
        """
        try:
            token = work.token
        except Error as error:
            logger.warning("token_missing error=%s", error)
            return []
        if token is not None and self._signed:
            token = self._signed_alone(token)
        if token is None:
            return []
        # Servers want nothing but plain texts.
        token = str(token)
        if self._secret is not None:
            token = f"{token}{_SEAL}{_signature(token, self._secret)}"
        found = [] if self.header is None else [(self.header, token)]
        cookie = f"{self.cookie}={token}{self._attributes}"
        if self.cookie is not None and len(cookie) <= LONGEST:
            found.append(("Set-Cookie", cookie))
        elif self.cookie is not None:
            logger.warning("token_too_long characters=%s", len(token))
        return found

    def _cookie(self, cookies: str) -> str | None:
        for pair in cookies.split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == self.cookie:
                return value.strip().strip('"')
        return None

    def _opened(self, text: str, secret: bytes) -> str | None:
        token, _, signature = text.rpartition(_SEAL)
        right = _signature(token, secret).encode()
        if hmac.compare_digest(right, signature.encode("utf-8", "replace")):
            return token
        events.token_ignored(
            TokenError(
                "the middleware's signature is missing, or wrong",
                reason="forged" if token else "unsigned",
            )
        )
        return None

    def _signed_alone(self, token: str) -> str | None:
        signed = [part for part in parts(token) if label(part).signed]
        if len(signed) < len(parts(token)) and not self._warned:
            self._warned = True
            logger.warning(
                "token_unsigned: a request has written, and its user's next one is not "
                "told of it, because anybody could make such a token up: set "
                "token_secret, the same in every process, or give the middleware a "
                "secret"
            )
        return Token.merge(*signed) if signed else None


def private(cache_control: str) -> str:
    """Return the value of Cache-Control for a response that has a token.

    A cache that several users share would set the token of one as the cookie of others,
    in place of a newer one of theirs.
    """
    given = [word.strip() for word in cache_control.split(",")]
    kept = [
        word
        for word in given
        if word and word.partition("=")[0].lower() not in ("public", "s-maxage")
    ]
    if not {"private", "no-store"} & {word.lower() for word in kept}:
        kept.append("private")
    return ", ".join(kept)


def _attributes(values: Mapping[str, object], *, secure: bool) -> str:
    given = [f"{name}={value}" for name, value in values.items() if value is not None]
    return "; ".join(["", *given, "HttpOnly", *(["Secure"] if secure else [])])


def _signature(token: str, secret: bytes) -> str:
    said = b"globaldb middleware " + token.encode("utf-8", "replace")
    digest = hmac.digest(secret, said, "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
