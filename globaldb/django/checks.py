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
    """Check that a user sees after a redirect what was written before it.

    W002: the middleware is missing, or in the wrong place. W004: what it keeps in users'
    sessions comes too late.
    """
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
    if getattr(settings, "GLOBALDB_TOKEN_STORE", "cookie") == "session":
        return _about_sessions()
    place = middleware.index(_MIDDLEWARE)
    if _SESSIONS not in middleware[:place]:
        return []
    return [
        CheckWarning(
            "What SessionMiddleware saves is not told to the next request: it saves "
            "after CausalityMiddleware has looked.",
            hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
            id="globaldb.W002",
        )
    ]


def _about_sessions() -> list[CheckMessage]:
    if not _sessions_in_database():
        return []
    return [
        CheckWarning(
            "GLOBALDB_TOKEN_STORE is 'session', and users' sessions are kept in a "
            "database: they are read before it is known how fresh they have to be.",
            hint="Leave GLOBALDB_TOKEN_STORE at 'cookie'.",
            id="globaldb.W004",
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


def _sessions_in_database() -> bool:
    engine: str = settings.SESSION_ENGINE
    return engine.endswith((".db", ".cached_db", "globaldb.django.sessions"))


def _about_consistency(alias: str, config: Config) -> list[CheckMessage]:
    lax = config.consistency is not None and config.consistency.value == "eventual"
    if not (lax and _sessions_in_database()):
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
