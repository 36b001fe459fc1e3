"""The pool of an engine: none, for connections are pooled below, a pool for each node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.pool import NullPool

from globaldb.config.options import BY_NAME

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from globaldb.sqlalchemy.dialect import RoutedDialect

#: What SQLAlchemy's own pool adds to ``pool_size`` when nothing is said.
_OVERFLOW: Final = 10


class RoutedPool(NullPool):
    """Opens a routed connection for each checkout, which costs no round trip.

    Takes the arguments of SQLAlchemy's `QueuePool`, for `create_engine` to take them
    as ever, and has them apply to the pools below, of which each node has one:
    *pool_size* and *max_overflow* together are ``pool_max_size``, *timeout* is
    ``pool_wait``, *recycle* is ``pool_max_lifetime``. What the URL says itself counts.
    *use_lifo* and *pre_ping* ask for what happens anyway.
    """

    def __init__(  # noqa: PLR0917 - SQLAlchemy looks for names among these alone
        self,
        creator: Any,
        pool_size: int | None = None,
        max_overflow: int | None = None,
        timeout: float | None = None,
        use_lifo: bool = False,  # noqa: FBT001, FBT002 - likewise
        dialect: Dialect | None = None,
        **options: Any,
    ) -> None:
        del use_lifo
        super().__init__(creator, dialect=dialect, **options)
        limits = _limits(pool_size, max_overflow, timeout, options.get("recycle"))
        self._routed: RoutedDialect | None = dialect  # type: ignore[assignment]
        if limits and self._routed is not None:
            self._routed.limits = limits

    def status(self) -> str:
        """Say what stands in for a pool here."""
        return "RoutedPool: a pool for each node, see SHOW POOLS"

    def dispose(self) -> None:
        """Close what is not in use of the pools below, and the rest when it is idle."""
        if self._routed is not None:
            self._routed.drain()


def _limits(
    size: int | None,
    overflow: int | None,
    timeout: float | None,
    recycle: float | None,
) -> dict[str, Any]:
    """Return the options of our pools that say the same as those of SQLAlchemy's."""
    limits: dict[str, Any] = {}
    if size is not None or overflow is not None:
        most = BY_NAME["pool_max_size"].maximum
        more = _OVERFLOW if overflow is None else overflow
        endless = size == 0 or more < 0
        limits["pool_max_size"] = (
            most if endless else (5 if size is None else size) + more
        )
    if timeout is not None:
        limits["pool_wait"] = timeout
    if recycle is not None and recycle > 0:
        limits["pool_max_lifetime"] = recycle
    return limits
