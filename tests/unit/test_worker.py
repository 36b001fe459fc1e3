from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from globaldb.runtime.worker import Worker

SOON = 20.0  # seconds; only a broken worker ever waits that long


@pytest.fixture
def worker():
    worker = Worker(threads=3, linger=30.0)
    yield worker
    worker.close(SOON)


def mine(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread not in before]


def test_no_thread_exists_before_the_first_job():
    before = set(threading.enumerate())
    worker = Worker()
    assert mine(before) == []
    worker.close(SOON)


def test_jobs_run_on_daemon_threads_with_the_project_s_name(worker):
    seen = []
    done = threading.Event()
    worker.submit(lambda: (seen.append(threading.current_thread()), done.set()))
    assert done.wait(SOON)
    assert seen[0].daemon
    assert seen[0].name == "globaldb-worker"


def test_a_hanging_job_does_not_hold_up_the_others(worker):
    release = threading.Event()
    done = threading.Event()
    worker.submit(partial(release.wait, SOON), partial(release.wait, SOON))
    worker.submit(done.set)
    assert done.wait(SOON)
    release.set()


def test_no_more_threads_run_than_allowed(worker):
    before = set(threading.enumerate())
    together = threading.Barrier(3)
    count = threading.Semaphore(0)
    for _ in range(9):
        worker.submit(lambda: (together.wait(SOON), count.release()))
    for _ in range(9):
        assert count.acquire(timeout=SOON)
    assert len(mine(before)) == 3


def test_an_idle_thread_is_used_again(worker):
    before = set(threading.enumerate())
    for _ in range(5):
        done = threading.Event()
        worker.submit(done.set)
        assert done.wait(SOON)
        # The thread is idle again once it holds the queue's lock no more; a second
        # one may have been started if it was not back in time.
    assert 1 <= len(mine(before)) <= 3


def test_threads_without_work_end():
    before = set(threading.enumerate())
    worker = Worker(linger=0.01)
    done = threading.Event()
    worker.submit(done.set)
    assert done.wait(SOON)
    for thread in mine(before):
        thread.join(SOON)
    assert mine(before) == []
    again = threading.Event()
    worker.submit(again.set)
    assert again.wait(SOON)
    worker.close(SOON)


def test_a_failing_job_is_logged_and_counted_and_stops_nothing(worker, caplog):
    def fail():
        raise ValueError("planted")

    done = threading.Event()
    with caplog.at_level(logging.ERROR, logger="globaldb"):
        worker.submit(fail, partial(sys.exit, 3))
        worker.submit(done.set)
        assert done.wait(SOON)
        worker.close(SOON)
    assert worker.failures == 2
    assert sorted(record.exc_info[0].__name__ for record in caplog.records) == [
        "SystemExit",
        "ValueError",
    ]
    assert "worker_job_failed" in caplog.text


def test_closing_finishes_the_queue_and_ends_the_threads():
    before = set(threading.enumerate())
    worker = Worker(threads=1)
    done = []
    worker.submit(*[partial(done.append, number) for number in range(50)])
    worker.close(SOON)
    assert done == list(range(50))
    assert mine(before) == []


def test_closing_waits_no_longer_than_asked():
    worker = Worker()
    release = threading.Event()
    worker.submit(partial(release.wait, SOON))
    worker.close(0.01)
    release.set()
    worker.close(SOON)


def test_a_job_may_close_its_own_worker():
    worker = Worker()
    done = threading.Event()
    worker.submit(lambda: (worker.close(SOON), done.set()))
    assert done.wait(SOON)
    worker.close(SOON)


def test_after_closing_jobs_run_on_the_calling_thread():
    worker = Worker()
    worker.close()
    seen = []
    worker.submit(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


def test_jobs_run_on_the_calling_thread_when_no_thread_can_start(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen = []
    worker = Worker()
    worker.submit(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def test_a_forked_child_gets_threads_of_its_own():
    script = """
import os, threading
from functools import partial
from globaldb.runtime.worker import Worker

worker = Worker()
hang = threading.Event()
# All threads busy and a job queued at the moment of the fork.
worker.submit(*[partial(hang.wait, 30)] * 4)
pid = os.fork()
if pid == 0:
    done = threading.Event()
    worker.submit(done.set)
    ok = done.wait(20) and len(threading.enumerate()) == 2
    os._exit(0 if ok else 1)
hang.set()
_, status = os.waitpid(pid, 0)
worker.close(20)
print(os.waitstatus_to_exitcode(status), threading.active_count())
"""
    result = run_python(script)
    assert result.stdout.split() == ["0", "1"], result.stderr


def test_a_hanging_job_does_not_keep_the_interpreter_from_ending():
    script = """
import threading
from globaldb.runtime.worker import Worker

started = threading.Event()
worker = Worker()
worker.submit(lambda: (started.set(), threading.Event().wait()))
assert started.wait(20)
print("end")
"""
    result = run_python(script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")
