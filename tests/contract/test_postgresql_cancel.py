"""Cancelling, Ctrl-C and threads: what stops one statement stops no other."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import globaldb
from globaldb.lab import Lab

HERE = "ap-south-1"


@pytest.fixture
def watcher(near_lab: Lab) -> Iterator[Any]:
    """Sees, from outside, what runs on the nodes."""
    with contextlib.ExitStack() as stack:
        eyes = [
            stack.enter_context(
                psycopg.connect(
                    near_lab.dsn(node.region, node.name, superuser=True),
                    autocommit=True,
                )
            )
            for node in near_lab.nodes
        ]

        def running(text: str) -> bool:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                "AND pid <> pg_backend_pid() AND position(%s in query) > 0"
            )
            return any(eye.execute(query, (text,)).fetchone()[0] for eye in eyes)

        yield running


def wait_for(condition: Any) -> None:
    pause = threading.Event()
    for _ in range(400):
        if condition():
            return
        pause.wait(0.025)
    pytest.fail("it did not happen within 10 s")


def slow(conn: Any, marker: str, outcome: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            conn.execute(f"SELECT pg_sleep(30) /* {marker} */")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("how", ["cancel", "cancel_safe"])
def test_cancel_stops_the_statement_from_another_thread(
    auto: Any, watcher: Any, table: str, how: str
) -> None:
    outcome: list[Any] = []
    auto.execute("SELECT 1")
    thread = slow(auto, table, outcome)
    wait_for(lambda: watcher(table))
    getattr(auto, how)()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(outcome[0], psycopg.errors.QueryCanceled)
    assert auto.execute("SELECT 1").fetchone() == (1,)


def test_cancel_inside_a_transaction_fails_the_transaction(
    conn: Any, watcher: Any, table: str
) -> None:
    outcome: list[Any] = []
    conn.execute("SELECT 1")
    thread = slow(conn, table, outcome)
    wait_for(lambda: watcher(table))
    conn.cancel()
    thread.join(10)
    assert isinstance(outcome[0], psycopg.errors.QueryCanceled)
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_cancel_of_nothing_does_nothing(auto: Any) -> None:
    auto.cancel()
    auto.cancel_safe()
    assert auto.execute("SELECT 1").fetchone() == (1,)
    auto.cancel()
    assert auto.execute("SELECT 2").fetchone() == (2,)


def test_cancel_never_meets_another_session(near_lab: Lab) -> None:
    """One connection for two sessions: one is cancelled all the time, one works."""
    url = near_lab.url(HERE)
    with globaldb.Cluster(
        url, latency_factor=1, latency_window=0.001, pool_max_size=1
    ) as cluster:
        victim, worker = cluster.connect(), cluster.connect()
        victim.autocommit = worker.autocommit = True
        stop = threading.Event()

        def cancel() -> None:
            while not stop.is_set():
                victim.cancel()
                stop.wait(0.0005)

        def be_cancelled() -> None:
            while not stop.is_set():
                with contextlib.suppress(psycopg.OperationalError):
                    victim.execute("SELECT 1")

        threads = [
            threading.Thread(target=cancel),
            threading.Thread(target=be_cancelled),
        ]
        for thread in threads:
            thread.start()
        try:
            for n in range(150):
                assert worker.execute("SELECT %s::int", (n,)).fetchone() == (n,)
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
            victim.close()
            worker.close()


@pytest.mark.parametrize("where", ["reader", "writer", "transaction"])
def test_interrupt_leaves_a_usable_connection(
    near_lab: Lab, watcher: Any, table: str, where: str
) -> None:
    script = textwrap.dedent(
        f"""
        import sys, globaldb
        conn = globaldb.connect(sys.stdin.readline().strip(), latency_factor=1, latency_window=0.001)
        conn.autocommit = {where != "transaction"}
        if {where == "writer"}:
            block = conn.using(route="writer")
            block.__enter__()
        conn.execute("SELECT 1")
        try:
            conn.execute("SELECT pg_sleep(30) /* {table} */")
        except KeyboardInterrupt:
            print("interrupted", conn.info.transaction_status.name)
        conn.rollback()
        print(conn.execute("SELECT 7").fetchone()[0])
        conn.close()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(near_lab.url(HERE) + "\n")
        process.stdin.flush()
        wait_for(lambda: watcher(table) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    status = "INERROR" if where == "transaction" else "IDLE"
    assert out.split() == ["interrupted", status, "7"], err
    assert process.returncode == 0, err
    assert not watcher(table)


def test_threads_take_turns_on_one_connection(conn: Any, table: str) -> None:
    conn.autocommit = True
    conn.execute(f"CREATE TABLE {table} (n int)")
    problems: list[Exception] = []

    def work(number: int) -> None:
        try:
            for n in range(10):
                conn.execute(f"INSERT INTO {table} VALUES (%s)", (number * 100 + n,))
                found = conn.execute("SELECT %s::int", (number,)).fetchone()
                assert found == (number,)
        except Exception as error:  # noqa: BLE001 - shown below
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert conn.execute(f"SELECT count(DISTINCT n) FROM {table}").fetchone() == (40,)


def test_a_deadline_ends_the_statement_and_nothing_else(routed: Any) -> None:
    for route in ("reader", "writer"):
        with routed.using(timeout=0.3, route=route):
            with pytest.raises(globaldb.DeadlineExceededError) as caught:
                routed.execute("SELECT pg_sleep(30)")
            assert isinstance(caught.value, psycopg.errors.QueryCanceled)
        assert routed.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("option", ["timeout", "max_staleness"])
def test_a_duration_below_its_limit_is_refused_before_the_block(routed, option):
    with pytest.raises(
        globaldb.ProgrammingError, match=f"{option} is -1 s; it must be"
    ):
        with routed.using(**{option: -1}):
            pass
    assert routed.execute("SELECT 1").fetchone() == (1,)
