"""What SQLAlchemy and its users take for granted of a dialect, beyond its routes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy_shop
from sqlalchemy import Engine, create_engine, event, exc, inspect, make_url, text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy_shop import COUNT, once, routed

from globaldb.core.topology import Role
from globaldb.lab import Lab

# Fixtures.
engines, shop = sqlalchemy_shop.engines, sqlalchemy_shop.shop

mysql_kind = pytest.mark.parametrize(
    "engine", ["mariadb"], indirect=True, scope="session"
)


@mysql_kind
def test_a_closed_connection_is_told_from_its_error_alone(shop: Engine) -> None:
    # SQLAlchemy's recipe for repeating asks with a connection of SQLAlchemy's own.
    with shop.connect() as connection:
        routed(connection).close()
        with pytest.raises(exc.DBAPIError) as failed:
            connection.execute(COUNT)
        assert failed.value.connection_invalidated
        connection.rollback()

        raw = failed.value.orig
        assert isinstance(raw, shop.dialect.loaded_dbapi.Error)
        assert shop.dialect.is_disconnect(raw, connection, None)  # type: ignore[arg-type]
        assert shop.dialect.is_disconnect(raw, None, None)
        with pytest.raises(exc.DBAPIError) as failed:
            connection.execute(text("SELECT nothing"))
        assert not failed.value.connection_invalidated


@once
def test_who_looks_for_prepared_transactions_finds_those_of_the_writer(
    shop: Engine,
) -> None:
    with shop.connect() as connection:
        connection.begin_twophase("left-in-doubt")
        connection.execute(text("UPDATE sa_carts SET label = 'other' WHERE id = 2"))
        connection.get_transaction().prepare()  # type: ignore[union-attr]
        with shop.connect() as another:
            # By a SELECT, as drivers without recovery of their own do.
            found = PGDialect.do_recover_twophase(shop.dialect, another)  # type: ignore[arg-type]
        connection.get_transaction().rollback()  # type: ignore[union-attr]

    assert "left-in-doubt" in found


def test_a_query_that_is_taken_for_a_table_s_name_stays_at_the_reader(
    shop: Engine,
) -> None:
    """``pandas.read_sql()`` asks whether there is such a table before it runs it."""
    query = "SELECT count(*) FROM sa_carts"
    with shop.connect() as connection:
        assert not inspect(connection).has_table(query)
        connection.execute(text(query))
        assert routed(connection).last_route.role is Role.READER
        connection.rollback()
        assert inspect(connection).has_table("sa_carts")
        assert routed(connection).last_route.role is Role.WRITER


@once
def test_a_closed_connection_is_not_good(shop: Engine) -> None:
    with shop.connect() as connection:
        good = routed(connection)
        assert shop.dialect.do_ping(good)
        good.close()
        with pytest.raises(shop.dialect.loaded_dbapi.Error):
            shop.dialect.do_ping(good)


def test_a_transaction_in_which_a_connection_was_handed_over_stays_as_it_is(
    shop: Engine,
) -> None:
    """A ``do_connect`` that sets something, and commits nothing, leaves one open."""
    engine = create_engine(shop.url, connect_args={"probe_interval": 60})

    def prepared(dialect: Any, _r: Any, args: Any, given: Any) -> Any:
        made = dialect.connect(*args, **given)
        made.cursor().execute("INSERT INTO sa_carts VALUES (3, 'unfinished')")
        return made

    event.listen(engine, "do_connect", prepared, once=True)
    with engine.connect() as connection:
        assert engine.dialect.server_version_info == shop.dialect.server_version_info
        assert connection.execute(COUNT).scalar_one() == 2


@once
def test_a_new_engine_is_given_the_application_s_options_alone(
    shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(shop.url, connect_args={"probe_interval": 60})
    given: list[Any] = []
    name = "set_connection_execution_options"
    monkeypatch.setattr(engine.dialect, name, lambda _, opts: given.append(opts))
    with engine.connect().execution_options(stream_results=True):
        assert given == [{"stream_results": True}]


@once
def test_a_database_that_was_dropped_is_said_to_be_gone_and_no_failover_awaited(
    engine_lab: Lab,
) -> None:
    at = engine_lab.writer()
    own = engine_lab.options(at.region, at.name, superuser=True)
    with psycopg.connect(**own, autocommit=True) as server:
        server.execute("CREATE DATABASE sa_dropped OWNER app")
        url = make_url(sqlalchemy_shop.url_of(engine_lab)).set(database="sa_dropped")
        engine = create_engine(url, connect_args={"probe_interval": 60})
        write = text("CREATE TABLE IF NOT EXISTS kept (n int)")
        with engine.begin() as connection:
            connection.execute(write)
        engine.dispose()
        server.execute("DROP DATABASE sa_dropped WITH (FORCE)")

    with (
        engine.connect() as connection,
        pytest.raises(exc.OperationalError, match="lets this application in") as failed,
    ):
        connection.execute(write)
    assert not failed.value.orig.retryable  # type: ignore[union-attr]


def test_modules_of_the_drivers_are_found_by_their_full_names() -> None:
    """SQLAlchemy, and those who write ``except``, import them so."""
    errors = import_module("globaldb.postgresql.errors")
    err = import_module("globaldb.mysql.err")

    assert errors.UniqueViolation is psycopg.errors.UniqueViolation
    assert err.IntegrityError is pymysql.err.IntegrityError
