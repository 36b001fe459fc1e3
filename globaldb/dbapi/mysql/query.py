"""One text on its way: to the connection itself, to a node, or to nobody."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from pymysql import err
from pymysql.constants import SERVER_STATUS

from globaldb.core.faults import READ_ELSEWHERE
from globaldb.core.lending import Outcome
from globaldb.core.lexer import decoded
from globaldb.core.lexer.mysql import quotings, second as end
from globaldb.dbapi.mysql import local, same
from globaldb.dbapi.mysql.story import closed_error
from globaldb.dbapi.mysql.stream import RepeatedResult, Stream
from globaldb.dbapi.mysql.work import QueryWork
from globaldb.drivers.pymysql import translate as errors
from globaldb.drivers.pymysql.wire import Call
from globaldb.runtime.causality import here

if TYPE_CHECKING:
    from globaldb.core.statement import Statement
    from globaldb.dbapi.mysql.connection import Connection

_IN_TRANSACTION: Final = SERVER_STATUS.SERVER_STATUS_IN_TRANS


def run_hot(face: Connection, statement: Statement, sql: Any) -> bool:
    """Take the short way of a plain read whose decision still holds.

    Answers False when it does not, or when the node gave the statement up: then the
    whole story has to be told. Without a semicolon a text is one statement to any
    server in any mode.
    """
    session = face.session
    hot = session.hot
    if (
        hot is None
        or not statement.plain
        or type(sql) is not str
        or ";" in sql
        or face.waiting
        or hot.version != session.cluster.topology.version
        or hot.latest is not here().latest
    ):
        return False
    data = sql.encode(face.encoding)
    lease = hot.node.pool.try_checkout()
    if lease is None:
        return False
    link = lease.connection
    outcome = Outcome.REUSE
    shell: Any = session.shell
    try:
        if link.settings != session.settings.current:
            return False
        link.decoders, link.encoding = face.decoders, face.encoding
        link.use_unicode = face.use_unicode
        link.last_session = session.id
        face.ran_on = face.counted_on = link, link.spell()
        shell.busy = link
        try:
            face._affected_rows = link.query(data)
        finally:
            shell.busy = None
            if shell.cancelling:
                shell.ended(link)
        face._result, link._result = link._result, None
    except err.MySQLError as error:
        session.hot = face._result = None
        if errors.fault(error, broken=link.closed) not in READ_ELSEWHERE:
            raise
        return False
    finally:
        if link.closed or link.server_status & _IN_TRANSACTION:
            outcome = Outcome.DISCARD
        hot.node.pool.checkin(lease, outcome)
    session.books.read_ended_at = monotonic()
    session.route = hot.route
    return True


def run(
    face: Connection,
    statement: Statement,
    sql: Any,
    template: str | None,
    *,
    unbuffered: bool,
) -> None:
    """Execute *sql*; the connection holds its first result afterwards.

    *statement* is what *template* was found to be, where there is one: the text before
    values were put into it.
    """
    session = face.session
    if session.closed:
        raise closed_error()
    face.make_room()
    source = face.source(sql) if template is None else template
    if template is not None and statement.action is not None:
        # Its values have a part in what it means to the session.
        source = face.source(sql)
        statement = face.lookup(source)
    if statement.multiple:
        statement = _one(face, statement, source)
    answer = local.answer(face, statement, source)
    if answer is not None:
        _take(face, [answer], None, unbuffered=unbuffered)
        return
    data = sql.encode(face.encoding) if isinstance(sql, str) else bytes(sql)
    if unbuffered and statement.plain and not statement.multiple:
        call = Call(data, face, unbuffered=True)
        work = QueryWork(call, statement, session.deadline(), source)
        stream = face.stream = Stream(face, work)
        _take(face, [stream.begin(call)], None, unbuffered=False)
        return
    call = Call(data, face, last=face.common.habits.same_connection)
    work = QueryWork(call, statement, session.deadline(), source)
    same.execute(face, work)
    _take(face, call.results, call.later, unbuffered=unbuffered)


def _take(
    face: Connection,
    results: list[Any],
    error: Exception | None,
    *,
    unbuffered: bool,
) -> None:
    """Make *results* the connection's, the *error* behind the last of them."""
    arrived = results
    if unbuffered:
        arrived = [RepeatedResult(result) for result in results]
    last = len(arrived) - 1
    for index, result in enumerate(arrived):
        # What travelled behind the statement was nobody's business.
        result.has_next = index < last or error is not None
    face.waiting.extend(arrived[1:])
    if error is not None:
        face.waiting.append(error)
    face.give(arrived[0])


def _one(face: Connection, statement: Statement, source: str | bytes) -> Statement:
    """Return *statement* as a single one where the server's mode leaves no doubt.

    What is read with other modes in mind may end a string too early.
    """
    text = decoded(source)
    if face.takes_scripts or any(end(text, way) != len(text) for way in quotings(text)):
        return statement
    return replace(statement, multiple=False)
