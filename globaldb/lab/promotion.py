"""Move the writer to another region: in order (switchover) or by force (failover)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import psycopg

from globaldb.lab.cluster import FOLLOW_LIMIT, Cluster, Report, received
from globaldb.lab.errors import LabError
from globaldb.lab.server import SUPERUSER, Server
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_PROMOTE_LIMIT: Final = 30


class Routes(Protocol):
    """The part of the network that must know where the writer is."""

    def lead_to(self, writer: Server) -> None:
        """Lead every reader's replication to *writer*."""

    def severed(self) -> AbstractSet[str]:
        """Return the nodes that cannot reach the writer now."""

    def set_down(self, server: Server, *, down: bool) -> None:
        """Refuse connects to *server*, or accept them again."""


def switch_over(cluster: Cluster, routes: Routes, place: str, report: Report) -> str:
    """Make a reader in *place* the writer without losing a row; return its name."""
    old, target = cluster.writer, cluster.target_in(place)
    _require_reachable(cluster, target, routes.severed())
    _stop_holding_back(target)
    report(f"stopping {old.name}")
    routes.set_down(old, down=True)
    try:
        old.stop()
        end = old.control_data()["Latest checkpoint location"]
        report(f"waiting for {target.name} to replay {end}")
        _wait_replayed(target, end)
    except (LabError, psycopg.OperationalError):
        _start_again(old, routes)
        raise
    report(f"promoting {target.name}")
    _promote(cluster, routes, target)
    report(f"{old.name} becomes a reader")
    old.be_standby()
    _start_again(old, routes)
    cluster.wait_following(report, without=routes.severed())
    return target.name


def fail_over(cluster: Cluster, routes: Routes, place: str, report: Report) -> str:
    """Kill the writer and make a reader in *place* the writer; return its name.

    What the new writer had not received is lost, as in the world. The others give up
    what they have beyond it.
    """
    old, target = cluster.writer, cluster.target_in(place)
    report(f"killing {old.name}")
    old.kill()
    routes.set_down(old, down=True)
    _stop_holding_back(target)
    report(f"promoting {target.name}")
    _promote(cluster, routes, target)
    fork = _fork_point(target)
    for server in cluster.readers:
        if server is old or not server.alive or received(server) > fork:
            cluster.forked.add(server.name)
    target.ask("CHECKPOINT")
    for server in cluster.readers:
        if server.name in cluster.forked and (server is old or server.alive):
            report(f"rewinding {server.name}")
            rejoin(cluster, routes, server)
    cluster.wait_following(report, without=routes.severed())
    return target.name


def rejoin(cluster: Cluster, routes: Routes, server: Server) -> None:
    """Start *server* as what it is now: the writer, or a reader of the present one."""
    if server is not cluster.writer:
        if server.name in cluster.forked:
            if server.alive:
                server.stop()
            _rewind(server, cluster.writer)
            cluster.forked.discard(server.name)
        server.be_standby()
    _start_again(server, routes)


def _require_reachable(
    cluster: Cluster, target: Server, severed: AbstractSet[str]
) -> None:
    if not cluster.writer.answers():
        raise LabError(
            f"the writer {cluster.writer.name} does not answer; use failover"
        )
    # A sender takes seconds to notice a partition, so ask the network as well.
    if target.name in severed or target.name not in cluster.following("0/0"):
        raise LabError(
            f"{target.name} does not stream from {cluster.writer.name}; heal the "
            "partition, or use failover and lose what it has not received"
        )


def _stop_holding_back(target: Server) -> None:
    if target.lag:
        target.lag = 0.0
        target.reload()


def _wait_replayed(target: Server, end: str) -> None:
    # The record at the checkpoint's own location must be in: strictly greater.
    wait_until(
        lambda: bool(target.ask("SELECT pg_last_wal_replay_lsn() > %s::pg_lsn", end)),
        limit=FOLLOW_LIMIT,
        what=f"{target.name} did not replay {end}; the switchover was given up",
    )


def _promote(cluster: Cluster, routes: Routes, target: Server) -> None:
    if not target.ask("SELECT pg_promote(true, %s)", _PROMOTE_LIMIT):
        raise LabError(f"{target.name} was not promoted: {target.log_tail()}")
    cluster.writer = target
    routes.lead_to(target)


def _fork_point(target: Server) -> int:
    """Return where the new timeline began, in bytes, as its history file says."""
    timeline = target.ask("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    history = target.data / "pg_wal" / f"{timeline}.history"
    last = [line for line in history.read_text().splitlines() if line.strip()][-1]
    high, _, low = last.split()[1].partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _rewind(server: Server, source: Server) -> None:
    """Make the files of the stopped *server* those of *source*, or copy them anew."""
    server.clear_remains()
    server.forget_standby()
    connection = f"host={source.folder} port={source.port} user={SUPERUSER}"
    try:
        server.tool(
            "pg_rewind",
            f"--target-pgdata={server.data}",
            f"--source-server={connection} dbname={SUPERUSER}",
            f"--config-file={server.folder / 'postgresql.conf'}",
            "--no-sync",
        )
    except LabError:
        server.remove_data()
        server.tool(
            "pg_basebackup",
            *("-D", server.data, "-d", connection),
            *("--checkpoint=fast", "--no-sync"),
        )


def _start_again(server: Server, routes: Routes) -> None:
    server.start()
    server.wait_ready()
    routes.set_down(server, down=False)
