"""Taking a database URL apart, and showing one without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from globaldb.config.address import HOST_NAME, is_port, split_place
from globaldb.config.options import BY_NAME, SECRET_NAMES, shown_name
from globaldb.config.secret import MASK
from globaldb.config.values import ENGINES
from globaldb.errors import ConfigurationError

HINT = "a / ? # @ : or % in a user, password or database is written %2F %3F %23 %40 %3A %25"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}")
SEPARATORS = frozenset("/?#@:")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, repr=False)
class Pieces:
    """The parts of a URL; all but the place (host and port) still percent-encoded."""

    scheme: str
    user: str | None
    password: str | None
    place: str
    database: str
    query: tuple[tuple[str, str], ...]


def parse_url(url: str) -> list[tuple[str, str]]:
    """Return the options *url* holds, name and decoded text, in its own order.

    Raises `ConfigurationError` when it is no URL or its scheme is no database's. No
    message quotes the URL: a broken one shows its password in unexpected places.
    """
    pieces = take_apart(url)
    found = [("engine", engine_of(pieces.scheme))]
    if pieces.user:
        found.append(("user", decode(pieces.user)))
    if pieces.password is not None:
        found.append(("password", decode(pieces.password)))
    host, port = split_place(pieces.place)
    if host:
        found.append(("host", host))
    if port:
        found.append(("port", port))
    if pieces.database:
        found.append(("database", decode(pieces.database)))
    found += [(decode(name), decode(value)) for name, value in pieces.query]
    return found


def take_apart(url: str) -> Pieces:
    """Split *url* at its separators."""
    scheme, mark, rest = url.partition("://")
    if not mark or not SCHEME.fullmatch(scheme):
        advice = "; host=... and the like are given as keywords" if "=" in url else ""
        raise ConfigurationError(
            "this is not a database URL; one looks like "
            f"postgresql://user:password@host:5432/database?consistency=session{advice}"
        )
    body, _, query = rest.partition("?")
    authority, _, database = body.partition("/")
    login, at, place = authority.rpartition("@")
    user, colon, password = login.partition(":")
    place = decode(place)
    check_place(place)
    if "/" in database or "@" in database:
        raise ConfigurationError(f"the database in the URL holds a / or @; {HINT}")
    return Pieces(
        scheme=scheme.lower(),
        user=user if at else None,
        password=password if colon else None,
        place=place,
        database=database,
        query=tuple(split_query(query)),
    )


def check_place(place: str) -> None:
    """Raise `ConfigurationError` unless *place* is empty or one HOST:PORT."""
    host, port = split_place(place)
    if host and not (host.startswith("/") or ":" in host or HOST_NAME.fullmatch(host)):
        raise ConfigurationError(f"the host in the URL is not a name; {HINT}")
    if port is not None and not is_port(port):
        raise ConfigurationError(f"the port in the URL is not 1 to 65535; {HINT}")


def split_query(query: str) -> list[tuple[str, str]]:
    """Split *query* into names and values, still percent-encoded."""
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, equals, value = part.partition("=")
        # A ? in a password leaves the rest of it, and the host, in place of a name.
        if not equals or not SEPARATORS.isdisjoint(name):
            raise ConfigurationError(
                f"the URL has something behind '?' that is not name=value; {HINT}"
            )
        pairs.append((name, value))
    return pairs


def engine_of(scheme: str) -> str:
    """Return the engine a URL's *scheme* stands for."""
    engine = ENGINES.get(scheme)
    if engine is not None:
        return engine
    plain = ENGINES.get(scheme.partition("+")[0])
    advice = f"; write {plain}:// alone" if plain else ""
    raise ConfigurationError(
        f"the URL's scheme is {scheme!r}; it must be postgresql, postgres, mysql "
        f"or mariadb{advice}"
    )


def decode(text: str) -> str:
    """Undo percent-encoding; a plus sign stays one."""
    if BAD_ESCAPE.search(text):
        raise ConfigurationError(
            f"a % in the URL is not followed by two hexadecimal digits; {HINT}"
        )
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(
            "a percent-encoded part of the URL is not UTF-8"
        ) from None
    if "\x00" in plain:
        raise ConfigurationError("the URL holds a null character")
    return plain


def redact(url: str) -> str:
    """Return *url* fit for a log: secrets masked, and all of it when it is broken."""
    try:
        pieces = take_apart(url)
        parse_url(url)
    except ConfigurationError:
        scheme, mark, _ = url.partition("://")
        known = mark and scheme.lower() in ENGINES
        return f"{scheme}://{MASK}" if known else MASK
    login = pieces.user or ""
    if pieces.password is not None:
        login += f":{MASK}"
    if pieces.user is not None:
        login += "@"
    query = "&".join(shown_parameter(*pair) for pair in pieces.query)
    place = quote(pieces.place, safe="[]:")
    database = f"/{pieces.database}" if pieces.database or query else ""
    return f"{pieces.scheme}://{login}{place}{database}{'?' + query if query else ''}"


def shown_parameter(name: str, value: str) -> str:
    """Return ``name=value``, masked unless the option is known and no secret."""
    # user:password@host in place of region@host happens
    holds_login = ":" in unquote(value).rpartition("@")[0]
    if name in BY_NAME and name not in SECRET_NAMES and not holds_login:
        return f"{name}={value}"
    shown = quote(name) if shown_name(name).startswith("'") else MASK
    return f"{shown}={MASK}"
