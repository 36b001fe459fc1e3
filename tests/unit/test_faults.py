"""What a driver's error means, and so what may be done next."""

from __future__ import annotations

import pytest

from globaldb.core.faults import Fault, postgresql_fault

S, RO, RC = Fault.STATEMENT, Fault.READ_ONLY, Fault.RECOVERY_CONFLICT
LOST, UN = Fault.NODE_LOST, Fault.UNAVAILABLE
CONFLICT = "canceling statement due to conflict with recovery"
ENDED = "terminating connection due to conflict with recovery"


@pytest.mark.parametrize(
    ("sqlstate", "message", "broken", "expected"),
    [
        (None, "consuming input failed", True, LOST),
        (None, "no results to fetch", False, S),
        ("23505", "duplicate key value violates unique constraint", False, S),
        ("57014", "canceling statement due to user request", False, S),
        ("40001", "could not serialize access due to concurrent update", False, S),
        ("40001", CONFLICT, False, RC),
        ("40001", CONFLICT, True, RC),
        ("57P01", ENDED, True, RC),
        ("57P01", "terminating connection due to administrator command", True, LOST),
        ("57P01", "terminating connection due to administrator command", False, LOST),
        ("57P02", "the database system is shutting down", False, LOST),
        ("57P05", "terminating connection due to idle-session timeout", True, LOST),
        ("25P03", "terminating connection due to idle-in-transaction", True, LOST),
        ("08006", "connection failure", False, LOST),
        ("57P03", "the database system is starting up", False, UN),
        ("53300", "sorry, too many clients already", False, UN),
        ("53400", "configuration limit exceeded", False, UN),
        ("XX000", "invalid memory alloc request size", True, LOST),
        ("XX000", "invalid memory alloc request size", False, S),
        ("25006", "cannot execute INSERT in a read-only transaction", False, RO),
        ("0A000", "cannot use serializable mode in a hot standby", False, RO),
        ("0A000", "cannot set transaction read-write mode during recovery", False, RO),
        (
            "0A000",
            "cannot access temporary or unlogged relations during recovery",
            False,
            RO,
        ),
        ("0A000", "cross-database references are not implemented", False, S),
        ("55000", "recovery is in progress", False, RO),
        ("55000", "object not in prerequisite state", False, S),
        ("XX000", "cannot assign TransactionIds during recovery", False, RO),
    ],
)
def test_an_error_is(
    sqlstate: str | None, message: str, broken: bool, expected: Fault
) -> None:
    assert postgresql_fault(sqlstate, message, broken=broken) is expected
