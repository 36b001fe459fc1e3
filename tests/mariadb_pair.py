"""A MariaDB writer and one real reader behind it, for tests."""

from __future__ import annotations

import contextlib
import random
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from globaldb.lab.addresses import free_ports
from globaldb.lab.mysql.binaries import find_mysql
from globaldb.lab.mysql.cluster import follow
from globaldb.lab.mysql.server import MysqlServer
from globaldb.lab.mysql.template import copy_files, ensure_template
from globaldb.lab.server import Upstream
from globaldb.lab.spec import NodeSpec
from globaldb.lab.state import claim_folder, labs_home
from globaldb.lab.waiting import wait_until

USER = "app"


@dataclass
class Pair:
    """A writer, and a reader that applies what the writer's log says."""

    writer: MysqlServer
    reader: MysqlServer
    password: str

    def connect(self, server: MysqlServer, **options: Any) -> Any:
        """Connect as the application's user, in autocommit."""
        options = {"autocommit": True, "user": USER, "read_timeout": 30, **options}
        options.setdefault("ssl_disabled", True)
        options |= {"host": server.host, "port": server.port}
        return pymysql.connect(password=self.password, **options)

    def add_schema(self, name: str) -> None:
        """Make the schema *name*, empty, the application's own."""
        self.writer.ask(
            f"DROP SCHEMA IF EXISTS `{name}`",
            f"CREATE SCHEMA `{name}`",
            f"GRANT ALL ON `{name}`.* TO {USER}",
        )

    def allow_reading(self) -> None:
        """Let the application's user look at every schema, the server's own too."""
        self.writer.ask(f"GRANT SELECT, SHOW VIEW, SHOW DATABASES ON *.* TO {USER}")

    def catch_up(self, *, limit: float = 30.0) -> None:
        """Wait until the reader has applied what the writer has committed."""
        (position,) = self.writer.ask("SELECT @@global.gtid_binlog_pos")
        (late,) = self.reader.ask(f"SELECT MASTER_GTID_WAIT('{position}', {limit})")
        if late:
            raise AssertionError(f"not applied within {limit} s: {self.slave_error()}")

    def slave_error(self) -> str:
        """What replication last complained about."""
        status = self.reader.replication()
        return f"{status['Last_IO_Error']} {status['Last_SQL_Error']}".strip()


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


@contextlib.contextmanager
def running_pair(settings: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """Start a writer and its reader; both end with the context, or with us."""
    binaries = find_mysql("mariadb")
    password = secrets.token_hex(16)
    spots = [("127.0.0.1", p) for p in free_ports("127.0.0.1", 2, random.Random())]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        writer, reader = (
            MysqlServer(
                NodeSpec(f"node{number}", "here", number),
                folder=folder / f"node{number}",
                address=spot,
                binaries=binaries,
                upstream=Upstream(*spots[0], "replicator", password),
                # What a reader logs of its own, it does not under the writer's numbers.
                settings={"gtid_domain_id": str(number), **(settings or {})},
            )
            for number, spot in enumerate(spots, start=1)
        )
        for server in (writer, reader):
            server.folder.mkdir()
        copy_files(
            ensure_template(labs_home(), binaries), [writer.folder, reader.folder]
        )
        for server in (writer, reader):
            stack.callback(server.kill)
            server.start()
        yield _replicating(writer, reader)


def _replicating(writer: MysqlServer, reader: MysqlServer) -> Pair:
    """Have *reader* follow *writer* once both answer."""
    password = reader.upstream.password
    writer.wait_ready()
    writer.open()
    writer.ask(
        f"CREATE USER {USER} IDENTIFIED BY '{password}'",
        f"CREATE USER replicator IDENTIFIED BY '{password}'",
        "GRANT REPLICATION SLAVE ON *.* TO replicator",
        f"GRANT ALL ON app.* TO {USER}",
    )
    reader.wait_ready()
    follow(reader)
    pair = Pair(writer, reader, password)
    wait_until(
        lambda: reader.ask("SELECT @@global.gtid_slave_pos") != ("",),
        limit=20,
        what=lambda: f"the reader does not replicate: {pair.slave_error()}",
    )
    pair.catch_up()
    return pair
