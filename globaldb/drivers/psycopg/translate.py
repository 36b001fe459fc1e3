"""Errors that are ours and psycopg's at once."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors as pgerrors

from globaldb import errors
from globaldb.core.faults import RETRYABLE, Fault
from globaldb.core.postgresql.faults import postgresql_fault, postgresql_opening_fault

if TYPE_CHECKING:
    from globaldb.core.routing import Route

#: psycopg's PEP 249 classes and ours; the first that matches wins.
_OURS: tuple[tuple[type[psycopg.Error], type[errors.Error]], ...] = (
    (psycopg.DataError, errors.DataError),
    (psycopg.IntegrityError, errors.IntegrityError),
    (psycopg.InternalError, errors.InternalError),
    (psycopg.ProgrammingError, errors.ProgrammingError),
    (psycopg.NotSupportedError, errors.NotSupportedError),
    (psycopg.OperationalError, errors.OperationalError),
    (psycopg.DatabaseError, errors.DatabaseError),
    (psycopg.InterfaceError, errors.InterfaceError),
    (psycopg.Error, errors.Error),
)

#: What psycopg would have raised in the place of errors that only we have.
_THEIRS: tuple[tuple[type[errors.Error], type[psycopg.Error]], ...] = (
    (errors.ReadOnlyError, pgerrors.ReadOnlySqlTransaction),
    (errors.OutcomeUnknownError, pgerrors.TransactionResolutionUnknown),
    (errors.DeadlineExceededError, pgerrors.QueryCanceled),
    (errors.PoolTimeoutError, psycopg.OperationalError),
    (errors.ProgrammingError, psycopg.ProgrammingError),
    (errors.NotForwardedError, pgerrors.FeatureNotSupported),
    (errors.NotSupportedError, psycopg.NotSupportedError),
    (errors.DataError, psycopg.DataError),
    (errors.InternalError, psycopg.InternalError),
    (errors.InterfaceError, psycopg.InterfaceError),
    (errors.OperationalError, psycopg.OperationalError),
    (errors.DatabaseError, psycopg.DatabaseError),
)

#: What psycopg raises, without a server's code, for how it is used.
_MISUSES = (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError)

#: A server's word for how grave it is, as libpq sets it before what it says.
_SAID = re.compile(r"failed: [^\s:]+:  ")


def fault(error: BaseException, *, broken: bool) -> Fault:
    """Classify what a physical connection raised."""
    if isinstance(error, _MISUSES) and error.sqlstate is None:
        # psycopg has refused to send it, in the middle of what goes along with it.
        return Fault.STATEMENT
    if isinstance(error, psycopg.Error):
        # An ERROR, other than a FATAL, says for certain that the statement failed,
        # whatever became of the connection afterwards, and whatever code it carries:
        # a foreign server's lost connection is no loss of this one.
        certain = error.diag.severity_nonlocalized == "ERROR"
        found = postgresql_fault(
            error.sqlstate, str(error), broken=broken and not certain
        )
        return Fault.STATEMENT if certain and found is Fault.NODE_LOST else found
    return Fault.NODE_LOST if broken else Fault.STATEMENT


def opening_fault(error: BaseException) -> Fault:
    """Classify why no connection was made."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        # A server's, to what is done first on a new connection.
        return postgresql_fault(error.sqlstate, str(error), broken=False)
    found = postgresql_opening_fault(str(error))
    if found is Fault.NODE_LOST and _answers_a_password(error):
        return Fault.CREDENTIALS
    return found


def _answers_a_password(error: BaseException) -> bool:
    """Whether *error* is what a server says, in any language, to a password.

    libpq keeps the code to itself while connecting. It does tell that a password was
    asked for, after which there is little else to refuse.
    """
    if not isinstance(error, psycopg.Error) or error.pgconn is None:
        return False
    said = _SAID.search(str(error)) is not None
    return said and bool(error.pgconn.used_password)


def translate(error: BaseException, route: Route | None) -> BaseException:
    """Return *error* as one that both trees catch, or as it is if neither knows it."""
    kind: Any = type(error)
    if _cancelled_by_replay(error):
        new = _join(errors.NodeLostError, psycopg.OperationalError)(
            f"replay at the reader cancelled the statement ({error}). Nothing was "
            "applied; it is safe to try again, from the start of its transaction"
        )
    elif isinstance(error, errors.Error):
        if isinstance(error, psycopg.Error):
            return error
        new = _join(kind, _theirs(kind))(*error.args)
    elif isinstance(error, psycopg.Error):
        new = _join(_ours(kind), kind)(*error.args)
        new.retryable = fault(error, broken=False) in RETRYABLE
    else:
        return error
    new.__dict__.update(error.__dict__)
    new.__notes__ = list(getattr(error, "__notes__", ()))
    new.route = error.__dict__.get("route") or route
    new.__cause__ = error.__cause__
    both: BaseException = new
    return both


def _cancelled_by_replay(error: BaseException) -> bool:
    """Whether it is a recovery conflict, which has the code of what conflicts itself."""
    if not isinstance(error, psycopg.Error) or isinstance(error, errors.Error):
        return False
    found = postgresql_fault(error.sqlstate, str(error), broken=False)
    return found is Fault.RECOVERY_CONFLICT


def _ours(theirs: type[psycopg.Error]) -> Any:
    return next(ours for base, ours in _OURS if issubclass(theirs, base))


def _theirs(ours: type[errors.Error]) -> Any:
    return next(
        (theirs for base, theirs in _THEIRS if issubclass(ours, base)), psycopg.Error
    )


class _Both:
    """What the joined classes share: they are made on the fly, and pickle as such."""

    def __reduce__(self) -> Any:
        _, ours, theirs = type(self).__bases__
        state = {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_pgconn", "__notes__")
        }
        if "_info" in state:
            state["_info"] = pgerrors._info_to_dict(state["_info"])
        return _rebuild, (ours, theirs, self.args, state)  # type: ignore[attr-defined]


@cache
def _join(ours: Any, theirs: Any) -> Any:
    """Return the class that is both; made once for each pair."""
    name = theirs.__name__ if theirs.__module__ == "psycopg.errors" else ours.__name__
    if ours not in {base for _, base in _OURS}:
        name = ours.__name__
    return type(name, (_Both, ours, theirs), {"__module__": "globaldb.errors"})


def _rebuild(
    ours: type[errors.Error],
    theirs: type[psycopg.Error],
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> Any:
    pair: tuple[Any, Any] = (ours, theirs)
    error = _join(*pair)(*args)
    error.__dict__.update(state)
    return error
