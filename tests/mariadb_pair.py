"""A MariaDB writer and one real reader behind it, for tests."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pymysql

from globaldb.lab.addresses import free_ports
from globaldb.lab.mariadb import (
    MariadbServer,
    copy_template,
    make_template,
    private_folder,
)
from globaldb.lab.mariadb_binaries import find_mariadb
from globaldb.lab.waiting import wait_until

USER = "app"


@dataclass
class Pair:
    """A writer, and a reader that applies what the writer's log says."""

    writer: MariadbServer
    reader: MariadbServer
    password: str

    def connect(self, server: MariadbServer, **options: Any) -> Any:
        """Connect as the application's user, in autocommit."""
        options = {"autocommit": True, "user": USER, "read_timeout": 30, **options}
        host, port = server.address
        return pymysql.connect(host=host, port=port, password=self.password, **options)

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
        with (
            pymysql.connect(
                unix_socket=str(self.reader.door),
                user="root",
                cursorclass=pymysql.cursors.DictCursor,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW SLAVE STATUS")
            status = cursor.fetchone()
        return f"{status['Last_IO_Error']} {status['Last_SQL_Error']}".strip()


@contextlib.contextmanager
def running_pair(settings: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """Start a writer and its reader; both end with the context, or with us."""
    binaries = find_mariadb()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        template = make_template(folder, binaries)
        writer, reader = (
            MariadbServer(
                folder / f"node{number}", ("127.0.0.1", port), number, binaries
            )
            for number, port in enumerate(
                free_ports("127.0.0.1", 2, random.Random()), start=1
            )
        )
        reader.read_only = True
        for server in (writer, reader):
            # What a reader logs of its own, it does not under the writer's numbers.
            server.settings["gtid-domain-id"] = str(server.number)
            # Users that are no administrators write functions, which are replicated.
            server.settings["log-bin-trust-function-creators"] = "1"
            server.settings.update(settings or {})
            copy_template(template, server)
            stack.callback(server.kill)
            server.start()
        yield _replicating(writer, reader)


def _replicating(writer: MariadbServer, reader: MariadbServer) -> Pair:
    """Have *reader* follow *writer* once both answer."""
    password = secrets.token_hex(16)
    writer.wait_ready()
    writer.ask(
        f"CREATE USER {USER} IDENTIFIED BY '{password}'",
        f"CREATE USER replicator IDENTIFIED BY '{password}'",
        "GRANT REPLICATION SLAVE ON *.* TO replicator",
        f"GRANT ALL ON app.* TO {USER}",
    )
    reader.wait_ready()
    host, port = writer.address
    reader.ask(
        f"CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, "
        f"MASTER_USER='replicator', MASTER_PASSWORD='{password}', "
        "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
        "START SLAVE",
    )
    pair = Pair(writer, reader, password)
    wait_until(
        lambda: reader.ask("SELECT @@global.gtid_slave_pos") != ("",),
        limit=20,
        what=lambda: f"the reader does not replicate: {pair.slave_error()}",
    )
    pair.catch_up()
    return pair
