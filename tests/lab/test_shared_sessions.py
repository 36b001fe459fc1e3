"""Two processes that serve one user agree, without passing tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from promises import FAR, cluster, one, table, until, within
from valkey_server import ValkeyServer

import globaldb
from globaldb.core.position import Lsn, Position
from globaldb.core.token import Seen, Token
from globaldb.lab import Lab
from globaldb.runtime.session_store import SessionStore

pytestmark = pytest.mark.lab

Connection = Any
TTL = 2.0
COUNT = "SELECT count(*) FROM s_t"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("v")) as server:
        yield server


@pytest.fixture
def store(server: ValkeyServer, lab: Lab) -> ValkeyServer:
    """A store that has been there long enough to have everything."""
    table(lab, "s_t")
    server.been_up_for(TTL)
    with server.client() as client:
        client.flushall()
    return server


@contextmanager
def sharing(
    lab: Lab, store: ValkeyServer, **options: Any
) -> Iterator[globaldb.Cluster]:
    given = {"session_store": store.url, "session_ttl": TTL, **options}
    with cluster(lab, **given) as found:
        yield found


def count(conn: Connection) -> int:
    return int(one(conn.execute(COUNT))[0])


def reason(conn: Connection) -> str:
    return str(conn.last_route.reason)


CHILD = """
import json, sys
import globaldb

url, options = json.loads(sys.stdin.readline())
with globaldb.connect(url, autocommit=True, **options) as conn:
    for line in sys.stdin:
        key, sql = json.loads(line)
        with globaldb.session_key(key):
            rows = conn.execute(sql)
            rows = rows.fetchall() if rows.description else []
        print(json.dumps([rows, conn.last_route.role.value, conn.last_route.reason]))
        sys.stdout.flush()
