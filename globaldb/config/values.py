"""Reading one option's value, whether it came as text or as a Python value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from os import PathLike, fspath
from typing import Final

from globaldb.config.secret import Secret
from globaldb.core.consistency import Consistency, parse_consistency
from globaldb.core.durations import number, seconds
from globaldb.errors import ConfigurationError

ENGINES: Final = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
SWITCH: Final = {
    **dict.fromkeys(("true", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "0", "off", "no"), False),
}


class Kind(Enum):
    """What an option holds; the value is how the documentation names it."""

    TEXT = "text"
    WORD = "word"
    SECRET = "secret text"  # noqa: S105 - names a kind of option
    DURATION = "duration"
    NUMBER = "number"
    COUNT = "whole number"
    SWITCH = "true or false"
    CONSISTENCY = "consistency"
    ENGINE = "engine"
    NODES = "node, repeatable"
    PATTERNS = "pattern, repeatable"
    NAMES = "names with commas between"
    OBJECT = "Python object"


def read(kind: Kind, name: str, raw: object) -> object:
    """Return *raw* as a value of *kind*; raise `ConfigurationError` if it is none."""
    return READERS[kind](name, raw)


def read_text(name: str, raw: object) -> str:
    """Return *raw* as text; numbers, switches and paths are accepted as such."""
    if isinstance(raw, bool):
        raw = int(raw)
    if isinstance(raw, PathLike):
        raw = fspath(raw)
    if not isinstance(raw, str | int | float):
        raise ConfigurationError(f"{name} must be a text, not {type(raw).__name__}")
    text = str(raw)
    if "\x00" in text:
        raise ConfigurationError(f"{name} holds a null character")
    return text


def read_word(name: str, raw: object) -> str:
    """Return *raw* in lower case, with underscores: ``VERIFY-CA`` is ``verify_ca``."""
    return read_text(name, raw).strip().lower().replace("-", "_")


def read_object(name: str, raw: object) -> object:
    """Return *raw* as it is; a dictionary as its items, in order.

    Raises `ConfigurationError` for a text, which stands for no object, and for what
    cannot be compared with others.
    """
    if isinstance(raw, str):
        raise ConfigurationError(
            f"{name} must be a Python object; give it as a keyword"
        )
    found = tuple(sorted(raw.items())) if isinstance(raw, Mapping) else raw
    try:
        hash(found)
    except TypeError:
        raise ConfigurationError(
            f"{name} holds something that cannot be compared"
        ) from None
    return found


def read_secret(name: str, raw: object) -> Secret:
    """Return *raw* as a secret; no message ever quotes it."""
    return raw if isinstance(raw, Secret) else Secret(read_text(name, raw))


def read_number(name: str, raw: object) -> float:
    """Return *raw* as a finite number."""
    if isinstance(raw, str):
        found = number(raw)
        if found is None:
            raise ConfigurationError(f"{name} is {raw!r}; it must be a number")
        raw = found
    return finite(name, raw)


def read_duration(name: str, raw: object) -> float:
    """Return *raw* in seconds: a number, or text such as ``250ms``, ``2s``, ``1m``."""
    if isinstance(raw, str):
        found = seconds(raw)
        if found is None:
            raise ConfigurationError(
                f"{name} is {raw!r}; it must be seconds, or a text such as "
                "'250ms', '2s', '1m' or '1h'"
            )
        raw = found
    return finite(name, raw)


def finite(name: str, raw: object) -> float:
    """Return *raw* as float unless it is no number, infinite or not a number."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ConfigurationError(f"{name} must be a number, not {type(raw).__name__}")
    if not math.isfinite(raw):
        raise ConfigurationError(f"{name} is {raw}; it must be a finite number")
    return float(raw)


def read_count(name: str, raw: object) -> int:
    """Return *raw* as a whole number."""
    number = read_number(name, raw)
    if number != int(number):
        raise ConfigurationError(f"{name} is {number:g}; it must be a whole number")
    return int(number)


def read_switch(name: str, raw: object) -> bool:
    """Return *raw* as true or false."""
    if isinstance(raw, bool):
        return raw
    answer = SWITCH.get(str(raw).strip().lower())
    if answer is None:
        raise ConfigurationError(
            f"{name} is {raw!r}; it must be one of {', '.join(SWITCH)}"
        )
    return answer


def read_consistency(name: str, raw: object) -> Consistency | None:
    """Return *raw* as a consistency; None means that writes are not forwarded."""
    return (
        raw if isinstance(raw, Consistency) else parse_consistency(read_text(name, raw))
    )


def read_engine(name: str, raw: object) -> str:
    """Return the engine's one name for any of its names."""
    engine = ENGINES.get(read_text(name, raw).strip().lower())
    if engine is None:
        raise ConfigurationError(f"{name} is {raw!r}; it must be postgresql or mysql")
    return engine


def read_nodes(name: str, raw: object) -> tuple[str, ...]:
    """Return what may be repeated, one text or several, not yet taken apart."""
    if isinstance(raw, str):
        raw = [raw]
    if not isinstance(raw, Sequence) or not all(isinstance(n, str) for n in raw):
        raise ConfigurationError(f"{name} must be a text or a list of texts")
    if not raw:
        raise ConfigurationError(f"{name} is an empty list; give at least one")
    return tuple(raw)


def read_names(name: str, raw: object) -> tuple[str, ...]:
    """Return the names in *raw*: a list, or one text with commas between them."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, Sequence) or not all(isinstance(n, str) for n in parts):
        raise ConfigurationError(f"{name} must be a text or a list of texts")
    return tuple(part.strip() for part in parts if part.strip())


READERS: Final[Mapping[Kind, Callable[[str, object], object]]] = {
    Kind.TEXT: read_text,
    Kind.WORD: read_word,
    Kind.SECRET: read_secret,
    Kind.DURATION: read_duration,
    Kind.NUMBER: read_number,
    Kind.COUNT: read_count,
    Kind.SWITCH: read_switch,
    Kind.CONSISTENCY: read_consistency,
    Kind.ENGINE: read_engine,
    Kind.NODES: read_nodes,
    Kind.PATTERNS: read_nodes,
    Kind.NAMES: read_names,
    Kind.OBJECT: read_object,
}
