"""Tokens of AWS IAM in the place of a password: signed here, for one node each.

A token is good for a quarter of an hour and is asked for only while connecting. It is
signed for the region, name and port of the node itself: a name that leads there will
not do, and the endpoint of a global database has no region until somebody has looked
where it leads.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from globaldb.config.authentication import signing_region
from globaldb.config.secret import Login, Secret
from globaldb.errors import OperationalError
from globaldb.runtime import aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import NodeAddress

#: Seconds for which AWS takes a token.
LIFETIME: Final = 900.0
#: The part of its life after which another is signed.
_WORN: Final = 0.8

#: Seconds in which a token cannot have become too old.
_FRESH: Final = 5.0


class _Place(NamedTuple):
    """What a token is signed for, beside the user."""

    region: str
    host: str
    port: int


class _Token(NamedTuple):
    """A login with a token, and when it was signed (seconds of the clock)."""

    login: Login
    signed_at: float


class IamTokens:
    """Signs in as *user* with tokens; keeps each until it is worn. Safe for threads.

    *behind* returns, before a deadline, the region that the endpoint of a global
    database leads to now. *patience* bounds, in seconds, each wait for AWS's
    credentials.
    """

    def __init__(
        self,
        user: str | None,
        *,
        behind: Callable[[str, float], str],
        patience: float,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._user = user
        self._behind = behind
        self._patience = patience
        self._worn_after = lifetime * _WORN
        self._clock = clock
        self._lock = threading.Lock()
        self._client: Any = None
        self._tokens: dict[_Place, _Token] = {}

    def login(self, node: NodeAddress, deadline: float) -> Login:
        """Return user and token for *node*.

        Raises `ConfigurationError` when no region can be signed for, `OperationalError`
        when AWS gives no credentials before *deadline* (monotonic seconds).
        """
        place = self._place(node, deadline)
        known = self._tokens.get(place)
        if known is None or self._worn(known):
            known = self._renewed(place, deadline)
        return known.login

    def renew(self, node: NodeAddress, refused: Login, deadline: float) -> bool:
        """Have another token for *node* than *refused*; whether there is one.

        One that was just signed is not refused for its age.
        """
        place = self._place(node, deadline)
        known = self._tokens.get(place)
        if known is not None and known.login is refused:
            if self._clock() - known.signed_at < _FRESH:
                return False
            # What signed it may have expired before it.
            self._tokens.pop(place, None)
        return self.login(node, deadline) is not refused

    def forget_after_fork(self) -> None:
        """Start over in a forked child: the thread that held the lock is not in it."""
        self._lock = threading.Lock()
        self._client = None

    def __repr__(self) -> str:
        return f"<IamTokens of {self._user}: {len(self._tokens)} kept>"

    def _worn(self, token: _Token) -> bool:
        return self._clock() - token.signed_at >= self._worn_after

    def _place(self, node: NodeAddress, deadline: float) -> _Place:
        region = signing_region(node) or self._behind(node.host, deadline)
        return _Place(region, node.host.lower().removesuffix("."), node.port)

    def _renewed(self, place: _Place, deadline: float) -> _Token:
        if not self._lock.acquire(timeout=max(0.0, deadline - monotonic())):
            raise OperationalError(
                f"no token for {place.host} in time: another thread waits for AWS's "
                "credentials. Look whether this process can get them"
            )
        try:
            known = self._tokens.get(place)
            if known is None or self._worn(known):
                known = self._tokens[place] = self._signed(place)
            return known
        finally:
            self._lock.release()

    def _signed(self, place: _Place) -> _Token:
        if self._client is None:
            self._client = aws.client("rds", place.region, self._patience)
        now, problem = self._clock(), ""
        try:
            with aws.unlogged():
                text = Secret(
                    self._client.generate_db_auth_token(
                        DBHostname=place.host,
                        Port=place.port,
                        DBUsername=self._user,
                        Region=place.region,
                    )
                )
            return _Token(Login(self._user, text), now)
        except aws.failures() as error:
            problem = aws.reason(error)
        # Outside, so that nothing of boto3 hangs on the error.
        raise OperationalError(
            f"no token of IAM for {self._user} at {place.host} in {place.region}: "
            f"{problem}"
        )
