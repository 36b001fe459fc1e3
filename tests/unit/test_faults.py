"""What psycopg's errors are, beyond their codes."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pgerrors

from globaldb.core.faults import Fault
from globaldb.drivers.psycopg.translate import fault, opening_fault, translate


def said(kind: type[psycopg.Error], text: str, severity: str) -> psycopg.Error:
    """An error as psycopg makes it of a server's message."""
    fields = [None] * 256
    fields[ord("V")] = severity.encode()
    fields[ord("M")] = text.encode()
    info = dict(enumerate(fields))
    return kind(text, info=info, encoding="utf-8")


def test_an_error_of_a_foreign_server_is_no_loss_of_this_one():
    foreign = said(pgerrors.ConnectionFailure, "could not connect", "ERROR")
    assert fault(foreign, broken=False) is Fault.STATEMENT
    assert fault(foreign, broken=True) is Fault.STATEMENT


def test_a_servers_last_words_are_a_loss():
    last = said(pgerrors.AdminShutdown, "terminating connection", "FATAL")
    assert fault(last, broken=True) is Fault.NODE_LOST
    assert fault(last, broken=False) is Fault.NODE_LOST


def test_what_is_no_error_of_psycopg_is_judged_by_the_connection():
    assert fault(ValueError(), broken=True) is Fault.NODE_LOST
    assert fault(ValueError(), broken=False) is Fault.STATEMENT


def test_what_a_server_says_to_a_new_connection_is_read_by_its_code():
    assert opening_fault(pgerrors.TooManyConnections("zu viele")) is Fault.CAPACITY
    assert opening_fault(psycopg.OperationalError("refused")) is Fault.NODE_LOST


@pytest.mark.parametrize(
    ("words", "asked", "expected"),
    [
        ("FATAL:  forkert adgangskode", True, Fault.CREDENTIALS),
        ("FATAL:  forkert adgangskode", False, Fault.NODE_LOST),
        ("server closed the connection unexpectedly", True, Fault.NODE_LOST),
        ("FATAL:  the database system is starting up", True, Fault.UNAVAILABLE),
    ],
)
def test_a_password_may_be_refused_in_any_language(words, asked, expected):
    picture = pgerrors.FinishedPGconn(used_password=asked)
    text = f'connection failed: connection to server at "h", port 1 failed: {words}'
    error = psycopg.OperationalError(text, pgconn=picture)
    assert opening_fault(error) is expected


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (pgerrors.SerializationFailure, True),
        (pgerrors.DeadlockDetected, True),
        (pgerrors.TooManyConnections, True),
        (pgerrors.TransactionIntegrityConstraintViolation, False),
        (pgerrors.UniqueViolation, False),
        (pgerrors.QueryCanceled, False),
        (pgerrors.TransactionResolutionUnknown, False),
    ],
)
def test_only_what_left_nothing_behind_may_be_run_again(kind, retryable):
    assert translate(kind("x"), None).retryable is retryable
