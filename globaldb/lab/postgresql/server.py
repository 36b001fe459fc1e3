"""One PostgreSQL server: its configuration, its process, and questions to it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from globaldb.lab import child, state
from globaldb.lab.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globaldb.lab.child import Identity
    from globaldb.lab.link import Address
    from globaldb.lab.postgresql.binaries import Binaries
    from globaldb.lab.server import Upstream
    from globaldb.lab.spec import NodeSpec

SUPERUSER: Final = "postgres"


class PostgresqlServer(Server):
    """One node's PostgreSQL.

    `folder` holds the configuration, the log, the socket and `data`. The configuration
    is outside `data`, because pg_rewind overwrites what is in there.
    """

    def __init__(
        self,
        node: NodeSpec,
        *,
        folder: Path,
        address: Address,
        upstream: Upstream,
        binaries: Binaries,
        identity: Identity,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(node, folder=folder, address=address)
        self._upstream = upstream
        self._binaries = binaries
        self._identity = identity
        self._settings = settings

    def configure(self) -> None:
        """Write the configuration as *lag* and the settings have it now."""
        text = render(self._values())
        (self.folder / "postgresql.conf").write_text(text)
        (self.folder / "pg_hba.conf").write_text(_HBA)
        (self.folder / "pg_ident.conf").write_text("")

    def be_standby(self) -> None:
        """Follow the writer from the next start on."""
        (self.data / "standby.signal").touch()

    def forget_standby(self) -> None:
        """Be no standby: PostgreSQL's tools recover a killed server only then."""
        (self.data / "standby.signal").unlink(missing_ok=True)

    def start(self) -> None:
        """Start the process; `wait_ready` says when it answers."""
        self.clear_remains()
        with (self.folder / "log").open("ab") as log:
            self.process = child.start(
                [
                    self._binaries / "postgres",
                    *("-D", self.data),
                    *("-c", f"config_file={self.folder / 'postgresql.conf'}"),
                ],
                identity=self._identity,
                death=signal.SIGQUIT,
                space=self.space,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def clear_remains(self) -> None:
        """Remove what a killed server left: its process id may be another's now."""
        socket = self.folder / f".s.PGSQL.{self.port}"
        for stale in (self.data / "postmaster.pid", socket, Path(f"{socket}.lock")):
            stale.unlink(missing_ok=True)

    def stop(self) -> None:
        """Shut down in order: what was committed is sent to the readers first."""
        self.end(signal.SIGINT)

    def kill(self) -> None:
        """Kill every process of the server at once, as a power failure would."""
        super().kill()
        # Its children lead process groups of their own and notice late.
        state.end_processes_in(self.folder)

    def reload(self) -> None:
        """Write the configuration anew and have the server read it."""
        self.configure()
        if self.process is not None and self.alive:
            self.process.send_signal(signal.SIGHUP)

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def state(self) -> dict[str, Any] | None:
        """Return `role`, `streaming` and `position`; nothing if it does not answer."""
        try:
            found: dict[str, Any] = self.ask(_STATE)
        except psycopg.OperationalError:
            return None
        return found

    def ask(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row, asked as superuser, locally."""
        with psycopg.connect(self.door(SUPERUSER), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def door(self, database: str) -> str:
        """Return where the superuser is let in without a password, for libpq."""
        return (
            f"host={self.folder} port={self.port} user={SUPERUSER} dbname={database}"
            " connect_timeout=5"
        )

    def control_data(self) -> dict[str, str]:
        """Return what pg_controldata prints, by its label."""
        printed = self.tool("pg_controldata", "-D", self.data)
        pairs = (line.partition(":") for line in printed.splitlines())
        return {label.strip(): value.strip() for label, _, value in pairs}

    def tool(self, program: str, *arguments: str | Path, limit: float = 60) -> str:
        """Run one of PostgreSQL's programs as the server's user."""
        return child.run(
            [self._binaries / program, *arguments], identity=self._identity, limit=limit
        )

    def remove_data(self) -> None:
        """Delete the database files of the stopped server."""
        shutil.rmtree(self.data)

    def _values(self) -> dict[str, str]:
        up = self._upstream
        values = {
            **_SETTINGS,
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
            "cluster_name": self.name,
            "recovery_min_apply_delay": f"{round(self.lag * 1000)}ms",
            "primary_conninfo": f"host={up.host} port={up.port} user={up.user} "
            f"password={up.password} application_name={self.name} sslmode=disable",
        }
        if self._binaries.major >= 18:
            # Three I/O workers a server are three processes too many here.
            values["io_method"] = "sync"
        return {**values, **self._settings}


def render(values: Mapping[str, str]) -> str:
    """Return *values* as a configuration file."""
    quoted = {name: re.sub(r"(['\\])", r"\1\1", text) for name, text in values.items()}
    return "".join(f"{name} = '{text}'\n" for name, text in quoted.items())


#: Loopback is not private to a user: passwords are asked for on every address. The
#: socket lies in a folder that only we can enter.
_HBA: Final = """\
local all all trust
local replication all trust
host all all 127.0.0.0/8 scram-sha-256
host replication all 127.0.0.0/8 scram-sha-256
# Those of a lab in network namespaces, where nobody else is.
host all all 10.77.0.0/16 scram-sha-256
host replication all 10.77.0.0/16 scram-sha-256
"""

_SETTINGS: Final = {
    "max_connections": "400",
    "shared_buffers": "32MB",
    "max_wal_senders": "40",
    "max_replication_slots": "20",
    "max_prepared_transactions": "20",
    # A lab's disk need not survive the machine; its WAL must, on paper, for pg_rewind.
    "fsync": "off",
    "wal_log_hints": "on",
    "full_page_writes": "on",
    "wal_keep_size": "512MB",
    "hot_standby_feedback": "on",
    # Below the data folder, and removed with it: the others outlive a killed server.
    "dynamic_shared_memory_type": "mmap",
    # Readers report and come back quickly, so that a fault is over when it is healed.
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "checkpoint_timeout": "30min",
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_STATE: Final = """
SELECT json_build_object(
    'role', CASE WHEN pg_is_in_recovery() THEN 'reader' ELSE 'writer' END,
    'streaming', EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    'position', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                     ELSE pg_current_wal_flush_lsn() END::text)
"""
