"""The connection an application holds: PyMySQL's to the eye, a session behind it."""

from __future__ import annotations

import logging
import threading
import warnings
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql import err
from pymysql.charset import charset_by_name
from pymysql.constants import CLIENT, SERVER_STATUS

from globaldb.core.consistency import Consistency
from globaldb.core.lending import Outcome
from globaldb.core.statement import Statement, Verdict
from globaldb.dbapi.mysql.cursor import routed
from globaldb.dbapi.mysql.query import run, run_hot
from globaldb.dbapi.mysql.same import left, makes_id
from globaldb.dbapi.mysql.story import Story, raise_both
from globaldb.dbapi.mysql.told import Told
from globaldb.dbapi.mysql.work import QueryWork
from globaldb.dbapi.routed import Routed
from globaldb.errors import InterfaceError, NotSupportedError, OperationalError
from globaldb.runtime import flow
from globaldb.runtime.session import Session
from globaldb.runtime.shell import BlockingShell, drive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from globaldb.dbapi.mysql.same import Spell
    from globaldb.dbapi.mysql.stream import Stream
    from globaldb.dbapi.mysql.surface import Common
    from globaldb.drivers.pymysql.physical import Physical
    from globaldb.drivers.pymysql.wire import Call

    _Connection = pymysql.connections.Connection[Any]
else:
    # Generic to type checkers alone.
    _Connection = pymysql.connections.Connection

logger = logging.getLogger("globaldb")

_NO_BACKSLASH_ESCAPES: Final = SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES


