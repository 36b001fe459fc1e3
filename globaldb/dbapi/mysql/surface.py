"""What a cluster needs of its engine to hand out connections."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from globaldb.dbapi.mysql.connection import Connection
from globaldb.dbapi.mysql.snapshot import Snapshot
from globaldb.dbapi.mysql.texts import Templates
from globaldb.drivers.pymysql.translate import translate

if TYPE_CHECKING:
    from globaldb.runtime.cluster import ClusterRuntime

#: PyMySQL's options that a connection without a socket has a use for.
_OPTIONS: Final = (
    "charset",
    "client_flag",
    "collation",
    "init_command",
    "local_infile",
    "max_allowed_packet",
    "program_name",
    "sql_mode",
    "use_unicode",
)


class Habits:
    """What the application was seen to rely on, for all of its sessions."""

    #: It asks, outside transactions, for what only one connection knows.
    same_connection = False


class Common:
    """What all connections of one cluster share."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self.cluster = cluster
        self.snapshot = Snapshot(cluster)
        self.habits = Habits()
        self.templates = Templates()

    @cached_property
    def options(self) -> dict[str, Any]:
        """PyMySQL's options, as far as they concern more than the way to a node."""
        config = self.cluster.config
        first = next(iter(self.cluster.nodes.values())).address
        place: dict[str, Any] = {"host": first.host, "port": first.port}
        if first.is_socket:
            place = {"unix_socket": first.host}
        who = {"user": config.user, "database": config.database}
        driver = config.driver_options
        given = {name: driver[name] for name in _OPTIONS if name in driver}
        return {**given, **place, **who}


class MysqlSurface:
    """The connections of one MySQL or MariaDB cluster."""

    def __init__(self, cluster: ClusterRuntime) -> None:
        self._common = Common(cluster)

    def connect(
        self, *, cursorclass: Any = None, conv: dict[Any, Any] | None = None
    ) -> Connection:
        """Return a new connection, with PyMySQL's options for it."""
        return Connection(self._common, cursorclass=cursorclass, conv=conv)

    def raise_translated(self, error: Exception) -> None:
        """Raise *error* as both trees' where there is no connection to raise it."""
        both = translate(error, None)
        if both is not error:
            raise both from error
