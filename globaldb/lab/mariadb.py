"""One MariaDB server: its files, its process, and questions to it.

It is no part of the lab's regions yet: tests start a writer and a reader of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pymysql

from globaldb.lab import child
from globaldb.lab.child import Identity
from globaldb.lab.errors import LabError
from globaldb.lab.state import claim_folder, labs_home
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from globaldb.lab.link import Address
    from globaldb.lab.mariadb_binaries import MariadbBinaries

DATABASE: Final = "app"
SUPERUSER: Final = "root"
_BOOTSTRAP_LIMIT: Final = 60.0
_START_LIMIT: Final = 30.0
_STOP_LIMIT: Final = 30.0
#: A socket's path may have 107 bytes; pytest's folders alone can be longer.
_LONGEST_SOCKET: Final = 100


@dataclass(slots=True)
class MariadbServer:
    """A server in *folder* at *address*; *number* is its id among the replicating."""

    folder: Path
    address: Address
    number: int
    binaries: MariadbBinaries
    read_only: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        """The folder of the database files."""
        return self.folder / "data"

    @property
    def door(self) -> Path:
        """Where root is let in without a password."""
        return self.folder / "socket"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; `wait_ready` says when it answers."""
        if len(str(self.door)) > _LONGEST_SOCKET:
            raise LabError(f"the folder {self.folder} is too deep for a socket")
        with (self.folder / "log").open("ab") as log:
            self._process = child.start(
                [self.binaries.server, "--no-defaults", *self._arguments()],
                # As root it needs no namespace: it only wants to be told.
                identity=Identity.SELF,
                death=signal.SIGKILL,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.binaries.environment},
            )

    def wait_ready(self) -> None:
        """Wait until the server answers."""
        wait_until(
            lambda: not self.alive or self.answers(),
            limit=_START_LIMIT,
            what=lambda: f"MariaDB {self.number} did not start: {self.log_tail()}",
        )
        if not self.alive:
            raise LabError(f"MariaDB {self.number} did not start: {self.log_tail()}")

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
        with (
            pymysql.connect(
                unix_socket=str(self.door),
                user=SUPERUSER,
                autocommit=True,
                connect_timeout=5,
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()

    def stop(self) -> None:
        """Shut down in order."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(
                f"MariaDB {self.number} did not stop within {_STOP_LIMIT:g} s and was "
                "killed"
            ) from None

    def kill(self) -> None:
        """Kill the process at once, as a power failure would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        log = self.folder / "log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-8:])

    def _arguments(self) -> list[str]:
        host, port = self.address
        values = {
            **_basics(self.binaries, self.data),
            **_SETTINGS,
            "bind-address": host,
            "port": str(port),
            "socket": str(self.door),
            "pid-file": str(self.folder / "pid"),
            "tmpdir": str(self.folder),
            "secure-file-priv": str(self.folder),
            "server-id": str(self.number),
            "read-only": "1" if self.read_only else "0",
            **self.settings,
        }
        return [f"--{name}={value}" for name, value in values.items()]


def make_template(folder: Path, binaries: MariadbBinaries) -> Path:
    """Make the files of a new server in *folder*; copy them to start servers.

    It has the database `DATABASE`, and root without a password at its socket only.
    """
    data = folder / "template"
    data.mkdir()
    scripts = [script.read_text() for script in binaries.scripts]
    text = "\n".join(
        ["CREATE DATABASE mysql;", "USE mysql;", *scripts, _OWNERS, _CREATE, ""]
    )
    values = {**_basics(binaries, data), "tmpdir": str(folder)}
    arguments = [f"--{name}={value}" for name, value in values.items()]
    loaded = [f"{name}={value}" for name, value in binaries.environment.items()]
    command = ["env", *loaded, str(binaries.server), "--no-defaults", "--bootstrap"]
    child.run(
        [*command, *arguments],
        identity=Identity.SELF,
        text=text,
        limit=_BOOTSTRAP_LIMIT,
    )
    return data


def copy_template(template: Path, server: MariadbServer) -> None:
    """Give *server* the files of *template*."""
    server.folder.mkdir(parents=True)
    shutil.copytree(template, server.data)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Hold a new folder for servers; what killed owners left is removed first."""
    home = labs_home() / ".mariadb"
    home.mkdir(mode=0o700, exist_ok=True)
    folder, lock = claim_folder(home, secrets.token_hex(4), mode=0o700)
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _basics(binaries: MariadbBinaries, data: Path) -> dict[str, str]:
    values = {
        "datadir": str(data),
        "lc-messages-dir": str(binaries.share),
        "character-sets-dir": str(binaries.share / "charsets"),
        "innodb-data-file-path": "ibdata1:4M:autoextend",
        "innodb-log-file-size": "16M",
        "innodb-buffer-pool-size": "32M",
        # Survives a killed server, if not a killed machine: 0 would lose rows.
        "innodb-flush-log-at-trx-commit": "2",
        "innodb-use-native-aio": "0",
        "sync-binlog": "0",
    }
    if os.geteuid() == 0:
        values["user"] = "root"
    return values


#: The scripts let root in from every address, without a password.
_OWNERS: Final = """\
DELETE FROM mysql.global_priv WHERE Host <> 'localhost';
DELETE FROM mysql.proxies_priv;
"""
_CREATE: Final = f"CREATE DATABASE {DATABASE};"
_SETTINGS: Final = {
    "log-bin": "binlog",
    "log-slave-updates": "1",
    "gtid-strict-mode": "1",
    "binlog-format": "MIXED",
    "max-connections": "400",
    "performance-schema": "OFF",
    "skip-name-resolve": "1",
    "slave-net-timeout": "5",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "session-track-system-variables": "last_gtid,autocommit,character_set_client",
}
