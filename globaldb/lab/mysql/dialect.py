"""How MySQL and MariaDB differ where the lab talks to them: one row for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Dialect:
    """The statements, columns and settings of one engine.

    *follow* is filled with `host`, `port`, `user` and `password`; *wait* with a
    position and seconds, and returns 0 when it was reached. *adopt* makes a writer's own
    log the place from where it goes on as a reader. *history* names every
    transaction a server has, *position* the newest of them. *read_only* are the
    variables that make a server a reader, the strictest last.
    """

    follow: str
    start: str
    stop: str
    stop_receiving: str
    reset: str
    adopt: tuple[str, ...]
    delay: str
    stop_applying: str
    start_applying: str
    status: str
    receiving: str
    applying: str
    received: str
    errors: tuple[str, str]
    position: str
    history: str
    wait: str
    read_only: tuple[str, ...]
    grants: tuple[str, ...]
    settings: Mapping[str, str]


#: What an application may do: all in databases of its own and see replication. With
#: ALL ON *.* it would write on a reader of MariaDB, unnoticed.
_APP_GRANTS: Final = (
    "GRANT ALL ON `app`.* TO app",
    "GRANT ALL ON `globaldb%`.* TO app",
    "GRANT ALL ON `test%`.* TO app",
)
_SETTINGS: Final = {
    "log-bin": "binlog",
    "relay-log": "relay",
    "max-connections": "400",
    # Faults break connections; a server would block the host that they come from.
    "max-connect-errors": "1000000000",
    "table-open-cache": "400",
    "table-definition-cache": "400",
    "max-allowed-packet": "64M",
    "innodb-buffer-pool-size": "32M",
    # Survives a killed server, if not a killed machine: 0 would lose rows.
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-use-native-aio": "0",
    "sync-binlog": "0",
    "local-infile": "1",
    "skip-name-resolve": "1",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    # Users that are no administrators write functions, which are replicated.
    "log-bin-trust-function-creators": "1",
    "event-scheduler": "OFF",
    # Every server starts as a reader; the lab opens the one that is the writer.
    "read-only": "1",
}

_MARIADB: Final = Dialect(
    follow=(
        "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, "
        "MASTER_USER='{user}', MASTER_PASSWORD='{password}', "
        "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
    ),
    start="START SLAVE",
    stop="STOP SLAVE",
    stop_receiving="STOP SLAVE IO_THREAD",
    reset="RESET SLAVE ALL",
    adopt=("SET GLOBAL gtid_slave_pos = @@global.gtid_binlog_pos",),
    delay="CHANGE MASTER TO MASTER_DELAY={seconds}",
    stop_applying="STOP SLAVE SQL_THREAD",
    start_applying="START SLAVE SQL_THREAD",
    status="SHOW SLAVE STATUS",
    receiving="Slave_IO_Running",
    applying="Slave_SQL_Running",
    received="Gtid_IO_Pos",
    errors=("Last_IO_Error", "Last_SQL_Error"),
    position="@@global.gtid_binlog_pos",
    history="@@global.gtid_binlog_state",
    wait="MASTER_GTID_WAIT('{position}', {seconds})",
    read_only=("read_only",),
    grants=(
        *_APP_GRANTS,
        "GRANT REPLICATION SLAVE ON *.* TO replicator",
        "GRANT SLAVE MONITOR, BINLOG MONITOR ON *.* TO app",
    ),
    settings={
        **_SETTINGS,
        "log-slave-updates": "1",
        "gtid-strict-mode": "1",
        "binlog-format": "MIXED",
        "slave-net-timeout": "3600",
        "performance-schema": "OFF",
        "innodb-data-file-path": "ibdata1:4M:autoextend",
        "innodb-log-file-size": "16M",
        "session-track-system-variables": ("last_gtid,autocommit,character_set_client"),
    },
)

_MYSQL: Final = Dialect(
    follow=(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port}, "
        "SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', "
        "SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=1000000, "
        "SOURCE_SSL=0, GET_SOURCE_PUBLIC_KEY=1"
    ),
    start="START REPLICA",
    stop="STOP REPLICA",
    stop_receiving="STOP REPLICA IO_THREAD",
    reset="RESET REPLICA ALL",
    adopt=(),
    delay="CHANGE REPLICATION SOURCE TO SOURCE_DELAY={seconds}",
    stop_applying="STOP REPLICA SQL_THREAD",
    start_applying="START REPLICA SQL_THREAD",
    status="SHOW REPLICA STATUS",
    receiving="Replica_IO_Running",
    applying="Replica_SQL_Running",
    received="Retrieved_Gtid_Set",
    errors=("Last_IO_Error", "Last_SQL_Error"),
    position="@@global.gtid_executed",
    history="@@global.gtid_executed",
    wait="WAIT_FOR_EXECUTED_GTID_SET('{position}', {seconds})",
    read_only=("read_only", "super_read_only"),
    grants=(
        *_APP_GRANTS,
        "GRANT REPLICATION SLAVE ON *.* TO replicator",
        "GRANT REPLICATION CLIENT ON *.* TO app",
        "GRANT SELECT ON performance_schema.* TO app",
    ),
    settings={
        **_SETTINGS,
        "super-read-only": "1",
        "gtid-mode": "ON",
        "enforce-gtid-consistency": "ON",
        "log-replica-updates": "1",
        "replica-net-timeout": "3600",
        "mysqlx": "OFF",
        # Links look into what they carry: `cut` finds a request by its text.
        "tls-version": "",
        "innodb-redo-log-capacity": "16M",
        # A third of the memory that it takes otherwise.
        "innodb-log-buffer-size": "4M",
        "innodb-ft-cache-size": "1600000",
        "innodb-page-cleaners": "1",
        "key-buffer-size": "64K",
        "table-open-cache-instances": "1",
        "session-track-gtids": "OWN_GTID",
        "performance-schema": "OFF",
    },
)

DIALECTS: Final[Mapping[str, Dialect]] = {"mariadb": _MARIADB, "mysql": _MYSQL}
