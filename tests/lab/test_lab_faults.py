"""Servers lag, die, come back and lose sight of each other as they would in the world."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from globaldb.lab import Lab, LabSpec, LabSpecError

FreshLab = Callable[[LabSpec], Lab]
HOME, FAR = "us-west-2", "ap-south-1"
TWO_REGIONS = LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.02})


def connect(lab: Lab, region: str, node: str) -> psycopg.Connection:
    return psycopg.connect(lab.dsn(region, node), autocommit=True)


def seconds_until_visible(lab: Lab, writer: str, reader: str, region: str) -> float:
    """Commit in the writer's region; time until the reader's region sees it."""
    with (
        connect(lab, HOME, writer) as at_writer,
        connect(lab, region, reader) as at_reader,
    ):
        at_writer.execute("CREATE TABLE IF NOT EXISTS marks (n bigserial)")
        [mark] = at_writer.execute("INSERT INTO marks DEFAULT VALUES RETURNING n")
        start = time.monotonic()
        query = "SELECT to_regclass('marks') IS NOT NULL"
        while at_reader.execute(query).fetchone() == (False,):
            time.sleep(0.001)
        query = "SELECT count(*) FROM marks WHERE n = %s"
        while at_reader.execute(query, mark).fetchone() == (0,):
            assert time.monotonic() - start < 20
            time.sleep(0.001)
        return time.monotonic() - start


def test_replication_lag_is_the_way_between_the_regions(lab: Lab) -> None:
    # Half of 220 ms; the answer to the client in the writer's region took half of 0.5 ms.
    seen = min(
        seconds_until_visible(lab, "us-west-2-1", "ap-south-1-1", FAR) for _ in range(3)
    )
    assert 0.105 <= seen <= 0.16


def test_lag_holds_commits_back_until_it_is_set_to_nothing(lab: Lab) -> None:
    lab.lag(FAR, 0.6)
    assert seconds_until_visible(lab, "us-west-2-1", "ap-south-1-1", FAR) >= 0.59
    [held] = [n for n in lab.status()["nodes"] if n["name"] == "ap-south-1-1"]
    assert held["held_back"] == 0.6
    lab.lag(FAR, 0)
    assert seconds_until_visible(lab, "us-west-2-1", "ap-south-1-1", FAR) < 0.5


def test_ending_a_long_lag_releases_what_was_held(lab: Lab) -> None:
    lab.lag(FAR, 3000)
    with connect(lab, HOME, "us-west-2-1") as writer:
        writer.execute("CREATE TABLE released ()")
    lab.lag(FAR, 0)
    with connect(lab, FAR, "ap-south-1-1") as reader:
        deadline = time.monotonic() + 5
        query = "SELECT to_regclass('released') IS NULL"
        while reader.execute(query).fetchone() == (True,):
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_a_partition_stops_replication_and_its_end_resumes_it(lab: Lab) -> None:
    lab.partition(HOME, FAR)
    with connect(lab, HOME, "us-west-2-1") as writer:
        writer.execute("CREATE TABLE behind ()")
    with connect(lab, FAR, "ap-south-1-1") as reader:
        query = "SELECT to_regclass('behind') IS NULL"
        time.sleep(0.4)
        assert reader.execute(query).fetchone() == (True,)
        lab.heal()
        deadline = time.monotonic() + 10
        while reader.execute(query).fetchone() == (True,):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_nobody_connects_over_a_partition(lab: Lab) -> None:
    lab.partition(HOME, FAR)
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(lab.dsn(FAR, "us-west-2-1"), connect_timeout=2)
    with connect(lab, FAR, "ap-south-1-1") as reader:
        assert reader.execute("SELECT 1").fetchone() == (1,)


def test_a_long_partition_is_caught_up_after_it(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(TWO_REGIONS)
    lab.partition(HOME, FAR)
    with connect(lab, HOME, "us-west-2-1") as writer:
        writer.execute("CREATE TABLE bulk AS SELECT generate_series(1, 1000)")
        # The sender gives up by itself after five seconds.
        deadline = time.monotonic() + 20
        query = "SELECT count(*) FROM pg_stat_get_wal_senders()"
        while writer.execute(query).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    lab.heal()
    assert seconds_until_visible(lab, "us-west-2-1", "ap-south-1-1", FAR) < 10


def test_a_killed_reader_refuses_and_catches_up_when_started(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(TWO_REGIONS)
    with connect(lab, FAR, "ap-south-1-1") as reader:
        lab.kill("ap-south-1-1")
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, FAR, "ap-south-1-1")
    assert [node["up"] for node in lab.status()["nodes"]] == [True, False]
    lab.kill("ap-south-1-1")
    with connect(lab, HOME, "us-west-2-1") as writer:
        writer.execute("CREATE TABLE meanwhile ()")
    lab.start_node("ap-south-1-1")
    assert seconds_until_visible(lab, "us-west-2-1", "ap-south-1-1", FAR) < 10
    with connect(lab, FAR, "ap-south-1-1") as reader:
        assert reader.execute("SELECT count(*) FROM meanwhile").fetchone() == (0,)


def test_a_killed_writer_comes_back_as_the_writer(fresh_lab: FreshLab) -> None:
    lab = fresh_lab(TWO_REGIONS)
    with connect(lab, HOME, "us-west-2-1") as writer:
        writer.execute("CREATE TABLE kept AS SELECT 1 AS n")
    lab.kill("us-west-2-1")
    lab.start_node("us-west-2-1")
    assert lab.writer().name == "us-west-2-1"
    with connect(lab, HOME, "us-west-2-1") as writer:
        assert writer.execute("SELECT n FROM kept").fetchone() == (1,)


def test_a_lost_reply_leaves_a_row_and_a_lost_request_none(lab: Lab) -> None:
    with connect(lab, HOME, "us-west-2-1") as setup:
        setup.execute("CREATE TABLE IF NOT EXISTS fate (what text)")
        setup.execute("TRUNCATE fate")
    for when in ("reply", "request"):
        with connect(lab, FAR, "us-west-2-1") as client:
            lab.cut(FAR, "us-west-2-1", when, containing="INSERT INTO fate")
            with pytest.raises(psycopg.OperationalError):
                client.execute("INSERT INTO fate VALUES (%s)", [when])
    with connect(lab, HOME, "us-west-2-1") as look:
        assert look.execute("SELECT what FROM fate").fetchall() == [("reply",)]


def test_a_frozen_server_is_silent_until_it_thaws(lab: Lab) -> None:
    with connect(lab, FAR, "ap-south-1-1") as reader:
        lab.freeze(FAR, "ap-south-1-1")
        assert lab.status()["frozen"] == ["client/ap-south-1/ap-south-1-1"]
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(lab.dsn(FAR, "ap-south-1-1"), connect_timeout=2)
        lab.thaw(FAR, "ap-south-1-1")
        assert reader.execute("SELECT 1").fetchone() == (1,)


def test_one_link_refuses_while_the_others_accept(lab: Lab) -> None:
    lab.refuse(FAR, "ap-south-1-1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, FAR, "ap-south-1-1")
    connect(lab, HOME, "ap-south-1-1").close()
    lab.heal()
    connect(lab, FAR, "ap-south-1-1").close()


def test_a_latency_is_changed_while_the_lab_runs(lab: Lab) -> None:
    with connect(lab, FAR, "ap-south-1-1") as reader:
        lab.latency(FAR, FAR, 0.05)
        start = time.monotonic()
        reader.execute("SELECT 1")
        assert 0.05 <= time.monotonic() - start < 0.1


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("lag", ("mars", 1), "no region 'mars' in this lab; it has us-west-2, ap-so"),
        ("lag", (FAR, -1), "lag: -1 is not between 0 and 3600 seconds"),
        ("lag", (FAR, float("nan")), "lag: nan is not between 0 and 3600 seconds"),
        ("latency", (HOME, "mars", 1), "no region 'mars'"),
        ("latency", (HOME, FAR, 11), "11 is not between 0 and 10 seconds"),
        ("partition", ("mars", FAR), "no region 'mars'"),
        ("kill", ("us-west-2",), "no node 'us-west-2' in this lab; it has us-west-2-1"),
        ("start_node", ("x",), "no node 'x'"),
        ("switchover", ("mars",), "no region 'mars'"),
        ("switchover", (HOME + "-1",), "the writer is in us-west-2-1 already"),
        ("freeze", ("mars", "ap-south-1-1"), "no region 'mars'"),
        ("refuse", (FAR, "x"), "no node 'x'"),
        ("cut", (FAR, "ap-south-1-1", "never"), "use 'reply' or 'request'"),
        ("url", ("mars",), "no region 'mars'"),
        ("dsn", (FAR, "x"), "no node 'x'"),
    ],
)
def test_a_name_or_number_that_cannot_be_is_named(
    lab: Lab, operation: str, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(LabSpecError) as caught:
        getattr(lab, operation)(*arguments)
    assert message in str(caught.value)
