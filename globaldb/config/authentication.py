"""Who the application is to the nodes, and what it asks of AWS for that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from globaldb.config import mysql
from globaldb.core.endpoints import EndpointKind, parse_endpoint
from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.config.address import NodeAddress
    from globaldb.config.resolve import Gathered

#: Where AWS publishes what `rds_ca` names.
BUNDLE: Final = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
#: Where a password comes from; one of these at most.
SOURCES: Final = ("password", "iam_auth", "secret")
#: Modes of libpq in which it would send a password to a server without TLS.
_WITHOUT_TLS: Final = ("disable", "allow", "prefer")
_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")
_ARN: Final = re.compile(r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):")


def uses_rds_certificate(host: str) -> bool:
    """Whether the certificate of *host* is signed by RDS's own authorities.

    That of an RDS Proxy is not: it is one of the public web's.
    """
    endpoint = parse_endpoint(host)
    return endpoint is not None and endpoint.kind is not EndpointKind.PROXY


def signing_region(node: NodeAddress) -> str | None:
    """Return the region for which a token for *node* is signed.

    That in the name of the host, for another name that of the node. None for the
    endpoint of a global database, whose region is where its writer is.

    Raises `ConfigurationError` when neither tells a region of AWS.
    """
    endpoint = parse_endpoint(node.host)
    if endpoint is not None:
        return endpoint.region
    if node.region is None or not _REGION.fullmatch(node.region):
        raise ConfigurationError(
            f"iam_auth: a token for {node} is signed for a region of AWS, and neither "
            "the host's name nor node=REGION@HOST:PORT tells one, such as ap-south-1"
        )
    return node.region


def secret_region(secret: str, given: str | None, home: str | None) -> str | None:
    """Return the region to ask for *secret*: *given*, its ARN's, or that of *home*.

    None leaves it to what AWS's own configuration says.
    """
    found = _ARN.match(secret)
    if given is not None:
        return given
    if found is not None:
        return found["region"]
    return home if home is not None and _REGION.fullmatch(home) else None


def check(found: Gathered, driver: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for what contradicts itself, or gives a token away.

    *driver* are the driver's own options.
    """
    given = [f"{n} ({found.source(n)})" for n in SOURCES if found.value(n)]
    if len(given) > 1:
        raise ConfigurationError(
            f"the password comes from {' and from '.join(given)}; give one of them"
        )
    if found.value("secret_region") and not found.value("secret"):
        raise ConfigurationError(
            f"secret_region ({found.source('secret_region')}) is given without secret"
        )
    if found.value("iam_auth"):
        _check_token_is_safe(found, driver)


def _check_token_is_safe(found: Gathered, driver: Mapping[str, Any]) -> None:
    if found.value("user") is None:
        raise ConfigurationError("iam_auth needs user=: a token is signed for one user")
    if found.engine == "mysql":
        name, off = "ssl_mode", mysql.tls_mode(driver, stays_here=False) == "disabled"
        off = off and driver.get("ssl") is None
        name = name if driver.get(name) else "ssl_disabled"
    else:
        name, off = "sslmode", driver.get("sslmode") in _WITHOUT_TLS
    if off:
        raise ConfigurationError(
            f"iam_auth sends a token, which needs TLS, and {name} is "
            f"{driver.get(name)} ({found.source(name)}). Leave it out: the server then "
            "has to prove its name"
        )


def checked_bundle(found: Gathered, home: Path) -> str | None:
    """Return the path that ``rds_ca`` names; `ConfigurationError` if it is no file."""
    named = found.value("rds_ca")
    if named is None:
        return None
    path = home / str(named)[2:] if str(named).startswith("~/") else Path(named)
    if not path.is_file():
        raise ConfigurationError(
            f"rds_ca ({found.source('rds_ca')}) names {path}, which is no file; "
            f"download it from {BUNDLE}"
        )
    return str(path)
