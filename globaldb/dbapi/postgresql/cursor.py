"""Cursors: psycopg's own, each of whose statements finds its node first."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import pq

from globaldb.core.faults import READ_ELSEWHERE, Fault
from globaldb.core.lending import Outcome
from globaldb.core.routing import needs_writer
from globaldb.core.statement import Copy as CopyAction, Verdict
from globaldb.dbapi.postgresql import local
from globaldb.dbapi.postgresql.story import Story, closed_error, raise_both
from globaldb.dbapi.postgresql.work import CursorWork, source_of
from globaldb.drivers.psycopg import trace, translate as errors, wire
from globaldb.runtime import flow
from globaldb.runtime.causality import here
from globaldb.runtime.flow.outcome import traces
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg.abc import Params, Query
    from psycopg.copy import Copy, Writer

    from globaldb.core.routing import Route
    from globaldb.core.statement import Statement
    from globaldb.dbapi.postgresql.connection import Connection
    from globaldb.drivers.psycopg.physical import Physical

_IDLE = pq.TransactionStatus.IDLE
#: What may run on a connection in between without leaving anything behind.
_PASSING = frozenset(
    (Verdict.READ, Verdict.WRITE, Verdict.NODE_LOCAL, Verdict.TRANSACTION)
)


class RoutedCursor(psycopg.Cursor[Any]):
    """What every cursor of a routed connection does in its own way.

    ``connection`` is the routed connection; the physical one is bound in its place
    for the time of a call.
    """

    #: Where the last statement ran, and why.
    route: Route | None = None

    # What `claim_cursors` does is done already.
    __new__ = object.__new__

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Execute a statement where it belongs.

        Waits for a reader that is fresh enough, and for a writer while none is known:
        ``failover_wait`` seconds at most, and no longer than ``timeout``.

        Raises what psycopg raises, and of globaldb's own: `NoNodeAvailableError` and
        `PoolTimeoutError` (nothing was sent), `NodeLostError` (nothing was applied),
        `OutcomeUnknownError` (a write may have been), `DeadlineExceededError`,
        `CausalityLostError`. Every one of them is caught by both error trees.
        """
        face: Connection = self._conn  # type: ignore[assignment]
        with face.lock:
            try:
                statement = face.lookup(query)
                parts = (self, query, params, prepare, binary)
                if not self._execute_hot(face, statement, parts):
                    self._execute(face, statement, wire.Call(*parts))
            except Exception as error:  # noqa: BLE001 - re-raised as both trees' error
                raise_both(face, error)
        return self

    def _execute_hot(  # noqa: C901 - a call would cost more than a branch here
        self, face: Connection, statement: Statement, parts: wire.Parts
    ) -> bool:
        """Take the short way of a plain read whose decision still holds.

        Answers False when it does not, or when the node gave the statement up: then
        the whole story has to be told. Nobody else has the lease, so what is leased
        is not locked.
        """
        session = face.session
        hot = session.hot
        if (
            hot is None
            or not statement.plain
            or hot.version != session.cluster.topology.version
            or hot.latest is not here().latest
        ):
            return False
        lease = hot.node.pool.try_checkout()
        if lease is None:
            return False
        link = lease.connection
        outcome = Outcome.REUSE
        shell: Any = session.shell
        try:
            if link.settings != session.settings.current:
                return False
            link.face = face
            wire.bind(self, link)
            shell.busy = link
            try:
                story = wire.read(link, parts)
                if story is None:
                    return False
                link.wait(story)
            finally:
                self._conn = face
                shell.busy = None
                if shell.cancelling:
                    shell.ended(link)
        except psycopg.Error as error:
            session.hot = None
            if errors.fault(error, broken=link.closed) not in READ_ELSEWHERE:
                raise
            return False
        finally:
            if link.pgconn.transaction_status != _IDLE:
                outcome = Outcome.DISCARD
            link.face = None
            hot.node.pool.checkin(lease, outcome)
        session.books.read_ended_at = monotonic()
        self.route = session.route = hot.route
        return True

    def _execute(self, face: Connection, statement: Statement, call: wire.Call) -> None:
        session = face.session
        if face.closed:
            raise closed_error()
        if self._closed:
            raise psycopg.InterfaceError("the cursor is closed")
        if face.in_pipeline:
            self._in_pipeline(call)
            return
        if isinstance(statement.action, CopyAction) and not statement.multiple:
            # Refused before it is sent: a COPY that nobody feeds blocks a connection.
            raise psycopg.ProgrammingError(
                "COPY cannot be used with this method; use copy() instead"
            )
        answer = local.answer(face, statement)
        if answer is not None:
            local.give(self, face, answer)
            return
        work = CursorWork(call, statement, session.deadline())
        drive(flow.execute(session, work))
        self.route = session.route

    def _in_pipeline(self, call: wire.Call) -> None:
        """Inside ``with conn.pipeline()`` psycopg itself queues what is sent."""
        query: Any = call.query
        with self._held(query):
            super().execute(
                query, call.params, prepare=call.prepare, binary=call.binary
            )

    @contextmanager
    def bound(self, face: Connection) -> Iterator[None]:
        """Work on the connection that the session holds, if it holds one."""
        lease = face.session.lease
        if lease is not None:
            wire.bind(self, lease.connection)
        try:
            yield
        finally:
            self._conn = face

    def executemany(
        self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
    ) -> None:
        """Execute one statement with many sets of parameters, in one round trip."""
        face: Connection = self._conn  # type: ignore[assignment]
        along: list[str] = []
        with Story(face), self._held(query, along) as link:
            link.leave_rows()
            asked_at = monotonic()
            traced = not face.in_pipeline and traces(
                face.session, link, face.lookup(query)
            )
            question = trace.question(link) if traced else None
            with link.between(along, question) as answer:
                super().executemany(query, params_seq, returning=returning)
            if answer:
                told = trace.traced(link, answer, asked_at)
                face.session.transaction.trace = told

    def stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        binary: bool | None = None,
        size: int = 1,
    ) -> Iterator[Any]:
        """Iterate over a result row by row, holding its connection meanwhile."""
        with Story(self._conn), self._held(query) as link:
            link.row_by_row = True
            yield from super().stream(query, params, binary=binary, size=size)

    @contextmanager
    def copy(
        self,
        statement: Query,
        params: Params | None = None,
        *,
        writer: Writer | None = None,
    ) -> Iterator[Copy]:
        """Start a COPY, holding its connection until the block ends."""
        with (
            Story(self._conn),
            self._held(statement),
            super().copy(statement, params, writer=writer) as copy,
        ):
            yield copy

    @contextmanager
    def _held(self, query: Query, along: list[str] | None = None) -> Iterator[Physical]:
        """Hold the right connection while psycopg itself talks on it.

        What is put in *along* must be sent first.
        """
        if self._closed:
            raise psycopg.InterfaceError("the cursor is closed")
        face: Connection = self._conn  # type: ignore[assignment]
        statement = face.lookup(query)
        if statement.verdict not in _PASSING:
            # What psycopg does by itself is not recorded, so it must stay where it is.
            statement = replace(statement, verdict=Verdict.PIN)
        if face.in_pipeline:
            if not face.session.on_writer and needs_writer(statement):
                flow.refuse(face.session, statement)
            face.session.will_define(statement)
            with self.bound(face):
                yield self._conn  # type: ignore[misc]
            if statement.verdict is Verdict.PIN:
                face.session.pinned_whole = True
            return
        with face.holding(statement, along=along) as link, self.bound(face):
            try:
                yield link
            except psycopg.Error as error:
                self._learn(face, query, error)
                raise
        self.route = face.session.route

    def _learn(self, face: Connection, query: Query, error: psycopg.Error) -> None:
        """Learn of a reader's refusal; here rows may have been seen: no repeating."""
        session = face.session
        node, mode = session.node, "default_transaction_read_only"
        if node is None or session.on_writer or session.transaction.active:
            return
        refused = errors.fault(error, broken=False) is Fault.READ_ONLY
        if refused and session.settings.value_of(mode) is None:
            flow.remember(session, source_of(query, face), node, error)

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        try:
            self._fetch_pipeline()
            result = self._check_result_for_fetch()
            if self._pos < result.ntuples:
                record = self._tx.load_row(self._pos, self._make_row)
                self._pos += 1
                return record
        except psycopg.Error as error:
            raise_both(self._conn, error)
        return None

    def __next__(self) -> Any:
        try:
            self._fetch_pipeline()
            result = self._check_result_for_fetch()
            if self._pos < result.ntuples:
                record = self._tx.load_row(self._pos, self._make_row)
                self._pos += 1
                return record
        except psycopg.Error as error:
            raise_both(self._conn, error)
        raise StopIteration("no more records to return")

    def fetchmany(self, size: int = 0) -> list[Any]:
        """Return the next *size* rows."""
        try:
            return super().fetchmany(size)
        except psycopg.Error as error:
            raise_both(self._conn, error)

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        try:
            return super().fetchall()
        except psycopg.Error as error:
            raise_both(self._conn, error)


@cache
def routed(factory: Any) -> Any:
    """Return the routed form of any of psycopg's cursor classes, or of a user's.

    What a user's class overrides stays on top: its calls to ``super()`` arrive here.
    """
    if factory is psycopg.Cursor:
        return RoutedCursor
    if issubclass(factory, RoutedCursor):
        return factory
    return join(factory, RoutedCursor)


def join(factory: Any, routing: Any) -> Any:
    """Return a class that is *factory* first and *routing* below it."""

    def new(cls: Any, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    return type(factory.__name__, (factory, routing), {"__new__": new})


def claim_cursors() -> None:
    """Let ``psycopg.Cursor(conn)`` make a routed cursor when *conn* is routed.

    psycopg's own `TypeInfo.fetch`, and applications that want a `ClientCursor`, make
    cursors by their class. Nothing changes for other connections.
    """
    plain = object.__new__

    def new(cls: Any, connection: Any = None, *_: Any, **__: Any) -> Any:
        choose = getattr(connection, "routed_class", None)
        return plain(cls if choose is None else choose(cls))

    psycopg.Cursor.__new__ = new  # type: ignore[method-assign]
