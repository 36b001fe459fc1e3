"""One server of MySQL's kind: its process, and questions to it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pymysql

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.errors import LabError
from globaldb.lab.mysql.dialect import DIALECTS
from globaldb.lab.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from globaldb.lab.link import Address
    from globaldb.lab.mysql.binaries import MysqlBinaries
    from globaldb.lab.server import Upstream
    from globaldb.lab.spec import NodeSpec

SUPERUSER: Final = "root"
#: A socket's path may have 107 bytes; pytest's folders alone can be longer.
_LONGEST_SOCKET: Final = 100
#: Seconds that a question may take: a wait for a position has a limit of its own.
_ANSWER_LIMIT: Final = 120


class MysqlServer(Server):
    """One node's MySQL or MariaDB. It starts as a reader; `open` lets it write.

    `folder` holds `data`, the log and the socket where root needs no password.
    """

    def __init__(
        self,
        node: NodeSpec,
        *,
        folder: Path,
        address: Address,
        binaries: MysqlBinaries,
        upstream: Upstream,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(node, folder=folder, address=address)
        self.dialect = DIALECTS[binaries.engine]
        self.upstream = upstream
        self.binaries = binaries
        self._settings = settings

    @property
    def door(self) -> Path:
        """Where root is let in without a password."""
        return self.folder / "socket"

    def start(self) -> None:
        """Start the process; `wait_ready` says when it answers."""
        if len(str(self.door)) > _LONGEST_SOCKET:
            raise LabError(f"the folder {self.folder} is too deep for a socket")
        with (self.folder / "log").open("ab") as log:
            self.process = child.start(
                [*self.binaries.command, "--no-defaults", *self._arguments()],
                # As root it needs no namespace: it only wants to be told.
                identity=Identity.SELF,
                death=signal.SIGKILL,
                space=self.space,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.binaries.environment},
            )

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the process for a moment: its files lie as if it had been killed."""
        if self.process is None:
            raise LabError(f"{self.name} does not run")
        self.process.send_signal(signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED)
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def answers(self) -> bool:
        """Whether the server takes connections."""
        # PyMySQL leaves its socket open when a server does not listen yet.
        with socket.socket(socket.AF_UNIX) as knock:
            if knock.connect_ex(str(self.door)):
                return False
        try:
            self.ask("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def ask(self, *statements: str) -> Any:
        """Run *statements* as root, locally; return the last one's first row."""
        with self._cursor(pymysql.cursors.Cursor) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Run *statement* as root, locally; return all rows by their columns."""
        with self._cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def state(self) -> dict[str, Any] | None:
        """Return `role`, `streaming` and `position`; nothing if it does not answer."""
        try:
            read_only, position = self.ask(
                f"SELECT @@global.read_only, {self.dialect.position}"
            )
            return {
                "role": "reader" if read_only else "writer",
                "streaming": self.replicating(),
                "position": position.replace("\n", "") or None,
            }
        except pymysql.err.OperationalError:
            return None

    def position(self) -> str:
        """Return the newest transaction this server has."""
        return self._value(self.dialect.position)

    def history(self) -> str:
        """Return every transaction this server has."""
        return self._value(self.dialect.history)

    def received(self) -> str:
        """Return what has arrived here, applied or not; empty if nothing did."""
        status = self.replication()
        found = str(status.get(self.dialect.received) or "")
        return found.replace("\n", "")

    def receiving(self) -> bool:
        """Whether the server is connected to what it follows."""
        return self.replication().get(self.dialect.receiving) == "Yes"

    def replicating(self) -> bool:
        """Whether the server receives and applies what the writer sends."""
        status = self.replication()
        both = (self.dialect.receiving, self.dialect.applying)
        return all(status.get(thread) == "Yes" for thread in both)

    def replication(self) -> dict[str, Any]:
        """Return what the server says of its replication; nothing if it follows none."""
        return next(iter(self.rows(self.dialect.status)), {})

    def applied(self, position: str, *, limit: float) -> bool:
        """Wait until *position* is applied here, for *limit* seconds at most."""
        if not position:
            return True
        wait = self.dialect.wait.format(position=position, seconds=limit)
        (late,) = self.ask(f"SELECT {wait}")
        return bool(late == 0)

    def open(self) -> None:
        """Let clients write."""
        names = reversed(self.dialect.read_only)
        self.ask(*(f"SET GLOBAL {name} = 0" for name in names))

    def close(self) -> None:
        """Let nobody write any more, and drop every client."""
        with self._cursor(pymysql.cursors.DictCursor) as cursor:
            self._drop_clients(cursor)
            for name in self.dialect.read_only:
                cursor.execute(f"SET GLOBAL {name} = 1")
            # Those who came in between.
            self._drop_clients(cursor)

    def _drop_clients(self, cursor: Any) -> None:
        own = cursor.connection.thread_id()
        others = {"system user", "event_scheduler", self.upstream.user}
        cursor.execute("SHOW PROCESSLIST")
        for each in cursor.fetchall():
            if each["Id"] != own and each["User"] not in others:
                # It may have gone by itself.
                with contextlib.suppress(pymysql.err.MySQLError):
                    cursor.execute(f"KILL {each['Id']}")

    def _value(self, expression: str) -> str:
        (found,) = self.ask(f"SELECT {expression}")
        return str(found or "").replace("\n", "")

    @contextlib.contextmanager
    def _cursor(self, kind: type[Any]) -> Iterator[Any]:
        with (
            pymysql.connect(
                unix_socket=str(self.door),
                user=SUPERUSER,
                # Else each connect reads all the authorities that are trusted here.
                ssl_disabled=True,
                autocommit=True,
                connect_timeout=5,
                read_timeout=_ANSWER_LIMIT,
            ) as connection,
            connection.cursor(kind) as cursor,
        ):
            yield cursor

    def _arguments(self) -> list[str]:
        values = {
            **basics(self.binaries, self.data),
            **self.dialect.settings,
            "bind-address": self.host,
            "port": str(self.port),
            "socket": str(self.door),
            "pid-file": str(self.folder / "pid"),
            "tmpdir": str(self.folder),
            "secure-file-priv": str(self.folder),
            "server-id": str(self.node.number),
            "report-host": self.name,
            **{name.replace("_", "-"): v for name, v in self._settings.items()},
        }
        return [f"--{name}={value}" for name, value in values.items()]


def basics(binaries: MysqlBinaries, data: Path) -> dict[str, str]:
    """Return what a server must be told to find its files."""
    values = {"datadir": str(data), "lc-messages-dir": str(binaries.share)}
    if (binaries.share / "charsets").exists():
        values["character-sets-dir"] = str(binaries.share / "charsets")
    if os.geteuid() == 0:
        values["user"] = "root"
    return values
