"""The servers of a lab as one replicating cluster."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg

from globaldb.lab.child import NOBODY, Identity
from globaldb.lab.errors import LabError, LabSpecError
from globaldb.lab.server import SUPERUSER, Server, Upstream
from globaldb.lab.spec import LabSpec, listed
from globaldb.lab.template import (
    APP_ROLE,
    REPLICATION_ROLE,
    copy_template,
    ensure_template,
)
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from globaldb.lab.addresses import AddressBook
    from globaldb.lab.binaries import Binaries

#: Seconds until readers must follow; wide-area handshakes take a good second.
FOLLOW_LIMIT: Final = 60.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords of a lab's roles, different in every lab."""

    app: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    superuser: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    replication: str = field(default_factory=lambda: secrets.token_urlsafe(12))


class Cluster:
    """Every server, and which of them is meant to be the writer."""

    def __init__(
        self,
        spec: LabSpec,
        book: AddressBook,
        *,
        folder: Path,
        binaries: Binaries,
        identity: Identity,
    ) -> None:
        self.passwords = Passwords()
        self.folder = folder
        self._binaries = binaries
        self._identity = identity
        self.servers = {
            node.name: Server(
                node,
                folder=folder / node.name,
                address=book.servers[node.number - 1],
                upstream=Upstream(
                    *book.replication[node.number - 1],
                    REPLICATION_ROLE,
                    self.passwords.replication,
                ),
                binaries=binaries,
                identity=identity,
                settings=spec.settings,
            )
            for node in spec.nodes
        }
        self.writer = next(iter(self.servers.values()))
        #: Nodes that may have history the writer does not: rewind before they follow.
        self.forked: set[str] = set()

    @property
    def readers(self) -> list[Server]:
        """Every server but the writer."""
        return [s for s in self.servers.values() if s is not self.writer]

    def server(self, name: str) -> Server:
        """Return the server called *name*, or say which ones there are."""
        if name not in self.servers:
            known = listed(self.servers)
            raise LabSpecError(f"no node {name!r} in this lab; it has {known}")
        return self.servers[name]

    def start(self, report: Report) -> None:
        """Make the database files and start everything; return when all stream."""
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
        report(f"starting {listed(s.name for s in self.readers)}")
        for server in self.readers:
            server.start()
        self.wait_following(report)

    def wait_following(
        self, report: Report | None = None, *, without: AbstractSet[str] = frozenset()
    ) -> None:
        """Wait until every living reader streams and has received what there is.

        Those in *without* are cut off: nobody waits for them.
        """
        target = self.writer.ask("SELECT pg_current_wal_flush_lsn()::text")
        left: list[str] = []

        def all_follow() -> bool:
            following = self.following(target)
            done = following | without
            now = [s.name for s in self.readers if s.alive and s.name not in done]
            if report is not None and now != left and now:
                report(f"waiting for {listed(now)} to follow")
            left[:] = now
            return not now

        wait_until(
            all_follow,
            limit=FOLLOW_LIMIT,
            what=lambda: (
                f"{listed(left)} does not follow {self.writer.name}: "
                + "; ".join(self.servers[name].log_tail() for name in left)
            ),
        )

    def following(self, lsn: str) -> set[str]:
        """Return the readers that stream and have received the WAL up to *lsn*."""
        query = (
            "SELECT array_agg(application_name::text) FROM pg_stat_replication "
            "WHERE state = 'streaming' AND flush_lsn >= %s::pg_lsn"
        )
        try:
            return set(self.writer.ask(query, lsn) or ())
        except psycopg.OperationalError:
            return set()

    def stop(self) -> None:
        """Kill every server: nothing in a lab is to be kept."""
        for server in self.servers.values():
            server.kill()

    def lag(self, region: str, seconds: float) -> None:
        """Hold back replay in *region*; return when its readers do."""
        wanted = str(round(seconds * 1000))
        query = (
            "SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay'"
        )
        for server in self._in(region):
            server.lag = seconds
            server.reload()
        for server in self._in(region):
            if server.alive:
                wait_until(
                    lambda server=server: server.ask(query) == wanted,  # type: ignore[misc]
                    limit=10,
                    what=f"{server.name} does not take up a lag of {seconds:g} s",
                )

    def target_in(self, place: str) -> Server:
        """Return the reader in region *place* (or called so) that has most WAL."""
        candidates = [
            server
            for server in self.readers
            if place in {server.node.region, server.name} and server.answers()
        ]
        writer = self.writer.node
        if place in {writer.region, writer.name} and not candidates:
            raise LabSpecError(f"the writer is in {place} already")
        if not candidates:
            raise LabError(f"no reader in {place} answers; none can be promoted")
        return max(candidates, key=received)

    def status(self) -> list[dict[str, Any]]:
        """Ask every node how it is."""
        return [self._describe(server) for server in self.servers.values()]

    def _describe(self, server: Server) -> dict[str, Any]:
        about: dict[str, Any] = {
            "name": server.name,
            "region": server.node.region,
            "host": server.host,
            "port": server.port,
            "pid": server.pid,
            "up": False,
            "role": "unknown",
            "streaming": False,
            "position": None,
            "held_back": server.lag,
        }
        try:
            found = server.ask(_STATE)
        except psycopg.OperationalError:
            return about
        return {**about, "up": True, **found}

    def _in(self, region: str) -> list[Server]:
        return [s for s in self.servers.values() if s.node.region == region]

    def _set_passwords(self) -> None:
        words = self.passwords
        for role, password in {
            APP_ROLE: words.app,
            SUPERUSER: words.superuser,
            REPLICATION_ROLE: words.replication,
        }.items():
            self.writer.ask(f"ALTER ROLE {role} PASSWORD '{password}'")

    def _hand_over(self, folder: Path) -> None:
        """Give *folder* to the user that servers run as, where that is another."""
        if self._identity is Identity.NOBODY:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, NOBODY, NOBODY)


def received(server: Server) -> int:
    """Return how much WAL a reader has, in bytes since the beginning."""
    return int(server.ask(_RECEIVED))


_RECEIVED: Final = (
    "SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')"
    "::bigint"
)
_STATE: Final = """
SELECT json_build_object(
    'role', CASE WHEN pg_is_in_recovery() THEN 'reader' ELSE 'writer' END,
    'streaming', EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    'position', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                     ELSE pg_current_wal_flush_lsn() END::text)
"""