"""


class Process:
    """Another process of the application, each of whose statements is a request."""

    def __init__(self, lab: Lab, **options: Any) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send([lab.url(FAR), {"probe_interval": 60, **options}])

    def request(self, key: str, sql: str) -> tuple[list[Any], str, str]:
        assert self._child.stdout is not None
        self._send([key, sql])
        rows, role, reason = json.loads(self._child.stdout.readline())
        return rows, role, reason

    def _send(self, what: Any) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(what) + "\n")
        self._child.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


@contextmanager
def processes(lab: Lab, number: int, **options: Any) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        found = [stack.enter_context(Process(lab, **options)) for _ in range(number)]
        for process in found:
            # Each has seen its nodes, and is at its reader.
            until(lambda p=process: p.request("warm", COUNT)[1] == "reader")
        yield found


def ping_pong(lab: Lab, one_side: Process, other_side: Process) -> list[bool]:
    """Write and read in turn; return whether each read saw every write before it."""
    saw = []
    for written in range(1, 21):
        writer, reader = (
            (one_side, other_side) if written % 2 else (other_side, one_side)
        )
        writer.request("user:42", f"INSERT INTO s_t VALUES ({written})")
        rows, _, _ = reader.request("user:42", COUNT)
        saw.append(rows == [[written]])
    return saw


def test_a_user_served_by_two_processes_reads_their_own_writes(
    lab: Lab, store: ValkeyServer
) -> None:
    options = {"session_store": store.url, "session_ttl": TTL}
    with processes(lab, 2, **options) as (a, b):
        lab.lag(FAR, 0.2)
        assert ping_pong(lab, a, b) == [True] * 20
        # And once the reader has caught up the read is local.
        a.request("user:42", "INSERT INTO s_t VALUES (21)")
        lab.restore()
        rows, role, why = b.request("user:42", COUNT)
        assert (rows, role, why) == ([[21]], "reader", "nearest_reader")


def test_without_the_store_the_same_requests_are_stale(
    lab: Lab, store: ValkeyServer
) -> None:
    """So that the test above can fail."""
    with processes(lab, 2) as (a, b):
        lab.lag(FAR, 0.2)
        assert not all(ping_pong(lab, a, b))


def test_users_do_not_wait_for_each_other(lab: Lab, store: ValkeyServer) -> None:
    with sharing(lab, store) as found:
        with found.connect() as a, found.connect() as b:
            lab.lag(FAR, 5.0)
            with globaldb.session_key("ada"):
                a.execute("INSERT INTO s_t VALUES (1)")
            with globaldb.session_key("bob"):
                assert count(b) == 0
                assert reason(b) == "nearest_reader"
            # Outside of any block nobody is asked for.
            assert count(b) == 0


def test_the_store_is_asked_once_a_block(lab: Lab, store: ValkeyServer) -> None:
    with sharing(lab, store) as found, found.connect() as conn, store.client() as look:

        def asked() -> int:
            stats = look.info("commandstats")
            return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])

        before = asked()
        for _ in range(3):
            with globaldb.session_key("u"):
                for _ in range(5):
                    count(conn)
        assert asked() - before == 3


def test_sessions_of_one_block_see_each_other(lab: Lab, store: ValkeyServer) -> None:
    with sharing(lab, store) as found, found.connect() as a, found.connect() as b:
        with globaldb.session_key("u"):
            assert count(b) == 0
            lab.lag(FAR, 0.3)
            a.execute("INSERT INTO s_t VALUES (1)")
            assert count(b) == 1


def write_rows(conn: Connection) -> None:
    conn.execute("INSERT INTO s_t VALUES (1)")


def write_many(conn: Connection) -> None:
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO s_t VALUES (%s)", [(1,)])


def write_copy(conn: Connection) -> None:
    with conn.cursor() as cursor, cursor.copy("COPY s_t FROM STDIN") as copy:
        copy.write("1\n")


def write_script(conn: Connection) -> None:
    conn.execute("INSERT INTO s_t VALUES (1); SELECT 1")


def write_block(conn: Connection) -> None:
    with conn.transaction():
        conn.execute("INSERT INTO s_t VALUES (1)")


def write_commit(conn: Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("INSERT INTO s_t VALUES (1)")
    conn.commit()


def write_sql_commit(conn: Connection) -> None:
    conn.execute("BEGIN")
    conn.execute("INSERT INTO s_t VALUES (1)")
    conn.execute("COMMIT")


def write_pipeline(conn: Connection) -> None:
    with conn.pipeline():
        conn.execute("INSERT INTO s_t VALUES (1)")


def write_upgraded(conn: Connection) -> None:
    with conn.transaction():
        count(conn)
        conn.execute("INSERT INTO s_t VALUES (1)")


WAYS = (
    write_rows,
    write_many,
    write_copy,
    write_script,
    write_block,
    write_commit,
    write_sql_commit,
    write_pipeline,
    write_upgraded,
)


def test_every_way_to_write_is_published_before_it_is_acknowledged(
    lab: Lab, store: ValkeyServer
) -> None:
    with sharing(lab, store) as found, found.connect() as a, found.connect() as b:
        for number, write in enumerate(WAYS, start=1):
            lab.lag(FAR, 0.3)
            with globaldb.session_key(write.__name__):
                write(a)
            with globaldb.session_key(write.__name__):
                assert count(b) == number, write.__name__


def test_a_rolled_back_write_is_nobodys_business(lab: Lab, store: ValkeyServer) -> None:
    with sharing(lab, store) as found, found.connect() as a, found.connect() as b:
        lab.lag(FAR, 5.0)
        with globaldb.session_key("u"):
            a.execute("BEGIN")
            a.execute("INSERT INTO s_t VALUES (1)")
            a.rollback()
            assert count(b) == 0
            assert reason(b) == "nearest_reader"


# The store fails.


def test_a_store_killed_in_the_middle_fails_nothing_and_shows_nothing_stale(
    lab: Lab, store: ValkeyServer
) -> None:
    options = {"session_store": store.url, "session_ttl": TTL}
    with processes(lab, 2, **options) as (a, b):
        lab.lag(FAR, 0.2)
        a.request("user:42", "INSERT INTO s_t VALUES (0)")
        store.kill()
        try:
            written = 1
            for _ in range(10):
                a.request("user:42", f"INSERT INTO s_t VALUES ({written})")
                written += 1
                rows, role, why = b.request("user:42", COUNT)
                assert (rows, role) == ([[written]], "writer")
                assert why == "session_store_unavailable"
        finally:
            store.start()
        # What it was not told of while it was down it does not know now either.
        a.request("other", "SELECT 1")
        rows, role, why = b.request("user:42", COUNT)
        assert (rows, why) == ([[written]], "session_store_unavailable")
        store.been_up_for(TTL)
        lab.restore()
        until(lambda: b.request("user:42", COUNT)[1:] == ("reader", "nearest_reader"))


def test_a_session_that_has_read_at_the_writer_for_want_of_a_store_goes_on_locally(
    lab: Lab, tmp_path: Path
) -> None:
    table(lab, "s_t")
    missing = ValkeyServer(tmp_path)
    with sharing(lab, missing) as found, found.connect() as conn:
        with globaldb.session_key("u"):
            count(conn)
            assert reason(conn) == "session_store_unavailable"
            until(lambda: count(conn) == 0 and reason(conn) == "nearest_reader")


def test_a_dead_store_costs_its_patience_once_and_not_every_statement(
    lab: Lab, store: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with sharing(lab, store) as found, found.connect() as conn:
        with store.client() as holding:
            holding.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        keeper = found.runtime.store
        assert isinstance(keeper, SessionStore)
        with caplog.at_level(logging.WARNING, "globaldb"):
            with within(0.5):
                for number in range(1000):
                    assert not keeper.look_up(f"user:{number}").complete
            with globaldb.session_key("u"):
                assert count(conn) == 0
                assert reason(conn) == "session_store_unavailable"
        assert [record.getMessage().split()[0] for record in caplog.records] == [
            "session_store_down"
        ]
        with store.client() as look:
            until(lambda: bool(look.ping()))


# What is kept.


def test_no_key_and_no_password_is_kept_or_logged_in_clear(
    lab: Lab, store: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with sharing(lab, store, token_secret="hush") as found, found.connect() as a:
            with globaldb.session_key("ada@example.org"):
                a.execute("INSERT INTO s_t VALUES (1)")
    with store.client() as look:
        names = list(look.scan_iter())
        values = [look.get(name) for name in names]
        assert all(0 < look.pttl(name) <= TTL * 1000 for name in names)
    assert names
    assert not any(b"ada" in each for each in (*names, *values))
    assert "ada@" not in caplog.text
    assert "hush" not in caplog.text


def test_what_is_kept_is_signed_and_a_forged_value_sends_reads_to_the_writer(
    lab: Lab, store: ValkeyServer
) -> None:
    with sharing(lab, store, token_secret="mine") as found:
        with found.connect() as a, found.connect() as b:
            with globaldb.session_key("u"):
                a.execute("INSERT INTO s_t VALUES (1)")
            with store.client() as look:
                [name] = [n for n in look.scan_iter() if b"position" in n]
                kept = look.get(name)
                assert kept is not None
                forged = Token.of(
                    Seen(found.runtime.system, 1, Position(Lsn(1, 1)), 1 << 31),
                    "theirs",
                )
                look.set(name, kept[:24] + forged.encode(), px=5000)
            lab.lag(FAR, 0.3)
            with globaldb.session_key("u"):
                assert count(b) == 1
                assert reason(b) == "session_store_unavailable"


def test_an_older_position_never_replaces_a_newer_one(
    lab: Lab, store: ValkeyServer
) -> None:
    with sharing(lab, store) as found:
        keeper = found.runtime.store
        assert isinstance(keeper, SessionStore)
        told = [(3, 1), (9, 1), (5, 1), (2, 2), (8, 1), (1 << 60, 1)]
        for value, timeline in told:
            keeper.publish("u", Position(Lsn(value, timeline)), f"{timeline}-{value}")
        assert keeper.look_up("u").token == "2-2"


def test_writers_at_the_same_time_leave_the_latest_position(
    lab: Lab, store: ValkeyServer
) -> None:
    with sharing(lab, store) as found:
        keeper = found.runtime.store
        assert isinstance(keeper, SessionStore)

        def publish(first: int) -> None:
            for value in range(first, 400, 8):
                keeper.publish("many", Position(Lsn(value, 1)), str(value))

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keeper.look_up("many").token == "399"


def test_a_key_belongs_to_its_thread_and_its_task(
    lab: Lab, store: ValkeyServer
) -> None:
    from globaldb.runtime.session_key import current_block

    def name() -> str | None:
        block = current_block()
        return None if block is None else block.name

    async def task(key: str) -> str | None:
        with globaldb.session_key(key):
            await asyncio.sleep(0)
            inside = await asyncio.to_thread(name)
            assert inside == name()
            return inside

    async def main() -> list[str | None]:
        return await asyncio.gather(*(task(f"u{n}") for n in range(5)))

    assert asyncio.run(main()) == [f"u{n}" for n in range(5)]
    with globaldb.session_key("outer"):
        elsewhere: list[str | None] = []
        thread = threading.Thread(target=lambda: elsewhere.append(name()))
        thread.start()
        thread.join()
        with globaldb.session_key("inner"):
            assert name() == "inner"
        assert (name(), elsewhere) == ("outer", [None])
    assert name() is None


@pytest.mark.parametrize("wrong", ["", None, 7])
def test_a_key_is_a_text(wrong: object) -> None:
    with pytest.raises(globaldb.ProgrammingError, match="session_key"):
        with globaldb.session_key(wrong):  # type: ignore[arg-type]
            pass


def test_a_commit_in_two_phases_is_published_as_any_other(
    lab: Lab, store: ValkeyServer
) -> None:
    with sharing(lab, store, autocommit=False) as found, found.connect() as conn:
        with globaldb.session_key("user:two"), store.client() as client:
            conn.tpc_begin(conn.xid(1, "shared", "two"))
            conn.execute("INSERT INTO s_t VALUES (1)")
            conn.tpc_prepare()
            client.flushall()
            conn.tpc_commit()
            assert client.dbsize() > 0


def test_a_url_that_asks_for_texts_is_served_with_texts(
    lab: Lab, store: ValkeyServer
) -> None:
    url = f"{store.url}?decode_responses=True"
    with sharing(lab, store, session_store=url) as found, found.connect() as conn:
        for _ in range(2):
            with globaldb.session_key("user:texts"):
                conn.execute("INSERT INTO s_t VALUES (1)")
                count(conn)
