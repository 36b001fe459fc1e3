"""The way to AWS: clients of boto3, which is imported when the first is made."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Loggers of botocore that write at DEBUG what is signed, sent and received.
_TELLTALE: Final = ("botocore.auth", "botocore.endpoint", "botocore.parsers")
_OFTEN: Final = "it is asked less often from now on. Have fewer processes ask it"
#: What an error of AWS, or of the way there, asks of whoever reads it.
_ADVICE: Final = {
    "AccessDenied": "allow the action to whom AWS takes this process for",
    "AccessDeniedException": "allow the action to whom AWS takes this process for",
    "ConnectionClosedError": "look whether AWS can be reached from here",
    "ConnectTimeoutError": "look whether AWS can be reached from here",
    "CredentialRetrievalError": "look what gives credentials to this process",
    "DecryptionFailure": "allow kms:Decrypt with the key of the secret",
    "EndpointConnectionError": "look whether AWS can be reached from here, and whether "
    "the region is spelled right",
    "ExpiredToken": "renew the credentials of this process",
    "ExpiredTokenException": "renew the credentials of this process",
    "InvalidClientTokenId": "look at the credentials of this process",
    "NoCredentialsError": "give the machine a role, or set AWS_PROFILE or "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ReadTimeoutError": "look whether AWS can be reached from here",
    "RequestLimitExceeded": _OFTEN,
    "ResourceNotFoundException": "look at its name and its region",
    "SignatureDoesNotMatch": "look at the credentials of this process, and at its clock",
    "Throttling": _OFTEN,
    "ThrottlingException": _OFTEN,
    "UnrecognizedClientException": "look at the credentials of this process",
}


def client(
    service: str, region: str | None, patience: float, session: Any = None
) -> Any:
    """Return boto3's client of *service* in *region*.

    Without a region AWS's own configuration tells it. A call ends after about
    *patience* seconds and is not repeated. With a *session* of `new_session` what it has
    read of AWS's descriptions is not read again. Raises `ConfigurationError` when boto3
    is missing, or no region is known.
    """
    found = session or new_session()
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    options = Config(
        connect_timeout=patience / 2,
        read_timeout=patience / 2,
        retries={"total_max_attempts": 1},
    )
    try:
        return found.client(service, region_name=region, config=options)
    except NoRegionError:
        raise ConfigurationError(
            f"no region is known in which to ask AWS for {service}; set AWS_REGION"
        ) from None


def new_session() -> Any:
    """Return a session, for one thread at a time: boto3's own is not safe for threads.

    Raises `ConfigurationError` when boto3 is missing.
    """
    try:
        import boto3
    except ImportError:
        raise ConfigurationError(
            "AWS is asked through boto3, which is missing: pip install 'globaldb[aws]'"
        ) from None
    return boto3.session.Session()


def failures() -> tuple[type[Exception], ...]:
    """Return what boto3's calls raise when AWS cannot, or does not want to, answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def reason(error: Exception) -> str:
    """Return what one of `failures` says, and what to try.

    No more than its name is quoted: the rest may hold what was signed.
    """
    response = getattr(error, "response", None)
    name = type(error).__name__
    if isinstance(response, dict):
        name = str(response.get("Error", {}).get("Code", name))
    advice = _ADVICE.get(name)
    return name if advice is None else f"{name}; {advice}"


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep what this thread asks of AWS, and is told, out of botocore's own log."""
    me = threading.get_ident()

    def of_others(_record: logging.LogRecord) -> bool:
        return threading.get_ident() != me

    loggers = [logging.getLogger(name) for name in _TELLTALE]
    for logger in loggers:
        logger.addFilter(of_others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(of_others)
