"""Trips by hand: a driver's connection to a lab's node, and what a trip on it brought."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from promises import WRITER

from globaldb.core.trip import Reply, Trip
from globaldb.drivers.pymysql import probe
from globaldb.drivers.pymysql.physical import Physical
from globaldb.drivers.pymysql.wire import Call, travel
from globaldb.lab import Lab

HOME = "us-west-2"
READER = "us-west-2-2"


@contextmanager
def link(lab: Lab, node: str = WRITER, **options: Any) -> Iterator[Physical]:
    """A connection of the application's user, which knows what its node can do."""
    parameters = {**lab.options(HOME, node), **options}
    physical = Physical.reach(parameters, monotonic() + 10)
    try:
        probe.sample(physical, physical.facts)
        yield physical
    finally:
        physical.close()


@dataclass
class Went:
    """A trip that is over."""

    reply: Reply
    call: Call | None

    @property
    def rows(self) -> list[Any]:
        """The rows of each answer, or how many rows it concerned."""
        assert self.call is not None
        return [
            each.affected_rows if each.rows is None else each.rows
            for each in self.call.results
        ]

    @property
    def number(self) -> Any:
        """The number of the error."""
        assert self.reply.error is not None
        return self.reply.error.args[0]


def went(physical: Physical, sql: str | bytes | Call | None, **trip: Any) -> Went:
    """Send *sql*: a text is a cursor's, bytes are a bare command."""
    work = Call(sql.encode()) if isinstance(sql, str) else sql
    reply = Reply()
    travel(physical, work, Trip(**trip), reply)
    return Went(reply, work if isinstance(work, Call) else None)


def trips(lab: Lab, physical: Physical) -> int:
    """How many round trips *physical* has made, as the lab's proxy counts them."""
    port = physical._sock.getsockname()[1]
    [found] = [
        each.round_trips
        for counters in lab.counters()
        for each in counters.connections
        # One that was closed may have had the same port, on its way elsewhere.
        if each.port == port and each.open
    ]
    return found
