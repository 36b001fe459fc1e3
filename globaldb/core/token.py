"""A position in text, signed, for another process."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

from globaldb.core.position import Lsn
from globaldb.errors import DataError

_VERSION = "gdb1"


@dataclass(frozen=True, slots=True)
class Token:
    """What a session has seen of one database cluster.

    Its text is ``gdb1.CLUSTER.TIMELINE-LSN.SIGNATURE``; without a secret the
    signature is empty, and anybody can make one up.
    """

    system: str
    position: Lsn | None

    def encode(self, secret: str | None) -> str:
        """Return the token's text, signed with *secret* if there is one."""
        place = ""
        if self.position is not None:
            place = f"{self.position.timeline:x}-{self.position.value:x}"
        body = f"{_VERSION}.{self.system}.{place}"
        return f"{body}.{_signature(body, secret)}"

    @classmethod
    def decode(cls, text: str, secret: str | None, system: str) -> Token:
        """Read a token's text.

        Raises `DataError` when it is damaged, forged, unsigned although a secret is
        set, or of another cluster than *system*.
        """
        body, dot, signature = text.rpartition(".")
        parts = body.split(".")
        if not dot or len(parts) != 3 or parts[0] != _VERSION:
            raise DataError("the token is damaged, or not one of this version")
        expected = _signature(body, secret)
        if secret is not None and not hmac.compare_digest(
            expected.encode(), signature.encode()
        ):
            raise DataError("the token's signature is wrong: forged, or another secret")
        if parts[1] != system:
            raise DataError(
                f"the token is of database cluster {parts[1]!r}, not of {system!r}"
            )
        return cls(system, _position(parts[2]))


def _position(text: str) -> Lsn | None:
    if not text:
        return None
    timeline, dash, value = text.partition("-")
    try:
        position = Lsn(int(value, 16), int(timeline, 16))
    except ValueError:
        raise DataError("the token is damaged") from None
    if not dash or position.value >= 1 << 64 or position.value < 0:
        raise DataError("the token is damaged")
    return position


def _signature(body: str, secret: str | None) -> str:
    if secret is None:
        return ""
    digest = hmac.digest(secret.encode(), body.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
