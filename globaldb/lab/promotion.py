"""Move the writer to another region: in order (switchover) or by force (failover).

These are the stories; the steps are the engine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from globaldb.errors import Error
from globaldb.lab.errors import LabError
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from globaldb.lab.cluster import Cluster, Report
    from globaldb.lab.server import Server

#: Seconds that a server may take from its start to its replication.
_CONNECTS: Final = 5.0


def switch_over(cluster: Cluster[Any], place: str, report: Report) -> str:
    """Make a reader in *place* the writer without losing a row; return its name."""
    old, target = cluster.writer, cluster.target_in(place)
    _require_reachable(cluster, target)
    cluster.release(target)
    report(f"stopping {old.name}")
    cluster.routes.set_down(old, down=True)
    try:
        cluster.drain(target, report)
    except (Error, OSError):
        cluster.resume()
        cluster.routes.set_down(old, down=False)
        raise
    _install(cluster, target, report)
    report(f"{old.name} becomes a reader")
    cluster.demote(old)
    cluster.routes.set_down(old, down=False)
    cluster.turn(lost=False)
    cluster.wait_following(report, without=cluster.routes.severed())
    return str(target.name)


def fail_over(cluster: Cluster[Any], place: str, report: Report) -> str:
    """Kill the writer and make a reader in *place* the writer; return its name.

    What the new writer had not received is lost, as in the world. The others give up
    what they have beyond it.
    """
    old, target = cluster.writer, cluster.target_in(place)
    report(f"killing {old.name}")
    old.kill()
    cluster.routes.set_down(old, down=True)
    cluster.release(target)
    _install(cluster, target, report)
    cluster.forked |= {s.name for s in cluster.readers if s is old or not s.alive}
    cluster.turn(lost=True)
    for server in cluster.readers:
        if server.name in cluster.forked and (server is old or server.alive):
            report(f"taking from {server.name} what {target.name} does not have")
            restart(cluster, server)
    cluster.wait_following(report, without=cluster.routes.severed())
    return str(target.name)


def restart(cluster: Cluster[Any], server: Server) -> None:
    """Start *server* as what it is now, and let clients connect to it again."""
    cluster.rejoin(server)
    cluster.routes.set_down(server, down=False)


def _require_reachable(cluster: Cluster[Any], target: Server) -> None:
    if not cluster.writer.answers():
        raise LabError(
            f"the writer {cluster.writer.name} does not answer; use failover"
        )
    problem = (
        f"{target.name} does not stream from {cluster.writer.name}; heal the "
        "partition, or use failover and lose what it has not received"
    )
    # It takes seconds to notice a partition, so ask the network as well.
    if target.name in cluster.routes.severed():
        raise LabError(problem)
    # One that was started a moment ago has yet to connect.
    wait_until(
        lambda: target.name in cluster.following(""), limit=_CONNECTS, what=problem
    )


def _install(cluster: Cluster[Any], target: Server, report: Report) -> None:
    report(f"promoting {target.name}")
    cluster.promote(target)
    cluster.writer = target
    cluster.routes.lead_to(target)
