"""A physical connection: psycopg's own, with the books of whoever borrows it."""

from __future__ import annotations

import logging
import math
import select
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import errors as pgerrors, pq, waiting
from psycopg._preparing import PrepareManager
from psycopg.conninfo import make_conninfo
from psycopg.errors import FinishedPGconn, _WaitTimeout

from globaldb.config import libpq
from globaldb.core.fence import Facts
from globaldb.core.trip import LinkStatus
from globaldb.drivers.cancelling import LONGEST, patience
from globaldb.drivers.psycopg.cancel import cancel
from globaldb.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from globaldb.core.settings import Settings
    from globaldb.drivers.psycopg.trace import Place

T = TypeVar("T")

logger = logging.getLogger("psycopg")

_wait = psycopg.Connection.wait

#: Seconds between looks at pending signals while waiting, as psycopg has it.
_INTERVAL = 0.1

#: Parameters of libpq that are secrets, as it spells them.
_SECRETS = frozenset(name.encode() for name in (*libpq.SECRETS, "password"))

#: Longest wait, in seconds, before looking whether there is still a point in it.
_PATIENCE = 0.5

#: By number, as libpq has it: a member of the enumeration is one too.
_STATUS: Mapping[int, LinkStatus] = {
    pq.TransactionStatus.IDLE: LinkStatus.IDLE,
    pq.TransactionStatus.INTRANS: LinkStatus.OPEN,
    pq.TransactionStatus.INERROR: LinkStatus.FAILED,
}


