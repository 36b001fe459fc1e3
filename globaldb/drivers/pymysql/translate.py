"""Errors that are ours and PyMySQL's at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import CR, ER

from globaldb import errors
from globaldb.core.faults import RETRYABLE, Fault
from globaldb.core.mysql.faults import mysql_fault, mysql_opening_fault

if TYPE_CHECKING:
    from globaldb.core.routing import Route

#: PyMySQL's PEP 249 classes and ours; the first that matches wins.
_OURS: Final[tuple[tuple[type[err.MySQLError], type[errors.Error]], ...]] = (
    (err.DataError, errors.DataError),
    (err.IntegrityError, errors.IntegrityError),
    (err.InternalError, errors.InternalError),
    (err.ProgrammingError, errors.ProgrammingError),
    (err.NotSupportedError, errors.NotSupportedError),
    (err.OperationalError, errors.OperationalError),
    (err.DatabaseError, errors.DatabaseError),
    (err.InterfaceError, errors.InterfaceError),
    (err.MySQLError, errors.Error),
)

#: What PyMySQL would have raised in the place of errors that only we have, and the
#: number it would have had.
_THEIRS: Final[tuple[tuple[type[errors.Error], type[err.MySQLError], int], ...]] = (
    (errors.ReadOnlyError, err.OperationalError, ER.OPTION_PREVENTS_STATEMENT),
    (errors.OutcomeUnknownError, err.OperationalError, CR.CR_SERVER_LOST),
    (errors.DeadlineExceededError, err.OperationalError, 3024),
    (errors.NodeLostError, err.OperationalError, CR.CR_SERVER_LOST),
    (errors.NoNodeAvailableError, err.OperationalError, CR.CR_CONN_HOST_ERROR),
    (errors.PoolTimeoutError, err.OperationalError, CR.CR_CONN_HOST_ERROR),
    (errors.SettingError, err.OperationalError, ER.WRONG_VALUE_FOR_VAR),
    (errors.OperationalError, err.OperationalError, ER.UNKNOWN_ERROR),
    (errors.ProgrammingError, err.ProgrammingError, ER.UNKNOWN_ERROR),
    (errors.NotSupportedError, err.NotSupportedError, ER.NOT_SUPPORTED_YET),
    (errors.DataError, err.DataError, ER.UNKNOWN_ERROR),
    (errors.IntegrityError, err.IntegrityError, ER.UNKNOWN_ERROR),
    (errors.InternalError, err.InternalError, ER.UNKNOWN_ERROR),
    (errors.InterfaceError, err.InterfaceError, 0),
    (errors.DatabaseError, err.DatabaseError, ER.UNKNOWN_ERROR),
    (errors.Error, err.Error, ER.UNKNOWN_ERROR),
)

#: What a statement is ended with: by KILL QUERY, and by the server's own limits.
INTERRUPTED: Final = frozenset((ER.QUERY_INTERRUPTED, 3024, 1969))
#: A server's last words on a connection: shutdown, killed, idle for too long.
GOODBYES: Final = frozenset((ER.SERVER_SHUTDOWN, 1927, 3169, 4031))


def unsigned(error: err.MySQLError) -> err.MySQLError:
    """Return *error* with the number that the server meant.

    PyMySQL reads numbers beyond 32767, which are MariaDB's and those of applications,
    with a sign.
    """
    code = error.args[0] if error.args else None
    if not isinstance(code, int) or code >= 0:
        return error
    right = err.OperationalError(code & 0xFFFF, *error.args[1:])
    right.__dict__.update(error.__dict__)
    right.__cause__ = error.__cause__
    return right.with_traceback(error.__traceback__)


def number(error: BaseException) -> int | None:
    """Return the server's or the client library's number of *error*, if it has one."""
    code = error.args[0] if error.args else None
    return code & 0xFFFF if isinstance(code, int) else None


def fault(error: BaseException, *, broken: bool) -> Fault:
    """Classify what a physical connection raised."""
    if isinstance(error, err.MySQLError):
        return mysql_fault(number(error), _text(error), broken=broken)
    return Fault.NODE_LOST if broken else Fault.STATEMENT


def opening_fault(error: BaseException) -> Fault:
    """Classify why no connection was made."""
    return mysql_opening_fault(number(error), _text(error))


def _text(error: BaseException) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def translate(error: BaseException, route: Route | None) -> BaseException:
    """Return *error* as one that both trees catch, or as it is if neither knows it.

    Its ``args`` are PyMySQL's, number and text; ``errno`` is the number without a
    sign, ``sqlstate`` the server's where it gave one.
    """
    kind: Any = type(error)
    if isinstance(error, errors.Error):
        if isinstance(error, err.MySQLError):
            return error
        theirs, code = _theirs(kind)
        new = _join(kind, theirs)(error.errno or code, *error.args)
    elif isinstance(error, err.MySQLError):
        error = unsigned(error)
        kind = type(error)
        new = _join(_ours(kind), kind)(*error.args)
        new.retryable = fault(error, broken=False) in RETRYABLE
    else:
        return error
    new.__dict__.update(error.__dict__)
    new.errno = number(new)
    new.sqlstate = getattr(error, "sqlstate", None)
    new.__notes__ = list(getattr(error, "__notes__", ()))
    new.route = error.__dict__.get("route") or route
    new.__cause__ = error.__cause__
    both: BaseException = new
    return both


def _ours(theirs: type[err.MySQLError]) -> Any:
    return next(ours for base, ours in _OURS if issubclass(theirs, base))


def _theirs(ours: type[errors.Error]) -> tuple[Any, int]:
    return next(
        (theirs, code) for base, theirs, code in _THEIRS if issubclass(ours, base)
    )


class _Both:
    """What the joined classes share: they are made on the fly, and pickle as such."""

    def __reduce__(self) -> Any:
        _, ours, theirs = type(self).__bases__
        state = {k: v for k, v in self.__dict__.items() if k != "__notes__"}
        return _rebuild, (ours, theirs, self.args, state)  # type: ignore[attr-defined]


@cache
def _join(ours: Any, theirs: Any) -> Any:
    """Return the class that is both; made once for each pair."""
    name = theirs.__name__
    if ours not in {base for _, base in _OURS}:
        name = ours.__name__
    return type(name, (_Both, ours, theirs), {"__module__": "globaldb.errors"})


def _rebuild(
    ours: type[errors.Error],
    theirs: type[err.MySQLError],
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> Any:
    pair: tuple[Any, Any] = (ours, theirs)
    error = _join(*pair)(*args)
    error.__dict__.update(state)
    return error
