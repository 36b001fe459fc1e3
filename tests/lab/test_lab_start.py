"""A lab has what its plan says, and its servers follow the writer."""

from __future__ import annotations

import psycopg

from globaldb.lab import Lab


def test_every_region_reaches_every_node(lab: Lab) -> None:
    for region in lab.spec.regions:
        for node in lab.nodes:
            with psycopg.connect(lab.dsn(region, node.name)) as connection:
                row = connection.execute("SHOW cluster_name").fetchone()
            assert row == (node.name,)
