"""Errors of MySQL and MariaDB: what they mean, and that both trees catch them."""

from __future__ import annotations

import pickle

import pytest
from pymysql import err

from globaldb import errors
from globaldb.core.faults import Fault
from globaldb.core.mysql.faults import mysql_refuses_writes
from globaldb.core.routing import Route
from globaldb.core.topology import Role
from globaldb.drivers.pymysql.translate import (
    fault,
    number,
    opening_fault,
    translate,
    unsigned,
)

ROUTE = Route(role=Role.WRITER, node="n", region=None, reason="write")


def test_a_broken_connection_is_lost_whatever_was_raised():
    assert fault(err.ProgrammingError(1064, ""), broken=True) is Fault.NODE_LOST
    assert fault(ValueError(), broken=True) is Fault.NODE_LOST


def test_an_error_without_a_number_is_the_librarys():
    assert fault(err.Error("execute() first"), broken=False) is Fault.STATEMENT
    assert opening_fault(err.Error("what is this")) is Fault.NODE_LOST


def test_a_number_with_a_sign_is_the_one_that_the_server_meant():
    raised = err.InternalError(-1560, "Internal write forwarding error")
    assert fault(raised, broken=False) is Fault.OUTCOME_UNKNOWN


def test_an_error_without_a_text_refuses_no_write():
    assert not mysql_refuses_writes((1290,))


@pytest.mark.parametrize(
    ("code", "right"), [(-1560, 63976), (-1, 65535), (1064, 1064), (0, 0)]
)
def test_numbers_have_no_sign(code, right):
    raised = err.InternalError(code, "far", sqlstate="45000")
    found = unsigned(raised)
    assert (found.args, found.sqlstate) == ((right, "far"), "45000")
    assert number(raised) == right
    assert isinstance(found, err.OperationalError) is (code < 0)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (err.IntegrityError(1062, "dup", sqlstate="23000"), errors.IntegrityError),
        (err.ProgrammingError(1064, "syntax"), errors.ProgrammingError),
        (err.OperationalError(1213, "deadlock"), errors.OperationalError),
        (err.DataError(1406, "long"), errors.DataError),
        (err.NotSupportedError(1235, "no"), errors.NotSupportedError),
        (err.InternalError(3, "odd"), errors.InternalError),
        (err.InterfaceError(0, ""), errors.InterfaceError),
        (err.Error("Already closed"), errors.Error),
    ],
)
def test_both_trees_catch_what_the_server_raised(theirs, ours):
    both = translate(theirs, ROUTE)
    assert isinstance(both, ours)
    assert isinstance(both, type(theirs))
    assert (both.args, both.route) == (theirs.args, ROUTE)
    assert both.sqlstate == theirs.sqlstate


@pytest.mark.parametrize(
    ("ours", "theirs", "code"),
    [
        (errors.ReadOnlyError("r"), err.OperationalError, 1290),
        (errors.OutcomeUnknownError("o"), err.OperationalError, 2013),
        (errors.DeadlineExceededError("d"), err.OperationalError, 3024),
        (errors.NodeLostError("n"), err.OperationalError, 2013),
        (errors.NoNodeAvailableError("n"), err.OperationalError, 2003),
        (errors.CausalityLostError("c"), err.OperationalError, 1105),
        (errors.InterfaceError("i"), err.InterfaceError, 0),
        (errors.ConfigurationError("c"), err.ProgrammingError, 1105),
    ],
)
def test_what_only_we_have_is_one_of_pymysqls_too(ours, theirs, code):
    both = translate(ours, ROUTE)
    assert isinstance(both, type(ours))
    assert isinstance(both, theirs)
    assert both.args == (code, str(ours))
    assert both.errno == code


def test_an_error_is_translated_once():
    both = translate(err.OperationalError(1205, "wait"), ROUTE)
    assert translate(both, None) is both


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(1213, True), (1614, True), (-1584, True), (1040, True), (1205, False)],
)
def test_only_what_left_nothing_behind_may_be_run_again(code, retryable):
    assert translate(err.OperationalError(code, "x"), None).retryable is retryable


def test_an_error_comes_back_whole_from_another_process():
    cause = err.OperationalError(-1560, "far", sqlstate="45000")
    both = translate(cause, ROUTE)
    again = pickle.loads(pickle.dumps(both))
    assert type(again) is type(both)
    assert (again.args, again.errno, again.sqlstate) == ((63976, "far"), 63976, "45000")
    assert again.route == ROUTE
    assert str(again) == str(both)


def test_what_neither_tree_knows_stays_as_it_is():
    error = KeyError("x")
    assert translate(error, ROUTE) is error