class Physical(psycopg.Connection[Any]):
    """One connection to one node. It runs in autocommit; sessions own transactions."""

    # psycopg warns of connections that are dropped while open unless they belong to
    # a pool, which it recognises by this attribute.
    _pool: Any = None

    def __init__(
        self, pgconn: PGconn, row_factory: Any = psycopg.rows.tuple_row
    ) -> None:
        super().__init__(pgconn, row_factory)
        #: The settings of the last borrower, still applied.
        self.settings: Settings = ()
        #: What is known of the node it leads to, shared with others to it.
        self.facts = Facts()
        #: Which run of which server it leads to, once that was asked.
        self.place: Place | None = None
        #: That was a standby when this was opened, and has not been started since.
        self.was_standby = self.standby
        #: Identity of the session that used this connection last.
        self.last_session: int = 0
        #: How many definitions there were when its prepared statements were looked at.
        self.definitions = 0
        #: The borrower's face, which hears notices and notifications.
        self.face: psycopg.Connection[Any] | None = None
        #: `stream` was used: libpq still hands out the first result row by row.
        self.row_by_row = False
        #: When the statement running now must have ended (monotonic seconds).
        self.deadline: float | None = None
        #: Interrupted in the middle: nobody knows what is applied.
        self.spoiled = False
        #: Nobody's work is on it: when it is late, it is hung up on.
        self.expendable = False
        #: The node does not answer, or another one was promoted over it.
        self.given_up = False
        #: Seconds that it took to open.
        self.opening = 0.0
        self._prepared = self._statements = _Prepared()
        self.add_notice_handler(self._forward_notice)
        self.add_notify_handler(self._forward_notify)

    @classmethod
    def open(
        cls, parameters: Mapping[str, str], deadline: float, prepare: int | None
    ) -> Physical:
        """Connect with libpq *parameters* before *deadline* (monotonic seconds)."""
        began = monotonic()
        seconds = max(1, math.ceil(deadline - began))
        try:
            physical = cls._connected(parameters, seconds, prepare)
        except BaseException as error:  # noqa: BLE001 - raised again, without frames
            # Those below hold the password, and so would whatever shows them.
            _hide(error)
            raise error.with_traceback(None) from None
        if physical.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            physical.close()
            raise pgerrors.OperationalError("the connection did not become idle")
        physical.opening = monotonic() - began
        return physical

    @classmethod
    def _connected(
        cls, parameters: Mapping[str, str], seconds: int, prepare: int | None
    ) -> Physical:
        conninfo = make_conninfo("", **{**parameters, "connect_timeout": str(seconds)})
        return cls.connect(conninfo, autocommit=True, prepare_threshold=prepare)

    @property
    def begins_by_itself(self) -> bool:
        """False: it is in autocommit."""
        return False

    @property
    def standby(self) -> bool:
        """Whether the server last said that it is a standby; False once closed.

        PostgreSQL 14 and newer report a change with the next statement, for free.
        """
        if self.closed:
            return False
        return self.pgconn.parameter_status(b"in_hot_standby") == b"on"

    @property
    def link_status(self) -> LinkStatus:
        """What the server says of this connection."""
        if self.closed:
            return LinkStatus.LOST
        return _STATUS.get(self.pgconn.transaction_status, LinkStatus.LOST)

    def forget_statements(self) -> None:
        """Take note that the server has dropped every prepared statement."""
        self._statements.forget()

    def renew_statements(self) -> None:
        """Use no statement any more that was prepared until now, and have it closed."""
        self._statements.clear()

    def hung_up(self) -> bool:
        """Whether the server has closed this connection, as far as already known.

        So counts one that was given up. One look at the socket, no waiting: what went wrong while nobody used the
        connection is found before a write is sent into it.
        """
        if self.closed or self.given_up:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        # Its last words come first, and the end behind them.
        while poll.poll(0):
            try:
                self.pgconn.consume_input()
                # A notice, or a change of a parameter, is no reason to give up.
                self.pgconn.is_busy()
            except psycopg.Error:
                return True
            if self.pgconn.status == pq.ConnStatus.BAD:
                return True
        return False

    @contextmanager
    def until(
        self, deadline: float | None, *, expendable: bool = False
    ) -> Iterator[None]:
        """Bound every wait inside the block by *deadline* (monotonic seconds).

        What is overdue is cancelled and waited for; of an *expendable* connection,
        which no application waits for, it is hung up on. Raises psycopg's
        OperationalError when the connection was given up.
        """
        if self.given_up:
            self._refuse_to_wait()
        before = self.deadline, self.expendable
        self.deadline, self.expendable = deadline, expendable
        try:
            yield
        finally:
            self.deadline, self.expendable = before

    def give_up(self) -> None:
        """Let nobody wait for, or send, anything on this connection. From any thread."""
        self.given_up = self.spoiled = True

    def wait(
        self,
        gen: PQGen[T],
        interval: float = _INTERVAL,
        timeout: float | None = None,
    ) -> T:
        """Drive *gen* as psycopg does, until the deadline or until given up.

        The wait is cut into slices, after each of which *gen* goes on where it was:
        psycopg does the same after an interruption.
        """
        asked = None if timeout is None else monotonic() + timeout
        unbounded = asked is None and self.deadline is None
        while True:
            try:
                # Most waits have no end in sight and are over before the first slice:
                # a call saved here is saved for each statement.
                return _wait(
                    self, gen, interval, _PATIENCE if unbounded else self._slice(asked)
                )
            except _WaitTimeout:
                if asked is not None and monotonic() >= asked:
                    raise
                self._refuse_to_wait()
                if self.overdue:
                    return self.drain(gen)

    def _refuse_to_wait(self) -> None:
        """Hang up on a node that will not answer, or whose answer nobody needs."""
        if self.given_up or (self.overdue and self.expendable):
            self.pgconn.finish()
            raise psycopg.OperationalError(
                "the node does not answer any more, or is not the writer any more"
            )

    @property
    def overdue(self) -> bool:
        """Whether the statement running now should have ended."""
        return self.deadline is not None and monotonic() >= self.deadline

    def _slice(self, asked: float | None) -> float:
        ends = [end for end in (asked, self.deadline) if end is not None]
        return min(_PATIENCE, max(0.0, min(ends) - monotonic()))

    def drain(self, gen: PQGen[T]) -> T:
        """Cancel the running statement and wait for its end, or close.

        What has succeeded before the cancel came to it has succeeded, if late.
        """
        longest = patience(self.opening)
        request = cancel(self)
        # One that is still on its way tells of a node that does not answer: whatever
        # it has answered already is taken, and no more.
        remaining = longest if request.over(longest) else 0.0
        try:
            return waiting.wait(gen, self.pgconn.socket, _INTERVAL, remaining)
        except _WaitTimeout:
            self.pgconn.finish()
        except pgerrors.QueryCanceled:
            pass
        finally:
            if not request.over():
                # It would meet the next statement.
                self.pgconn.finish()
        raise too_late()

    def _try_cancel(self, *, timeout: float = LONGEST) -> None:
        # What psycopg does when it is interrupted, to wait for the statement's end.
        if not cancel(self).over(min(timeout, patience(self.opening))):
            self.pgconn.finish()

    def leave_rows(self) -> None:
        """Make psycopg's own pipelines possible again after a `stream`.

        libpq leaves its single-row mode with the next plain query.
        """
        if self.row_by_row:
            self.execute("")
            self.row_by_row = False

    @contextmanager
    def between(
        self, statements: Sequence[str], question: bytes | None
    ) -> Iterator[list[PGresult]]:
        """Send *statements* in one trip with what psycopg pipelines in the block.

        The *question* is asked behind that. Yields where its answer is found afterwards.
        """
        answers: list[PGresult] = []
        if not statements and question is None:
            yield answers
            return
        asked = None
        with self.pipeline():
            for sql in statements:
                self.execute(sql, prepare=False)
            yield answers
            if question is not None:
                asked = self.execute(question, prepare=False)
        if asked is not None and asked.pgresult is not None:
            answers.append(asked.pgresult)

    def _forward_notice(self, diagnostic: pgerrors.Diagnostic) -> None:
        if self.face is not None:
            for handler in list(self.face._notice_handlers):
                try:
                    handler(diagnostic)
                except Exception:  # as psycopg: no reason to fail a statement
                    logger.exception("error processing notice callback '%s'", handler)

    def _forward_notify(self, notify: psycopg.Notify) -> None:
        if self.face is not None:
            for handler in list(self.face._notify_handlers):
                handler(notify)
            backlog = self.face._notifies_backlog
            if backlog is not None and not self.face._notify_handlers:
                backlog.append(notify)


def too_late() -> DeadlineExceededError:
    """Return the error of a statement that was cancelled at its deadline."""
    return DeadlineExceededError(
        "the statement's deadline passed and it was cancelled. Give it more time with "
        "timeout=, or make it do less"
    )


def _hide(error: BaseException) -> None:
    """Take the secrets out of the picture of a connection that *error* has."""
    picture = getattr(error, "pgconn", None)
    if isinstance(error, psycopg.Error) and isinstance(picture, FinishedPGconn):
        info = [
            option._replace(val=None) if option.keyword in _SECRETS else option
            for option in picture.info
        ]
        error._pgconn = replace(picture, info=info, password=b"")


class _Prepared(PrepareManager):
    """psycopg's books of prepared statements, which close them by name.

    ``DEALLOCATE ALL`` would take with it what the application prepared in SQL.
    """

    def forget(self) -> None:
        """Forget every prepared statement: the server has dropped them itself."""
        self._counts.clear()
        self._names.clear()
        self._to_flush.clear()

    def clear(self) -> bool:
        """Forget every prepared statement, and have each closed at the server."""
        self._counts.clear()
        names = list(self._names.values())
        self._names.clear()
        self._to_flush.extend(names)
        return bool(names)
