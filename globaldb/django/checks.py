"""System checks: what would go wrong, or slowly, said before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from globaldb.django.wrapper import GlobaldbWrapper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.apps import AppConfig

    from globaldb.config import Config

_MIDDLEWARE: Final = "globaldb.django.middleware.CausalityMiddleware"
_SESSIONS: Final = "django.contrib.sessions.middleware.SessionMiddleware"


def check_databases(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - as Django calls it
    **kwargs: Any,  # noqa: ARG001 - as above
) -> Iterable[CheckMessage]:
    """Check the configuration of each alias. Opens no connection.

    E001: it makes no sense. W001: two aliases are one cluster. W003: its reads may be
    older than what the user has just written.
    """
    found: list[CheckMessage] = []
    known: dict[Any, str] = {}
    for wrapper in _wrappers():
        try:
            config = wrapper.configured(wrapper.get_connection_params())
        except ImproperlyConfigured as error:
            found.append(Error(str(error), id="globaldb.E001"))
            continue
        other = known.setdefault((config.nodes, config.database), wrapper.alias)
        if other != wrapper.alias:
            found.append(_twice(wrapper.alias, other))
        found += _about_consistency(wrapper.alias, config)
    return found


def check_middleware(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - as Django calls it
    **kwargs: Any,  # noqa: ARG001 - as above
) -> Iterable[CheckMessage]:
    """Check that a user sees after a redirect what was written before it (W002)."""
    middleware = list(settings.MIDDLEWARE)
    if not middleware or not any(_wrappers()):
        return []
    if _MIDDLEWARE not in middleware:
        return [
            CheckWarning(
                "No middleware tells a request what the one before it has written: the "
                "page behind a redirect may not show it yet.",
                hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
                id="globaldb.W002",
            )
        ]
    in_session = getattr(settings, "GLOBALDB_TOKEN_STORE", "cookie") == "session"
    place = middleware.index(_MIDDLEWARE)
    if in_session or _SESSIONS not in middleware[:place]:
        return []
    return [
        CheckWarning(
            "What SessionMiddleware saves is not told to the next request: it saves "
            "after CausalityMiddleware has looked.",
            hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
            id="globaldb.W002",
        )
    ]


def _wrappers() -> Iterator[GlobaldbWrapper]:
    for wrapper in connections.all():
        if isinstance(wrapper, GlobaldbWrapper):
            yield wrapper


def _twice(alias: str, other: str) -> CheckMessage:
    return CheckWarning(
        f"DATABASES[{alias!r}] and DATABASES[{other!r}] are one database: what is "
        "written through one is not known to the reads of the other.",
        hint="One alias is enough: each statement finds its node by itself.",
        id="globaldb.W001",
    )


def _about_consistency(alias: str, config: Config) -> list[CheckMessage]:
    engine = getattr(settings, "SESSION_ENGINE", "")
    kept_there = engine.endswith((".db", ".cached_db"))
    lax = config.consistency is not None and config.consistency.value == "eventual"
    if not (kept_there and lax):
        return []
    return [
        CheckWarning(
            f"DATABASES[{alias!r}] reads with consistency 'eventual', and users' "
            "sessions are kept in a database: who has just logged in may be a stranger "
            "to the next request.",
            hint="Leave consistency at 'session'.",
            id="globaldb.W003",
        )
    ]
