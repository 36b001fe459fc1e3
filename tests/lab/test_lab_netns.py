"""A lab of network namespaces: its connections fail as those of the world do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from globaldb.lab import Lab, LabSpec, LabSpecError
from globaldb.lab.waiting import wait_until

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR = "us-west-2", "ap-south-1"
WRITER, READER, OTHER = "us-west-2-1", "ap-south-1-1", "ap-south-1-2"
RTT = 0.06
LIMIT = 60.0

#: Comes before each program that runs inside: it prints what it found as JSON, and
#: tells and hears, a line each, when the world is to change.
PRELUDE = """
import json, socket, sys, time
import globaldb, psycopg

def told(*what):
    print("ready", *what, flush=True)
    sys.stdin.readline()

def seconds_of(action):
    start = time.monotonic()
    try:
        action()
        how = ""
    except Exception as failure:
        how = type(failure).__name__
    return time.monotonic() - start, how
"""


@pytest.fixture(scope="module")
def own_lab(netns: None, module_lab: FreshLab) -> Lab:
    """Two regions, the far one with two readers."""
    regions = {HOME: 0, FAR: 2}
    return module_lab(LabSpec(regions=regions, rtt={(HOME, FAR): RTT}, net="netns"))


@pytest.fixture
def lab(own_lab: Lab) -> Iterator[Lab]:
    """The same with nothing wrong and its writer at home, before and after."""
    yield own_lab
    own_lab.restore()
    if own_lab.writer().name != WRITER:
        own_lab.switchover(HOME)


def inside(
    lab: Lab,
    code: str,
    *words: str,
    region: str = FAR,
    change: Callable[..., object] = lambda: None,
) -> Any:
    """Run *code* as a client in *region*; return the JSON it prints last.

    When it has told that it is ready, *change* happens, to what it names; then it is
    told to go on.
    """
    program = subprocess.Popen(
        lab.inside(
            region, [sys.executable, "-W", "error", "-c", PRELUDE + code, *words]
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(LIMIT, program.kill)
    watchdog.start()
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        for line in program.stdout:
            if not line.startswith("ready"):
                break
            change(*line.split()[1:])
            program.stdin.write("go on\n")
            program.stdin.flush()
        else:
            line = "null"
    watchdog.cancel()
    assert program.returncode == 0
    return json.loads(line)


def test_connecting_takes_a_round_trip_and_refusing_too(lab: Lab) -> None:
    code = """
host, port = sys.argv[1], int(sys.argv[2])
def connect():
    socket.create_connection((host, port), timeout=10).close()
answered = seconds_of(connect)
told()
print(json.dumps([answered, seconds_of(connect)]))
"""
    where = lab.options(FAR, WRITER)
    answered, refused = inside(
        lab, code, where["host"], str(where["port"]), change=lambda: lab.kill(WRITER)
    )
    assert RTT <= answered[0] < 2
    assert answered[1] == ""
    assert RTT <= refused[0] < 2
    assert refused[1] == "ConnectionRefusedError"


def test_a_round_trip_takes_what_was_asked(lab: Lab) -> None:
    code = """
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    before = min(seconds_of(lambda: conn.execute("SELECT 1"))[0] for _ in range(5))
    told()
    after = min(seconds_of(lambda: conn.execute("SELECT 1"))[0] for _ in range(3))
print(json.dumps([before, after]))
"""
    before, after = inside(
        lab, code, lab.dsn(FAR, WRITER), change=lambda: lab.latency(HOME, FAR, 0.2)
    )
    assert RTT <= before < 0.2
    assert 0.2 <= after < 1


def test_a_half_open_connection_is_given_up_after_the_user_timeout(lab: Lab) -> None:
    code = """
conn = psycopg.connect(sys.argv[1] + " tcp_user_timeout=1000", autocommit=True)
conn.execute("SELECT 1")
told()
print(json.dumps(seconds_of(lambda: conn.execute("SELECT 1"))))
"""
    took, how = inside(
        lab, code, lab.dsn(FAR, READER), change=lambda: lab.freeze(FAR, READER)
    )
    assert how == "OperationalError"
    assert 1.0 <= took < 10


def test_keepalive_notices_a_peer_that_is_gone_from_an_idle_connection(
    lab: Lab,
) -> None:
    code = """
import select
options = " keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
conn = psycopg.connect(sys.argv[1] + options, autocommit=True)
told()
start = time.monotonic()
ready, _, _ = select.select([conn.fileno()], [], [], 30)
took = time.monotonic() - start
print(json.dumps([bool(ready), took, seconds_of(lambda: conn.execute("SELECT 1"))[1]]))
"""
    ready, took, how = inside(
        lab, code, lab.dsn(FAR, READER), change=lambda: lab.partition(FAR, FAR)
    )
    assert (ready, how) == (True, "OperationalError")
    assert 2.0 <= took < 20


def test_a_short_partition_only_makes_a_statement_late(lab: Lab) -> None:
    code = """
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    told()
    print(json.dumps(seconds_of(lambda: conn.execute("SELECT 1"))))
"""
    healing = threading.Timer(1.0, lab.heal)

    def change() -> None:
        lab.partition(HOME, FAR)
        healing.start()

    took, how = inside(lab, code, lab.dsn(FAR, WRITER), change=change)
    healing.join()
    assert how == ""
    # Not before it was healed, less what passed until it began to count.
    assert took > 0.7


def test_reads_go_on_at_another_node_when_theirs_is_half_open(lab: Lab) -> None:
    code = """
def node(conn):
    return conn.execute("SHOW cluster_name").fetchone()[0]

