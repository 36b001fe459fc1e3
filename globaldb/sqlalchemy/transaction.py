"""A function run as a transaction of SQLAlchemy, again when that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, UnboundExecutionError
from sqlalchemy.orm import scoped_session

from globaldb.dbapi.repeat import repeated

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")


def run_transaction(
    source: Engine | sessionmaker[Any] | scoped_session[Any],
    function: Callable[[Any], T],
    *,
    retries: int = 5,
    timeout: float | str | None = None,
) -> T:
    """Run *function* as one transaction, commit, and return its value.

    It gets a new `Session` of *source* each time, or a `Connection` of an engine, in a
    transaction. After an error that may be repeated (a serialization failure, a
    deadlock, a connection lost before anything was committed, a failover) it is rolled
    back and called again, as `globaldb.run_transaction` says.

    Objects of the session are read before it ends, or detached: return values, ids.
    A `scoped_session` lends what it makes sessions with: its own is left alone.

    Raises `ArgumentError` for a *source* that is not bound to one engine.
    """
    if isinstance(source, Engine):
        return _repeat(source, _transaction, function, retries, timeout)
    sessions = source.session_factory if isinstance(source, scoped_session) else source
    try:
        with sessions() as session:
            # Where its statements go; the connection below serves every attempt.
            engine = session.get_bind()
    except UnboundExecutionError as error:
        raise ArgumentError(
            "run_transaction repeats a transaction of one database, and these sessions "
            "are bound to none, or to one for each table: give sessionmaker(engine)"
        ) from error

    def in_session(connection: Connection, work: Callable[[Session], T]) -> T:
        with sessions(bind=connection) as each, each.begin():
            return work(each)

    return _repeat(engine, in_session, function, retries, timeout)


def _transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    with connection.begin():
        return work(connection)


def _repeat(
    engine: Engine,
    within: Callable[[Connection, Callable[[Any], T]], T],
    work: Callable[[Any], T],
    retries: int,
    timeout: float | str | None,
) -> T:
    with engine.connect() as connection:
        routed = connection.connection.dbapi_connection
        return repeated(
            routed, lambda: within(connection, work), retries=retries, timeout=timeout
        )
