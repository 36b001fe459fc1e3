"""The last position of each user, in Redis or Valkey, for the processes that serve one.

What is kept is a token, under a hash of the user's key. Losing it costs a round trip to
the writer and never more: whoever could not be told of a position reads there.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from globaldb.core.position import Lsn
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from globaldb.config import Config
    from globaldb.core.position import Position

logger = logging.getLogger("globaldb")

#: Seconds that one question may take: a store that takes longer is of no use next to
#: the round trip it saves.
_PATIENCE: Final = 0.05
#: Seconds without a question after the store did not answer.
_PAUSE: Final = 1.0

#: Characters in front of the token that put two positions in order.
_ORDER: Final = 24

#: A later position is never replaced by an earlier one that arrives behind it; but it
#: lives on as long as the earlier one would have.
_PUBLISH: Final = """
local kept = redis.call('GET', KEYS[1])
if kept and string.sub(kept, 1, 24) > string.sub(ARGV[1], 1, 24) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""


class Kept(NamedTuple):
    """What the store has for a key."""

    #: A token, or None where nothing is kept.
    token: str | None
    #: Whether nothing newer can be missing.
    complete: bool


#: The answer of a store that gave none.
NOTHING: Final = Kept(None, complete=False)


class SessionStore:
    """One Redis or Valkey, asked briefly, and not at all for a while after it failed.

    Opens nothing before it is first used. Nothing raises when it does not answer.
    """

    def __init__(self, client: Any, *, ttl: float, failure: type[Exception]) -> None:
        self._client = client
        self._publish = client.register_script(_PUBLISH)
        self._ttl = ttl
        self._failure = failure
        #: Monotonic seconds before which it is not asked again.
        self._asked_from = 0.0
        #: Monotonic seconds from when on nothing can be missing that others could not
        #: publish while it was down.
        self._complete_from = 0.0
        self._down = False

    def look_up(self, key: str) -> Kept:
        """Return what is kept under *key*."""

        def ask() -> Kept:
            pipe = self._client.pipeline(transaction=False)
            pipe.mget(_names(key))
            pipe.info("server")
            (text, unknown), server = pipe.execute()
            if isinstance(text, bytes):
                # A URL may ask for texts instead.
                text = text.decode("ascii", "replace")
            token = None if text is None else text[_ORDER:]
            return Kept(token, unknown is None and self._complete(server))

        return self._try(ask) or NOTHING

    def publish(self, key: str, position: Position, token: str) -> None:
        """Keep *token*, which tells *position*, unless a later one is there."""
        order = _order(position)
        name, _ = _names(key)
        args = [order + token, self._milliseconds]
        self._try(lambda: self._publish(keys=[name], args=args))

    def forget(self, key: str) -> None:
        """Have everybody ask the writer: something was written nobody knows where."""
        _, unknown = _names(key)
        self._try(lambda: self._client.set(unknown, "1", px=self._milliseconds))

    def close(self) -> None:
        """Close the connections to it."""
        self._client.close()

    @property
    def _milliseconds(self) -> int:
        return int(self._ttl * 1000)

    def _complete(self, server: dict[str, Any]) -> bool:
        """Whether it has been there as long as what it keeps would have been kept.

        After a restart it has lost, or never heard of, what was written before.
        """
        uptime = server.get("uptime_in_seconds", 0)
        return uptime >= self._ttl and monotonic() >= self._complete_from

    def _try(self, ask: Callable[[], Any]) -> Any:
        """Ask, twice when something went wrong at first; None when it has failed."""
        if monotonic() < self._asked_from:
            return None
        try:
            try:
                answer = ask()
            except self._failure:
                # It may be a connection that idled too long.
                answer = ask()
        except self._failure as error:
            self._failed(error)
            return None
        if self._down:
            self._down = False
            logger.info("session_store_back")
        return True if answer is None else answer

    def _failed(self, error: Exception) -> None:
        now = monotonic()
        self._asked_from = now + _PAUSE
        self._complete_from = now + self._ttl
        if not self._down:
            self._down = True
            logger.warning(
                "session_store_down error=%s consequence=reads_at_writer",
                type(error).__name__,
            )


def open_store(config: Config) -> SessionStore | None:
    """Return the store that *config* names, or None.

    Raises `ConfigurationError` when the package redis is missing, or does not
    understand the URL.
    """
    if config.session_store is None:
        return None
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigurationError(
            "session_store needs the package redis: pip install 'globaldb[redis]'"
        ) from None
    try:
        client = redis.Redis.from_url(
            config.session_store.reveal(),
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        # Its text quotes the URL.
        raise ConfigurationError(
            "session_store is not a URL that redis reads"
        ) from None
    return SessionStore(client, ttl=config.session_ttl, failure=redis.RedisError)


def shareable(position: Position) -> Position | None:
    """Return the forms of *position* that hold for everybody; None if there is none.

    Of transactions each would know only its own, and the last to publish forget those
    of the others.
    """
    if position.log is None and position.moment is None:
        return None
    return replace(position, xids=None)


def _order(position: Position) -> str:
    if isinstance(position.log, Lsn):
        return f"{position.log.timeline:08x}{position.log.value:016x}"
    if position.log is not None:
        return f"{0:08x}{position.log.size:016x}"
    return f"{0:08x}{int((position.moment or 0) * 1e6):016x}"


def _names(key: str) -> tuple[str, str]:
    """Return the names of a key's position and of its mark; neither shows the key."""
    name = f"globaldb:{{{hashlib.sha256(key.encode()).hexdigest()}}}"
    return f"{name}:position", f"{name}:unknown"
