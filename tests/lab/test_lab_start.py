"""A lab has what its plan says, and its servers follow the writer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from globaldb.lab import Lab, LabSpec

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR = "us-west-2", "ap-south-1"
SMALL = {HOME: 0, FAR: 1}


def memory_below(process: int) -> int:
    """Bytes of a process and all below it; what they share is counted once."""
    place = Path(f"/proc/{process}")
    try:
        lines = (place / "smaps_rollup").read_text().splitlines()
        children = (place / f"task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # a server process that ended meanwhile
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own * 1024 + sum(memory_below(int(child)) for child in children)


def test_every_region_reaches_every_node(lab: Lab) -> None:
    for region in lab.spec.regions:
        for node in lab.nodes:
            with psycopg.connect(lab.dsn(region, node.name)) as connection:
                row = connection.execute("SHOW cluster_name").fetchone()
            assert row == (node.name,)


def test_the_default_lab_has_one_writer_and_a_reader_in_each_region(lab: Lab) -> None:
    nodes = lab.status()["nodes"]
    assert [(node["name"], node["role"]) for node in nodes] == [
        ("us-west-2-1", "writer"),
        ("us-west-2-2", "reader"),
        ("ap-south-1-1", "reader"),
        ("ap-southeast-2-1", "reader"),
    ]
    assert all(node["streaming"] for node in nodes[1:])
    assert lab.writer() == lab.nodes[0]


def test_the_application_owns_its_database_and_nothing_else(lab: Lab) -> None:
    with psycopg.connect(lab.dsn(HOME, "us-west-2-1"), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA own")
        connection.execute("CREATE TABLE own.things (n int)")
        connection.execute("DROP SCHEMA own CASCADE")
        connection.execute("CREATE TABLE public_thing ()")
        connection.execute("DROP TABLE public_thing")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE another")
    with psycopg.connect(lab.dsn(HOME, "us-west-2-1", superuser=True)) as connection:
        row = connection.execute("SELECT usesuper FROM pg_user WHERE usename = user")
        assert row.fetchone() == (True,)


def test_a_wrong_password_is_refused(lab: Lab) -> None:
    wrong = lab.dsn(HOME, "us-west-2-1").replace("password=", "password=not")
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(wrong)


def test_a_reader_refuses_to_write(lab: Lab) -> None:
    with (
        psycopg.connect(lab.dsn(FAR, "ap-south-1-1")) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE nothing ()")


def test_the_url_names_every_node_on_the_links_of_its_region(lab: Lab) -> None:
    url = lab.url(FAR)
    head, *nodes = url.split("&node=")
    assert head.startswith("postgresql://app:")
    assert head.endswith("@/app?region=ap-south-1")
    assert [node.partition("@")[0] for node in nodes] == [n.region for n in lab.nodes]
    for spot, node in zip(nodes, lab.nodes, strict=True):
        host, _, port = spot.partition("@")[2].partition(":")
        assert f"host={host} port={port} " in lab.dsn(FAR, node.name)


def test_known_conversations_cost_known_round_trips(lab: Lab) -> None:
    with psycopg.connect(lab.dsn(FAR, "us-west-2-1"), autocommit=True) as connection:
        port = connection.pgconn.socket
        connection.prepare_threshold = None
        lab.reset_counters()
        connection.execute("SELECT 1")
        connection.execute("SELECT %s::int", [1])
        with connection.transaction():
            connection.execute("SELECT 1")
        with connection.pipeline():
            for number in range(10):
                connection.execute("SELECT %s::int", [number])
        [link] = [
            each
            for each in lab.counters()
            if (each.client_region, each.node) == (FAR, "us-west-2-1")
        ]
    assert port > 0
    assert link.wide_area
    assert link.connects == 0
    assert link.round_trips == 1 + 1 + 3 + 1
    assert [each.open for each in link.connections] == [True]


def test_opening_a_connection_costs_what_scram_costs(lab: Lab) -> None:
    psycopg.connect(lab.dsn(FAR, "us-west-2-1")).close()
    [link] = [each for each in lab.counters() if each.round_trips]
    # Startup, the first and the last message of SCRAM; TCP's own trip is not counted.
    assert (link.connects, link.round_trips) == (1, 3)


def test_four_nodes_need_less_than_a_gibibyte(lab: Lab) -> None:
    assert 64 << 20 < memory_below(lab.pid) < 1 << 30


def test_a_lab_is_up_in_under_eight_seconds(fresh_lab: FreshLab) -> None:
    fresh_lab(LabSpec(regions=SMALL)).down()  # makes what the first lab ever makes

    def attempt() -> float:
        start = time.monotonic()
        fresh_lab(LabSpec()).down()
        return time.monotonic() - start

    # The machine may be busy with other things: one of three attempts must do.
    assert any(attempt() < 8 for _ in range(3))


def test_two_labs_run_side_by_side(lab: Lab, fresh_lab: FreshLab) -> None:
    other = fresh_lab(LabSpec(regions=SMALL))
    marker = "CREATE TABLE only_here ()"
    with psycopg.connect(other.dsn(HOME, "us-west-2-1")) as connection:
        connection.execute(marker)
    with psycopg.connect(lab.dsn(HOME, "us-west-2-1")) as connection:
        row = connection.execute("SELECT to_regclass('only_here')").fetchone()
    assert row == (None,)
    assert other.url(HOME).partition("?")[0] != lab.url(HOME).partition("?")[0]
    other.down()
    assert [node["up"] for node in lab.status()["nodes"]] == [True] * 4


def test_a_direct_lab_has_no_proxy_between_clients_and_nodes(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(LabSpec(regions=SMALL, direct=True))
    for node in lab.nodes:
        assert f"host={node.host} port={node.port} " in lab.dsn(FAR, node.name)
    with psycopg.connect(lab.dsn(FAR, "us-west-2-1")) as connection:
        connection.execute("SELECT 1")
    assert lab.counters() == []


def test_a_lab_makes_do_with_one_address(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions=SMALL, single_address=True))
    spots = [lab.dsn(r, n.name).split()[:2] for r in (HOME, FAR) for n in lab.nodes]
    assert {host for host, _ in spots} == {"host=127.0.0.1"}
    assert len({port for _, port in spots}) == 4
    with psycopg.connect(lab.dsn(FAR, "ap-south-1-1")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_servers_run_without_a_user_namespace(
    fresh_lab: FreshLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = os.geteuid() == 0
    monkeypatch.setenv("GLOBALDB_LAB_RUN_AS", "nobody" if root else "self")
    lab = fresh_lab(LabSpec(regions=SMALL))
    for node in lab.status()["nodes"]:
        owner = Path(f"/proc/{node['pid']}").stat().st_uid
        assert owner == (65534 if root else os.geteuid())
    lab.failover(FAR)
    assert [node["up"] for node in lab.status()["nodes"]] == [True, True]


def test_the_environment_of_a_client_does_not_reach_the_servers(
    fresh_lab: FreshLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    monkeypatch.setenv("PGSERVICE", "nowhere")
    lab = fresh_lab(LabSpec(regions=SMALL))
    assert [node["up"] for node in lab.status()["nodes"]] == [True, True]


def test_settings_reach_every_server(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(LabSpec(regions=SMALL, settings={"work_mem": "7MB"}))
    for node in lab.nodes:
        with psycopg.connect(lab.dsn(HOME, node.name)) as connection:
            assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)


def test_a_setting_that_no_server_knows_is_named(fresh_lab: FreshLab) -> None:
    with pytest.raises(Exception, match="no_such_setting"):
        fresh_lab(LabSpec(regions=SMALL, settings={"no_such_setting": "1"}))