url = sys.argv[1] + "&tcp_user_timeout=1000"
with globaldb.connect(url, autocommit=True) as conn:
    before = node(conn)
    told(before)
    start, slowest, last = time.monotonic(), 0.0, before
    # Once at the writer it knows that what it has seen is at the other reader too.
    while last in {before, sys.argv[2]} and time.monotonic() < start + 30:
        begun = time.monotonic()
        last = node(conn)
        slowest = max(slowest, time.monotonic() - begun)
print(json.dumps([before, last, slowest]))
"""
    before, last, slowest = inside(
        lab, code, lab.url(FAR), WRITER, change=lambda node: lab.freeze(FAR, node)
    )
    assert {before, last} == {READER, OTHER}
    assert slowest < 10


def test_hosts_are_found_by_the_regions_own_name_server(lab: Lab) -> None:
    code = """
def writer():
    with psycopg.connect(sys.argv[1], host=sys.argv[2]) as conn:
        return conn.execute("SHOW cluster_name").fetchone()[0]
before = writer()
told()
print(json.dumps([before, writer()]))
"""
    found = inside(
        lab,
        code,
        lab.dsn(FAR, WRITER),
        lab.endpoints.global_writer,
        change=lambda: lab.switchover(READER),
    )
    assert found == [WRITER, READER]


def test_after_a_failover_the_old_writer_follows_the_new_one(lab: Lab) -> None:
    code = """
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    conn.execute("CREATE TABLE IF NOT EXISTS moved ()")
for dsn in sys.argv[2:]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        end = time.monotonic() + 30
        while conn.execute("SELECT to_regclass('moved')").fetchone() != ("moved",):
            assert time.monotonic() < end
            time.sleep(0.01)
print(json.dumps(True))
"""
    assert lab.failover(READER) == READER
    dsns = [lab.dsn(FAR, node.name) for node in lab.nodes]
    assert inside(lab, code, lab.dsn(FAR, READER), *dsns) is True


def positions(lab: Lab) -> dict[str, str]:
    return {node["name"]: node["position"] for node in lab.status()["nodes"]}


def test_replication_does_not_pass_a_partition(lab: Lab) -> None:
    code = """
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    conn.execute("CREATE TABLE beyond AS SELECT 1")
    conn.execute("DROP TABLE beyond")
print(json.dumps(True))
"""
    before = positions(lab)[READER]
    lab.partition(HOME, FAR)
    assert inside(lab, code, lab.dsn(HOME, WRITER), region=HOME)
    assert positions(lab)[READER] == before
    lab.heal()
    wait_until(
        lambda: len(set(positions(lab).values())) == 1,
        limit=LIMIT,
        what="replication does not go on",
    )


def test_any_program_runs_inside_and_its_end_is_told(lab: Lab) -> None:
    ended = lab.exec(FAR, ["sh", "-c", "cat; exit 7"], input=b"words", stdout=-1)
    assert (ended.returncode, ended.stdout) == (7, b"words")
    assert lab.exec(FAR, ["/no/such/program"], stderr=-1).returncode == 127
    shell = [sys.executable, "-c", "from globaldb.cli import main; main()"]
    words = ["lab", "exec", "--name", lab.name, FAR, "--", "cat", "/etc/resolv.conf"]
    ended = subprocess.run([*shell, *words], check=True, capture_output=True)
    assert ended.stdout == f"nameserver {lab.dns(FAR)[0]}\n".encode()


def test_what_needs_a_look_into_connections_is_refused(lab: Lab) -> None:
    for attempt in (
        lambda: lab.cut(FAR, READER),
        lambda: lab.refuse(FAR, READER),
        lab.counters,
        lab.aws,
    ):
        with pytest.raises(LabSpecError, match="network namespaces"):
            attempt()


def test_clients_of_another_lab_have_no_place_of_their_own(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0}))
    with pytest.raises(LabSpecError, match="lab up --net netns"):
        lab.exec(HOME, ["true"])


def test_a_lab_that_may_not_have_namespaces_says_so(
    netns: None, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    code = """
from globaldb.lab import Lab, LabSpec
Lab.start(LabSpec(net="netns"))
"""
    forbid = 'echo 0 >/proc/sys/user/max_net_namespaces; exec "$@"'
    ended = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", forbid, "sh", sys.executable, "-c", code],
        env={**os.environ, "GLOBALDB_LAB_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 1
    assert "LabError: network namespaces are not allowed here" in ended.stderr
    assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == []


def test_the_namespaces_end_with_the_lab(netns: None, fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0}, net="netns"))
    user = Path(lab.inside(HOME, ["true"])[4])
    assert user.exists()
    lab.down()
    assert not user.exists()


def test_servers_of_mysqls_kind_are_joined_by_packets_too(
    netns: None, fresh_lab: FreshLab
) -> None:
    regions = {HOME: 0, FAR: 1}
    spec = LabSpec(
        regions=regions, rtt={(HOME, FAR): RTT}, net="netns", engine="mariadb"
    )
    lab = fresh_lab(spec)
    code = """
import pymysql
options = json.loads(sys.argv[1])
with pymysql.connect(**options) as conn, conn.cursor() as cursor:
    print(json.dumps(seconds_of(lambda: cursor.execute("CREATE TABLE here (n int)"))))
"""
    took, how = inside(lab, code, json.dumps(lab.options(FAR, WRITER)))
    assert (how, took >= RTT) == ("", True)
    assert lab.switchover(FAR) == READER
    assert [node["streaming"] for node in lab.status()["nodes"]] == [True, False]


@pytest.mark.parametrize("other", [{"direct": True}, {"single_address": True}])
def test_one_way_of_joining_at_a_time(other: dict[str, bool]) -> None:
    with pytest.raises(LabSpecError, match="goes with neither"):
        LabSpec(net="netns", **other)
    with pytest.raises(LabSpecError, match="the lab has links, netns"):
        LabSpec(net="string")
