"""Every engine's lab is a lab: the same regions, links and faults on MySQL and MariaDB.

What is said of PostgreSQL's lab in the other files is not said again.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from lab_client import ask, connect, run, until
from lab_fixtures import lend_templates

from globaldb.cli import main
from globaldb.lab import Lab, LabSpec
from globaldb.lab.mysql.binaries import MysqlBinaries, find_mysql

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR = "us-west-2", "ap-south-1"
WRITER, READER = "us-west-2-1", "ap-south-1-1"
READ_ONLY, DENIED, NO_DATABASE = 1290, (1044, 1142, 1227), 1049


def visible(lab: Lab, table: str) -> bool:
    """Whether the far reader has *table*."""
    query = "SELECT count(*) FROM information_schema.tables WHERE table_name = %s"
    return bool(ask(lab, FAR, READER, query, table)[0][0])


def seconds_until_visible(lab: Lab) -> float:
    """Commit at the writer, and time until the far reader shows it."""
    writer, reader = connect(lab, HOME, WRITER), connect(lab, FAR, READER)
    run(writer, "CREATE TABLE IF NOT EXISTS marks (n int auto_increment primary key)")
    until(lambda: visible(lab, "marks"))
    run(writer, "INSERT INTO marks VALUES ()")
    start = time.monotonic()
    [(mark,)] = run(writer, "SELECT LAST_INSERT_ID()")
    while not run(reader, "SELECT 1 FROM marks WHERE n = %s", mark):
        assert time.monotonic() - start < 20
        time.sleep(0.001)
    writer.close()
    reader.close()
    return time.monotonic() - start


def test_every_node_has_its_part(engine_lab: Lab) -> None:
    nodes = engine_lab.status()["nodes"]
    assert [(node["name"], node["role"]) for node in nodes] == [
        ("us-west-2-1", "writer"),
        ("us-west-2-2", "reader"),
        ("ap-south-1-1", "reader"),
        ("ap-southeast-2-1", "reader"),
    ]
    assert all(node["streaming"] for node in nodes[1:])
    assert all(node["position"] for node in nodes)
    assert engine_lab.writer() == engine_lab.nodes[0]


def test_the_url_names_every_node_on_the_links_of_its_region(engine_lab: Lab) -> None:
    scheme = "postgresql" if engine_lab.spec.engine == "postgresql" else "mysql"
    head, *spots = engine_lab.url(FAR).split("&node=")
    assert head.startswith(f"{scheme}://app:")
    assert head.endswith("@/app?region=ap-south-1")
    assert spots == [
        f"{node.region}@{where['host']}:{where['port']}"
        for node in engine_lab.nodes
        for where in [engine_lab.options(FAR, node.name)]
    ]


def refused(connection: Any, sql: str) -> int:
    with pytest.raises(pymysql.err.MySQLError) as caught:
        run(connection, sql)
    return int(caught.value.args[0])


def test_every_region_reaches_every_node(mysql_lab: Lab) -> None:
    for region, node in itertools.product((HOME, FAR), mysql_lab.nodes):
        found = ask(mysql_lab, region, node.name, "SELECT @@report_host")
        assert found == [(node.name,)]


def test_a_wrong_password_is_refused(mysql_lab: Lab) -> None:
    where = mysql_lab.options(HOME, WRITER) | {"password": "not it"}
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(**where)
    # Nor is anybody let in without one, as root or as nobody.
    for user in ("root", "app", ""):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(**where | {"password": "", "user": user})


def test_the_application_owns_its_databases_and_nothing_else(mysql_lab: Lab) -> None:
    app = connect(mysql_lab, HOME, WRITER)
    run(app, "CREATE SCHEMA globaldb_own")
    run(app, "CREATE TABLE globaldb_own.things (n int)")
    run(app, "CREATE FUNCTION globaldb_own.one() RETURNS int RETURN 1")
    run(app, "DROP SCHEMA globaldb_own")
    assert refused(app, "CREATE SCHEMA another") in DENIED
    assert refused(app, "CREATE USER another") in DENIED
    assert refused(app, "SET GLOBAL read_only = 0") in DENIED
    app.close()
    root = connect(mysql_lab, HOME, WRITER, superuser=True)
    run(root, "CREATE SCHEMA another")
    run(root, "DROP SCHEMA another")
    root.close()


def test_a_reader_refuses_the_application_s_writes(mysql_lab: Lab) -> None:
    with connect(mysql_lab, FAR, READER) as reader:
        for sql in ("CREATE TABLE n (n int)", "START TRANSACTION READ WRITE"):
            assert refused(reader, sql) == READ_ONLY


def test_the_application_sees_how_replication_goes(mysql_lab: Lab) -> None:
    word = {"mariadb": "SLAVE", "mysql": "REPLICA"}[mysql_lab.spec.engine]
    [status] = ask(mysql_lab, FAR, READER, f"SHOW {word} STATUS")
    assert status[0] == "Waiting for master to send event" or "source" in status[0]


def test_replication_lag_is_the_way_between_the_regions(mysql_lab: Lab) -> None:
    # Half of 220 ms.
    assert 0.105 <= min(seconds_until_visible(mysql_lab) for _ in range(3)) <= 0.16


def test_lag_holds_commits_back_until_it_is_set_to_nothing(mysql_lab: Lab) -> None:
    mysql_lab.lag(FAR, 0.6)
    assert 0.59 <= min(seconds_until_visible(mysql_lab) for _ in range(2)) <= 0.85
    [held] = [n for n in mysql_lab.status()["nodes"] if n["name"] == READER]
    assert (held["held_back"], held["streaming"]) == (0.6, True)
    mysql_lab.lag(FAR, 0)
    assert seconds_until_visible(mysql_lab) < 0.5


def test_ending_a_long_lag_releases_what_was_held(mysql_lab: Lab) -> None:
    mysql_lab.lag(FAR, 3000)
    ask(mysql_lab, HOME, WRITER, "CREATE TABLE released (n int)")
    time.sleep(0.3)
    assert not visible(mysql_lab, "released")
    mysql_lab.lag(FAR, 0)
    until(lambda: visible(mysql_lab, "released"), limit=5)


def test_a_partition_stops_replication_and_its_end_resumes_it(mysql_lab: Lab) -> None:
    mysql_lab.partition(HOME, FAR)
    ask(mysql_lab, HOME, WRITER, "CREATE TABLE behind (n int)")
    time.sleep(0.4)
    assert not visible(mysql_lab, "behind")
    where = mysql_lab.options(FAR, WRITER)
    with pytest.raises(pymysql.err.OperationalError, match="timed out"):
        # PyMySQL's limit for connects ends before the server's greeting.
        pymysql.connect(**where, read_timeout=1)
    mysql_lab.heal()
    until(lambda: visible(mysql_lab, "behind"), limit=10)


def test_a_lost_reply_leaves_a_row_and_a_lost_request_none(mysql_lab: Lab) -> None:
    ask(mysql_lab, HOME, WRITER, "CREATE TABLE fate (what varchar(9))")
    for when in ("reply", "request"):
        client = connect(mysql_lab, FAR, WRITER)
        mysql_lab.cut(FAR, WRITER, when, containing="INSERT INTO fate")
        with pytest.raises(pymysql.err.OperationalError):
            run(client, "INSERT INTO fate VALUES (%s)", when)
    assert ask(mysql_lab, HOME, WRITER, "SELECT what FROM fate") == [("reply",)]


def test_known_conversations_cost_known_round_trips(mysql_lab: Lab) -> None:
    client = connect(mysql_lab, FAR, WRITER)
    mysql_lab.reset_counters()
    run(client, "SELECT 1")
    run(client, "BEGIN")
    run(client, "COMMIT")
    client.close()
    counted = {
        (link.client_region, link.node): link.round_trips
        for link in mysql_lab.counters()
        if link.round_trips
    }
    assert counted == {(FAR, WRITER): 3}


def memory_below(process: int) -> int:
    """Bytes of a process and all below it; what they share is counted once."""
    place = Path(f"/proc/{process}")
    lines = (place / "smaps_rollup").read_text().splitlines()
    children = (place / f"task/{process}/children").read_text().split()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own * 1024 + sum(memory_below(int(child)) for child in children)


def test_four_nodes_need_less_than_a_gibibyte(mysql_lab: Lab) -> None:
    assert 64 << 20 < memory_below(mysql_lab.pid) < 1 << 30


def test_the_commands_do_all_of_it(
    mysql_engine: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    lend_templates(home)
    monkeypatch.setenv("GLOBALDB_LAB_DIR", str(home))

    def shell(words: str, code: int = 0) -> Any:
        assert main(["lab", *words.split(), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    shape = f"--regions {HOME}=0,{FAR}=1 --rtt {HOME},{FAR}=10ms"
    try:
        up = shell(f"up --engine {mysql_engine} {shape} --set max_connections=99")
        assert up["urls"] == shell("url")
        assert shell(f"latency {HOME} {FAR} 5ms")["seconds"] == 0.005
        shell(f"lag {FAR} 50ms")
        assert [n["held_back"] for n in shell("status")["nodes"]] == [0, 0.05]
        shell(f"lag {FAR} 0")
        shell(f"partition {HOME} {FAR}")
        assert shell("status", 1)["partitions"] == [[FAR, HOME]]
        shell("heal")
        shell(f"kill {READER}")
        assert [n["up"] for n in shell("status", 1)["nodes"]] == [True, False]
        shell(f"start {READER}")
        ask(Lab.attach(), FAR, READER, "SELECT 1")
        assert any(link["round_trips"] for link in shell("counters")["links"])
        assert shell(f"switchover {FAR}") == {"writer": READER}
        assert shell(f"failover {HOME}") == {"writer": WRITER}
        assert [n["role"] for n in shell("status")["nodes"]] == ["writer", "reader"]
    finally:
        assert shell("down")["ended"] == ["lab"]
    assert [entry for entry in home.iterdir() if entry.name[0] != "."] == []


@pytest.fixture(scope="module")
def small_lab(mysql_engine: str, module_lab: FreshLab) -> Lab:
    """A writer and a reader that tests of this file may kill."""
    return module_lab(
        LabSpec(
            engine=mysql_engine,
            regions={HOME: 0, FAR: 1},
            rtt={(HOME, FAR): 0.02},
            settings={"max_connections": "77"},
            single_address=True,
        )
    )


def test_settings_reach_every_server(small_lab: Lab) -> None:
    for node in small_lab.nodes:
        assert ask(small_lab, HOME, node.name, "SELECT @@max_connections") == [(77,)]


def test_a_killed_reader_refuses_and_catches_up_when_started(small_lab: Lab) -> None:
    reader = connect(small_lab, FAR, READER)
    small_lab.kill(READER)
    with pytest.raises(pymysql.err.OperationalError):
        run(reader, "SELECT 1")
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        connect(small_lab, FAR, READER)
    assert [node["up"] for node in small_lab.status()["nodes"]] == [True, False]
    ask(small_lab, HOME, WRITER, "CREATE TABLE meanwhile (n int)")
    small_lab.start_node(READER)
    until(lambda: visible(small_lab, "meanwhile"))


def test_a_killed_writer_comes_back_as_the_writer_with_its_rows(small_lab: Lab) -> None:
    ask(small_lab, HOME, WRITER, "CREATE TABLE kept (n int)")
    ask(small_lab, HOME, WRITER, "INSERT INTO kept VALUES (1)")
    small_lab.kill(WRITER)
    small_lab.start_node(WRITER)
    assert small_lab.writer().name == WRITER
    ask(small_lab, HOME, WRITER, "INSERT INTO kept VALUES (2)")
    small_lab.restore()
    assert ask(small_lab, FAR, READER, "SELECT n FROM kept") == [(1,), (2,)]


def test_a_setting_that_no_server_knows_is_named(
    mysql_engine: str, fresh_lab: FreshLab
) -> None:
    spec = LabSpec(
        engine=mysql_engine, regions={HOME: 0}, settings={"no_such_setting": "1"}
    )
    with pytest.raises(Exception, match=r"did not start: [^$]*no.such.setting"):
        fresh_lab(spec)


def test_the_named_server_is_the_one_that_runs(
    mysql_engine: str,
    fresh_lab: FreshLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = {"mariadb": "GLOBALDB_LAB_MARIADBD", "mysql": "GLOBALDB_LAB_MYSQLD"}
    installed = as_installed(find_mysql(mysql_engine), tmp_path)
    monkeypatch.setenv(variable[mysql_engine], str(installed))
    fresh_lab(LabSpec(engine=mysql_engine, regions={HOME: 0}))
    assert "--bind-address" in (tmp_path / "arguments").read_text()


def as_installed(binaries: MysqlBinaries, folder: Path) -> Path:
    """Lay a server out as a system has it, with its texts where it looks for them."""
    (folder / "sbin").mkdir()
    (folder / "share").symlink_to(binaries.share)
    loaded = [f"{name}={value}" for name, value in binaries.environment.items()]
    server = folder / "sbin" / binaries.server.name
    server.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/arguments\n'
        f'exec env {" ".join(loaded)} {" ".join(binaries.command)} "$@"\n'
    )
    server.chmod(0o755)
    return server


def test_a_killed_supervisor_takes_its_servers_with_it(
    mysql_engine: str, fresh_lab: FreshLab
) -> None:
    lab = fresh_lab(LabSpec(engine=mysql_engine, regions={HOME: 0, FAR: 1}))
    servers = [Path(f"/proc/{node['pid']}/exe") for node in lab.status()["nodes"]]
    assert all(server.exists() for server in servers)
    # A lab finds what another left behind by these names.
    program = {"mariadb": "mariadbd", "mysql": "mysqld"}[mysql_engine]
    names = {server.with_name("comm").read_text().strip() for server in servers}
    assert names == {program}
    os.kill(lab.pid, signal.SIGKILL)
    until(lambda: not any(server.exists() for server in servers))
