"""A fork leaves the parent's connections alone, and a process ends when it is done."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from promises import FAR, HOME, counts, table

from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

SPEC = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.01})


@pytest.fixture(scope="module")
def near() -> Iterator[Lab]:
    with Lab.start(SPEC) as lab:
        yield lab


@pytest.fixture
def lab(near: Lab) -> Lab:
    near.restore()
    table(near, "t")
    return near


def run(lab: Lab, program: str, *, limit: float = 20.0) -> str:
    """Run *program* as a process of its own; it must end well and say nothing else."""
    text = (
        "import os, sys, threading, time\nimport globaldb\n"
        "url = sys.argv[1]\n"
        "def put(conn, key): conn.execute('INSERT INTO t VALUES (%s)', (key,))\n"
        "def rows(conn): return conn.execute('SELECT count(*) FROM t').fetchone()[0]\n"
        + textwrap.dedent(program)
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", text, lab.url(FAR)],
        capture_output=True,
        text=True,
        timeout=limit,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_child_has_connections_of_its_own_and_leaves_the_parents_alone(
    lab: Lab,
) -> None:
    said = run(
        lab,
        """
        conn = globaldb.connect(url, autocommit=True)
        def server():
            # At the writer: where else reads go depends on when a reader has caught up.
            with conn.using(route="writer"):
                return conn.execute("SELECT pg_backend_pid()").fetchone()[0]
        put(conn, 1); rows(conn)
        mine = {server() for _ in range(3)}
        child = os.fork()
        if child == 0:
            put(conn, 2)
            assert server() not in mine
            assert rows(conn) == 2
            conn.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        put(conn, 3)
        assert rows(conn) == 3
        with conn.using(route="writer"):
            found = conn.execute("SELECT pid FROM pg_stat_activity").fetchall()
        assert mine <= {pid for pid, in found}
        conn.close()
        """,
    )
    assert said == ""
    assert counts(lab, "t") == {1: 1, 2: 1, 3: 1}


def test_a_parents_open_transaction_is_only_the_parents(lab: Lab) -> None:
    run(
        lab,
        """
        conn = globaldb.connect(url)
        put(conn, 1)
        child = os.fork()
        if child == 0:
            try:
                put(conn, 2)
            except globaldb.Error:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        put(conn, 3)
        conn.commit()
        conn.close()
        """,
    )
    assert counts(lab, "t") == {1: 1, 3: 1}


def test_a_child_finds_the_writer_when_it_has_moved(lab: Lab) -> None:
    """The monitor's threads are not there in the child: it starts its own."""
    run(
        lab,
        """
        cluster = globaldb.Cluster(url, autocommit=True, probe_interval=0.1)
        conn = cluster.connect()
        put(conn, 1); rows(conn)
        child = os.fork()
        if child == 0:
            cluster.runtime.demoted(cluster.topology.writer.name)
            put(conn, 2)
            before = cluster.topology.writer.sampled_at
            end = time.monotonic() + 5
            while cluster.topology.writer.sampled_at == before:
                assert time.monotonic() < end
                time.sleep(0.01)
            conn.close()
            cluster.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        conn.close()
        cluster.close()
        """,
    )
    assert counts(lab, "t") == {1: 1, 2: 1}


def test_many_children_work_at_once(lab: Lab) -> None:
    run(
        lab,
        """
        conn = globaldb.connect(url, autocommit=True)
        put(conn, 0); rows(conn)
        children = []
        for key in range(1, 5):
            child = os.fork()
            if child == 0:
                with globaldb.connect(url, autocommit=True) as own:
                    put(own, key)
                    assert rows(own) >= 2
                put(conn, 10 + key)
                os._exit(0)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        assert rows(conn) >= 1
        put(conn, 9)
        conn.close()
        """,
    )
    assert sorted(counts(lab, "t")) == [0, 1, 2, 3, 4, 9, 11, 12, 13, 14]


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "conn.execute('BEGIN'); put(conn, 2)",
        "sys.exit(0)",
        "globals().clear()",
        "thread = threading.Thread(target=rows, args=(conn,)); thread.start()",
        "conn.close()",
    ],
)
def test_a_process_that_ends_with_everything_open_ends_well(
    lab: Lab, ending: str
) -> None:
    said = run(
        lab,
        f"""
        conn = globaldb.connect(url, autocommit=True, probe_interval=0.1)
        keep = conn.cursor()
        put(conn, 1)
        rows(conn)
        sys.stdout.write("done")
        sys.modules["__main__"].__dict__.setdefault("kept", [conn, keep])
        import warnings; warnings.simplefilter("ignore", ResourceWarning)
        {ending}
        """,
        limit=10,
    )
    assert said == "done"
    assert counts(lab, "t") == {1: 1}


def test_importing_starts_nothing(lab: Lab) -> None:
    said = run(
        lab,
        """
        heavy = {"psycopg", "pymysql", "boto3", "sqlalchemy", "asyncio", "socket"}
        print(sorted(heavy & sys.modules.keys()), threading.active_count())
        """,
    )
    assert said == "[] 1\n"
