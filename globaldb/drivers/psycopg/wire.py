"""A trip on the wire: several commands to the server, one wait for the answers.

The one place that uses parts of psycopg that are not public: its generators and the
cursor's steps between a query and its bytes. tests/contract pins each of them.

psycopg's own pipeline mode cannot queue a Sync without waiting for it, and a
statement and the position behind it must not share a transaction: the position is
taken after the commit (see docs/decisions/0002-positions.md).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import errors as pgerrors, generators, pq
from psycopg._preparing import Prepare

from globaldb.drivers.psycopg import position, repeat, trace
from globaldb.drivers.psycopg.physical import too_late
from globaldb.drivers.psycopg.segments import (
    end_pipeline,
    first_error,
    queue,
    segment,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg._queries import PostgresQuery
    from psycopg.abc import Params, PQGen, Query
    from psycopg.pq.abc import PGconn, PGresult

    from globaldb.core.fence import Question
    from globaldb.core.trip import Reply, Trip
    from globaldb.drivers.psycopg.physical import Physical

    Command = Callable[[], None]

_FATAL = pq.ExecStatus.FATAL_ERROR
_BAD = pq.ConnStatus.BAD
_IDLE = pq.TransactionStatus.IDLE
_ACTIVE = pq.TransactionStatus.ACTIVE
_FEATURE_NOT_SUPPORTED = b"0A000"
#: What says that a question cannot be asked there, and not that it failed once.
_REFUSALS = (
    pgerrors.InsufficientPrivilege,
    pgerrors.UndefinedFunction,
    pgerrors.FeatureNotSupported,
)
_NO = Prepare.NO
_SHOULD = Prepare.SHOULD


class Call(NamedTuple):
    """One ``execute()`` of a cursor."""

    cursor: psycopg.Cursor[Any]
    query: Query
    params: Params | None = None
    prepare: bool | None = None
    binary: bool | None = None


#: A call as the short way takes it: making a plain tuple costs next to nothing.
Parts = tuple[
    "psycopg.Cursor[Any]", "Query", "Params | None", "bool | None", "bool | None"
]


def travel(
    physical: Physical, call: Call | bytes | None, trip: Trip, reply: Reply
) -> None:
    """Send *call* (a cursor's, a bare command, or nothing) with its company.

    Fills *reply* in. A server's error is stored there; what is raised is the
    connection's failure, a wrong use of the driver, or an interruption.
    """
    if trip.inquiry is not None:
        reply.told = trace.ask(physical, trip.inquiry)
        return
    cursor = call.cursor if isinstance(call, Call) else None
    face = cursor._conn if cursor is not None else None
    with physical.lock:
        if cursor is not None:
            bind(cursor, physical)
        try:
            physical.wait(_travel(physical, call, trip, reply))
            if isinstance(reply.error, pgerrors.QueryCanceled) and physical.overdue:
                reply.error = too_late()
        finally:
            if cursor is not None and face is not None:
                cursor._conn = face
            end_pipeline(physical.pgconn)


def bind(cursor: psycopg.Cursor[Any], physical: psycopg.Connection[Any]) -> None:
    """Let *cursor* work on *physical* for the time of one call."""
    # When to prepare is the session's choice; what is prepared, the connection's.
    physical._prepared.prepare_threshold = cursor._conn._prepared.prepare_threshold
    physical._prepared.prepared_max = cursor._conn._prepared.prepared_max
    cursor._conn = physical
    if cursor._pgconn is not physical.pgconn:
        # What it keeps for a query that is run again belongs to the other one.
        cursor._last_query = None
        cursor._pgconn = physical.pgconn


def read(physical: Physical, call: Parts) -> PQGen[None] | None:
    """Return the steps of a statement that travels alone, or None if it cannot.

    The short way for routed reads: what psycopg's ``execute()`` does, without its
    extra round trip when it is time to prepare the statement.
    """
    cursor, query, params, prepare, _ = call
    prepared = physical._prepared
    for _ in cursor._start_query(query):
        pass  # a physical connection is in autocommit: nothing is sent
    converted = cursor._query = cursor._convert_query(query, params)
    how, name = cursor._get_prepared(converted, prepare)
    if how is _SHOULD or prepared._to_flush:
        return None
    return _alone(physical, call, converted, how, name)


def _alone(
    physical: Physical, call: Parts, converted: PostgresQuery, how: Prepare, name: bytes
) -> PQGen[None]:
    """Send a statement as psycopg does, by itself, and take the results in."""
    cursor, query, _, _, binary = call
    prepared = physical._prepared
    if how is _NO:
        cursor._execute_send(converted, binary=binary)
    else:
        cursor._send_query_prepared(name, converted, binary=binary)
    key = prepared.maybe_add_to_cache(converted, how, name)
    results = yield from generators.execute(physical.pgconn)
    if results[0].status == _FATAL and _outdated(physical, how, results[0]):
        _unprepare(physical, converted, name)
        cursor._execute_send(converted, binary=binary)
        results = yield from generators.execute(physical.pgconn)
    if key is not None:
        prepared.validate(key, how, name, results)
    cursor._check_results(results)
    cursor._set_results(results)
    cursor._last_query = query


def _outdated(physical: Physical, how: Prepare, result: PGresult) -> bool:
    """Whether a plan was refused because its table has changed since.

    On one connection the ALTER would have made psycopg forget the plan; here it may
    have run on another. Outside a transaction the statement can simply be sent anew.
    """
    return (
        how is Prepare.YES
        and result.error_field(pq.DiagnosticField.SQLSTATE) == _FEATURE_NOT_SUPPORTED
        and b"cached plan" in result.error_message
        and physical.pgconn.transaction_status in (_IDLE, _ACTIVE)
    )


def _refused_a_question(physical: Physical, trip: Trip, reply: Reply) -> bool:
    """Whether what was asked behind a statement was refused, and undid it.

    A right can be taken away at any time. Outside a transaction, or at its beginning,
    nothing is left of the statement, and it can be sent again without the question.
    """
    if not (reply.asked_in_vain and isinstance(reply.error, _REFUSALS)):
        return False
    physical.facts.lacks("run" if trip.trace else "xid")
    return True


def _unprepare(physical: Physical, query: PostgresQuery, name: bytes) -> None:
    physical._prepared._names.pop(physical._prepared.key(query), None)
    physical._prepared._to_flush.append(name)


def _travel(
    physical: Physical, call: Call | bytes | None, trip: Trip, reply: Reply
) -> PQGen[None]:
    pgconn = physical.pgconn
    statement = _Statement(physical, call)
    statement.convert()
    if pgconn.status == _BAD:
        raise pgerrors.OperationalError("the connection is closed")
    if trip.script or (trip.plain and not statement.needs_company):
        reply.sent = True
        yield from statement.alone()
        reply.prepared = reply.done = True
        return
    yield from _together(pgconn, statement, trip, reply)
    again = statement.outdated
    if _refused_a_question(physical, trip, reply):
        again, trip = True, replace(trip, trace=False)
        if any(sql.startswith("BEGIN") for sql in trip.before):
            # All there is of the transaction is in this trip.
            yield from physical._exec_command(b"ROLLBACK")
    if again and pgconn.transaction_status == _IDLE:
        reply.error = None
        statement.unprepare()
        yield from _together(pgconn, statement, trip, reply)


def _together(
    pgconn: PGconn, statement: _Statement, trip: Trip, reply: Reply
) -> PQGen[None]:
    before: list[Command] = [
        *statement.housekeeping(),
        *(partial(pgconn.send_query_params, sql.encode(), None) for sql in trip.before),
        *repeat.commands(pgconn, trip.repeats),
    ]
    facts = statement.physical.facts
    asking = trace.beside(statement.physical, trip)
    commands, first, asked = _line_up(pgconn, statement, before, asking)
    pgconn.enter_pipeline_mode()
    reply.sent = True
    streamed = statement.physical.row_by_row
    if streamed:
        # After a stream() libpq hands out the first result of a pipeline row by row:
        # let that be the one of a Sync, which has none.
        pgconn.pipeline_sync()
    if trip.guard is not None:
        guard = position.guard(trip.guard, facts.now)
        queue(pgconn, [partial(pgconn.send_query_params, guard, None)])
    if commands:
        queue(pgconn, commands)
    if trip.capture:
        behind = position.behind_commit(facts.writer_parts())
        queue(pgconn, [partial(pgconn.send_query_params, behind, None)])
    yield from generators.send(pgconn)
    if streamed:
        yield from segment(pgconn)
        statement.physical.row_by_row = False
    if trip.guard is not None:
        _guarded(trip.guard, (yield from segment(pgconn)), reply)
    answers = (yield from segment(pgconn)) if commands else []
    _statement_done(statement, first, answers, reply, trip.repeats)
    reply.asked_in_vain = asked is not None and first_error(answers) == asked
    # Nobody knows what a statement that failed has seen: only the insert position is
    # late enough for all of it.
    known = answers[asked] if asked is not None and reply.done else None
    reply.trace = (
        trace.traced(statement.physical, known, reply.asked_at) if trip.trace else None
    )
    if trip.capture:
        yield from _captured(statement.physical, known, reply)
    pgconn.exit_pipeline_mode()


def _line_up(
    pgconn: PGconn, statement: _Statement, before: list[Command], asking: bytes | None
) -> tuple[list[Command], int, int | None]:
    """Return the commands, the place of the statement, and that of the question.

    The question about durability stands where every SET LOCAL is still in force:
    in front of a COMMIT, and behind what commits by itself.
    """
    run = statement.commands()
    if not run or asking is None:
        return [*before, *run], len(before), None
    ask = partial(pgconn.send_query_params, asking, None)
    if statement.commits:
        return [*before, ask, *run], len(before) + 1, len(before)
    return [*before, *run, ask], len(before), len(before) + len(run)


def _guarded(question: Question, answers: list[list[PGresult]], reply: Reply) -> None:
    """Read what the reader was asked; a refusal is no fault of the statement's."""
    try:
        position.answer(question, answers, reply)
    except psycopg.Error as error:
        reply.guard_problem = error


def _statement_done(
    statement: _Statement,
    first: int,
    answers: list[list[PGresult]],
    reply: Reply,
    repeats: tuple[Any, ...],
) -> None:
    failed = first_error(answers)
    # What is made again may fail without anything being wrong with what is before it.
    again = first - len(repeats)
    reply.prepared = failed is None or failed >= again
    if repeats and reply.prepared:
        reply.changed = repeat.first_difference(repeats, answers[again:first])
    if failed is not None:
        reply.error = statement.error(answers[failed])
        return
    reply.done = True
    try:
        statement.finish(answers[first : first + statement.sent])
    except Exception as error:  # noqa: BLE001 - the statement has run; the caller raises
        reply.error = error


def _captured(
    physical: Physical, known: list[PGresult] | None, reply: Reply
) -> PQGen[None]:
    """Read the position; what fails here does not unsay that the statement ran.

    Behind a statement that failed, too: a duplicate key has shown the application a
    row, and its next read must find it.
    """
    try:
        after = yield from segment(physical.pgconn)
        reply.position = position.written(after, known, physical.facts.reign)
        trace.saw_position(physical, after)
    except psycopg.Error as error:
        if isinstance(error, _REFUSALS):
            physical.facts.doubted = True
        if reply.done:
            reply.position_problem = error
        elif reply.error is None:
            raise


class _Statement:
    """The commands of one statement, prepared by psycopg when it thinks so."""

    __slots__ = (
        "_key",
        "_name",
        "_prepare",
        "_query",
        "call",
        "outdated",
        "physical",
        "sent",
    )

    def __init__(self, physical: Physical, call: Call | bytes | None) -> None:
        self.physical = physical
        self.call = call
        self.sent = 0
        #: It was refused because its plan is older than its table.
        self.outdated = False
        self._key: Any = None
        self._prepare = Prepare.NO
        self._name = b""
        self._query: Any = None

    def convert(self) -> None:
        """Convert the parameters: what fails here was never sent."""
        call = self.call
        if not isinstance(call, Call):
            return
        cursor = call.cursor
        for _ in cursor._start_query(call.query):
            pass  # a physical connection is in autocommit: nothing is sent
        query = self._query = cursor._convert_query(call.query, call.params)
        cursor._query = query
        self._prepare, self._name = cursor._get_prepared(query, call.prepare)

    @property
    def commits(self) -> bool:
        """Whether it ends a transaction, and with it every SET LOCAL."""
        return self.call == b"COMMIT"

    @property
    def needs_company(self) -> bool:
        """Whether it would take a trip of its own to do what must come first."""
        return self._prepare is Prepare.SHOULD or bool(
            self.physical._prepared._to_flush
        )

    def alone(self) -> PQGen[None]:
        """Send it as psycopg does, by itself, and take the results in."""
        call = self.call
        if not isinstance(call, Call):
            yield from self.physical._exec_command(call or b"")
            return
        yield from _alone(self.physical, call, self._query, self._prepare, self._name)

    def housekeeping(self) -> list[Command]:
        """Close the prepared statements that psycopg no longer wants."""
        pgconn = self.physical.pgconn
        flush = self.physical._prepared._to_flush
        names = [name for name in flush if name is not None]
        flush.clear()
        return [partial(pgconn.send_close_prepared, name) for name in names]

    def commands(self) -> list[Command]:
        """Return what to send, in order."""
        commands = self._commands()
        self.sent = len(commands)
        return commands

    def _commands(self) -> list[Command]:
        pgconn = self.physical.pgconn
        call = self.call
        if call is None:
            return []
        if isinstance(call, bytes):
            return [partial(pgconn.send_query_params, call, None)]
        cursor, query, name, binary = call.cursor, self._query, self._name, call.binary
        cache = self.physical._prepared
        self._key = cache.maybe_add_to_cache(query, self._prepare, name)
        if self._prepare is Prepare.NO:
            send = partial(cursor._execute_send, force_extended=True, binary=binary)
            return [partial(send, query)]
        run = partial(cursor._send_query_prepared, name, query, binary=binary)
        if self._prepare is Prepare.YES:
            return [run]
        return [partial(cursor._send_prepare, name, query), run]

    def error(self, results: list[PGresult]) -> psycopg.Error:
        """Make an exception of the server's error; forget what it prepared."""
        self.outdated = _outdated(self.physical, self._prepare, results[0])
        if self._key is not None:
            self.physical._prepared.validate(
                self._key, self._prepare, self._name, results
            )
        elif self._prepare is Prepare.SHOULD:
            self.physical._prepared._names.pop(
                self.physical._prepared.key(self._query), None
            )
        encoding = self.physical.pgconn._encoding
        return pgerrors.error_from_result(results[0], encoding=encoding)

    def unprepare(self) -> None:
        """From now on send it without its plan, if it has one, and have that closed."""
        if self._prepare is not Prepare.NO:
            _unprepare(self.physical, self._query, self._name)
        self._prepare, self.outdated = Prepare.NO, False

    def finish(self, answers: list[list[PGresult]]) -> None:
        """Hand the results to the cursor."""
        if isinstance(self.call, Call):
            self._take(answers[-1])
        elif self.call == b"ROLLBACK":
            # What was prepared may depend on what is now undone, as psycopg has it.
            self.physical._prepared.clear()

    def _take(self, results: list[PGresult]) -> None:
        call = self.call
        assert isinstance(call, Call)  # noqa: S101 - only cursors take results
        if self._key is not None:
            self.physical._prepared.validate(
                self._key, self._prepare, self._name, results
            )
        call.cursor._check_results(results)
        call.cursor._set_results(results)
        call.cursor._last_query = call.query