class Connection(Told, Routed, _Connection):
    """A routed connection.

    Answers what a PyMySQL connection answers, and what `Routed` adds. It has no socket
    of its own.
    """

    __module__ = "globaldb.mysql"

    def __init__(
        self,
        common: Common,
        *,
        cursorclass: Any = None,
        conv: dict[Any, Any] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.common = common
        self._status = None
        cluster = common.cluster
        super().__init__(
            **common.options,
            conv=conv,
            autocommit=cluster.config.autocommit,
            ssl_disabled=True,
            defer_connect=True,
        )
        if cursorclass is not None:
            self.cursorclass = cursorclass
        #: Values are put into texts as PyMySQL does by itself.
        self.plain_values = conv is None
        self.encoders_at_first = len(self.encoders)
        #: The text of the next query before values were put into it.
        self.template: str | None = None
        #: Results that the cursor has not come to, and the error behind them.
        self.waiting: deque[Any] = deque()
        self.stream: Stream | None = None
        self.connect()

    def connect(self, sock: Any = None) -> None:
        """Begin a session; PyMySQL's ``ping(reconnect=True)`` begins another one.

        Raises `NotSupportedError` for a *sock*: a routed connection brings its own.
        """
        if sock is not None:
            raise_both(self, NotSupportedError("a routed connection takes no socket"))
        cluster = self.common.cluster
        self.lookup = cluster.lookup
        self.session = Session(cluster, BlockingShell(cluster))
        self.session.autocommit = bool(self.autocommit_mode)
        self.session.pin_writes = self.common.habits.same_connection
        # Weak: a connection that is forgotten ends at once, not at the next collection.
        self.session.face = weakref.proxy(self)
        self._result = None
        self._affected_rows = 0
        self.waiting.clear()
        #: Where the last statement ran, if what it left is still there; where its rows
        #: are those counted last; and where the last ran that made an id.
        self.ran_on: Spell | None = None
        self.counted_on: Spell | None = None
        self.inserted_on: Spell | None = None

    def followed(self, statement: Statement, call: Call) -> None:
        """Take note of where *call* ran, if it has left the connection."""
        if call.ran_on is None:
            return
        self.ran_on, self.counted_on = left(call)
        self._status = call.ran_on[0].server_status
        if any(makes_id(statement, each.insert_id) for each in call.results):
            self.inserted_on = call.ran_on

    def template_of(self, text: str) -> str | None:
        """Return *text* if it stands for whatever values are put into it."""
        plain = self.plain_values and len(self.encoders) == self.encoders_at_first
        if not plain or not isinstance(text, str):
            # An application's own converters may write more than a literal.
            return None
        return text if self.common.templates.stands_for(text) else None

    # Statements.

    def story(self) -> Story:
        """Take turns with other threads, and raise errors that both trees catch."""
        return Story(self)

    def source(self, query: Any) -> str | bytes:
        """Return the text of *query* that is classified."""
        return bytes(query) if isinstance(query, bytearray) else query

    @property
    def takes_scripts(self) -> bool:
        """Whether the application asked for texts with several statements."""
        return bool(self.client_flag & CLIENT.MULTI_STATEMENTS)

    def cursor(self, cursor: Any = None) -> Any:
        """Return a new cursor, of the class *cursor* or of ``cursorclass``."""
        factory: Any = cursor or self.cursorclass
        return routed(factory)(self)

    def query(self, sql: Any, unbuffered: bool = False) -> int:
        """Execute the text *sql* where it belongs; returns the rows affected or read.

        Raises what PyMySQL raises, and the errors of `globaldb` that only a routed
        connection has; every one of them is caught by both error trees.
        """
        template, self.template = self.template, None
        with self.lock:
            try:
                statement = self.lookup(self.source(template or sql))
                if unbuffered or not run_hot(self, statement, sql):
                    run(self, statement, sql, template, unbuffered=unbuffered)
            except Exception as error:  # noqa: BLE001 - re-raised as both trees' error
                raise_both(self, error)
        return self._affected_rows

    def next_result(self, unbuffered: bool = False) -> int:  # noqa: ARG002 - as PyMySQL has it
        """Go on to the next result of a text or procedure that has several."""
        with self.story():
            following = self.waiting.popleft()
            self._result = None
            if isinstance(following, Exception):
                raise following
            self.give(following)
        return self._affected_rows

    def give(self, result: Any) -> None:
        """Make *result* the connection's current one."""
        self._result = result
        self._affected_rows = result.affected_rows or 0

    def make_room(self) -> None:
        """Let go of what was not fetched: something else is to be said."""
        self.waiting.clear()
        self._result = None
        if self.stream is not None:
            self.stream.make_room()

    def show_warnings(self) -> Any:
        """Return the warnings of the statement before, from where it ran."""
        cursor: Any = pymysql.cursors.Cursor(self)
        kept = self._affected_rows
        cursor.execute("SHOW WARNINGS")
        self._result, self._affected_rows = None, kept
        return cursor._rows

    def kill(self, thread_id: int) -> None:
        """End the connection *thread_id* at the writer, where `thread_id` pins."""
        if not isinstance(thread_id, int):
            raise TypeError("thread_id must be an integer")
        self.query(f"KILL {thread_id:d}")

    def _escape_string(self, s: str) -> str:
        if self._status is None:
            self._status = self.common.snapshot.facts.server_status
        if self._status & _NO_BACKSLASH_ESCAPES:
            return s.replace("'", "''")
        return pymysql.converters.escape_string(s)

    def _execute_command(self, _command: Any, _sql: Any) -> None:
        raise_both(self, InterfaceError(_NO_SOCKET))

    @contextmanager
    def holding(
        self, statement: Statement, *, begin: bool = True
    ) -> Iterator[Physical]:
        """Hold a connection fit for *statement* while the block talks on it itself.

        Without *begin* no transaction is opened for it.
        """
        session = self.session
        with self.story():
            if self.stream is not None:
                self.stream.make_room()
            work = QueryWork(None, statement, session.deadline(), "")
            link = drive(flow.hold(session, work, begin=begin))
        failed, failure = True, None
        try:
            with link.until(work.deadline):
                yield link
            failed = False
        except err.Error as error:
            failure = error
            raise
        finally:
            with self.lock:
                end = flow.settle_hold(session, work, failed=failed, failure=failure)
                try:
                    drive(end)
                except OperationalError as error:
                    raise_both(self, error)

    # Transactions.

    def autocommit(self, value: bool) -> None:
        """Set whether each statement is its own transaction. Costs no round trip.

        Switching it on commits the transaction that is open, as a server does.
        """
        with self.story():
            self.make_room()
            self.autocommit_mode = bool(value)
            session = self.session
            if value and not session.autocommit and session.transaction.active:
                drive(flow.commit(session))
            session.autocommit = bool(value)
            session.hot = None

    def get_autocommit(self) -> bool:
        """Return whether each statement is its own transaction."""
        return self.session.autocommit

    def begin(self) -> None:
        """Begin a transaction; it is sent with its first statement."""
        self.query("BEGIN")
        self._result = None

    def commit(self) -> None:
        """Commit the transaction, if there is one.

        Raises `NodeLostError` when it was lost before COMMIT was sent: nothing was
        applied. Raises `OutcomeUnknownError` when COMMIT was not answered.
        """
        self._end(flow.commit)

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        self._end(flow.rollback)

    def _end(self, end: Callable[[Session], Any]) -> None:
        with self.story():
            self.make_room()
            drive(end(self.session))

    # Settings.

    def select_db(self, db: str) -> None:
        """Make *db* the database in use."""
        name = str(db).replace("`", "``")
        self.query(f"USE `{name}`")
        self._result = None

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Set the encoding of texts, and the collation of what stands in them."""
        encoding = charset_by_name(charset).encoding
        names = f"SET NAMES {charset}"
        self.query(names if not collation else f"{names} COLLATE {collation}")
        self._result = None
        self.charset, self.encoding, self.collation = charset, encoding, collation

    def ping(self, reconnect: bool | None = False) -> None:
        """See whether the nearest node answers, or the one whose connection is held.

        Raises PyMySQL's error when the connection was closed and *reconnect* does not
        ask for a new session.
        """
        if reconnect:
            warnings.warn(_DEPRECATED, DeprecationWarning, stacklevel=2)
        if not self.open:
            if not reconnect:
                raise_both(self, err.Error("Already closed"))
            self.connect()
        passing = Statement(Verdict.NODE_LOCAL, "node_function", "")
        with (
            self.using(consistency=Consistency.EVENTUAL),
            self.holding(passing, begin=False) as link,
        ):
            link.ping(reconnect=False)

    # The end.

    @property
    def open(self) -> bool:
        """Whether the connection was not closed."""
        session = getattr(self, "session", None)
        return session is not None and not session.closed

    def close(self) -> None:
        """Close the session; an open transaction is rolled back.

        Raises PyMySQL's error when it was closed before.
        """
        with self.lock:
            if self.session.closed:
                raise_both(self, err.Error("Already closed"))
            self._let_go()

    def _force_close(self) -> None:
        """Close without a word, and without an error when there is nothing to close."""
        with self.lock:
            if self.open:
                self._let_go()

    def _let_go(self) -> None:
        self.waiting.clear()
        self._result = None
        session, self.stream = self.session, None
        lease = session.lease
        if lease is not None and lease.connection._result is not None:
            # Rows are still to come on it.
            lease.connection.spoiled = True
        session.close()

    def __exit__(self, *exc_info: object) -> None:
        if not self.open:
            return
        try:
            if exc_info[1] is None:
                self.commit()
            else:
                self._roll_back_quietly()
        finally:
            self._force_close()

    def _roll_back_quietly(self) -> None:
        """Do not put a failing rollback in the place of what led to it."""
        try:
            self.rollback()
        except err.Error as error:
            logger.warning("rollback_failed error=%s", error)
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
            f"<globaldb.mysql.Connection [{state}] region={session.region} "
            f"consistency={mode} at 0x{id(self):x}>"
        )


_NO_SOCKET = (
    "a routed connection has no socket of its own: use its methods and cursors rather "
    "than PyMySQL's internals"
)
_DEPRECATED = (
    "The 'reconnect' argument is deprecated. Create a new connection if you want to "
    "reconnect."
)
