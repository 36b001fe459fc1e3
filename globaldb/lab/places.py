"""Where everything of a lab is: what its facts say, without asking it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from globaldb.lab import state
from globaldb.lab.cluster import APP_ROLE, DATABASE
from globaldb.lab.endpoints import Endpoints
from globaldb.lab.errors import LabSpecError
from globaldb.lab.spec import NETNS, LabSpec, check_region, listed

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_WITHOUT_TLS: Final = {"postgresql": "&sslmode=disable", "mysql": "&ssl_mode=disabled"}
_SUPERUSERS: Final = {"postgresql": "postgres", "mysql": "root"}


@dataclass(frozen=True, slots=True)
class LabNode:
    """A server of the lab. *host* and *port* lead to it without any delay."""

    name: str
    region: str
    host: str
    port: int


class Places:
    """The addresses, names and logins of a lab, for clients in each region."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.name: str = facts["name"]
        #: The supervisor's process id; every server and the proxy are its children.
        self.pid: int = facts["supervisor"]
        self.spec = LabSpec.from_json(facts["spec"])
        self.nodes: tuple[LabNode, ...] = tuple(
            LabNode(node.name, node.region, *address)
            for node, address in zip(self.spec.nodes, facts["servers"], strict=True)
        )
        self._folder = folder
        self._clients: Mapping[str, list[list[Any]]] = facts["clients"]
        self._names: Mapping[str, list[Any]] = facts["names"]
        self._spaces: Mapping[str, list[str] | None] = facts["spaces"]
        self._passwords: dict[str, str] = facts["passwords"]

    def url(self, region: str) -> str:
        """Return the cluster's globaldb URL as a client in *region* sees it."""
        row = self._row(region)
        nodes = "".join(
            f"&node={node.region}@{host}:{port}"
            for node, (host, port) in zip(self.nodes, row, strict=True)
        )
        if self.spec.net == NETNS:
            # Off the machine's own addresses TLS is asked for, and there is none.
            nodes += _WITHOUT_TLS[self._scheme]
        word = quote(self._passwords["app"])
        return f"{self._scheme}://{APP_ROLE}:{word}@/{DATABASE}?region={region}{nodes}"

    def dsn(
        self,
        region: str,
        node: str,
        *,
        user: str | None = None,
        superuser: bool = False,
    ) -> str:
        """Return where *node* is for a client in *region*, as its driver reads it.

        For PostgreSQL that is a libpq connection string. PyMySQL reads none: there it
        is a URL, and `options` has what `pymysql.connect` takes.
        """
        spot = self.options(region, node, user=user, superuser=superuser)
        if self._scheme == "postgresql":
            return " ".join(f"{name}={value}" for name, value in spot.items())
        return (
            f"{self._scheme}://{spot['user']}:{quote(spot['password'])}"
            f"@{spot['host']}:{spot['port']}/{DATABASE}"
        )

    def options(
        self,
        region: str,
        node: str,
        *,
        user: str | None = None,
        superuser: bool = False,
    ) -> dict[str, Any]:
        """Return the keywords with which the engine's driver connects to *node*.

        They lead a client in *region* there: `psycopg.connect(**options)`, or
        `pymysql.connect(**options)`.
        """
        names = [each.name for each in self.nodes]
        if node not in names:
            raise LabSpecError(f"no node {node!r}; the lab has {listed(names)}")
        host, port = self._row(region)[names.index(node)]
        word = self._passwords["superuser" if superuser else "app"]
        role = _SUPERUSERS[self._scheme] if superuser else APP_ROLE
        if self._scheme == "postgresql":
            return {
                "host": host,
                "port": port,
                "dbname": DATABASE,
                "user": user or role,
                "password": word,
                "sslmode": "disable",
            }
        return {
            "host": host,
            "port": port,
            "database": DATABASE,
            "user": user or role,
            "password": word,
            # Preferring TLS, PyMySQL reads all the authorities that are trusted here.
            "ssl_disabled": True,
        }

    @property
    def endpoints(self) -> Endpoints:
        """The lab's host names, which `dns` knows."""
        return Endpoints(self.name, self.spec.engine)

    def dns(self, region: str) -> tuple[str, int]:
        """Return the name server of clients in *region*: its address and its port."""
        host, port = self._names[check_region(region, self._names)]
        return host, port

    def inside(self, region: str, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Return the command that runs *argv* where the clients in *region* are.

        It is for `subprocess`. Needs a lab with net="netns".
        """
        space = self._spaces[check_region(region, self._spaces)]
        if space is None:
            raise LabSpecError(
                "clients of this lab are anywhere on the machine; for one with a network "
                "of its own: lab up --net netns"
            )
        resolver = self._folder / f"{state.RESOLVER}{region}"
        enter = (sys.executable, "-P", "-m", "globaldb.lab.enter")
        return [str(part) for part in (*enter, *space, resolver, *argv)]

    def exec(
        self, region: str, argv: Sequence[str | os.PathLike[str]], **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run *argv* where the clients in *region* are, and wait for its end.

        *options* are those of `subprocess.run`. Names of hosts are asked of the region's
        own name server there. Needs a lab with net="netns".
        """
        return subprocess.run(self.inside(region, argv), **options)  # noqa: PLW1510 - up to the caller

    @property
    def _scheme(self) -> str:
        """The scheme of this lab's URLs, which both servers of MySQL's kind share."""
        return "postgresql" if self.spec.engine == "postgresql" else "mysql"

    def _row(self, region: str) -> list[list[Any]]:
        return self._clients[check_region(region, self._clients)]
