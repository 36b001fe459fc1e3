"""A piece of work: what its connections know of each other, and others do not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

import pieces
import pytest
import sqlalchemy
from pieces import Connection, count, put
from promises import FAR, cluster, until
from requests_site import COUNT, INSERT, NEARBY

import globaldb
from globaldb.core.position import Position
from globaldb.core.topology import Role
from globaldb.lab import Lab
from globaldb.runtime.causality import PieceOfWork, current
from globaldb.sqlalchemy.causality import Causality

pytestmark = pytest.mark.lab

# Fixtures.
process, connect = pieces.process, pieces.connect
writer, other = pieces.writer, pieces.other


def test_connections_of_one_piece_of_work_see_what_the_others_wrote(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session() as work:
        put(writer)
        assert count(other) == 1
    assert work.token is not None


def test_connections_of_another_configuration_see_it_too(
    empty: Lab, writer: Connection
) -> None:
    with cluster(empty, token_secret="s", pool_max_size=3, **NEARBY) as found:
        with found.connect() as there, globaldb.session():
            put(writer)
            assert count(there) == 1
            put(there)
            assert count(writer) == 2
        # What has no position, neither has one there.
        with found.connect() as there, globaldb.session():
            with writer.cursor() as cur:
                cur.executemany(INSERT, [()])
            assert count(there) == 3


def test_outside_of_it_nobody_does(
    connect: Callable[..., Connection], writer: Connection
) -> None:
    with globaldb.session():
        put(writer)
    assert count(connect()) == 0
    put(writer)
    assert count(connect()) == 0


def test_what_was_written_before_it_began_is_none_of_its_business(
    writer: Connection, other: Connection
) -> None:
    put(writer)
    with globaldb.session() as work:
        assert count(other) == 0
        assert work.token is None


def test_a_transaction_goes_on_with_what_it_began_with(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session():
        with other.transaction():
            other.execute("SET TRANSACTION READ ONLY")
            assert count(other) == 0
            put(writer)
            assert count(other) == 0
        assert count(other) == 1


def test_what_is_rolled_back_was_seen_at_the_writer_all_the_same(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session() as work:
        with pytest.raises(globaldb.ProgrammingError):
            writer.execute("INSERT INTO r_t VALUES (nonsense)")
        assert count(other) == 0
        assert work.token is not None


def test_a_transaction_is_told_when_it_commits(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session():
        with writer.transaction():
            put(writer)
            assert count(other) == 0
            assert globaldb.current_token() is None
        assert count(other) == 1


# Threads and tasks.


def test_threads_with_a_copy_of_its_context_take_part(
    connect: Callable[..., Connection],
) -> None:
    with ThreadPoolExecutor(2) as pool, globaldb.session() as work:
        pool.submit(copy_context().run, put, connect()).result()
        assert pool.submit(copy_context().run, count, connect()).result() == 1
        assert work.token is not None
        # One that has no part in it does not.
        assert pool.submit(count, connect()).result() == 0


def test_tasks_and_their_threads_take_part(connect: Callable[..., Connection]) -> None:
    async def work() -> tuple[int, int, str | None]:
        async with globaldb.session() as work:
            await asyncio.to_thread(put, connect())
            here = count(connect())
            there = await asyncio.create_task(asyncio.to_thread(count, connect()))
            return here, there, work.token

    here, there, token = asyncio.run(work())
    assert (here, there) == (1, 1)
    assert token is not None


def test_what_goes_on_behind_its_end_goes_on_by_itself(
    connect: Callable[..., Connection],
) -> None:
    async def behind(over: asyncio.Event) -> int:
        await over.wait()
        assert globaldb.current_token() is None
        return count(connect())

    async def work() -> int:
        over = asyncio.Event()
        with globaldb.session():
            put(connect())
            task = asyncio.create_task(behind(over))
        over.set()
        return await task

    assert asyncio.run(work()) == 0


def test_a_thread_takes_nothing_from_one_piece_of_work_to_the_next(
    empty: Lab, process: globaldb.Cluster
) -> None:
    url = empty.url(FAR).replace("postgresql:", "postgresql+globaldb:", 1)
    engine = sqlalchemy.create_engine(url, connect_args=dict(NEARBY))

    def work(*, write: bool) -> tuple[int, str | None]:
        with globaldb.session() as work:
            if write:
                with engine.begin() as conn:
                    conn.execute(sqlalchemy.text("INSERT INTO r_t VALUES (1)"))
            with engine.connect() as conn:
                found = conn.execute(sqlalchemy.text(COUNT)).scalar_one()
            return int(found), work.token

    with ThreadPoolExecutor(1) as thread:
        mine = thread.submit(work, write=True).result()
        theirs = thread.submit(work, write=False).result()
    assert (mine[0], theirs[0]) == (1, 0)
    assert mine[1] is not None
    assert theirs[1] is None
    engine.dispose()


def test_an_orm_session_that_comes_back_to_a_connection_takes_along_what_it_wrote(
    writer: Connection, other: Connection
) -> None:
    known, info = Causality(), dict[str, Any]()

    def in_a_thread(conn: Connection, act: Callable[[Connection], object]) -> object:
        def work() -> object:
            known.learn(conn.session)
            known.join(conn.session, info)
            found = act(conn)
            known.tell(conn.session)
            return found

        return Context().run(work)

    assert in_a_thread(other, count) == 0
    in_a_thread(writer, put)
    assert in_a_thread(other, count) == 1


def test_an_orm_session_of_two_clusters_keeps_what_it_wrote_to_each(
    empty: Lab,
    connect: Callable[..., Connection],
    writer: Connection,
    other: Connection,
) -> None:
    known, info = Causality(), dict[str, Any]()

    def write() -> None:
        with cluster(empty, token_secret="another", **NEARBY) as second:
            for conn in (writer, connect(second)):
                known.join(conn.session, info)
                put(conn)
                known.tell(conn.session)

    Context().run(write)
    known.join(other.session, info)
    assert count(other) == 2


def test_a_connection_forgets_what_it_was_only_told(
    connect: Callable[..., Connection], writer: Connection, other: Connection
) -> None:
    with globaldb.session():
        put(writer)
        # It hears of it, and looks at nothing.
        other.explain_route(COUNT)
        assert other.session.books.floor is not None
    with globaldb.session():
        assert count(other) == 0
        assert count(writer) == 1
    assert other.session.books.floor is None


def test_a_connection_keeps_what_it_did_itself(
    connect: Callable[..., Connection], writer: Connection
) -> None:
    with globaldb.session():
        put(writer)
        # It hears of another's, and looks at nothing.
        put(connect())
        writer.explain_route(COUNT)
    assert count(writer) == 2
    with globaldb.session():
        assert count(writer) == 2


def test_a_connection_keeps_what_it_saw_before_it_was_told(
    connect: Callable[..., Connection], writer: Connection, other: Connection
) -> None:
    [node] = (
        each.state
        for each in other.session.cluster.nodes.values()
        if each.state.region == FAR
    )
    books = other.session.books
    with globaldb.session():
        assert count(other) == 0
        assert node.position is not None
        # It leaves that reader, so the next one must not be behind it.
        assert books.left(Position(node.position), time.monotonic())
        seen = books.floor
        put(writer)
        other.explain_route(COUNT)
        assert books.floor != seen
    with globaldb.session():
        other.explain_route(COUNT)
        assert books.floor == seen


def test_what_is_told_behind_its_end_the_one_around_it_hears(
    writer: Connection, other: Connection
) -> None:
    put(writer)
    with globaldb.session() as outer:
        ended = PieceOfWork(current())
        ended.close()
        # A thread that was in it a moment ago.
        ended.tell(writer.session.cluster, writer.session.books, since=None)
        assert count(other) == 1
    assert outer.token is not None


def test_one_inside_another_inherits_and_tells(
    connect: Callable[..., Connection],
) -> None:
    with globaldb.session() as outer:
        with globaldb.session():
            put(connect())
        assert count(connect()) == 1
        before = outer.token
        with globaldb.session() as inner:
            assert inner.token is None
            assert globaldb.current_token() is not None
            assert count(connect()) == 1
            put(connect())
        assert count(connect()) == 2
        with globaldb.session() as idle:
            pass
    assert idle.token is None
    assert outer.token != before


def test_it_may_end_in_another_context_than_it_began_in(
    connect: Callable[..., Connection],
) -> None:
    def generator() -> Iterator[int]:
        with globaldb.session():
            put(connect())
            yield count(connect())

    steps = generator()
    assert next(steps) == 1
    copy_context().run(steps.close)
    assert globaldb.current_token() is None
    assert count(connect()) == 0


def test_each_piece_of_work_begins_once() -> None:
    with globaldb.session() as work:
        pass
    with pytest.raises(globaldb.ProgrammingError, match="begun before"):
        work.__enter__()


# The way of a statement.


def stays_on_the_short_way(conn: Connection) -> bool:
    """Whether a read took the decision of the one before it.

    It decides anew where something in the background has the connection just then.
    """
    hot = conn.session.hot
    count(conn)
    return hot is not None and conn.session.hot is hot


def test_reads_stay_on_the_short_way_until_somebody_writes(
    writer: Connection, other: Connection
) -> None:
    with globaldb.session():
        until(lambda: stays_on_the_short_way(other))
        put(writer)
        assert not stays_on_the_short_way(other)
        assert count(other) == 1
        assert other.last_route.role is Role.WRITER


def test_eventual_reads_stay_on_it_whoever_writes(
    writer: Connection, other: Connection
) -> None:
    other.consistency = "eventual"
    with globaldb.session():
        put(writer)
        until(lambda: stays_on_the_short_way(other))
        assert count(other) == 0


def test_a_forked_child_goes_on_with_it_by_itself(empty: Lab) -> None:
    program = """
        import os, sys, threading, globaldb
        url = sys.argv[1] + "&autocommit=on&latency_factor=1"
        conn, other = globaldb.connect(url), globaldb.connect(url)
        count = lambda: other.execute("SELECT count(*) FROM r_t").fetchone()[0]
        put = lambda: conn.execute("INSERT INTO r_t VALUES (1)")
        with globaldb.session() as work:
            put()
            child = os.fork()
            if child == 0:
                assert count() == 1
                put()
                assert count() == 2 and work.token is not None
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert work.token is not None
        conn.close(); other.close()
        """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), empty.url(FAR)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
