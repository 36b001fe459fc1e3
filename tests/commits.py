"""A COMMIT that is held up at a real server until its connection has been lost."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from promises import FAR, HOME, admin, caught_up, one, table, until

import globaldb
from globaldb.core.outcome import Trace
from globaldb.lab import Lab, LabSpec

#: Nothing reaches a disk, or a reader, before somebody commits.
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1},
    rtt={(HOME, FAR): 0.02},
    settings={
        "wal_writer_delay": "10s",
        "bgwriter_delay": "10s",
        "max_prepared_transactions": "5",
    },
)
LOCK = 4711
Connection = Any
INSERT = "INSERT INTO o VALUES (%s)"


def prepare(started: Lab) -> None:
    """Have what holds a COMMIT up."""
    with admin(started, started.writer().name) as writer:
        writer.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END'"
        )


def refresh(pair: Lab) -> None:
    """Undo what a test has left, and have an empty table."""
    pair.restore()
    if pair.writer().region != HOME:
        # Tests freeze the application's way to it, and go on using their own.
        pair.switchover(HOME)
    for node in pair.nodes:
        with admin(pair, node.name) as server:
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
    table(pair, "o")
    with admin(pair, pair.writer().name) as writer:
        writer.execute(
            "CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON o DEFERRABLE "
            "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()"
        )
        writer.execute("CHECKPOINT")
    caught_up(pair)
    with admin(pair, other(pair)) as reader:
        # From now on it says which timeline it follows: until then, an older one.
        reader.execute("CHECKPOINT")


class Commit:
    """A transaction whose COMMIT has been sent, and its connection lost since."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.failure: Exception | None = None
        conn.execute("BEGIN")
        conn.execute(INSERT, (1,))
        trace = conn.session.transaction.trace
        assert trace is not None
        self.trace: Trace = trace
        self.link = conn.session.lease.connection
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._conn.commit()
        except globaldb.Error as error:
            self.failure = error

    def send(self) -> None:
        self._thread.start()

    def lose(self) -> None:
        """Have the network reset the connection."""
        with socket.socket(fileno=os.dup(self.link.pgconn.socket)) as way:
            way.shutdown(socket.SHUT_RDWR)

    def wait(self) -> Exception | None:
        """Wait for what the application is told."""
        self._thread.join(40)
        assert not self._thread.is_alive()
        return self.failure


def has(server: Any, query: str, *values: Any) -> Callable[[], bool]:
    return lambda: server.execute(query, values).rowcount > 0


WAITING = "SELECT FROM pg_stat_activity WHERE wait_event = '{}'"
#: The last part of the question what became of it.
ASKED = (
    "SELECT FROM pg_stat_activity WHERE usename = 'app' AND query_start > %s "
    "AND query LIKE 'SELECT pg\\_catalog.pg\\_current\\_wal\\_flush\\_lsn(),%%'"
)


@contextmanager
def held_by_a_lock(lab: Lab, conn: Connection) -> Iterator[Commit]:
    """A COMMIT that waits inside the block before it is written to the log."""
    commit = Commit(conn)
    with admin(lab, lab.writer().name) as writer:
        writer.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        commit.send()
        until(has(writer, WAITING.format("advisory")))
        commit.lose()
        yield commit


def held_by_a_standby(lab: Lab, conn: Connection) -> Commit:
    """A COMMIT that is in the log, and waits for a standby that does not exist."""
    with admin(lab, lab.writer().name) as writer:
        set_standby(writer, "nobody")
        commit = Commit(conn)
        commit.send()
        until(has(writer, WAITING.format("SyncRep")))
        commit.lose()
        return commit


def set_standby(writer: Any, name: str) -> None:
    writer.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    writer.execute("SELECT pg_reload_conf()")
    until(lambda: one(writer.execute("SHOW synchronous_standby_names")) == (name,))


def other(lab: Lab) -> str:
    writer = lab.writer().name
    return next(node.name for node in lab.nodes if node.name != writer)


def give_out(server: Any, xid: int) -> None:
    """Use transaction ids up to *xid*, all of them committed."""
    while one(server.execute("SELECT pg_current_xact_id()::text::bigint")) < (xid,):
        pass
    assert status(server, xid) == "committed"


def status(server: Any, xid: int) -> str:
    return str(one(server.execute(f"SELECT pg_xact_status('{xid}')"))[0])
