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
    "InvalidRegionError": "look at the region",
    "NoRegionError": "set AWS_REGION",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "look at AWS_PROFILE",
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
    is missing, no region is known, or what is configured for boto3 is wrong.
    """
    found = session or new_session()
    from botocore.config import Config

    options = Config(
        connect_timeout=patience / 2,
        read_timeout=patience / 2,
        retries={"total_max_attempts": 1},
    )
    with _configured(service):
        return found.client(service, region_name=region, config=options)


def new_session() -> Any:
    """Return a session, for one thread at a time: boto3's own is not safe for threads.

    Raises `ConfigurationError` when boto3 is missing, or its configuration is wrong.
    """
    try:
        import boto3
    except ImportError:
        raise ConfigurationError(
            "AWS is asked through boto3, which is missing: pip install 'globaldb[aws]'"
        ) from None
    with _configured("AWS"):
        return boto3.session.Session()


@contextmanager
def _configured(what: str) -> Iterator[None]:
    """Raise `ConfigurationError` for what is wrong with AWS's own configuration."""
    problem = ""
    try:
        yield
    except failures() as error:
        problem = reason(error)
    except ValueError:
        # Of the text of a variable, which is not quoted.
        problem = "ValueError; look at the variables AWS_ENDPOINT_URL*"
    if problem:
        raise ConfigurationError(f"{what} cannot be asked: {problem}")


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
