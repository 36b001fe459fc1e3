"""A trip on the wire: several statements to the server, one wait for the answers.

They travel in one text, which the server takes apart: it stops at the first that
fails. What cannot stand among others, or must not, goes in a text of its own (see
`globaldb.core.mysql.several`), and costs another round trip.

Together with `physical` the place that uses parts of PyMySQL that are not public.
tests/contract pins each of them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymysql import err
from pymysql.constants import CR, ER

from globaldb.core.mysql.faults import mysql_refuses_writes
from globaldb.core.trip import LinkStatus
from globaldb.drivers.pymysql import greeting, position, words
from globaldb.drivers.pymysql.repeat import Recording, shown
from globaldb.drivers.pymysql.translate import GOODBYES, INTERRUPTED, number, unsigned
from globaldb.drivers.pymysql.waiting import too_late
from globaldb.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from globaldb.core.trip import Reply, Trip
    from globaldb.drivers.pymysql.physical import Physical

_NOTHING: Final[Mapping[int, Any]] = {}


class Call:
    """One statement of an application: its final text, and what came back for it."""

    __slots__ = (
        "face",
        "last",
        "later",
        "overrun",
        "ran_on",
        "results",
        "text",
        "unbuffered",
    )

    def __init__(
        self,
        text: bytes,
        face: Any = None,
        *,
        unbuffered: bool = False,
        last: bool = False,
    ) -> None:
        self.text = text
        #: The connection whose `encoding`, `decoders` and `use_unicode` read the rows.
        self.face = face
        #: Its rows stay on the wire, and the connection with whoever fetches them.
        self.unbuffered = unbuffered
        #: Nothing may be asked behind it: the application may ask what it has left.
        self.last = last
        #: The position was asked for behind it: the server has counted that one's rows.
        self.overrun = False
        #: PyMySQL's results, one for each that the server gave.
        self.results: list[Any] = []
        #: Why there is none behind the last of them: for `nextset` to raise.
        self.later: Exception | None = None
        #: The connection that it ran on, and the spell of the session on it.
        self.ran_on: tuple[Physical, int] | None = None


class _Part(Enum):
    """What a text on its way is for."""

    GUARD = "guard"
    ROLE = "role"
    BEFORE = "before"
    REPEAT = "repeat"
    STATEMENT = "statement"
    CAPTURE = "capture"


class _Step(NamedTuple):
    part: _Part
    text: bytes
    #: It may stand in one text with others.
    joins: bool = True
    #: Whose it is, where an application's converters read the answer.
    owner: Any = None


def travel(
    physical: Physical, work: Call | bytes | None, trip: Trip, reply: Reply
) -> None:
    """Send *work* (a cursor's call, a bare command, or nothing) with its company.

    Fills *reply* in. A server's error is stored there; what is raised is the
    connection's failure, a wrong use of the driver, or an interruption.
    """
    if physical.closed:
        raise err.OperationalError(CR.CR_SERVER_GONE_ERROR, "the connection is closed")
    whole = False
    try:
        _Journey(physical, work, trip, reply).make()
        whole = True
    finally:
        if not whole:
            # What is still to come cannot be told apart from the next answers.
            physical.hang_up()


class _Journey:
    """One trip, step by step."""

    def __init__(
        self, physical: Physical, work: Call | bytes | None, trip: Trip, reply: Reply
    ) -> None:
        self.physical = physical
        self.call = work if isinstance(work, Call) else None
        self.text = work.text if isinstance(work, Call) else work
        face = None if self.call is None else self.call.face
        self.encoding = physical.encoding if face is None else face.encoding
        self.trip = trip
        self.reply = reply
        #: Answers to come in the text that was sent last.
        self.more = False

    def make(self) -> None:
        """Send everything, and take the answers in up to the first failure."""
        reply = self.reply
        physical = self.physical
        if self.call is not None:
            # What it answered before it was asked again came too early.
            self.call.results.clear()
            self.call.later = None
        physical.read_plainly(texts=True)
        physical.gtids = None
        for bundle in self._bundles():
            if not self._run(bundle):
                self._after_failure()
                break
        else:
            reply.prepared = True
            reply.done = reply.error is None
        if physical.waits.cancelled:
            self._cancelled()

    def _cancelled(self) -> None:
        """Take note of what a cancel, which may have come late, has left."""
        reply, physical = self.reply, self.physical
        if reply.done and words.sleeps(self.text):
            # It does not fail when it is woken.
            reply.error, reply.done = too_late(), False
            self._forget_answer()
        elif reply.done:
            # It ended by itself: what was sent to end it may end the next one.
            physical.spoiled = True
        if physical.waits.cancelling:
            # And would meet the next statement.
            physical.hang_up()

    # What is sent.

    def _steps(self) -> Iterator[_Step]:
        physical, trip = self.physical, self.trip
        if trip.guard is not None:
            asking = position.guard(physical, trip.guard, physical.facts.now)
            yield _Step(_Part.GUARD, asking.encode())
        # A setting may change how the texts behind it are read.
        sets = any(words.first(sql.encode()) == b"set" for sql in trip.before)
        for sql in trip.before:
            yield _Step(_Part.BEFORE, sql.encode(self.encoding))
        for each in trip.repeats:
            if isinstance(each, Recording):
                text, owner = each.call.text, each
                yield _Step(_Part.REPEAT, text, not (sets and b";" in text), owner)
            else:
                yield _Step(_Part.REPEAT, each.encode(self.encoding), owner=each)
        if self.text is not None:
            alone = trip.alone and words.first(self.text) not in words.ENDS
            fits = not (alone or trip.script or (sets and b";" in self.text))
            yield _Step(_Part.STATEMENT, self.text, fits)
            if physical.standby and self.call is None and words.asks(self.text):
                # The runtime wants to know whether it still is one: no server says so
                # unasked.
                asking = f"SELECT {greeting.ROLE}"
                yield _Step(_Part.ROLE, asking.encode())
        if trip.capture and self._asks_behind():
            yield _Step(_Part.CAPTURE, position.behind(physical).encode())

    def _asks_behind(self) -> bool:
        """Whether the position has to be asked for.

        What writes says it in its own answer, and a question behind it would take the
        warnings away that it has left.
        """
        if self.text is None:
            return True
        if self.call is not None and (self.call.unbuffered or self.call.last):
            return False
        return words.asks(self.text) or words.first(self.text) in words.ENDS

    def _bundles(self) -> Iterator[list[_Step]]:
        """Put together what may travel in one text."""
        physical = self.physical
        if self.call is not None and self.trip.plain:
            # Most statements of a transaction.
            yield [_Step(_Part.STATEMENT, self.call.text, joins=False)]
            return
        together: list[_Step] = []
        for step in self._steps():
            text = None
            if physical.joins and step.joins:
                text = physical.companionable(step.text)
            if text is not None:
                together.append(step._replace(text=text))
                continue
            if together:
                yield together
                together = []
            yield [step._replace(joins=False)]
        if together:
            yield together

    def _run(self, bundle: list[_Step]) -> bool:
        """Send *bundle* and take its answers in; False when one is an error."""
        physical = self.physical
        self.reply.sent = True
        physical.send([step.text for step in bundle])
        last = bundle[-1]
        for step in bundle:
            self._reaching(step)
            try:
                results = self._answers(step, whole=step is last)
            except err.MySQLError as error:
                if physical.closed:
                    raise
                physical._result = None
                self._failed(step, unsigned(error))
                return False
            self._took(step, results)
            if not self.more and step is not last:
                raise err.InternalError(
                    CR.CR_COMMANDS_OUT_OF_SYNC, f"no answer behind {step.part.value}"
                )
        return True

    # What comes back.

    def _answers(self, step: _Step, *, whole: bool) -> list[Any]:
        """Return the answer to *step*, and what follows it if it is the *whole* rest."""
        physical = self.physical
        self._read_as(step)
        call = self.call if step.part is _Part.STATEMENT else None
        results = [] if call is None else call.results
        unbuffered = call is not None and call.unbuffered
        while True:
            try:
                physical._read_query_result(unbuffered=unbuffered)
            except err.MySQLError as error:
                if physical.closed or not results or call is None:
                    raise
                # The first answer stands; the application meets this one behind it.
                call.later = unsigned(error)
                self.more = False
                physical._result = None
                return results
            results.append(physical._result)
            if unbuffered and results[-1].unbuffered_active:
                return results
            self.more = bool(results[-1].has_next)
            if not (whole and self.more):
                return results

    def _read_as(self, step: _Step) -> None:
        """Have the rows read as whoever asked for them wants them."""
        physical = self.physical
        call = None
        if step.part is _Part.STATEMENT and self.call is not None:
            call = self.call
            call.ran_on = physical, physical.spell()
        elif isinstance(step.owner, Recording):
            call = step.owner.call
        if call is None or call.face is None:
            physical.read_plainly(texts=call is None)
            return
        face = call.face
        physical.encoding = face.encoding
        physical.decoders = face.decoders
        physical.use_unicode = face.use_unicode

    def _reaching(self, step: _Step) -> None:
        if step.part not in (_Part.GUARD, _Part.BEFORE):
            self.reply.prepared = True
        if step.part is _Part.CAPTURE and self.call is not None:
            self.call.overrun = True
        if step.part in (_Part.CAPTURE, _Part.ROLE):
            self.reply.done = True

    def _took(self, step: _Step, results: list[Any]) -> None:
        part = step.part
        if part is _Part.GUARD:
            self._guarded(results[0])
        elif part is _Part.REPEAT:
            self._repeated(step.owner, results)
        elif part is _Part.STATEMENT:
            self.reply.done = True
            if self.call is None and words.first(step.text) == b"rollback":
                # It warns of nothing but tables whose engine cannot undo.
                self.reply.remains = bool(results[0].warning_count)
            if self.trip.capture and self.physical.gtids is not None:
                self._take_own(self.physical.gtids)
        elif part is _Part.ROLE:
            rows = results[0].rows
            self.physical.standby = not rows or greeting.read_only(rows[0])
        elif part is _Part.CAPTURE:
            self._captured(results[0])

    def _guarded(self, result: Any) -> None:
        if self.trip.guard is None:
            return
        try:
            position.answer(self.physical, self.trip.guard, result, self.reply)
        except Error as error:
            self.reply.guard_problem = error

    def _repeated(self, each: Recording | str, results: list[Any]) -> None:
        if self.reply.changed is not None or isinstance(each, str):
            return
        if each.differs(results):
            self.reply.changed = shown(each)

    def _take_own(self, gtids: str) -> None:
        try:
            self.reply.position = position.own(self.physical, gtids)
        except Error as error:
            self.reply.position_problem = error

    def _captured(self, result: Any) -> None:
        """Take the position in; what a server that only reads has shown does not count."""
        physical, reply = self.physical, self.reply
        try:
            physical.standby, found = position.told(physical, result.rows)
        except Error as error:
            reply.position_problem = error
            return
        if not physical.standby:
            reply.position = found.merge(reply.position) if reply.position else found
            return
        refused = err.OperationalError(
            ER.OPTION_PREVENTS_STATEMENT,
            "The MySQL server is running with the --read-only option: it has become a "
            "reader",
        )
        if self.text is not None and words.first(self.text) in words.ENDS:
            reply.position, reply.position_problem = None, refused
            return
        # It was read where nobody writes any more.
        reply.error, reply.done = refused, False
        self._forget_answer()

    def _forget_answer(self) -> None:
        if self.call is None:
            return
        for result in self.call.results:
            if result.unbuffered_active:
                # Its rows are still to come, and nobody is going to read them.
                result.unbuffered_active = False
                self.physical.hang_up()
        self.call.results.clear()

    def _failed(self, step: _Step, error: Exception) -> None:
        reply, part = self.reply, step.part
        code = number(error)
        if self.physical.waits.overdue and code in INTERRUPTED:
            error = too_late()
        elif mysql_refuses_writes(error.args):
            self.physical.standby = True
        if part is _Part.GUARD and not self.physical.waits.overdue:
            reply.guard_problem = error
        elif part in (_Part.CAPTURE, _Part.ROLE):
            reply.position_problem = error
        else:
            reply.error = error
        if part is _Part.REPEAT and reply.changed is None:
            reply.changed = shown(step.owner)
        if code in GOODBYES:
            self.physical.hang_up()

    def _after_failure(self) -> None:
        """Learn what the failure has left of a transaction: an error does not say."""
        physical = self.physical
        if physical.closed or not self._may_have_ended():
            return
        try:
            physical.ping()
        except (err.MySQLError, OSError):
            physical.hang_up()

    def _may_have_ended(self) -> bool:
        if self.trip.script or self.trip.alone:
            return True
        if self.physical.link_status is not LinkStatus.OPEN:
            return not words.tame(self.text)
        error = self.reply.error
        harmless = error is not None and number(error) in words.HARMLESS
        return not (harmless and words.tame(self.text))
