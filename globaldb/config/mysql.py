"""The keywords of PyMySQL that pass through to the driver, and what TLS is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.config.values import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How TLS is used, as MySQL's own programs call it. There is no ``preferred``: whoever
#: can read the line can also take TLS off it.
MODES: Final = ("disabled", "required", "verify_ca", "verify_identity")
PROVING: Final = frozenset(("verify_ca", "verify_identity"))

#: What TLS is made of; PyMySQL's own and three of MySQL's programs.
TLS: Final[dict[str, Kind]] = {
    "ssl": Kind.OBJECT,
    "ssl_ca": Kind.TEXT,
    "ssl_capath": Kind.TEXT,
    "ssl_cert": Kind.TEXT,
    "ssl_cipher": Kind.TEXT,
    "ssl_disabled": Kind.SWITCH,
    "ssl_key": Kind.TEXT,
    "ssl_key_password": Kind.TEXT,
    "ssl_mode": Kind.WORD,
    "ssl_verify_cert": Kind.SWITCH,
    "ssl_verify_identity": Kind.SWITCH,
}

#: Keyword to what it holds. What globaldb has an option of its own for (host, user,
#: ...) is not listed here.
PARAMETERS: Final[dict[str, Kind]] = {
    "auth_plugin_map": Kind.OBJECT,
    "binary_prefix": Kind.SWITCH,
    "bind_address": Kind.TEXT,
    "charset": Kind.TEXT,
    "client_flag": Kind.COUNT,
    "collation": Kind.TEXT,
    "init_command": Kind.TEXT,
    "local_infile": Kind.SWITCH,
    "max_allowed_packet": Kind.COUNT,
    "multi_statements": Kind.SWITCH,
    "read_timeout": Kind.DURATION,
    "server_public_key": Kind.OBJECT,
    "sql_mode": Kind.TEXT,
    "use_unicode": Kind.SWITCH,
    "write_timeout": Kind.DURATION,
    **TLS,
}

#: Keywords whose value is never shown.
SECRETS: Final = frozenset({"ssl_key_password"})

#: Keywords that would do nothing, or something else than they say, and why.
REFUSED: Final[dict[str, str]] = {
    "compress": "PyMySQL does not compress either",
    "defer_connect": "nothing is opened before it is needed",
    "named_pipe": "PyMySQL does not use named pipes either",
    "read_default_file": "options come from the URL, keywords, the environment and "
    "globaldb.toml; write into one of them what the file says",
    "read_default_group": "see read_default_file",
}

#: What a dictionary for ``ssl`` may hold, and what each is called as an option.
_PARTS: Final = {
    "ca": "ssl_ca",
    "capath": "ssl_capath",
    "cert": "ssl_cert",
    "check_hostname": "ssl_verify_identity",
    "cipher": "ssl_cipher",
    "key": "ssl_key",
    "password": "ssl_key_password",
    "verify_mode": "ssl_verify_cert",
}
_NOT_VERIFIED: Final = ("none", "optional", "0", "false", "no")
#: What a context is made of, where the application has made none.
_MADE_OF: Final = (
    "ssl_ca",
    "ssl_capath",
    "ssl_cert",
    "ssl_cipher",
    "ssl_key",
    "ssl_key_password",
)


def unfolded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* with a dictionary for ``ssl`` taken apart.

    Options that stand beside it win. Raises `ValueError` for a key that is unknown.
    """
    parts = options.get("ssl")
    if not isinstance(parts, tuple):
        return dict(options)
    found: dict[str, Any] = {}
    for key, value in parts:
        if key not in _PARTS:
            raise ValueError(key)
        if key == "verify_mode":
            value = str(value).lower() not in _NOT_VERIFIED  # noqa: PLW2901 - read
        if value is not None:
            found[_PARTS[key]] = value
    return found | {name: value for name, value in options.items() if name != "ssl"}


def tls_mode(options: Mapping[str, Any], *, stays_here: bool) -> str:
    """Return which of `MODES` is used with *options*.

    Off this machine nothing but what is said outright makes less than
    ``verify_identity`` of it. On it, what asks for TLS in PyMySQL turns it on, and
    verifies what PyMySQL does.
    """
    said = options.get("ssl_mode")
    if said is not None:
        return str(said)
    if options.get("ssl_disabled"):
        return "disabled"
    name, proof = options.get("ssl_verify_identity"), options.get("ssl_verify_cert")
    if name is None and not stays_here:
        name = proof is not False
    if name:
        return "verify_identity"
    if proof is not False and (proof or not stays_here):
        return "verify_ca"
    asked = not stays_here or any(options.get(part) for part in _MADE_OF)
    return "required" if asked or proof is False or name is False else "disabled"


def tls(options: Mapping[str, Any], *, stays_here: bool) -> dict[str, Any]:
    """Return the mode and what TLS is made of, or the application's own context."""
    context = options.get("ssl")
    if context is not None and options.get("ssl_mode") is None:
        return {"ssl": context}
    mode = tls_mode(options, stays_here=stays_here)
    if mode == "disabled":
        return {"ssl_mode": mode}
    made_of = {name: options[name] for name in _MADE_OF if options.get(name)}
    return {"ssl_mode": mode} | made_of
