"""A function run as a transaction, again when the database says that this is safe."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from globaldb.config.values import read_duration
from globaldb.core.lending import Outcome
from globaldb.core.retries import Retries
from globaldb.core.transaction import TransactionState
from globaldb.dbapi.routed import Routed
from globaldb.errors import (
    Error,
    InternalError,
    OutcomeUnknownError,
    ProgrammingError,
)
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from globaldb.runtime.session import Session

T = TypeVar("T")

logger = logging.getLogger("globaldb")

_COMMITTED: Final = (
    "not repeated: the function itself has committed a part of it (by COMMIT, a "
    "definition, a procedure or a script)"
)


def run_transaction(
    conn: Any,
    function: Callable[[Any], T],
    *,
    retries: int = 5,
    timeout: float | str | None = None,
) -> T:
    """Run ``function(conn)`` as one transaction, commit, and return its value.

    After an error whose ``retryable`` is true (a serialization failure, a deadlock, a
    connection lost before anything was committed, a failover) the transaction is
    rolled back and *function* called again, up to *retries* times. Before each time it
    pauses, longer each time and by chance: at most 0.05 s at first, 2 s in the end. No
    attempt begins later than *timeout* seconds (or a text such as ``10s``) after the
    first; one under way is not cut short.

    Every other error leaves after a rollback. So does `OutcomeUnknownError`: what may
    have been committed is not done twice. A note of the error tells how many attempts
    there were, and why there were no more.

    What *function* does beside the database, it does once for each attempt.

    Raises `ProgrammingError` inside a transaction, and for an option that makes no
    sense.
    """
    if not isinstance(conn, Routed):
        raise TypeError(
            "run_transaction() takes a connection of globaldb.connect(), not "
            f"{type(conn).__name__}"
        )

    def attempt() -> T:
        undone = conn.session.undone
        # An exception that only asks for a rollback (psycopg's) leaves it as it is.
        value: Any = None
        with _transaction(conn):
            value = function(conn)
            with conn.story():
                _refuse_undone(conn.session, undone)
        found: T = value
        return found

    return repeated(conn, attempt, retries=retries, timeout=timeout)


def repeated(
    conn: Any,
    attempt: Callable[[], T],
    *,
    retries: int,
    timeout: float | str | None,
) -> T:
    """Call *attempt*, a whole transaction on *conn*, again as `run_transaction` does.

    It begins, commits and rolls back by itself. An error counts as what it holds in
    ``orig``, if anything: SQLAlchemy's do.
    """
    with conn.story():
        limit = None if timeout is None else read_duration("timeout", timeout)
        _refuse(conn, retries)
    attempts = _Attempts(conn, Retries(retries), monotonic(), limit)
    while True:
        known = conn.session.commits
        try:
            return attempt()
        except Exception as error:
            pause = attempts.pause_after(error, known)
            if pause is None:
                raise
        drive(conn.session.shell.sleep(pause))


def _refuse(conn: Any, retries: int) -> None:
    if retries < 0:
        raise ProgrammingError(
            f"retries is {retries!r}; it must be a number of attempts, 0 or more"
        )
    if conn.session.transaction.active or getattr(conn, "_num_transactions", 0):
        raise ProgrammingError(
            "run_transaction() inside a transaction: only the whole of it can be "
            "repeated. Commit or roll back first, or call the function itself here and "
            "run_transaction() around all"
        )
    if getattr(conn, "in_pipeline", False):
        raise ProgrammingError(
            "run_transaction() inside pipeline(): its errors would come too late. Open "
            "the pipeline in the function"
        )


@contextmanager
def _transaction(conn: Any) -> Iterator[None]:
    """Commit what the block does, or roll it back if it raises.

    Whatever the block does to the transaction, nothing of it commits by itself.
    """
    session: Session = conn.session
    before = session.autocommit
    session.autocommit, session.hot = False, None
    try:
        if hasattr(conn, "transaction"):
            # psycopg's own block, in which commit() and rollback() are refused.
            with conn.transaction():
                yield
        else:
            conn.begin()
            try:
                yield
            except BaseException:
                _roll_back(conn)
                raise
            conn.commit()
    finally:
        session.autocommit, session.hot = before, None


def _refuse_undone(session: Session, known: int) -> None:
    """Raise when the function has gone on although its transaction was over.

    To commit then would be to keep nothing, or only what came behind.
    """
    transaction = session.transaction
    if transaction.rolled_back or session.undone != known:
        raise session.cluster.driver.serialization_failure(
            "the server has rolled the transaction back, and the function went on: let "
            "the error out"
        )
    if transaction.state is TransactionState.FAILED and session.lease is not None:
        raise InternalError(
            "a statement of the transaction has failed, and the function went on: let "
            "the error out, or run the statement in a savepoint"
        )


def _roll_back(conn: Any) -> None:
    """Roll back; do not put a failure of that in the place of what led to it."""
    try:
        conn.rollback()
    except Error as error:
        logger.warning("rollback_failed error=%s", error)
        conn.session.release(Outcome.DISCARD)


@dataclass(slots=True)
class _Attempts:
    """The attempts at one transaction."""

    conn: Any
    retries: Retries
    #: When the first began (monotonic seconds), and for how many seconds others may.
    began: float
    limit: float | None

    def pause_after(self, error: Exception, known: int) -> float | None:
        """Return for how many seconds to wait before the next; None if there is none.

        *known* is how much the session had committed before this one. The *error* is
        told of the attempts.
        """
        session = self.conn.session
        took = monotonic() - self.began
        pause = self.retries.delay(session.cluster.random.uniform)
        why = self._why_not(error, took + pause, repeatable=session.commits == known)
        if why is not None:
            self._tell(error, took, why)
            return None
        logger.info(
            "transaction_repeated attempt=%s pause=%.3f error=%s",
            self.retries.spent + 2,
            pause,
            type(error).__name__,
        )
        self.retries = self.retries.spend()
        return pause

    def _tell(self, error: Exception, took: float, why: str) -> None:
        number = self.retries.spent + 1
        if not why and number == 1:
            # An ordinary error of an ordinary transaction.
            return
        many = "attempts" if number > 1 else "attempt"
        told = f"run_transaction: {number} {many} in {took:.2f} s"
        error.add_note(f"{told}; {why}" if why else told)

    def _why_not(self, error: Exception, at: float, *, repeatable: bool) -> str | None:
        """Say why there is no other attempt, in no words if the error does; or None."""
        error = getattr(error, "orig", None) or error
        if isinstance(error, OutcomeUnknownError):
            return "not repeated: it may have been applied"
        if not isinstance(error, Error) or not error.retryable:
            return ""
        if not repeatable:
            return _COMMITTED
        if not self.retries.left:
            return "no more were asked for (retries)"
        if self.limit is not None and at > self.limit:
            return f"no other could begin within {self.limit:g} s (timeout)"
        return None
