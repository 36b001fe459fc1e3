"""Nodes that change their parts are asked anew what they can tell, and lose no write."""

from __future__ import annotations

from typing import Any

import pytest
from lab_fixtures import FreshLab
from promises import (
    FAR,
    HOME,
    READER,
    WRITER,
    admin,
    caught_up,
    cluster,
    one,
    table,
    until,
)

from globaldb.core.fence import Facts
from globaldb.core.position import Lsn
from globaldb.core.topology import Sample
from globaldb.drivers.psycopg.physical import Physical
from globaldb.drivers.psycopg.probe import sample
from globaldb.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

POSITIONS = (
    "pg_current_wal_flush_lsn()",
    "pg_current_wal_insert_lsn()",
    "pg_walfile_name(pg_lsn)",
)


def shown(conn: Any) -> dict[str, str]:
    """The fence in use by region."""
    rows = conn.execute("SHOW GLOBALDB NODES").fetchall()
    return {row[1]: row[5] for row in rows}


def count(conn: Any) -> int:
    return int(one(conn.execute("SELECT count(*) FROM t"))[0])


@pytest.mark.parametrize("refused", [(), POSITIONS], ids=["lsn", "xid"])
def test_a_switchover_has_each_node_asked_anew_and_loses_no_write(
    fresh_lab: FreshLab, refused: tuple[str, ...]
) -> None:
    spec = LabSpec(
        regions={HOME: 0, FAR: 1, "eu-central-1": 1}, rtt={(HOME, FAR): 0.01}
    )
    lab = fresh_lab(spec)
    table(lab, "t")
    with admin(lab) as writer:
        for function in refused:
            writer.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    caught_up(lab)
    with cluster(lab, probe_interval=0.2) as found, found.connect() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        assert count(conn) == 1
        lab.switchover(FAR)
        until(lambda: shown(conn)[FAR] == "none", 20.0)
        assert count(conn) == 1
        until(lambda: shown(conn)[HOME] in ("lsn", "xid"), 20.0)
        for written in range(2, 6):
            conn.execute("INSERT INTO t VALUES (1)")
            with conn.using(region=HOME):
                assert count(conn) == written


def test_a_timeline_is_known_to_have_begun_no_later_than_its_first_checkpoint(
    fresh_lab: FreshLab,
) -> None:
    lab = fresh_lab(LabSpec(regions={HOME: 0, FAR: 1}, rtt={(HOME, FAR): 0.01}))
    with admin(lab) as writer:
        [before] = one(writer.execute("SELECT pg_current_wal_insert_lsn()"))
    assert sample_of(lab, WRITER).forked_before is None
    lab.switchover(FAR)
    found = sample_of(lab, READER)
    assert found.position.timeline == 2
    assert found.forked_before is not None
    assert Lsn.parse(before, 1).value <= found.forked_before.value
    assert found.forked_before.value <= found.position.value


def sample_of(lab: Lab, node: str) -> Sample:
    region = next(each.region for each in lab.nodes if each.name == node)
    with Physical.connect(lab.dsn(region, node), autocommit=True) as physical:
        return sample(physical, Facts())
