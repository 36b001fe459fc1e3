"""What PyMySQL is given to reach a node, out of a configuration."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from pymysql.charset import charset_by_name

from globaldb.config.mysql import SECRETS
from globaldb.config.secret import DriverOptions
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from globaldb.config import Config, NodeAddress
    from globaldb.config.secret import Login

#: Options of the application's connections, not of the server's.
_OF_THE_FACE: Final = ("use_unicode", "binary_prefix")
_FILES: Final = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher")
#: Modes in which the certificate, and in which the name in it, is verified.
_VERIFIED: Final = ("verify_ca", "verify_identity")


def parameters(
    config: Config,
    node: NodeAddress,
    login: Login,
    contexts: dict[DriverOptions, ssl.SSLContext],
) -> DriverOptions:
    """Return the keywords with which PyMySQL reaches *node* as *login*.

    *contexts* keeps what TLS takes, by what it is made of. Raises
    `ConfigurationError` for a character set that PyMySQL does not know, and for TLS
    files that cannot be used.
    """
    charset = config.driver_options.get("charset")
    if charset and charset_by_name(charset) is None:
        raise ConfigurationError(
            f"charset is {charset!r} ({config.source('charset')}), which PyMySQL does "
            "not know; utf8mb4 is the default"
        )
    given: dict[str, Any] = {
        name: value
        for name, value in config.driver_options.items()
        if not name.startswith("ssl") and name not in _OF_THE_FACE
    }
    if "auth_plugin_map" in given:
        given["auth_plugin_map"] = dict(given["auth_plugin_map"])
    place: dict[str, Any] = {"host": node.host, "port": node.port}
    if node.is_socket:
        place = {"unix_socket": node.host}
    found: dict[str, Any] = {
        "at": node.at,
        "database": config.database,
        "user": login.user,
        "program_name": config.application_name,
        "password": _password(login),
    }
    known = {name: value for name, value in found.items() if value is not None}
    everything = {**given, **place, **known, **_tls(config, node, contexts)}
    return DriverOptions.of(everything, frozenset(("password",)))


def _password(login: Login) -> str | bytes | None:
    if login.password is None:
        return None
    text = login.password.reveal()
    try:
        # As PyMySQL does.
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _tls(
    config: Config,
    node: NodeAddress,
    contexts: dict[DriverOptions, ssl.SSLContext],
) -> dict[str, Any]:
    tls = DriverOptions.of(config.tls_for(node), SECRETS)
    if "ssl" in tls:
        return {"ssl": tls["ssl"]}
    if tls["ssl_mode"] == "disabled":
        return {"ssl_disabled": True}
    if tls not in contexts:
        try:
            contexts[tls] = _context(tls)
        except (OSError, ssl.SSLError) as error:
            given = ", ".join(f"{name}={tls[name]}" for name in _FILES if tls.get(name))
            raise ConfigurationError(
                f"TLS cannot use {given or tls['ssl_mode']}: {error}"
            ) from error
    return {"ssl": contexts[tls]}


def _context(tls: DriverOptions) -> ssl.SSLContext:
    """Make what PyMySQL cannot: it verifies no name without a certificate of ours."""
    mode = tls["ssl_mode"]
    context = ssl.create_default_context(
        cafile=tls.get("ssl_ca"), capath=tls.get("ssl_capath")
    )
    # Certificates that servers make for themselves lack what newer rules ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_REQUIRED if mode in _VERIFIED else ssl.CERT_NONE
    if tls.get("ssl_cert"):
        context.load_cert_chain(
            tls["ssl_cert"], tls.get("ssl_key"), tls.get("ssl_key_password")
        )
    if tls.get("ssl_cipher"):
        context.set_ciphers(tls["ssl_cipher"])
    return context
