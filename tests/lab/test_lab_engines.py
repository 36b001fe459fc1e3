"""Every engine's lab is a lab: the same regions, links, faults and ways to move."""

from __future__ import annotations

from globaldb.lab import Lab

HOME, FAR = "us-west-2", "ap-south-1"


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
