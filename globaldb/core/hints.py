"""Hints: a leading comment that says where one statement shall go.

``/* globaldb: route=writer, max_staleness=2s */ SELECT ...``
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from globaldb.core.consistency import parse_consistency
from globaldb.core.durations import seconds
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What ``using(route=...)`` and ``route=`` may say.
ROUTES: Final = ("auto", "reader", "writer")

_HINT: Final = re.compile(r"\s*+/\*\s*+globaldb:([^*]*+)\*/")
_SEPARATOR: Final = re.compile(r"[\s,]++")


def hints(sql: str) -> Mapping[str, Any] | None:
    """Return the options that *sql* begins with; ``None`` without a hint.

    Keys and values are those of the connection's ``using()``. Raises
    `ConfigurationError` for what is not understood: a hint that was misspelt must
    not be silently without effect.
    """
    found = _HINT.match(sql)
    if found is None:
        return None
    words = [word for word in _SEPARATOR.split(found[1]) if word]
    return dict(_option(word) for word in words)


def _option(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    read = _READERS.get(name.lower())
    if read is None or not equals or not value:
        known = ", ".join(f"{key}=" for key in _READERS)
        raise ConfigurationError(f"hint {word!r} is not understood; there is {known}")
    return name.lower(), read(value)


def _route(value: str) -> str:
    if value.lower() not in ROUTES:
        raise ConfigurationError(
            f"hint route={value}: it must be one of {', '.join(ROUTES)}"
        )
    return value.lower()


def _max_staleness(value: str) -> float:
    found = seconds(value)
    if found is None or found < 0:
        raise ConfigurationError(
            f"hint max_staleness={value}: it must be seconds, or a text such as "
            "250ms or 2s"
        )
    return found


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "route": _route,
    "consistency": parse_consistency,
    "region": str,
    "max_staleness": _max_staleness,
}
