"""``OPTIONS["pool"]``: what it asks for are the pools that globaldb has of each node."""

from __future__ import annotations

from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

#: The options of psycopg's pool that say what one of ours says.
_OURS: Final = {
    "min_size": "pool_min_size",
    "max_size": "pool_max_size",
    "timeout": "pool_wait",
    "max_lifetime": "pool_max_lifetime",
    "max_idle": "pool_max_idle",
}
#: Those that nothing here has to be told: names, threads, and how to try again.
_IDLE: Final = ("check", "name", "num_workers", "open", "reconnect_timeout")


class NodePools:
    """Stands where Django has psycopg's pool.

    False, so that Django borrows nothing from it: a connection is a session here, and
    takes from the pool of a node what it needs, when it needs it.
    """

    def __bool__(self) -> bool:
        return False


def pool_options(asked: Any) -> dict[str, Any]:
    """Return what ``OPTIONS["pool"]`` asks of the pool of each node.

    Raises `ImproperlyConfigured` for what those do not have.
    """
    if not asked or asked is True:
        return {}
    unknown = sorted(asked.keys() - _OURS.keys() - set(_IDLE))
    if unknown:
        raise ImproperlyConfigured(
            f"OPTIONS['pool'] has {', '.join(unknown)}: the pools that globaldb has of "
            f"each node know {', '.join(_OURS)}"
        )
    return {ours: asked[name] for name, ours in _OURS.items() if name in asked}
