"""Execution options of SQLAlchemy: each takes effect, wherever it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from typing import Any

import pytest
import sqlalchemy
import sqlalchemy_shop
from sqlalchemy import Engine, create_engine, exc, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy_shop import COUNT, once, routed

import globaldb
from globaldb.core.topology import Role
from globaldb.lab import Lab
from globaldb.sqlalchemy import reader, writer

# Fixtures.
engines, shop = sqlalchemy_shop.engines, sqlalchemy_shop.shop

Options = Mapping[str, Any]
#: Executes a statement; and the routed connection that it went over.
Place = tuple[Callable[[Any], Any], Callable[[], Any]]
Level = Callable[[Engine, Options], AbstractContextManager[Place]]


@contextmanager
def statement(engine: Engine, given: Options) -> Iterator[Place]:
    with engine.connect() as connection:
        yield (
            lambda each: connection.execute(each.execution_options(**given)),
            lambda: routed(connection),
        )


@contextmanager
def call(engine: Engine, given: Options) -> Iterator[Place]:
    with engine.connect() as connection:
        yield (
            lambda each: connection.execute(each, execution_options=given),
            lambda: routed(connection),
        )


@contextmanager
def connection(engine: Engine, given: Options) -> Iterator[Place]:
    with engine.connect().execution_options(**given) as each:
        yield each.execute, lambda: routed(each)


@contextmanager
def engine_of_options(engine: Engine, given: Options) -> Iterator[Place]:
    with connection(engine.execution_options(**given), {}) as place:
        yield place


@contextmanager
def new_engine(engine: Engine, given: Options) -> Iterator[Place]:
    made = create_engine(
        engine.url, connect_args={"probe_interval": 60}, execution_options=given
    )
    # What it learns of its server it has read somewhere, which nobody goes back behind.
    Context().run(lambda: made.connect().close())
    with connection(made, {}) as place:
        yield place


@contextmanager
def in_session(session: Any, **arguments: Any) -> Iterator[Place]:
    try:
        yield (
            lambda each: session.execute(each, **arguments),
            lambda: routed(session.connection()),
        )
    finally:
        session.close()


def session_call(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    return in_session(Session(engine), execution_options=given)


def session_connection(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    session = Session(engine)
    session.connection(execution_options=given)
    return in_session(session)


def session_of_engine(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    return in_session(Session(engine.execution_options(**given)))


def new_session(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    return in_session(Session(engine, execution_options=given))


def maker(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    return in_session(sessionmaker(engine, execution_options=given)())


def scope(engine: Engine, given: Options) -> AbstractContextManager[Place]:
    return in_session(scoped_session(sessionmaker(engine, execution_options=given)))


LEVELS: list[Level] = [
    *(statement, call, connection, engine_of_options, new_engine),
    *(session_call, session_connection, session_of_engine),
]
if not sqlalchemy.__version__.startswith("2.0."):
    # Sessions have options of their own since 2.1.
    LEVELS += [new_session, maker, scope]


def route(engine: Engine, level: Level, given: Options) -> Any:
    """Where a read goes for one who knows of nothing yet."""

    def run() -> Any:
        with level(engine, given) as (execute, over):
            execute(COUNT)
            return over().last_route

    return Context().run(run)


def everywhere(engine: Engine, name: str, **given: Any) -> dict[str, Any]:
    """What the route says under *name* for the options given at each level."""
    return {
        level.__name__: getattr(route(engine, level, given), name) for level in LEVELS
    }


def refusals(engine: Engine, sql: str, **given: Any) -> dict[str, Any]:
    """What *sql* raises with the options given at each level."""
    found = {}
    for level in LEVELS:
        with level(engine, given) as (execute, _):
            with pytest.raises(exc.DBAPIError) as caught:
                execute(text(sql))
        found[level.__name__] = caught.value.orig
    return found


def same(value: Any) -> dict[str, Any]:
    """That, at each level."""
    return {level.__name__: value for level in LEVELS}


@once
def test_a_route_takes_effect_wherever_it_is_given(shop: Engine) -> None:
    assert everywhere(shop, "role") == same(Role.READER)
    assert everywhere(shop, "role", globaldb_route="writer") == same(Role.WRITER)


@once
def test_a_region_takes_effect_wherever_it_is_given(shop: Engine) -> None:
    other = "ap-southeast-2"
    assert everywhere(shop, "region", globaldb_region=other) == same(other)


@once
def test_a_bound_on_staleness_takes_effect_wherever_it_is_given(shop: Engine) -> None:
    eventual = {"globaldb_consistency": "eventual"}
    assert everywhere(shop, "role", **eventual) == same(Role.READER)
    bounded = {**eventual, "globaldb_max_staleness": 0.001}
    assert everywhere(shop, "role", **bounded) == same(Role.WRITER)


@once
def test_a_consistency_takes_effect_wherever_it_is_given(shop: Engine) -> None:
    found = refusals(shop, "DELETE FROM sa_lines", globaldb_consistency=None)
    refused = {at: isinstance(e, globaldb.ReadOnlyError) for at, e in found.items()}
    assert refused == same(value=True)


@once
def test_a_deadline_takes_effect_wherever_it_is_given(shop: Engine) -> None:
    found = refusals(shop, "SELECT pg_sleep(60)", globaldb_timeout="200ms")
    passed = {
        at: isinstance(e, globaldb.DeadlineExceededError) for at, e in found.items()
    }
    assert passed == same(value=True)


def role(
    engine: Engine,
    *connection: Any,
    statement: Any = COUNT,
    **options: Any,
) -> str:
    """Where a statement runs on a new connection that knows of nothing yet."""

    def run() -> str:
        with engine.connect() as each:
            for option in connection:
                option(each)
            each.execute(statement, execution_options=options)
            return str(routed(each).last_route.role.value)

    return Context().run(run)


def test_an_option_holds_for_a_statement_a_connection_and_an_engine(
    shop: Engine,
) -> None:
    assert role(shop) == "reader"
    assert role(shop, statement=writer(COUNT)) == "writer"
    assert role(shop, writer) == "writer"
    assert role(shop, writer, globaldb_route="reader") == "reader"
    assert role(writer(shop)) == "writer"
    assert role(writer(shop), reader) == "reader"
    assert role(shop) == "reader"


@once
def test_what_postgresql_calls_readonly_stays_local_and_refuses_writes(
    shop: Engine,
) -> None:
    readonly = shop.execution_options(postgresql_readonly=True)
    assert role(readonly) == "reader"
    with readonly.connect() as connection:
        with pytest.raises(exc.DBAPIError, match="read-only"):
            connection.execute(text("DELETE FROM sa_lines"))


@once
def test_every_option_arrives(shop: Engine) -> None:
    given = {
        "globaldb_consistency": "eventual",
        "globaldb_region": "ap-southeast-2",
        "globaldb_max_staleness": "1h",
        "globaldb_timeout": "20s",
        "globaldb_transaction_reads": "local",
    }
    with shop.connect().execution_options(**given) as connection:
        connection.execute(COUNT)
        assert routed(connection).last_route.region == "ap-southeast-2"
        with pytest.raises(exc.ProgrammingError, match="route is 'nowhere'"):
            connection.execute(COUNT.execution_options(globaldb_route="nowhere"))


def test_a_deadline_is_kept(engine_lab: Lab, shop: Engine) -> None:
    sleep = "pg_sleep" if engine_lab.spec.engine == "postgresql" else "sleep"
    with shop.connect() as connection:
        with pytest.raises(exc.DBAPIError) as caught:
            connection.execute(
                text(f"SELECT {sleep}(60)"), execution_options={"globaldb_timeout": 0.3}
            )
    assert isinstance(caught.value.orig, globaldb.DeadlineExceededError)


@once
def test_an_option_that_there_is_not_is_refused(shop: Engine) -> None:
    with pytest.raises(exc.ArgumentError, match="did you mean 'globaldb_route'"):
        shop.execution_options(globaldb_rute="writer")
    with shop.connect() as connection:
        with pytest.raises(exc.ArgumentError, match="globaldb_consistency"):
            connection.execution_options(globaldb_consistence="global")
