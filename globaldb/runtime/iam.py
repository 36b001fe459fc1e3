"""Tokens of AWS IAM in the place of a password: signed here, for one node each.

A token is good for a quarter of an hour and is asked for only while connecting. It is
signed for the region, and for the name that RDS has for the node: one of the
application's own is followed to that. The endpoint of a global database is such a name,
but it has no region until somebody has looked where it leads.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from globaldb.config.authentication import signing_region
from globaldb.config.secret import Login, Secret
from globaldb.core.endpoints import parse_endpoint
from globaldb.errors import NoNodeAvailableError, OperationalError
from globaldb.runtime import aws
from globaldb.runtime.discovery.names import installed, is_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import NodeAddress

#: Seconds for which AWS takes a token.
LIFETIME: Final = 900.0
#: The part of its life after which another is signed.
_WORN: Final = 0.8

#: Seconds that the DNS is waited for where it can be done without: connecting takes
#: the rest.
_NAMING: Final = 1.0

#: Seconds in which a token cannot have become too old.
_FRESH: Final = 5.0


class Led(NamedTuple):
    """The name of RDS that another leads to, and the region that it tells."""

    host: str
    region: str


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

    *behind* returns, before a deadline, the name and region of RDS that another name
    leads to now; None where it leads to none. *patience* bounds, in seconds, each wait
    for AWS's credentials.
    """

    def __init__(
        self,
        user: str | None,
        *,
        behind: Callable[[str, float], Led | None],
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
        #: Name and region that others led to last, for when the DNS fails.
        self._led: dict[str, Led] = {}

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
        """Return what a token for *node* is signed for; raises as `login` does."""
        host = node.host.lower().removesuffix(".")
        if parse_endpoint(host) is None and is_name(host) and installed():
            led = self._follow(host, min(deadline, monotonic() + _NAMING))
            if led is not None:
                return _Place(led.region, led.host, node.port)
        region = signing_region(node) or self._global_region(host, deadline)
        return _Place(region, host, node.port)

    def _follow(self, host: str, deadline: float) -> Led | None:
        """Return name and region that *host* leads to, or led to last."""
        if host in self._led:
            deadline = min(deadline, monotonic() + _NAMING)
        with suppress(NoNodeAvailableError):
            led = self._behind(host, deadline)
            if led is None:
                self._led.pop(host, None)
            else:
                self._led[host] = led
        return self._led.get(host)

    def _global_region(self, host: str, deadline: float) -> str:
        led = self._follow(host, deadline)
        if led is None:
            raise NoNodeAvailableError(
                f"no token of IAM can be signed for {host}: the DNS leads to no "
                "instance whose region is known. Name the instances with "
                "node=REGION@HOST:PORT, or the database with global_cluster="
            )
        return led.region

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
