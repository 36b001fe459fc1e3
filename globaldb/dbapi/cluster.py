"""The cluster an application holds, and the ones that `connect` shares."""

from __future__ import annotations

import logging
import os
import threading
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

from globaldb.config import Config, configure
from globaldb.core.knowledge import Knowledge, Language
from globaldb.errors import ConfigurationError
from globaldb.runtime.cluster import ClusterRuntime

if TYPE_CHECKING:
    from globaldb.core.topology import Topology


logger = logging.getLogger("globaldb")


class Cluster:
    """Topology, pools and monitor of one database cluster.

    ``Cluster(url, **options)`` reads its configuration and opens nothing; the first
    `connect` does. Use it as a context manager, or `close` it.

    Raises `ConfigurationError` for options that make no sense, and when a package that
    they need is not installed. What may surprise in them is logged (``remark``).
    """

    def __init__(self, url: str | None = None, **options: Any) -> None:
        try:
            config = configure(url, **options)
        finally:
            # Whoever shows an error may show variables: none with a password in it.
            del url, options
        self._start(config)

    @classmethod
    def of(cls, config: Config) -> Cluster:
        """Make the cluster of a configuration that was already read."""
        cluster = cls.__new__(cls)
        cluster._start(config)  # noqa: SLF001 - it is one of these
        return cluster

    def _start(self, config: Config) -> None:
        self.config = config
        for note in config.notes:
            logger.warning("remark %s", note)
        _check_boto3(config)
        surface, driver, language = _engine(config)
        knowledge = Knowledge(
            language,
            read_functions=config.read_functions,
            write_functions=config.write_functions,
            obey_hints=config.hints,
            entries=config.query_cache_size,
        )
        self.runtime = ClusterRuntime(config, driver, knowledge)
        self._surface = surface(self.runtime)

    def connect(self, **driver: Any) -> Any:
        """Return a new connection.

        *driver* holds what the engine's own ``connect`` takes as objects; psycopg:
        *row_factory*, *cursor_factory* and *context*; PyMySQL: *cursorclass*, *conv*.

        Raises `NoNodeAvailableError` when no node answers within ``connect_timeout``
        seconds, `ConfigurationError` for a keyword that is not the driver's,
        and `InterfaceError` once the cluster was closed.
        """
        for name in driver.keys() - _OBJECTS[self.config.engine]:
            known = ", ".join(sorted(_OBJECTS[self.config.engine]))
            raise ConfigurationError(
                f"a connection to {self.config.engine} takes no {name}; it takes {known}"
            )
        try:
            self.runtime.ready(monotonic() + self.config.connect_timeout)
            return self._surface.connect(**driver)
        except Exception as error:
            self._surface.raise_translated(error)
            raise

    @property
    def topology(self) -> Topology:
        """What is believed about all nodes now."""
        return self.runtime.topology

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.runtime.closed

    def close(self) -> None:
        """Close every connection of the cluster, and end its threads."""
        self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self.runtime)


def _check_boto3(config: Config) -> None:
    option = "iam_auth" if config.iam_auth else "secret"
    if (config.iam_auth or config.secret) and find_spec("boto3") is None:
        raise ConfigurationError(
            f"{option} asks AWS through boto3, which is missing: "
            "pip install 'globaldb[aws]'"
        )


def _engine(config: Config) -> tuple[Any, Any, Language]:
    try:
        return _mysql(config) if config.engine == "mysql" else _postgresql()
    except ImportError as missing:
        raise ConfigurationError(
            f"the driver for {config.engine} cannot be imported ({missing}): "
            f"pip install 'globaldb[{config.engine}]'"
        ) from missing


def _postgresql() -> tuple[Any, Any, Language]:
    from globaldb.core.lexer.postgresql import tokenize
    from globaldb.core.postgresql.classify import classify
    from globaldb.core.postgresql.touched import touched
    from globaldb.dbapi.postgresql.surface import PostgresqlSurface
    from globaldb.drivers.psycopg.driver import PsycopgDriver

    return PostgresqlSurface, PsycopgDriver(), Language(classify, tokenize, touched)


def _mysql(config: Config) -> tuple[Any, Any, Language]:
    from globaldb.core.lexer.mysql import tokenize
    from globaldb.core.mysql.classify import classify
    from globaldb.core.mysql.idiom import MysqlIdiom
    from globaldb.dbapi.mysql.surface import MysqlSurface
    from globaldb.drivers.pymysql.driver import PymysqlDriver

    charset = config.driver_options.get("charset")
    idiom = MysqlIdiom(config.database, None if charset is None else str(charset))
    language = Language(classify, tokenize, idiom=idiom)
    return MysqlSurface, PymysqlDriver(config), language


#: What a driver's ``connect`` takes as objects: about a connection, not its cluster.
_OBJECTS: Final = {
    "postgresql": frozenset(("row_factory", "cursor_factory", "context")),
    "mysql": frozenset(("cursorclass", "conv")),
}

_shared: dict[Config, Cluster] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    # The thread that held the lock may not exist in this process.
    global _lock  # noqa: PLW0603 - a lock cannot be taken over, only replaced
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def shared(config: Config) -> Cluster:
    """Return the process's cluster of *config*; made when first asked for."""
    with _lock:
        cluster = _shared.get(config)
        if cluster is None or cluster.closed:
            cluster = _shared[config] = Cluster.of(config)
        return cluster


def connect(url: str | None = None, **options: Any) -> Any:
    """Open a connection; one shared cluster per configuration and process.

    *url* and *options* are described in docs/configuration.md. Raises as `Cluster` and
    its `connect` do.
    """
    driver = {
        name: options.pop(name)
        for names in _OBJECTS.values()
        for name in names & options.keys()
    }
    try:
        config = configure(url, **options)
    finally:
        # Whoever shows an error may show variables: none with a password in it.
        del url, options
    return shared(config).connect(**driver)
