"""The connection an application holds: psycopg's to the eye, a session behind it."""

from __future__ import annotations

import logging
import threading
import warnings
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel, Xid

from globaldb.core.lending import Outcome
from globaldb.core.statement import Statement, Verdict
from globaldb.core.transaction import TransactionMode
from globaldb.core.trip import LinkStatus
from globaldb.dbapi.postgresql import two_phase
from globaldb.dbapi.postgresql.cursor import claim_cursors, routed
from globaldb.dbapi.postgresql.info import RoutedInfo
from globaldb.dbapi.postgresql.pipeline import piped
from globaldb.dbapi.postgresql.server_cursor import routed_named
from globaldb.dbapi.postgresql.story import Story, closed_error, raise_both
from globaldb.dbapi.postgresql.transaction import RoutedTransaction
from globaldb.dbapi.postgresql.work import CursorWork, source_of
from globaldb.dbapi.routed import Routed
from globaldb.errors import InterfaceError, OperationalError, ProgrammingError
from globaldb.runtime import flow
from globaldb.runtime.session import Session
from globaldb.runtime.shell import BlockingShell, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import TracebackType

    from psycopg.abc import Query
    from psycopg.pq.abc import PGconn
    from psycopg.rows import RowFactory

    from globaldb.dbapi.postgresql.snapshot import Snapshot
    from globaldb.drivers.psycopg.physical import Physical
    from globaldb.runtime.cluster import ClusterRuntime

logger = logging.getLogger("globaldb")


