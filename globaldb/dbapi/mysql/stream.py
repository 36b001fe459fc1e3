"""Unbuffered results: their rows stay at the server until somebody fetches them.

The session holds the connection meanwhile. The next statement, a commit or the like
reads what is left and throws it away, with the warning that PyMySQL gives.
"""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.connections import MySQLResult

from globaldb.core.trip import Reply, Trip
from globaldb.dbapi.mysql.story import raise_both
from globaldb.drivers.pymysql.result import Result
from globaldb.errors import OperationalError
from globaldb.runtime import flow
from globaldb.runtime.shell import drive

if TYPE_CHECKING:
    from globaldb.dbapi.mysql.connection import Connection
    from globaldb.dbapi.mysql.work import QueryWork
    from globaldb.drivers.pymysql.wire import Call

#: What PyMySQL says of rows that nobody has counted: the largest number there is.
_UNCOUNTED: Final = 2**64 - 1


class StreamedResult(Result):
    """A result whose rows arrive when they are asked for."""

    def __init__(self, begun: Result, stream: Stream) -> None:
        super().__init__(stream.link)
        self.__dict__.update(begun.__dict__)
        # Its rows are no longer for it to read.
        begun.unbuffered_active = False
        self._stream = stream

    def _read_rowdata_packet_unbuffered(self) -> Any:
        if not self.unbuffered_active:
            return None
        rows: Any = super()
        try:
            row = rows._read_rowdata_packet_unbuffered()
        except BaseException as error:
            self._stream.failed(error)
            raise
        if row is None:
            self._stream.over()
        return row

    def _finish_unbuffered_query(self) -> None:
        if self.unbuffered_active:
            self._stream.skip()

    def skip(self) -> None:
        """Read what is left, for nobody."""
        rows: Any = super()
        rows._finish_unbuffered_query()

    def __del__(self) -> None:
        """Leave what was not fetched to the next statement of the session.

        A finalizer may run anywhere: it must not wait, nor hand a connection back.
        """


class RepeatedResult(MySQLResult):
    """Rows that have all arrived, for a cursor which asks for one after the other."""

    def __init__(self, whole: Any) -> None:
        self.__dict__.update(whole.__dict__)
        self._left = iter(whole.rows or ())
        if whole.rows is not None:
            self.affected_rows, self.rows = _UNCOUNTED, None

    def _read_rowdata_packet_unbuffered(self) -> Any:
        return next(self._left, None)


class Stream:
    """The rows of one unbuffered statement, and the connection held for them."""

    def __init__(self, face: Connection, work: QueryWork) -> None:
        # Weak: the pool knows the connection, and must not keep the application's alive.
        self._face = weakref.proxy(face)
        self._work = work
        self._bound: Any = None
        self.link: Any = None
        self.result: StreamedResult | None = None
        #: Its cursor is gone: nobody has to be told that rows were left.
        self.forgotten = False

    def begin(self, call: Call) -> Result:
        """Send the statement; the rows of the result are to be fetched."""
        face, work = self._face, self._work
        along: list[str] = []
        try:
            self.link = link = drive(flow.hold(face.session, work, along=along))
        except BaseException:
            # Nothing was sent: no rows are left that anybody has to be told of.
            face.stream = None
            raise
        # One deadline for all that is waited for, until the last row was fetched.
        self._bound = link.until(work.deadline)
        self._bound.__enter__()
        reply = Reply()
        driver = face.session.cluster.driver
        try:
            driver.travel(link, call, Trip(before=tuple(along)), reply)
        except BaseException as error:
            self.failed(error)
            raise
        if reply.error is not None:
            self.failed(reply.error)
            raise reply.error
        result: Result = call.results[0]
        face.followed(work.statement, call)
        # Nobody reads a text in its name any more.
        call.face = None
        if not result.unbuffered_active:
            self.over()
            return result
        self.result = link._result = StreamedResult(result, self)
        return self.result

    def over(self, failure: Exception | None = None, *, failed: bool = False) -> None:
        """Let go of the connection: nothing is to come any more."""
        face = self._face
        with face.lock:
            if face.stream is not self:
                return
            face.stream = None
            if self.result is not None:
                self.result.unbuffered_active = False
            self.link._result = None
            self._bound.__exit__(None, None, None)
            end = flow.settle_hold(
                face.session, self._work, failed=failed, failure=failure
            )
            try:
                drive(end)
            except OperationalError as error:
                # What became of the statement says more than how it was lost.
                raise_both(face, error)

    def failed(self, error: BaseException) -> None:
        """Let go of a connection that has raised *error* in place of a row."""
        known = error if isinstance(error, err.Error) else None
        if known is None:
            # Interrupted in the middle of a row: what is left cannot be told apart.
            self.link.hang_up()
        self.over(known, failed=True)
        if known is not None:
            raise_both(self._face, known)

    def skip(self) -> None:
        """Read what is left and throw it away."""
        result = self.result
        if result is None or not result.unbuffered_active:
            return
        try:
            result.skip()
        except BaseException as error:
            self.failed(error)
            raise
        self.over()

    def make_room(self) -> None:
        """Read what is left because another statement is to be sent."""
        if not self.forgotten:
            warnings.warn(
                "Previous unbuffered result was left incomplete", stacklevel=5
            )
        self.skip()
