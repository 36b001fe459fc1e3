"""Reads that must know where the writer is share a question put after they began."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from time import monotonic

import pytest

from globaldb.core.position import Lsn, Position
from globaldb.errors import DeadlineExceededError
from globaldb.runtime.freshness import Freshness, Newest

LIMIT = 10.0


class Writer:
    """Answers when it is let; counts what it is asked, and how much of it at once."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.held = threading.Semaphore(0)
        self.coming = threading.Semaphore(0)
        self.faults: list[BaseException | None] = []
        self._commits = count(1)
        self.committed = 0
        self._lock = threading.Lock()

    def commit(self) -> int:
        with self._lock:
            self.committed = next(self._commits)
            return self.committed

    def ask(self, _deadline: float) -> Newest | None:
        with self._lock:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            position = Position(Lsn(self.committed, 1))
            fault = self.faults.pop(0) if self.faults else None
        self.coming.release()
        assert self.held.acquire(timeout=LIMIT)
        with self._lock:
            self.at_once -= 1
        if fault is not None:
            raise fault
        return Newest(position, monotonic())

    def let(self, times: int = 1) -> None:
        self.held.release(times)

    def await_question(self) -> None:
        assert self.coming.acquire(timeout=LIMIT)


def value(newest: Newest | None) -> int:
    assert newest is not None
    assert newest.position.log is not None
    return newest.position.log.value


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + LIMIT
    changed = threading.Event()
    while not condition():
        assert monotonic() < end
        changed.wait(0.001)


def waiting(freshness: Freshness) -> int:
    return len(freshness._changed._waiters)  # type: ignore[attr-defined]


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def freshness(writer: Writer) -> Freshness:
    return Freshness(writer.ask, longest=5.0)


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(40)


def test_what_came_after_a_question_was_put_waits_for_the_next_one(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    writer.commit()
    first = pool.submit(freshness.newest, None)
    writer.await_question()
    writer.commit()
    others = [pool.submit(freshness.newest, None) for _ in range(30)]
    until(lambda: waiting(freshness) == 30)
    writer.let(2)
    assert value(first.result(LIMIT)) == 1
    assert [value(other.result(LIMIT)) for other in others] == [2] * 30
    assert (writer.asked, writer.most_at_once) == (2, 1)


def test_every_answer_covers_what_was_committed_before_it_was_asked_for(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    writer.let(10_000)

    def look() -> bool:
        before = writer.commit()
        return value(freshness.newest(None)) >= before

    assert all(pool.map(lambda _: look(), range(2000)))
    assert writer.most_at_once == 1


def test_one_who_asks_and_fails_strands_nobody(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    writer.faults = [KeyboardInterrupt()]
    first = pool.submit(freshness.newest, None)
    writer.await_question()
    others = [pool.submit(freshness.newest, None) for _ in range(5)]
    until(lambda: waiting(freshness) == 5)
    writer.let(2)
    with pytest.raises(KeyboardInterrupt):
        first.result(LIMIT)
    assert all(other.result(LIMIT) for other in others)


def test_those_whose_question_failed_put_another_one(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    writer.faults = [None, OSError()]
    first = pool.submit(freshness.newest, None)
    writer.await_question()
    others: list[Future[Newest | None]] = [
        pool.submit(freshness.newest, None) for _ in range(5)
    ]
    until(lambda: waiting(freshness) == 5)
    writer.let(2)
    assert first.result(LIMIT)
    for _ in range(2):
        writer.await_question()
    until(lambda: waiting(freshness) == 3)
    writer.let()
    failed = [other.exception(LIMIT) for other in others]
    assert sum(problem is not None for problem in failed) == 1
    assert writer.asked == 3


def test_a_question_left_behind_is_put_again_by_another(
    writer: Writer, pool: ThreadPoolExecutor
) -> None:
    freshness = Freshness(writer.ask, longest=-0.9)
    lost = pool.submit(freshness.newest, None)
    writer.await_question()
    next_one = pool.submit(freshness.newest, None)
    writer.await_question()
    writer.let(2)
    assert lost.result(LIMIT)
    assert next_one.result(LIMIT)


def test_a_read_waits_no_longer_than_its_own_deadline(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    first = pool.submit(freshness.newest, None)
    writer.await_question()
    with pytest.raises(DeadlineExceededError, match="deadline passed"):
        freshness.newest(monotonic() + 0.05)
    writer.let()
    assert first.result(LIMIT)


def test_a_writer_that_gives_no_position_is_asked_twice_and_no_more() -> None:
    asked: list[float] = []

    def ask(deadline: float) -> None:
        asked.append(deadline)

    assert Freshness(ask, longest=5.0).newest(None) is None
    assert len(asked) == 2


def test_one_read_goes_alone_while_nobody_else_asks(
    writer: Writer, freshness: Freshness, pool: ThreadPoolExecutor
) -> None:
    assert freshness.go_alone()
    assert not freshness.go_alone()
    freshness.came_back()
    asking = pool.submit(freshness.newest, None)
    writer.await_question()
    assert not freshness.go_alone()
    writer.let()
    assert asking.result(LIMIT)
    assert freshness.go_alone()


def test_one_that_never_came_back_does_not_count_for_ever() -> None:
    freshness = Freshness(lambda _: None, longest=-1.0)
    assert freshness.go_alone()
    assert freshness.go_alone()


def test_the_one_who_asks_asks_no_longer_than_its_own_deadline() -> None:
    asked: list[float] = []

    def ask(deadline: float) -> None:
        asked.append(deadline)

    deadline = monotonic() + 0.5
    assert Freshness(ask, longest=LIMIT).newest(deadline) is None
    assert max(asked) <= deadline