class Connection(Routed, psycopg.Connection[Any]):
    """A routed connection.

    Answers what a psycopg connection answers, and what `Routed` adds. May be shared
    by threads as psycopg's may: their statements take turns.
    """

    __module__ = "globaldb.postgresql"

    def __init__(self, cluster: ClusterRuntime, snapshot: Snapshot) -> None:
        self._snapshot = snapshot.pgconn
        super().__init__(_Unplugged())  # type: ignore[arg-type]
        self.lock = threading.RLock()  # type: ignore[assignment]
        self.prepare_threshold = cluster.config.prepare_threshold
        self._lookup = cluster.lookup
        self._autocommit = cluster.config.autocommit
        self._shell = BlockingShell(cluster)
        self.session = Session(cluster, self._shell)
        # Weak: a connection that is forgotten ends at once, not at the next collection.
        self.session.face = weakref.proxy(self)

    # The physical connection behind it, as far as psycopg asks for one.

    @property
    def pgconn(self) -> PGconn:
        """The libpq connection held, else a picture of one, which only answers.

        The picture serves for quoting and for what is the same on every node.
        """
        lease = self.session.lease
        pgconn: PGconn = lease.connection.pgconn if lease else self._snapshot
        return pgconn

    @pgconn.setter
    def pgconn(self, value: Any) -> None:
        """Psycopg's constructor assigns one; there is none to keep."""

    @property
    def closed(self) -> bool:
        """True once the connection was closed."""
        return self.session.closed

    @property
    def broken(self) -> bool:
        """Always False: a lost physical connection is replaced."""
        return False

    @property
    def in_pipeline(self) -> bool:
        """Whether a ``with conn.pipeline()`` block is open."""
        return self._pipeline is not None

    @property
    def info(self) -> RoutedInfo:
        """Facts about the connection; the status is the session's."""
        return RoutedInfo(self)

    def fileno(self) -> int:
        """Return the descriptor of a physical connection, pinned for it."""
        self._pin("fileno")
        return self.pgconn.socket

    # Statements.

    def story(self) -> Story:
        """Take turns with other threads, and raise errors that both trees catch."""
        return Story(self)

    def source(self, query: Query) -> str | bytes:
        """Return the text of *query* that is classified."""
        return source_of(query, self)

    def lookup(self, query: Query) -> Statement:
        """Classify *query*; repeated texts are looked up."""
        if isinstance(query, str):
            return self._lookup(query)
        return self._lookup(source_of(query, self))

    def cursor(
        self,
        name: str = "",
        *,
        binary: bool = False,
        row_factory: RowFactory[Any] | None = None,
        scrollable: bool | None = None,
        withhold: bool = False,
    ) -> Any:
        """Return a new cursor; one with a *name* lives on the server."""
        self._check_connection_ok()
        row_factory = row_factory or self.row_factory
        factory: Any = self.server_cursor_factory if name else self.cursor_factory
        factory = self.routed_class(factory)
        if name:
            cursor = factory(
                self,
                name=name,
                row_factory=row_factory,
                scrollable=scrollable,
                withhold=withhold,
            )
        else:
            cursor = factory(self, row_factory=row_factory)
        if binary:
            cursor.format = psycopg.pq.Format.BINARY
        return cursor

    @staticmethod
    def routed_class(factory: Any) -> Any:
        """Return the routed form of a cursor class of psycopg, or of a user's."""
        if issubclass(factory, psycopg.ServerCursor):
            return routed_named(factory)
        return routed(factory)

    @contextmanager
    def holding(
        self,
        statement: Statement,
        *,
        begin: bool = True,
        along: list[str] | None = None,
    ) -> Iterator[Physical]:
        """Hold a connection fit for *statement* while the block talks on it itself.

        Without *begin* no transaction is opened for it. What is put in *along* is for
        the block to send, in front of its own.
        """
        session = self.session
        with self.story():
            work = CursorWork(None, statement, session.deadline())
            link = drive(flow.hold(session, work, begin=begin, along=along))
        failed, failure = True, None
        try:
            with link.until(work.deadline):
                yield link
            failed = False
        except psycopg.Error as error:
            failure = error
            raise
        finally:
            with self.lock:
                end = flow.settle_hold(session, work, failed=failed, failure=failure)
                try:
                    drive(end)
                except OperationalError as error:
                    # What became of the statement says more than how it was lost.
                    raise_both(self, error)

    def _pin(self, why: str) -> None:
        with self.holding(Statement(Verdict.PIN, why, ""), begin=False):
            pass

    def after_talk(self) -> None:
        """Psycopg has talked on the connection held: see what became of it."""
        session = self.session
        if session.lease is None:
            return
        status = session.lease.connection.link_status
        if status is LinkStatus.LOST:
            session.transaction_lost()
        elif status is LinkStatus.FAILED and session.transaction.active:
            session.transaction.failed()

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Drive steps of psycopg's own on the connection held.

        Raises `InterfaceError` when none is: nothing may talk on a picture.
        """
        if self.session.lease is None:
            raise_both(self, InterfaceError(_NOT_HELD))
        return super().wait(gen, *args, **kwargs)

    # Transactions.

    def commit(self) -> None:
        """Commit; raises `NodeLostError` (undone), `OutcomeUnknownError` (unknown)."""
        self._end("commit", flow.commit)

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        self._end("rollback", flow.rollback)

    def _end(self, what: str, end: Callable[[Session], Any]) -> None:
        with self.story():
            if self._num_transactions:
                raise ProgrammingError(
                    f"explicit {what}() forbidden within a transaction() block, which "
                    "ends by itself"
                )
            if self._tpc:
                raise ProgrammingError(
                    f"{what}() cannot be used during a two-phase transaction"
                )
            if self.in_pipeline and self.session.lease:
                getattr(self.session.lease.connection, what)()
            else:
                drive(end(self.session))

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Run a block as a transaction, or as a savepoint inside one."""
        self._check_connection_ok()
        lease = self.session.lease
        if self.in_pipeline and lease is not None:
            with lease.connection.transaction(savepoint_name, force_rollback) as block:
                yield block
        else:
            with RoutedTransaction(self, savepoint_name, force_rollback) as block:
                yield block

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Send statements without waiting for each, on one connection to the writer."""
        lease = self.session.lease
        if self.in_pipeline and lease is not None:
            with lease.connection.pipeline() as pipeline:
                yield pipeline
        else:
            with piped(self) as pipeline:
                yield pipeline

    def tpc_begin(self, xid: Xid | str) -> None:
        """Begin a two-phase transaction called *xid*."""
        with self.story():
            two_phase.begin(self, xid)

    def tpc_prepare(self) -> None:
        """Perform the first phase of the transaction begun with `tpc_begin`."""
        with self.story():
            two_phase.prepare(self)

    def tpc_commit(self, xid: Xid | str | None = None) -> None:
        """Commit the two-phase transaction, or a prepared one called *xid*."""
        with self.story():
            two_phase.finish(self, "COMMIT", xid)

    def tpc_rollback(self, xid: Xid | str | None = None) -> None:
        """Roll the two-phase transaction back, or a prepared one called *xid*."""
        with self.story():
            two_phase.finish(self, "ROLLBACK", xid)

    def tpc_recover(self) -> list[Xid]:
        """Return the two-phase transactions that are prepared."""
        with self.story():
            return two_phase.recover(self)

    # Modes.

    def set_autocommit(self, value: bool) -> None:
        """Set whether each statement is its own transaction."""
        self._outside("autocommit")
        self._autocommit = self.session.autocommit = bool(value)
        self.session.hot = None

    def set_isolation_level(self, value: IsolationLevel | None) -> None:
        """Set the isolation level of the next transactions."""
        self._outside("isolation_level")
        self._isolation_level = None if value is None else IsolationLevel(value)
        self._new_mode()

    def set_read_only(self, value: bool | None) -> None:
        """Set whether the next transactions only read; they then run locally."""
        self._outside("read_only")
        self._read_only = None if value is None else bool(value)
        self._new_mode()

    def set_deferrable(self, value: bool | None) -> None:
        """Set whether the next transactions are deferrable."""
        self._outside("deferrable")
        self._deferrable = None if value is None else bool(value)
        self._new_mode()

    def _new_mode(self) -> None:
        level = self._isolation_level
        self.session.mode = TransactionMode(
            None if level is None else level.name.replace("_", " ").lower(),
            self._read_only,
            self._deferrable,
        )

    def _outside(self, attribute: str) -> None:
        with self.story():
            status = self.info.transaction_status
            if status is psycopg.pq.TransactionStatus.IDLE:
                return
            why = f"connection in transaction status {status.name}"
            if self._num_transactions:
                why = "connection.transaction() context in progress"
            raise ProgrammingError(f"can't change {attribute!r} now: {why}")

    # What arrives by itself, and what is sent from elsewhere.

    def notifies(
        self, *, timeout: float | None = None, stop_after: int | None = None
    ) -> Generator[psycopg.Notify]:
        """Yield notifications; LISTEN has pinned the connection they arrive on."""
        self._check_connection_ok()
        if self.session.lease is None:
            self._pin("notifies")
        try:
            yield from super().notifies(timeout=timeout, stop_after=stop_after)
        except psycopg.Error as error:
            with self.story():
                flow.refuse_gone(self.session)
            self.after_talk()
            raise_both(self, error)

    def cancel(self) -> None:
        """Cancel the statement running now, from any thread."""
        self._cancel(psycopg.Connection.cancel)

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Cancel the statement running now, from any thread.

        Raises `psycopg.errors.CancellationTimeout` when that takes longer than
        *timeout* seconds.
        """

        def act(link: psycopg.Connection[Any]) -> None:
            psycopg.Connection.cancel_safe(link, timeout=timeout)

        self._cancel(act)

    def _cancel(self, act: Callable[[Any], None]) -> None:
        # No turn is taken: the statement to be cancelled has it.
        try:
            if self._should_cancel():
                self._shell.cancel(act)
        except psycopg.Error as error:
            raise_both(self, error)

    # The end.

    def close(self) -> None:
        """Close the session; an open transaction is rolled back."""
        with self.lock:
            self._closed = True
            self.session.close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self.closed:
            return
        try:
            if exc_val is None:
                self.commit()
            else:
                self._roll_back_quietly()
        finally:
            self.close()

    def _roll_back_quietly(self) -> None:
        """Do not put a failing rollback in the place of what led to it."""
        try:
            self.rollback()
        except psycopg.Error as error:
            logger.warning("rollback_failed error=%s", error)
            self.session.release(Outcome.DISCARD)

    def __del__(self, warn: Any = warnings.warn) -> None:
        session = getattr(self, "session", None)
        if session is None or session.closed:
            return
        session.abandon()
        warn(
            f"{object.__repr__(self)} was deleted while still open. Use 'with' or "
            "'.close()' to close the connection properly",
            ResourceWarning,
            source=self,
        )

    def __repr__(self) -> str:
        session = self.session
        state = "closed" if session.closed else session.transaction.state.value
        mode = session.consistency.value if session.consistency else "off"
        return (
            f"<globaldb.postgresql.Connection [{state}] region={session.region} "
            f"consistency={mode} at 0x{id(self):x}>"
        )

    def _check_connection_ok(self) -> None:
        if self.session.closed:
            raise_both(self, closed_error())


_NOT_HELD = (
    "a routed connection holds no physical one outside of transactions: use its own "
    "methods (execute, transaction, copy, ...) rather than psycopg's classes"
)

claim_cursors()


class _Unplugged:
    """Stands where psycopg's constructor hangs its handlers: nothing calls them."""

    notice_handler: Any = None
    notify_handler: Any = None
