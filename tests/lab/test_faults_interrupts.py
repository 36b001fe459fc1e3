"""Cancelled at any step, a connection stays usable and what it reported is true."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    Outcome,
    cluster,
    counts,
    exactly_once,
    one,
    outcome_of,
    table,
    within,
)

import globaldb
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

RTT = 0.005
SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): RTT})
Connection = Any
SEED = 20240607


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    # A session that does not know what it wrote would read the past here.
    near.lag(FAR, 0.5)
    return near


@pytest.fixture
def conn(lab: Lab) -> Iterator[Connection]:
    with cluster(lab) as found, found.connect() as conn:
        with conn.using(route="writer"):
            conn.execute("SELECT count(*) FROM t")
        for _ in range(3):
            conn.execute("SELECT count(*) FROM t")
        yield conn


# What is interrupted. Each is one attempt at one row; the pause is the server's.


def autocommit(conn: Connection, key: int) -> None:
    conn.execute("INSERT INTO t SELECT %s FROM pg_sleep(0.02)", (key,))


def block(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("INSERT INTO t SELECT %s FROM pg_sleep(0.02)", (key,))


def nested(conn: Connection, key: int) -> None:
    with conn.transaction():
        conn.execute("SELECT 1")
        with conn.transaction():
            conn.execute("INSERT INTO t VALUES (%s)", (key,))


def spelled_out(conn: Connection, key: int) -> None:
    conn.execute("BEGIN")
    conn.execute("SET LOCAL synchronous_commit = off")
    conn.execute("INSERT INTO t VALUES (%s)", (key,))
    conn.execute("COMMIT")


def many(conn: Connection, key: int) -> None:
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s)", [(key,)])


WRITES = [autocommit, block, nested, spelled_out, many]


def tidy(conn: Connection) -> None:
    """What an application does after an error in a transaction it spelled out."""
    conn.rollback()


Interruption = Callable[[Connection, float], Any]


@contextmanager
def by_deadline(conn: Connection, after: float) -> Iterator[None]:
    with conn.using(timeout=after):
        yield


@contextmanager
def by_another_thread(conn: Connection, after: float) -> Iterator[None]:
    timer = threading.Timer(after, conn.cancel_safe)
    timer.start()
    try:
        yield
    finally:
        timer.join()


class ControlC:
    """Raises KeyboardInterrupt in the main thread, but only inside the block."""

    def __init__(self, _conn: Connection, after: float) -> None:
        self._armed = False
        self._timer = threading.Timer(after, self._press)

    def _press(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _heard(self, _signal: int, _frame: object) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGUSR1, self._heard)
        self._timer.start()
        self._armed = True

    def __exit__(self, *_: object) -> None:
        self._armed = False
        self._timer.join()
        signal.signal(signal.SIGUSR1, self._before)


INTERRUPTIONS = {
    "deadline": by_deadline,
    "another thread": by_another_thread,
    "control-c": ControlC,
}


def interrupted(
    conn: Connection, write: Callable[[Connection, int], None], key: int, how: Any
) -> Outcome:
    def attempt() -> None:
        with how:
            write(conn, key)

    return outcome_of(attempt)


@pytest.mark.parametrize("kind", INTERRUPTIONS)
def test_what_was_reported_of_an_interrupted_write_is_true(
    lab: Lab, conn: Connection, kind: str
) -> None:
    chance = random.Random(f"{SEED}{kind}")
    reported: dict[int, Outcome] = {}
    for key in range(45):
        write = WRITES[key % len(WRITES)]
        after = chance.uniform(0.0, 0.05)
        with within(2.0):
            how = INTERRUPTIONS[kind](conn, after)
            reported[key] = interrupted(conn, write, key, how)
            tidy(conn)
            # Usable at once, and it sees what it wrote, or may have written.
            seen = {n for (n,) in conn.execute("SELECT n FROM t").fetchall()}
        applied = {k for k, found in reported.items() if found is Outcome.APPLIED}
        assert applied <= seen
        assert seen == set(counts(lab, "t"))
    exactly_once(reported, counts(lab, "t"))
    kinds = Counter(reported.values())
    # The trial is worth something only when it met more than one fate.
    assert len(kinds) > 1, kinds


@pytest.mark.parametrize("kind", INTERRUPTIONS)
def test_an_interrupted_read_leaves_a_usable_connection(
    conn: Connection, kind: str
) -> None:
    chance = random.Random(f"{SEED}{kind}")
    for number in range(20):
        how = INTERRUPTIONS[kind](conn, chance.uniform(0.0, 0.06))
        with within(2.0):
            fate = interrupted(conn, read_slowly, number, how)
            assert one(conn.execute("SELECT %s", (number,))) == (number,)
        assert fate is not Outcome.APPLIED or kind != "deadline"


def read_slowly(conn: Connection, _key: int) -> None:
    conn.execute("SELECT pg_sleep(0.1)")


def test_a_cancelled_read_is_not_repeated_on_another_node(conn: Connection) -> None:
    for _ in range(10):
        with pytest.raises(globaldb.OperationalError), within(2.0):
            interrupted_read(conn)
        assert conn.last_route.tried == ()


def interrupted_read(conn: Connection) -> None:
    over = threading.Event()

    def cancel() -> None:
        # As often as it takes: at first it may not be on its way yet.
        while not over.wait(0.03):
            conn.cancel_safe()

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    try:
        conn.execute("SELECT pg_sleep(3)")
    finally:
        over.set()
        cancelling.join()


@pytest.mark.parametrize(
    "statement", ["SELECT pg_sleep(5)", "INSERT INTO t SELECT 1 FROM pg_sleep(5)"]
)
def test_a_deadline_that_passed_is_reported_as_one(
    conn: Connection, statement: str
) -> None:
    with conn.using(timeout=0.1), within(1.0):
        with pytest.raises(globaldb.DeadlineExceededError):
            conn.execute(statement)
    conn.execute("BEGIN")
    conn.execute("SELECT 1")
    with conn.using(timeout=0.1), within(1.0):
        with pytest.raises(globaldb.DeadlineExceededError):
            conn.execute(statement)
    conn.execute("ROLLBACK")
    assert one(conn.execute("SELECT 2")) == (2,)


def test_a_server_that_hangs_does_not_hang_a_statement_with_a_deadline(
    lab: Lab, conn: Connection
) -> None:
    """A cancel is waited for a little; then the connection is given up."""
    lab.freeze(FAR, READER)
    with conn.using(timeout=0.2), within(4.0):
        with pytest.raises(globaldb.DeadlineExceededError):
            conn.execute("SELECT count(*) FROM t")
    lab.thaw(FAR, READER)
    lab.freeze(FAR, WRITER)
    with conn.using(timeout=0.2), within(4.0):
        with pytest.raises(globaldb.OutcomeUnknownError):
            conn.execute("INSERT INTO t VALUES (1)")
    lab.thaw(FAR, WRITER)
    # It may have been applied, or will be: what was held back arrives now.
    seen = one(conn.execute("SELECT count(*) FROM t"))
    assert conn.last_route.reason == "position_unknown"
    assert seen <= (counts(lab, "t").get(1, 0),)
