"""The servers of a lab as one replicating cluster, whatever their engine."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from globaldb.lab.errors import LabError, LabSpecError
from globaldb.lab.server import Server
from globaldb.lab.spec import listed
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from globaldb.lab.aurora import Surface

DATABASE: Final = "app"
APP_ROLE: Final = "app"
REPLICATION_ROLE: Final = "replicator"
#: Seconds until readers must follow; wide-area handshakes take a good second.
FOLLOW_LIMIT: Final = 60.0

Report = Callable[[str], None]
S = TypeVar("S", bound=Server)


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords of a lab's roles, different in every lab."""

    app: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    superuser: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    replication: str = field(default_factory=lambda: secrets.token_urlsafe(12))


class Routes(Protocol):
    """The network, as far as the cluster changes it."""

    def lead_to(self, writer: Server) -> None:
        """Lead every reader's replication to *writer*."""

    def severed(self) -> AbstractSet[str]:
        """Return the nodes that cannot reach the writer now."""

    def set_down(self, server: Server, *, down: bool) -> None:
        """Refuse connects to *server*, or accept them again."""

    def hold_back(self, server: Server, seconds: float) -> None:
        """Have what *server* receives of the writer arrive *seconds* later."""


class Cluster(ABC, Generic[S]):
    """Every server, and which of them is meant to be the writer.

    The steps that every engine takes in its own way are abstract; `promotion` says in
    which order they come.
    """

    def __init__(
        self,
        servers: Mapping[str, S],
        *,
        folder: Path,
        passwords: Passwords,
        routes: Routes,
    ) -> None:
        self.servers = servers
        self.folder = folder
        self.passwords = passwords
        self.routes = routes
        self.writer = next(iter(servers.values()))
        #: What the servers answer as Aurora's would, in a lab that has it.
        self.surface: Surface | None = None
        #: Nodes that may have history the writer does not: `rejoin` takes it away.
        self.forked: set[str] = set()

    @property
    def readers(self) -> list[S]:
        """Every server but the writer."""
        return [s for s in self.servers.values() if s is not self.writer]

    def server(self, name: str) -> S:
        """Return the server called *name*, or say which ones there are."""
        if name not in self.servers:
            known = listed(self.servers)
            raise LabSpecError(f"no node {name!r} in this lab; it has {known}")
        return self.servers[name]

    def start(self, report: Report) -> None:
        """Make the database files and start everything; return when all follow."""
        self.bring_up(report)
        self.wait_following(report)

    def stop(self) -> None:
        """Kill every server: nothing in a lab is to be kept."""
        for server in self.servers.values():
            server.kill()

    def wait_following(
        self, report: Report | None = None, *, without: AbstractSet[str] = frozenset()
    ) -> None:
        """Wait until every living reader follows and has what there is.

        Those in *without* are cut off: nobody waits for them.
        """
        goal = self.position()
        left: list[str] = []

        def all_follow() -> bool:
            done = self.following(goal) | without
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

    def lag(self, region: str, seconds: float) -> None:
        """Hold back the readers in *region*; return when they are."""
        here = [s for s in self.servers.values() if s.node.region == region]
        for server in here:
            server.lag = seconds
        self.hold_back(here)

    def release(self, server: S) -> None:
        """End the lag of *server*."""
        if server.lag:
            server.lag = 0.0
            self.hold_back([server])

    def rotate_password(self) -> str:
        """Give the role of applications a new password and return it."""
        word = Passwords().app
        self.set_password(APP_ROLE, word)
        self.passwords = replace(self.passwords, app=word)
        return word

    def target_in(self, place: str) -> S:
        """Return the reader in region *place* (or called so) that has most."""
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
        return max(candidates, key=self.received)

    def status(self) -> list[dict[str, Any]]:
        """Ask every node how it is."""
        return [_describe(server) for server in self.servers.values()]

    @abstractmethod
    def bring_up(self, report: Report) -> None:
        """Make the files, start all servers, and have the readers follow."""

    @abstractmethod
    def set_password(self, role: str, word: str) -> None:
        """Have *role* log in with *word* from now on."""

    @abstractmethod
    def position(self) -> str:
        """Return how far the writer is now."""

    @abstractmethod
    def following(self, goal: str) -> set[str]:
        """Return the readers that follow the writer and have received *goal*."""

    @abstractmethod
    def received(self, server: S) -> int:
        """Return how much of the history a reader has; more is later."""

    @abstractmethod
    def hold_back(self, servers: list[S]) -> None:
        """Make the lag of *servers* what they say it is; return when it is."""

    @abstractmethod
    def drain(self, target: S, report: Report) -> None:
        """Stop the writer's writing and wait until *target* has all of it.

        `LabError` if that takes too long; `resume` is called then.
        """

    @abstractmethod
    def resume(self) -> None:
        """Let the drained writer write again: it stays the writer."""

    @abstractmethod
    def promote(self, target: S) -> None:
        """Make *target* accept writes, with all that it has received."""

    @abstractmethod
    def demote(self, old: S) -> None:
        """Make the drained *old* writer a reader of the new one."""

    @abstractmethod
    def turn(self, *, lost: bool) -> None:
        """Have the living readers follow a new writer.

        When the old one is *lost*, whoever has more than the new one is forked.
        """

    @abstractmethod
    def rejoin(self, server: S) -> None:
        """Start *server* as what it is now: the writer, or a reader of it.

        A forked one gives up what the writer does not have.
        """


def _describe(server: Server) -> dict[str, Any]:
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
    found = server.state()
    return about if found is None else {**about, "up": True, **found}
