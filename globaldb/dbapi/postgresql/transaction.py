"""``with conn.transaction()``: psycopg's block, whose commands travel with others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import errors as pgerrors

from globaldb.core.statement import Statement, Verdict
from globaldb.core.transaction import TransactionMode, TransactionState
from globaldb.dbapi.postgresql.story import raise_both
from globaldb.errors import NotForwardedError
from globaldb.runtime import flow
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from types import TracebackType

    from globaldb.dbapi.postgresql.connection import Connection

logger = logging.getLogger("globaldb")

_SAVEPOINT = Statement(Verdict.TRANSACTION, "savepoint", "SAVEPOINT")
_ABORTED = (
    "current transaction is aborted, commands ignored until end of transaction block"
)


class RoutedTransaction(psycopg.Transaction):
    """A transaction block, or a savepoint inside one.

    BEGIN, SAVEPOINT and RELEASE are sent with the next statement; a block in which
    nothing is executed costs nothing.
    """

    _conn: Connection  # type: ignore[mutable-override]

    def __enter__(self) -> Self:
        with self._conn.lock:
            self._check_enter()
            session = self._conn.session
            if session.transaction.state is TransactionState.FAILED:
                # What the server would say to its SAVEPOINT, which is not sent yet.
                raise_both(self._conn, pgerrors.InFailedSqlTransaction(_ABORTED))
            if session.transaction.active or self._savepoint_name:
                self._refuse_savepoint()
            self.status = self.Status.ACTIVE
            session.refuse_closed()
            self._outer_transaction = not session.transaction.active
            depth = self._conn._num_transactions
            if self._outer_transaction:
                flow.begin(session, TransactionMode())
            elif not self._savepoint_name:
                self._savepoint_name = f"_pg3_{depth + 1}"
            self._stack_index = depth
            self._conn._num_transactions += 1
            if self._savepoint_name:
                name = self._savepoint_name
                flow.savepoint(session, name)
        return self

    def _refuse_savepoint(self) -> None:
        """Raise where Aurora would, before anything believes in a savepoint."""
        try:
            flow.refuse_kind(self._conn.session, _SAVEPOINT)
        except NotForwardedError as error:
            raise_both(self._conn, error)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        with self._conn.lock:
            if self._conn.closed:
                self.status = self.Status.FAILED
                return False
            try:
                if exc_val is None and not self.force_rollback:
                    self._commit()
                    return False
                return self._roll_back(exc_val)
            except Exception as error:  # noqa: BLE001 - re-raised as both trees' error
                raise_both(self._conn, error)

    def _commit(self) -> None:
        wrong = self._pop_savepoint("commit")
        self.status = self.Status.COMMITTED
        if wrong:
            raise wrong
        session = self._conn.session
        if self._outer_transaction:
            drive(flow.commit(session))
        else:
            name = self._savepoint_name
            flow.release(session, name)

    def _roll_back(self, exc_val: BaseException | None) -> bool:
        wrong = self._pop_savepoint("rollback")
        explicit = isinstance(exc_val, psycopg.Rollback)
        if explicit or self.force_rollback:
            self.status = self.Status.ROLLED_BACK_EXPLICITLY
        else:
            self.status = self.Status.ROLLED_BACK_WITH_ERROR
        if wrong:
            raise wrong
        try:
            self._undo()
        except Exception as error:
            # Do not put this failure in the place of the one that led here.
            if exc_val is None:
                raise
            logger.warning("rollback_failed error=%s", error)
            return False
        if isinstance(exc_val, psycopg.Rollback):
            return not exc_val.transaction or exc_val.transaction is self
        return False

    def _undo(self) -> None:
        session = self._conn.session
        if self._outer_transaction:
            drive(flow.rollback(session))
            return
        name = self._savepoint_name
        if session.transaction.has_savepoint(name):
            drive(flow.rollback_to(session, name))
            flow.release(session, name)
