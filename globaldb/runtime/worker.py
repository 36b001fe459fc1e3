"""Background threads for I/O that no borrower should wait for.

Opening a connection to a far region takes a second and a dead node takes longer, so
connections are opened, cleaned and closed here. Threads are started when there is
work, end after a pause without any, and never keep the interpreter from ending.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("globaldb")


class Worker:
    """Up to *threads* daemon threads that run jobs in the order of their arrival.

    A thread without work for *linger* seconds ends. In a forked child the worker
    begins afresh: the parent's threads and queued jobs are not there.
    """

    def __init__(self, *, threads: int = 3, linger: float = 5.0) -> None:
        self._limit = threads
        self._linger: Final = linger
        self._crew = _Crew(threads, linger)

    def allow(self, threads: int) -> None:
        """Let up to *threads* threads run from now on; never fewer than before."""
        self._limit = self._crew.limit = max(self._limit, threads)

    def submit(self, *jobs: Callable[[], object]) -> None:
        """Run *jobs* soon, on another thread.

        After `close`, or when no thread can be started (a limit of the system, the
        end of the interpreter), they run at once on the calling thread instead: a
        connection is still closed, a borrower still served.
        """
        crew = self._crew
        if crew.pid != os.getpid():
            # Should two threads of the child come here together, each crew does the
            # jobs it was given, so neither is lost.
            crew = self._crew = _Crew(self._limit, self._linger)
        crew.submit(jobs)

    @property
    def failures(self) -> int:
        """How many jobs ended with an exception; each was logged."""
        return self._crew.failures

    def close(self, wait: float = 0.0) -> None:
        """Let the threads finish the queued jobs and end; wait that many seconds."""
        crew = self._crew
        if crew.pid == os.getpid():
            crew.close(wait)

    def __repr__(self) -> str:
        crew = self._crew
        return (
            f"<Worker: {len(crew.threads)} of {self._limit} threads,"
            f" {len(crew.jobs)} jobs queued, {crew.failures} failed>"
        )


class _Crew:
    """The threads and the queue of one worker in one process."""

    def __init__(self, limit: int, linger: float) -> None:
        self.pid: Final = os.getpid()
        self.jobs: deque[Callable[[], object]] = deque()
        self.threads: set[threading.Thread] = set()
        self.failures = 0
        self.limit = limit
        self._linger: Final = linger
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())

    def submit(self, jobs: tuple[Callable[[], object], ...]) -> None:
        with self._changed:
            self.jobs.extend(jobs)
            if not self._closed:
                self._changed.notify(len(jobs))
                self._recruit()
            served = bool(self.threads) and not self._closed
        if not served:
            self._run_all_here()

    def close(self, wait: float) -> None:
        with self._changed:
            self._closed = True
            threads = self.threads - {threading.current_thread()}
            self._changed.notify_all()
            done = self._changed.wait_for(
                lambda: self.threads.isdisjoint(threads), timeout=wait
            )
        if done:
            # They have left the set and are a few instructions from their end.
            for thread in threads:
                thread.join()

    def _recruit(self) -> None:
        """Start threads for the jobs that no idle thread will take."""
        wanted = len(self.jobs) - self._idle
        for _ in range(min(wanted, self.limit - len(self.threads))):
            thread = threading.Thread(
                target=self._work, name="globaldb-worker", daemon=True
            )
            self.threads.add(thread)
            try:
                thread.start()
            except RuntimeError:
                self.threads.discard(thread)
                logger.warning("worker_thread_refused threads=%d", len(self.threads))
                return

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            self._run(job)
            del job  # it may be what keeps a closed pool alive

    def _next_job(self) -> Callable[[], object] | None:
        with self._changed:
            while not self.jobs:
                self._idle += 1
                in_time = not self._closed and self._changed.wait(self._linger)
                self._idle -= 1
                if not (in_time or self.jobs):
                    self.threads.discard(threading.current_thread())
                    self._changed.notify_all()
                    return None
            return self.jobs.popleft()

    def _run_all_here(self) -> None:
        while True:
            try:
                job = self.jobs.popleft()
            except IndexError:
                return
            self._run(job)

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        except KeyboardInterrupt:  # only the main thread, running the job itself
            raise
        except BaseException:  # nobody else would hear of it
            with self._changed:
                self.failures += 1
            logger.exception(
                "worker_job_failed job=%s", getattr(job, "__qualname__", job)
            )
