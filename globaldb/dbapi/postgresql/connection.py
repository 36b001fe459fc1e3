"""The connection an application holds: psycopg's to the eye, a session behind it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import IsolationLevel, pq, sql

from globaldb.core.classify_postgresql import classify
from globaldb.core.consistency import Consistency, parse_consistency
from globaldb.core.lending import Outcome
from globaldb.core.statement import Statement, Verdict
from globaldb.core.token import Token
from globaldb.core.transaction import TransactionMode
from globaldb.core.trip import LinkStatus
from globaldb.dbapi.postgresql.cursor import RoutedCursor, raise_both, routed
from globaldb.dbapi.postgresql.info import RoutedInfo
from globaldb.dbapi.postgresql.server_cursor import RoutedServerCursor
from globaldb.dbapi.postgresql.transaction import RoutedTransaction
from globaldb.dbapi.postgresql.work import CursorWork
from globaldb.drivers.psycopg import wire
from globaldb.drivers.psycopg.translate import translate
from globaldb.errors import InterfaceError, ProgrammingError
from globaldb.runtime import flow
from globaldb.runtime.session import Session
from globaldb.runtime.shell import BlockingShell, drive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from psycopg.abc import Query
    from psycopg.pq.abc import PGconn

    from globaldb.core.routing import Route
    from globaldb.runtime.cluster import ClusterRuntime


class Connection(psycopg.Connection[Any]):
    """A routed connection.

    Answers what a psycopg connection answers, and `consistency`, `using`, `token`,
    `observe`, `last_route`, `explain_route`. May be shared by threads as psycopg's
    may: their statements take turns.
    """

    __module__ = "globaldb.postgresql"

    # psycopg warns of connections deleted while open unless they have this; ours
    # hold nothing open by themselves, so `__del__` below decides.
    _pool = None

    def __init__(self, cluster: ClusterRuntime) -> None:
        self.session = Session(cluster, BlockingShell(cluster))
        self._snapshot: Any = _borrow_pgconn(cluster)
        self.in_pipeline = False
        super().__init__(_Unplugged())  # type: ignore[arg-type]
        self.session.face = self
        self.lock = threading.RLock()  # type: ignore[assignment]
        self.cursor_factory = RoutedCursor
        self.server_cursor_factory = RoutedServerCursor
        self._autocommit = self.session.autocommit
        self.prepare_threshold = cluster.config.prepare_threshold
        self._lookup = cluster.lookup

    # The physical connection behind it, as far as psycopg asks for one.

    @property
    def pgconn(self) -> PGconn:
        """The libpq connection held, else one of the same cluster.

        The latter serves for quoting and for what is the same everywhere (encoding,
        user, database); it must not be talked to.
        """
        lease = self.session.lease
        if lease is not None:
            self._snapshot = lease.connection.pgconn
        elif self._snapshot.status == pq.ConnStatus.BAD and not self.session.closed:
            self._snapshot = _borrow_pgconn(self.session.cluster)
        return self._snapshot

    @pgconn.setter
    def pgconn(self, value: Any) -> None:
        """psycopg's constructor assigns one; there is none to keep."""

    @property
    def closed(self) -> bool:
        """True once the connection was closed."""
        return self.session.closed

    @property
    def broken(self) -> bool:
        """Always False: a lost physical connection is replaced."""
        return False

    @property
    def info(self) -> RoutedInfo:
        """Facts about the connection; the status is the session's."""
        return RoutedInfo(self)

    def fileno(self) -> int:
        """Return the descriptor of a physical connection, pinned for it."""
        self._pin("fileno")
        return self.pgconn.socket

    # Statements.

    def lookup(self, query: Query) -> Statement:
        """Classify *query*; repeated texts are looked up."""
        if type(query) is str:
            return self._lookup(query)
        if isinstance(query, bytes):
            return classify(query)
        if isinstance(query, sql.Composable):
            return self._lookup(query.as_string(self))
        # A t-string: what stands between its values decides.
        strings = getattr(query, "strings", None)
        if strings is not None:
            return self._lookup("%s".join(strings))
        return self._lookup(str(query))

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new cursor; a named one lives on the server."""
        self._refuse_closed()
        factory, named = self.cursor_factory, self.server_cursor_factory
        self.cursor_factory = routed(factory)
        if not issubclass(named, RoutedServerCursor):
            self.server_cursor_factory = type(
                named.__name__, (RoutedServerCursor, named), {}
            )
        return super().cursor(*args, **kwargs)

    def _check_connection_ok(self) -> None:
        self._refuse_closed()

    def commit(self) -> None:
        """Commit the transaction, if there is one."""
        with self._story("commit"):
            drive(flow.commit(self.session))

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        with self._story("rollback"):
            drive(flow.rollback(self.session))

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[RoutedTransaction]:
        """Run a block as a transaction, or as a savepoint inside one."""
        self._refuse_closed()
        with RoutedTransaction(self, savepoint_name, force_rollback) as block:
            yield block

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Send statements without waiting for each, on one connection to the writer."""
        with self._story(None):
            if self.in_pipeline and self._pipeline is not None:
                with self._pipeline as pipeline:
                    yield pipeline
                return
            statement = Statement(Verdict.WRITE, "pipeline", "")
            work = CursorWork(wire.Call(self.cursor(), ""), statement, None)
            link = drive(flow.hold(self.session, work))
            failed = True
            try:
                with link.pipeline() as pipeline:
                    self._pipeline, self.in_pipeline = pipeline, True
                    yield pipeline
                failed = False
            finally:
                self._pipeline, self.in_pipeline = None, False
                drive(flow.settle_hold(self.session, work, failed=failed))

    def notifies(self, **kwargs: Any) -> Any:
        """Yield notifications; LISTEN has pinned the connection they arrive on."""
        if self.session.lease is None:
            self._pin("notifies")
        lease = self.session.lease
        assert lease is not None  # noqa: S101 - pinned just above
        lease.connection.face = self
        return lease.connection.notifies(**kwargs)

    def cancel(self) -> None:
        """Cancel the statement running now, from any thread."""
        self.session.shell.cancel(psycopg.Connection.cancel)

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Cancel the statement running now, from any thread."""

        def act(link: psycopg.Connection[Any]) -> None:
            psycopg.Connection.cancel_safe(link, timeout=timeout)

        self.session.shell.cancel(act)

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
        self._refuse_closed()
        if self.session.transaction.active:
            inside = "connection.transaction() context in progress"
            if not self._num_transactions:
                inside = "a transaction is in progress: commit or roll back first"
            raise_both(
                self, ProgrammingError(f"can't change {attribute!r} now: {inside}")
            )

    # What only a routed connection has.

    @property
    def consistency(self) -> Consistency | None:
        """The promise kept for reads: session, global, eventual; None forwards none."""
        return self.session.consistency

    @consistency.setter
    def consistency(self, value: Consistency | str | None) -> None:
        self.session.consistency = _consistency(value)

    @contextmanager
    def using(self, **options: Any) -> Iterator[Self]:
        """Apply options inside the block.

        *consistency*, *route* (``auto``, ``reader``, ``writer``; a write goes to the
        writer whatever it says), *region*, *max_staleness* and *timeout* (seconds).
        """
        known = ("consistency", "route", "region", "max_staleness", "timeout")
        for name in options:
            if name not in known:
                raise ProgrammingError(
                    f"using() has no option {name!r}; it has {', '.join(known)}"
                )
        if "consistency" in options:
            options["consistency"] = _consistency(options["consistency"])
        with self.session.using(**options):
            yield self

    @property
    def last_route(self) -> Route | None:
        """Where the last statement ran, and why."""
        return self.session.route

    def explain_route(self, query: Query) -> Route:
        """Say where *query* would run now. Sends nothing."""
        return flow.explain(self.session, self.lookup(query))

    @property
    def token(self) -> str:
        """Everything this session has written or read, as text for another process.

        Costs nothing when the position is known; else one round trip.
        """
        with self._story(None):
            config = self.session.cluster.config
            position = drive(flow.current_position(self.session))
            token = Token(self.session.cluster.system, position)
            return token.encode(_secret(config))

    def observe(self, token: str) -> None:
        """From now on read nothing older than *token*, from this cluster."""
        with self._story(None):
            cluster = self.session.cluster
            found = Token.decode(token, _secret(cluster.config), cluster.system)
            if found.position is not None:
                self.session.books.require(found.position)
                self.session.hot = None

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
        except psycopg.Error:
            self.session.release(Outcome.DISCARD)

    def __del__(self) -> None:
        session = getattr(self, "session", None)
        if session is not None and not session.closed:
            session.abandon()

    def __repr__(self) -> str:
        session = self.session
        state = "closed" if session.closed else session.transaction.state.value
        mode = session.consistency.value if session.consistency else "off"
        return (
            f"<globaldb.postgresql.Connection [{state}] region={session.region} "
            f"consistency={mode} at 0x{id(self):x}>"
        )

    # Inside.

    @staticmethod
    def raise_translated(error: Exception) -> None:
        """Raise *error* as both trees' when it has no connection to belong to."""
        both = translate(error, None)
        if both is not error:
            raise both from error

    def after_talk(self) -> None:
        """Psycopg has talked on the connection held: see what became of it."""
        session = self.session
        if session.lease is None:
            return
        if session.lease.connection.link_status is LinkStatus.LOST:
            session.transaction_lost()

    def _pin(self, why: str) -> None:
        statement = Statement(Verdict.PIN, why, "")
        work = CursorWork(wire.Call(self.cursor(), ""), statement, None)
        with self._story(None):
            drive(flow.hold(self.session, work, begin=False))
            drive(flow.settle_hold(self.session, work, failed=False))

    @contextmanager
    def _story(self, what: str | None) -> Iterator[None]:
        with self.lock:
            try:
                self._refuse_closed()
                if what is not None and self._num_transactions:
                    raise ProgrammingError(
                        f"explicit {what}() is forbidden within a transaction() "
                        "block, which ends by itself"
                    )
                yield
            except Exception as error:  # noqa: BLE001 - re-raised as both trees' error
                raise_both(self, error)

    def _refuse_closed(self) -> None:
        if self.session.closed:
            raise_both(self, _closed_error())


def _closed_error() -> psycopg.Error:
    # psycopg's own class and words for it.
    return psycopg.OperationalError("the connection is closed")


class _Unplugged:
    """Stands where psycopg's constructor hangs its handlers: nothing calls them."""

    notice_handler: Any = None
    notify_handler: Any = None


def _borrow_pgconn(cluster: ClusterRuntime) -> Any:
    """A libpq connection to look at: of the nearest node, without keeping it."""
    for state in cluster.near():
        lease = cluster.nodes[state.name].pool.checkout()
        try:
            return lease.connection.pgconn
        finally:
            cluster.nodes[state.name].pool.checkin(lease)
    raise InterfaceError("no node of the cluster answers")


def _consistency(value: Consistency | str | None) -> Consistency | None:
    if value is None or isinstance(value, Consistency):
        return value
    return parse_consistency(value)


def _secret(config: Any) -> str | None:
    return None if config.token_secret is None else config.token_secret.reveal()
