"""What is read at the writer for a promise's sake is read at the writer of now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from promises import FAR, HOME, cluster, one, table, until

import globaldb
from globaldb.core.trip import LinkStatus
from globaldb.drivers.psycopg.physical import Physical
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

THIRD = "ap-southeast-2"
SPEC = LabSpec(
    regions={HOME: 0, FAR: 1, THIRD: 1},
    rtt={(HOME, FAR): 0.02, (HOME, THIRD): 0.02, (FAR, THIRD): 0.02},
)
READ = "SELECT n FROM w_t"


@pytest.fixture
def lab(fresh_lab: Any) -> Iterator[Lab]:
    started: Lab = fresh_lab(SPEC)
    table(started, "w_t")
    return started


def moved(lab: Lab) -> int:
    """Move the writer, leave the old one behind, and write; return what was written."""
    lab.switchover(FAR)
    lab.lag(HOME, 30)
    lab.lag(THIRD, 30)
    with cluster(lab, FAR) as found, found.connect() as conn:
        conn.execute("INSERT INTO w_t VALUES (7)")
    return 7


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("consistency", ["session", "global"])
def test_a_standby_does_not_answer_in_the_writers_name(
    lab: Lab, consistency: str, *, inside: bool
) -> None:
    """The monitor keeps quiet, so nobody has heard that the writer has moved."""
    with cluster(lab, THIRD) as found, found.connect() as conn:
        conn.consistency = consistency
        with conn.using(route="writer"):
            conn.execute(READ)
        written = moved(lab)
        with conn.using(route="writer"):
            if inside:
                conn.execute("BEGIN")
            assert one(conn.execute(READ)) == (written,)
        assert conn.last_route.region == FAR
        conn.rollback()


def test_without_a_look_at_the_connection_it_would(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Physical, "standby", property(lambda _: False))
    with cluster(lab, THIRD) as found, found.connect() as conn:
        with conn.using(route="writer"):
            conn.execute(READ)
            moved(lab)
            assert conn.execute(READ).fetchall() == []


def test_connections_from_before_the_promotion_serve_the_new_writer(lab: Lab) -> None:
    """They were opened to a standby, and were not told yet that it is none now."""
    with cluster(lab, THIRD) as found, found.connect() as conn:
        with conn.using(region=FAR):
            conn.execute(READ)
        node = next(n for n in found.runtime.nodes.values() if n.region == FAR)
        lease = node.pool.try_checkout()
        assert lease is not None
        assert lease.connection.standby
        node.pool.checkin(lease)
        lab.switchover(FAR)
        until(lambda: wrote(conn))
        assert lease.connection.link_status is LinkStatus.IDLE


def wrote(conn: Any) -> bool:
    try:
        conn.execute("INSERT INTO w_t VALUES (1)")
    except globaldb.OperationalError:
        return False
    return True
