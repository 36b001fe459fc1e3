"""What the dialects of every engine have in common: connections that find their node."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import event, exc, util
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session
from sqlalchemy.pool import AssertionPool, NullPool, StaticPool

from globaldb.config import configure
from globaldb.dbapi.cluster import shared
from globaldb.sqlalchemy.causality import Causality
from globaldb.sqlalchemy.options import NAMES, refuse_unknown, wanted
from globaldb.sqlalchemy.pool import RoutedPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL, Connection, Dialect, Engine
    from sqlalchemy.pool import Pool

    from globaldb.dbapi.cluster import Cluster

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_QUERY: Final = re.compile(r"\s*(?:SELECT|WITH|VALUES)\s", re.IGNORECASE)
_AS_IT_IS: Final[AbstractContextManager[Any]] = nullcontext()
#: Pools that keep no more than one connection.
_POOLS_OF_ONE = (NullPool, StaticPool, AssertionPool)


class RoutedDialect(DefaultDialect):
    """A dialect whose connections are routed; comes before the engine's own.

    Its name and driver stay what they are: SQLAlchemy, Alembic and applications decide
    by them.
    """

    supports_statement_cache = True

    #: ``engine``, as globaldb calls it.
    routed_engine: ClassVar[str]
    #: What ``connect`` takes as objects, of one connection rather than of its cluster.
    objects: ClassVar[frozenset[str]]
    #: Says of a text that it asks what tables there are, and how they are made.
    asks_for_schema: ClassVar[Any]

    #: The stock dialects for asyncio.
    for_asyncio: ClassVar[str]

    #: What ``create_engine`` was told of pools.
    limits: Mapping[str, Any] = _NOTHING
    #: The cluster connected to last, and what its configuration was made of.
    _cluster: tuple[Mapping[str, Any], Cluster] | None = None

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        """Return the pool for engines that name none."""
        del url
        return RoutedPool

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[Dialect]:
        """Raise `InvalidRequestError`: engines for asyncio are still to come."""
        raise exc.InvalidRequestError(
            f"{url.drivername} has no engine for asyncio yet. Use create_engine() with "
            "the same URL and call it in threads (asyncio.to_thread(), endpoints that "
            f"are plain functions); or {cls.for_asyncio} for what may go straight to "
            "one node"
        )

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Follow sessions of the ORM; warn of a pool above our pools."""
        if not event.contains(Session, "after_begin", _joined):
            event.listen(Session, "after_begin", _joined)
        if not isinstance(engine.pool, _POOLS_OF_ONE):
            util.warn(
                f"{type(engine.pool).__name__} keeps routed connections, and they "
                "hold connections to nodes only while they must: those are pooled "
                "already, per node. Leave out poolclass; pool_size and the like then "
                "apply to the pools of the nodes"
            )

    @classmethod
    def load_provisioning(cls) -> None:
        """Load what SQLAlchemy's own tests know of the engine."""
        own = "sqlalchemy.dialects."
        stock: Any = next(b for b in cls.__mro__ if b.__module__.startswith(own))
        stock.load_provisioning()

    def create_connect_args(self, url: URL) -> Any:
        """Return what `globaldb.connect` takes: every option of the URL is one."""
        options = url.translate_connect_args(username="user")
        options.update(url.query)
        return [], options

    def connect(self, *_: Any, **options: Any) -> Any:
        """Open a routed connection; see `globaldb.connect`."""
        objects = {name: options.pop(name) for name in self.objects & options.keys()}
        connection = self.cluster(options).connect(**objects)
        self.causality.learn(connection.session)
        return connection

    def initialize(self, connection: Connection) -> None:
        """Learn what kind of server it is, from the nearest."""
        routed: Any = connection.connection.dbapi_connection
        stock: Any = super()
        if routed.session.transaction.active:
            # Whoever made the connection has begun it, and has settings in it.
            stock.initialize(connection)
            return
        before = self.detect_autocommit_setting(routed)
        self.set_autocommit(routed, value=True)
        streams = connection.get_execution_options().get("stream_results")
        if streams or self.server_side_cursors:
            # Outside a transaction there are no server-side cursors.
            connection.execution_options(stream_results=False)
        try:
            with routed.using(consistency="eventual"):
                stock.initialize(connection)
        finally:
            self.set_autocommit(routed, value=before)

    def set_autocommit(self, connection: Any, *, value: bool) -> None:
        """Set whether each statement of *connection* is its own transaction."""
        raise NotImplementedError

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Return the level that connections have which ask for none.

        It is the engine's own, if it has one: SQLAlchemy compares them, and outside a
        transaction the server does not know of it.
        """
        own = self._on_connect_isolation_level
        if own is not None and own != "AUTOCOMMIT":
            return own
        stock: Any = super()
        return stock.get_default_isolation_level(dbapi_conn)

    def cluster(self, options: Mapping[str, Any]) -> Cluster:
        """Return the process's cluster of *options*."""
        known = self._cluster
        if known is not None and known[0] == options and not known[1].closed:
            return known[1]
        engine = {"engine": self.routed_engine}
        cluster = shared(configure(None, **{**engine, **self.limits, **options}))
        self._cluster = (dict(options), cluster)
        return cluster

    def drain(self) -> None:
        """Close the connections to nodes that nobody uses, and others at their return."""
        if self._cluster is not None:
            for node in self._cluster[1].runtime.nodes.values():
                node.pool.drain()

    @util.memoized_property
    def causality(self) -> Causality:
        """Return what its connections know of each other."""
        return Causality()

    # Transactions.

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin; other connections of this thread may have written meanwhile."""
        self.causality.learn(dbapi_connection.session)

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit."""
        stock: Any = super()
        stock.do_commit(dbapi_connection)
        self.causality.tell(dbapi_connection.session)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back."""
        stock: Any = super()
        stock.do_rollback(dbapi_connection)
        self.causality.tell(dbapi_connection.session)

    def do_close(self, dbapi_connection: Any) -> None:
        """Close the session; what it knows is handed on."""
        self.causality.tell(dbapi_connection.session)
        stock: Any = super()
        stock.do_close(dbapi_connection)

    def do_ping(self, dbapi_connection: Any) -> Any:
        """Say that the connection is good: a lost one below it is replaced.

        Raises what using a closed one does.
        """
        with dbapi_connection.story():
            dbapi_connection.session.refuse_closed()
        return True

    # Statements.

    def do_execute(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        """Execute with the options that the statement and its connection have."""
        stock: Any = super()
        using = self._using(cursor, statement, context, parameters)
        with using, self.causality.by_itself(cursor.connection.session):
            stock.do_execute(cursor, statement, parameters, context)

    def do_execute_no_params(
        self, cursor: Any, statement: Any, context: Any = None
    ) -> None:
        """Execute a text as it is."""
        stock: Any = super()
        using = self._using(cursor, statement, context)
        with using, self.causality.by_itself(cursor.connection.session):
            stock.do_execute_no_params(cursor, statement, context)

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        """Execute with many sets of parameters."""
        stock: Any = super()
        using = self._using(cursor, statement, context)
        with using, self.causality.by_itself(cursor.connection.session):
            stock.do_executemany(cursor, statement, parameters, context)

    def _using(
        self, cursor: Any, statement: str, context: Any, parameters: Any = ()
    ) -> AbstractContextManager[Any]:
        given = _NOTHING if context is None else context.execution_options
        options = _NOTHING if NAMES.isdisjoint(given) else wanted(given)
        if self.asks_for_schema(statement) and not _names_a_query(
            statement, parameters
        ):
            # Who asks is about to change it, or to build on it: no old answer will do.
            options = {"route": "writer", **options}
        if not options:
            return _AS_IT_IS
        using: AbstractContextManager[Any] = cursor.connection.using(**options)
        return using

    def set_connection_execution_options(
        self, connection: Connection, opts: Mapping[str, Any]
    ) -> None:
        """Take options for a connection; refuse those that begin as ours and are none."""
        refuse_unknown(opts)
        super().set_connection_execution_options(connection, opts)

    def set_engine_execution_options(
        self, engine: Engine, opts: Mapping[str, Any]
    ) -> None:
        """Take options for an engine; refuse those that begin as ours and are none."""
        refuse_unknown(opts)
        super().set_engine_execution_options(engine, opts)


def _names_a_query(statement: str, parameters: Any) -> bool:
    """Whether it is asked if a query is a table: pandas does, with what it is to read."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    names = [*statement.split("`")[1::2], *values]
    return any(isinstance(name, str) and _QUERY.match(name) for name in names)


def _joined(session: Session, _: Any, connection: Connection) -> None:
    """Let the connection of a session's new transaction know what the session knows."""
    dialect = connection.dialect
    if isinstance(dialect, RoutedDialect):
        routed: Any = connection.connection.dbapi_connection
        dialect.causality.join(routed.session, session.info)
