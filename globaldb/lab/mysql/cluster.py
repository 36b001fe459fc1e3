"""MySQL's or MariaDB's servers as one cluster: GTID replication and promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymysql

from globaldb.core.gtid import GtidSet, MariadbGtid, binlog_state
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
from globaldb.lab.mysql.aurora import MysqlSurface
from globaldb.lab.mysql.binaries import find_mysql
from globaldb.lab.mysql.dialect import DIALECTS
from globaldb.lab.mysql.server import SUPERUSER, MysqlServer
from globaldb.lab.mysql.template import copy_files, ensure_template
from globaldb.lab.server import Upstream
from globaldb.lab.spec import LabSpec, listed
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook

#: Seconds that a promoted reader may take to apply what it has received.
_APPLY_LIMIT: Final = 30.0
#: Seconds until a reader must have noticed that the writer is gone.
_ARRIVAL_LIMIT: Final = 15.0


class MysqlCluster(Cluster[MysqlServer]):
    """Every server of a lab, all MySQL or all MariaDB."""

    def __init__(
        self, spec: LabSpec, book: AddressBook, *, folder: Path, routes: Routes
    ) -> None:
        passwords = Passwords()
        self._binaries = find_mysql(spec.engine)
        self._dialect = DIALECTS[spec.engine]
        servers = {
            node.name: MysqlServer(
                node,
                folder=folder / node.name,
                address=book.servers[node.number - 1],
                binaries=self._binaries,
                upstream=Upstream(
                    *book.replication[node.number - 1],
                    REPLICATION_ROLE,
                    passwords.replication,
                ),
                settings=spec.settings,
            )
            for node in spec.nodes
        }
        super().__init__(servers, folder=folder, passwords=passwords, routes=routes)
        if spec.aurora:
            self.surface = MysqlSurface()

    def bring_up(self, report: Report) -> None:
        """Make the files, start all servers, and have the readers follow."""
        report("initialising")
        template = ensure_template(self.folder.parent, self._binaries)
        servers = list(self.servers.values())
        for server in servers:
            server.folder.mkdir(mode=0o700)
        report("copying database files")
        copy_files(template, [server.folder for server in servers])
        report(f"starting {listed(s.name for s in servers)}")
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        self.writer.open()
        self._make_roles()
        if self.surface is not None:
            self.surface.install(self.writer, self.servers.values())
        for server in self.readers:
            follow(server)

    def set_password(self, role: str, word: str) -> None:
        """Have *role* log in with *word* from now on."""
        self.writer.ask(f"ALTER USER '{role}'@'%' IDENTIFIED BY '{word}'")

    def position(self) -> str:
        """Return the writer's newest transaction."""
        return self.writer.position()

    def following(self, goal: str) -> set[str]:
        """Return the readers that replicate, and have applied *goal* unless they lag."""
        return {
            server.name
            for server in self.readers
            if server.alive and _follows(server, "" if server.lag else goal)
        }

    def received(self, server: MysqlServer) -> int:
        """Return how many transactions a reader has."""
        return self._count(server.position(), server.received())

    def release(self, server: MysqlServer) -> None:
        """End the lag of *server*: what is held back on its way arrives.

        Of a dead writer that is all there will be, so wait for the end of it.
        """
        lagged = bool(server.lag)
        super().release(server)
        if lagged and not self.writer.alive:
            severed = server.name in self.routes.severed()
            wait_until(
                lambda: severed or not server.receiving(),
                limit=_ARRIVAL_LIMIT,
                what=f"{server.name} still receives from {self.writer.name}",
            )

    def hold_back(self, servers: list[MysqlServer]) -> None:
        """Delay the log on its way to *servers*."""
        for server in servers:
            self.routes.hold_back(server, server.lag)

    def drain(self, target: MysqlServer, report: Report) -> None:
        """Make the writer read only and wait until *target* has all of it."""
        self.writer.close()
        end = self.writer.position()
        report(f"waiting for {target.name} to apply {end}")
        if not target.applied(end, limit=FOLLOW_LIMIT):
            raise LabError(
                f"{target.name} did not apply {end} within {FOLLOW_LIMIT:g} s; the "
                "switchover was given up"
            )

    def resume(self) -> None:
        """Let the writer write again."""
        self.writer.open()

    def promote(self, target: MysqlServer) -> None:
        """Apply what *target* has received, and let it write."""
        target.ask(self._dialect.stop_receiving)
        arrived = target.received()
        if not target.applied(arrived, limit=_APPLY_LIMIT):
            raise LabError(
                f"{target.name} did not apply {arrived} within {_APPLY_LIMIT:g} s"
            )
        target.ask(self._dialect.stop, self._dialect.reset)
        target.open()

    def demote(self, old: MysqlServer) -> None:
        """Have the drained *old* writer follow from where it stopped; see `turn`."""
        self._adopt(old)

    def turn(self, *, lost: bool) -> None:
        """Have the living readers follow the new writer.

        What they had received beyond it and not applied is forgotten.
        """
        for server in self.readers:
            if not server.alive or server.name in self.forked:
                continue
            server.ask(self._dialect.stop)
            if lost and not self._is_part(server):
                self.forked.add(server.name)
            else:
                follow(server)

    def rejoin(self, server: MysqlServer) -> None:
        """Start *server*; a forked one with a copy of the writer's files."""
        if server is self.writer:
            server.start()
            server.wait_ready()
            server.open()
            return
        forked = server.name in self.forked
        if forked:
            server.kill()
            # A copy of a held process' files is what a power failure leaves.
            with self.writer.paused():
                copy_files(self.writer.data, [server.folder])
            self.forked.discard(server.name)
        server.start()
        server.wait_ready()
        if forked:
            self._adopt(server)
            follow(server)

    def _make_roles(self) -> None:
        words = self.passwords
        self.writer.ask(
            *(
                f"CREATE USER '{role}'@'%' IDENTIFIED BY '{password}'"
                for role, password in {
                    APP_ROLE: words.app,
                    SUPERUSER: words.superuser,
                    REPLICATION_ROLE: words.replication,
                }.items()
            ),
            f"GRANT ALL ON *.* TO '{SUPERUSER}'@'%' WITH GRANT OPTION",
            *self._dialect.grants,
        )

    def _adopt(self, server: MysqlServer) -> None:
        for statement in self._dialect.adopt:
            server.ask(statement)

    def _is_part(self, server: MysqlServer) -> bool:
        """Whether the writer has every transaction that *server* has."""
        mine, its = server.history(), self.writer.history()
        if self._binaries.engine == "mariadb":
            return binlog_state(its).covers(binlog_state(mine))
        return GtidSet.parse(its).covers(GtidSet.parse(mine))

    def _count(self, *positions: str) -> int:
        everything = ",".join(filter(None, positions))
        if self._binaries.engine == "mariadb":
            return MariadbGtid.parse(everything).size
        return GtidSet.parse(everything).size


def follow(server: MysqlServer) -> None:
    """Have *server* replicate from where its link leads."""
    dialect, up = server.dialect, server.upstream
    server.ask(
        *(dialect.stop, dialect.reset),
        dialect.follow.format(
            host=up.host, port=up.port, user=up.user, password=up.password
        ),
        dialect.start,
    )


def _follows(server: MysqlServer, goal: str) -> bool:
    try:
        return server.replicating() and server.applied(goal, limit=0.001)
    except pymysql.err.OperationalError:
        return False
