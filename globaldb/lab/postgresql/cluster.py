"""PostgreSQL's servers as one cluster: streaming replication, promotion, rewinding."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import psycopg

from globaldb.lab.child import NOBODY, Identity
from globaldb.lab.cluster import (
    APP_ROLE,
    FOLLOW_LIMIT,
    REPLICATION_ROLE,
    Cluster,
    Passwords,
    Report,
    Routes,
)
from globaldb.lab.errors import LabError
from globaldb.lab.postgresql.aurora import SETTINGS, PostgresqlSurface
from globaldb.lab.postgresql.binaries import find_binaries
from globaldb.lab.postgresql.server import SUPERUSER, PostgresqlServer
from globaldb.lab.postgresql.template import copy_template, ensure_template
from globaldb.lab.server import Upstream
from globaldb.lab.spec import LabSpec, listed
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook

_PROMOTE_LIMIT: Final = 30


class PostgresqlCluster(Cluster[PostgresqlServer]):
    """Every PostgreSQL of a lab."""

    def __init__(
        self,
        spec: LabSpec,
        book: AddressBook,
        *,
        folder: Path,
        identity: Identity,
        routes: Routes,
    ) -> None:
        passwords = Passwords()
        self._binaries = find_binaries(folder.parent, identity)
        self._identity = identity
        settings = {**(SETTINGS if spec.aurora else {}), **spec.settings}
        servers = {
            node.name: PostgresqlServer(
                node,
                folder=folder / node.name,
                address=book.servers[node.number - 1],
                upstream=Upstream(
                    *book.replication[node.number - 1],
                    REPLICATION_ROLE,
                    passwords.replication,
                ),
                binaries=self._binaries,
                identity=identity,
                settings=settings,
            )
            for node in spec.nodes
        }
        super().__init__(servers, folder=folder, passwords=passwords, routes=routes)
        if spec.aurora:
            self.surface = PostgresqlSurface(strict=spec.aurora == "strict")

    def bring_up(self, report: Report) -> None:
        """Make the files, start all servers, and have the readers follow."""
        report("initialising")
        template = ensure_template(self.folder.parent, self._binaries, self._identity)
        for server in self.servers.values():
            server.folder.mkdir(mode=0o700)
        report("copying database files")
        copy_template(template, [s.folder for s in self.servers.values()])
        for server in self.servers.values():
            server.configure()
            if server is not self.writer:
                server.be_standby()
            self._hand_over(server.folder)
        report(f"starting {self.writer.name}")
        self.writer.start()
        self.writer.wait_ready()
        self._set_passwords()
        if self.surface is not None:
            self.surface.install(self.writer, self.servers.values())
        report(f"starting {listed(s.name for s in self.readers)}")
        for server in self.readers:
            server.start()

    def set_password(self, role: str, word: str) -> None:
        """Have *role* log in with *word* from now on."""
        self.writer.ask(f"ALTER ROLE {role} PASSWORD '{word}'")

    def position(self) -> str:
        """Return how far the writer's WAL is flushed."""
        return str(self.writer.ask("SELECT pg_current_wal_flush_lsn()::text"))

    def following(self, goal: str) -> set[str]:
        """Return the readers that stream and have received the WAL up to *goal*."""
        query = (
            "SELECT array_agg(application_name::text) FROM pg_stat_replication "
            "WHERE state = 'streaming' AND flush_lsn >= %s::pg_lsn"
        )
        try:
            return set(self.writer.ask(query, goal or "0/0") or ())
        except psycopg.OperationalError:
            return set()

    def received(self, server: PostgresqlServer) -> int:
        """Return how much WAL a reader has, in bytes since the beginning."""
        return int(server.ask(_RECEIVED))

    def hold_back(self, servers: list[PostgresqlServer]) -> None:
        """Have *servers* replay each commit as late as they say."""
        query = (
            "SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay'"
        )
        for server in servers:
            server.reload()
        for server in servers:
            wanted = str(round(server.lag * 1000))
            if server.alive:
                wait_until(
                    lambda server=server, wanted=wanted: server.ask(query) == wanted,  # type: ignore[misc]
                    limit=10,
                    what=f"{server.name} does not take up a lag of {server.lag:g} s",
                )

    def drain(self, target: PostgresqlServer, report: Report) -> None:
        """Shut the writer down and wait until *target* has replayed its end."""
        self.writer.stop()
        end = self.writer.control_data()["Latest checkpoint location"]
        report(f"waiting for {target.name} to replay {end}")
        query = "SELECT pg_last_wal_replay_lsn() > %s::pg_lsn"
        # The record at the checkpoint's own location must be in: strictly greater.
        wait_until(
            lambda: bool(target.ask(query, end)),
            limit=FOLLOW_LIMIT,
            what=f"{target.name} did not replay {end}; the switchover was given up",
        )

    def resume(self) -> None:
        """Start the writer that was shut down."""
        self.writer.start()
        self.writer.wait_ready()

    def promote(self, target: PostgresqlServer) -> None:
        """End the recovery of *target*."""
        if not target.ask("SELECT pg_promote(true, %s)", _PROMOTE_LIMIT):
            raise LabError(f"{target.name} was not promoted: {target.log_tail()}")

    def demote(self, old: PostgresqlServer) -> None:
        """Start *old* as a standby."""
        old.be_standby()
        old.start()
        old.wait_ready()

    def turn(self, *, lost: bool) -> None:
        """Find out who has more WAL than the writer; the others follow by themselves."""
        if not lost:
            return
        fork = _fork_point(self.writer)
        for server in self.readers:
            if server.alive and self.received(server) > fork:
                self.forked.add(server.name)
        self.writer.ask("CHECKPOINT")

    def rejoin(self, server: PostgresqlServer) -> None:
        """Start *server*, rewound if it is forked."""
        if server is not self.writer:
            if server.name in self.forked:
                if server.alive:
                    server.stop()
                _rewind(server, self.writer)
                self.forked.discard(server.name)
            server.be_standby()
        server.start()
        server.wait_ready()

    def _set_passwords(self) -> None:
        words = self.passwords
        for role, password in {
            APP_ROLE: words.app,
            SUPERUSER: words.superuser,
            REPLICATION_ROLE: words.replication,
        }.items():
            self.set_password(role, password)

    def _hand_over(self, folder: Path) -> None:
        """Give *folder* to the user that servers run as, where that is another."""
        if self._identity is Identity.NOBODY:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, NOBODY, NOBODY)


def _fork_point(target: PostgresqlServer) -> int:
    """Return where the new timeline began, in bytes, as its history file says."""
    timeline = target.ask("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    history = target.data / "pg_wal" / f"{timeline}.history"
    last = [line for line in history.read_text().splitlines() if line.strip()][-1]
    high, _, low = last.split()[1].partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _rewind(server: PostgresqlServer, source: PostgresqlServer) -> None:
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


_RECEIVED: Final = (
    "SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')"
    "::bigint"
)
