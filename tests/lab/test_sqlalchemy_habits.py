"""What applications do with SQLAlchemy besides: as with its own dialects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import sqlalchemy_shop
from promises import until
from psycopg.adapt import Loader
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    StaticPool,
    String,
    Table,
    Text,
    create_engine,
    event,
    exc,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy_shop import COUNT, FAR, Cart, once, routed

import globaldb
from benchmarks.meter import Meter
from globaldb.core.topology import Role
from globaldb.lab import Lab

# Fixtures.
engines, shop = sqlalchemy_shop.engines, sqlalchemy_shop.shop
QUIET = {"probe_interval": 60}

mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True, scope="session")


class Version(type("Versions", (DeclarativeBase,), {})):  # type: ignore[misc]
    __table__ = Cart.__table__
    __mapper_args__: ClassVar = {"version_id_col": Cart.__table__.c.label}


def changed_by_another(engine: Engine) -> None:
    with Session(engine) as other:
        other.execute(update(Cart).where(Cart.id == 1).values(label="theirs"))
        other.commit()


def role(connection: Any) -> Role:
    found: Role = routed(connection).last_route.role
    return found


@once
def test_what_was_just_committed_is_loaded_again_as_it_is(
    engine_lab: Lab, shop: Engine
) -> None:
    engine_lab.lag(FAR, 0.5)
    meter = Meter(engine_lab, FAR)
    with Session(shop) as session:
        cart = session.get_one(Cart, 1)
        cart.label = "mine"
        session.commit()
        labels: list[str] = []
        trips = meter.count(lambda: labels.append(cart.label))
    assert labels == ["mine"]
    assert trips.wide <= 1


@once
def test_a_row_that_another_has_changed_is_stale(shop: Engine) -> None:
    with Session(shop, autoflush=False) as one:
        one.connection(execution_options={"globaldb_transaction_reads": "local"})
        mine = one.get_one(Version, 1)
        changed_by_another(shop)
        one.delete(mine)
        with pytest.raises(StaleDataError):
            one.flush()


@once
def test_a_row_that_another_has_changed_is_refused_when_it_is_to_be_locked(
    shop: Engine,
) -> None:
    with Session(shop) as one:
        # No other transaction begins like this: none has taught it to be at the writer.
        one.scalars(select(Version).where(Version.id == 1, Version.id > 0)).one()
        changed_by_another(shop)
        with pytest.raises(OperationalError) as refused:
            one.get_one(Version, 1, with_for_update={"read": True})
    assert refused.value.orig.retryable  # type: ignore[union-attr]


@once
@pytest.mark.parametrize("pool", [None, NullPool, StaticPool])
def test_an_engine_takes_connections_that_somebody_else_makes(
    shop: Engine, engine_lab: Lab, pool: Any
) -> None:
    url = engine_lab.url(FAR)
    made = create_engine(
        "postgresql+globaldb://",
        creator=lambda: globaldb.connect(url, **QUIET),
        **({} if pool is None else {"poolclass": pool}),
    )
    with made.begin() as connection:
        connection.execute(insert(Cart).values(id=3, label="made"))
        assert role(connection) is Role.WRITER
    with made.connect() as connection:
        assert connection.execute(COUNT).scalar_one() == 3
    made.dispose()


@once
def test_a_raw_connection_that_is_given_back_is_rolled_back(shop: Engine) -> None:
    raw = shop.raw_connection()
    raw.cursor().execute("INSERT INTO sa_carts VALUES (3, 'raw')")
    raw.close()
    with shop.connect() as connection:
        assert connection.execute(COUNT).scalar_one() == 2


@contextmanager
def rewriting(engine: Engine, old: str, new: str) -> Iterator[None]:
    def rewrite(_c: Any, _k: Any, sql: str, given: Any, _x: Any, _m: Any) -> Any:
        return sql.replace(old, new), given

    event.listen(engine, "before_cursor_execute", rewrite, retval=True)
    yield
    event.remove(engine, "before_cursor_execute", rewrite)


def test_a_statement_goes_where_the_text_that_is_sent_belongs(shop: Engine) -> None:
    with rewriting(shop, "SELECT 1", "DELETE FROM sa_lines"):
        with shop.begin() as connection:
            connection.execute(text("SELECT 1"))
            assert role(connection) is Role.WRITER


@once
def test_what_is_set_on_connect_holds_at_every_node(shop: Engine) -> None:
    class Marked(Loader):
        def load(self, data: Any) -> str:
            return f"<{bytes(data).decode()}>"

    def prepare(raw: Any, _record: Any) -> None:
        raw.adapters.register_loader("uuid", Marked)
        raw.execute("SET SESSION statement_timeout = '7s'")
        raw.commit()

    made = create_engine(shop.url, connect_args=QUIET)
    event.listen(made, "connect", prepare)
    id_ = "00000000-0000-0000-0000-000000000001"
    for route in ("reader", "writer"):
        with made.connect().execution_options(globaldb_route=route) as connection:
            asked = text(f"SELECT '{id_}'::uuid FROM sa_carts WHERE id = 1")
            assert connection.scalar(asked) == f"<{id_}>"
            assert role(connection).value == route
            assert connection.scalar(text("SHOW statement_timeout")) == "7s"


@once
def test_types_of_postgresql_come_alike_from_every_node(shop: Engine) -> None:
    kinds = Table(
        "sa_kinds",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("tags", postgresql.ARRAY(Text)),
        Column("doc", postgresql.JSONB),
        Column("span", postgresql.INT4RANGE),
        Column("mood", postgresql.ENUM("good", "bad", name="sa_mood")),
        Column("at", postgresql.INET),
    )
    kinds.drop(shop, checkfirst=True)
    kinds.create(shop)
    row = {
        "id": 1,
        "tags": ["a", '"b"'],
        "doc": {"n": [1, None]},
        "mood": "bad",
        "span": postgresql.Range(1, 5),
        "at": "10.0.0.1",
    }
    found: dict[Role, Any] = {}
    with shop.begin() as connection:
        connection.execute(insert(kinds), row)
        found[role(connection)] = connection.execute(select(kinds)).one()

    def read_at_a_reader() -> bool:
        with shop.connect() as connection:
            rows = connection.execute(select(kinds)).one()
            found[role(connection)] = rows
        return Role.READER in found

    until(read_at_a_reader)
    kinds.drop(shop)
    assert found[Role.READER] == found[Role.WRITER]
    assert found[Role.READER].doc == row["doc"]


@once
def test_keys_that_the_server_makes_come_in_the_order_of_the_rows(shop: Engine) -> None:
    table = Table(
        "sa_many",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("n", Text),
    )
    table.drop(shop, checkfirst=True)
    table.create(shop)
    names = [f"row {n}" for n in range(2500)]
    with shop.begin() as connection:
        made = connection.execute(
            insert(table).returning(table.c.n, sort_by_parameter_order=True),
            [{"n": name} for name in names],
        )
        assert made.scalars().all() == names
        assert connection.scalar(select(func.count(table.c.id))) == len(names)
    table.drop(shop)


@mariadb
def test_mysqls_numbers_are_those_of_its_own_dialect(shop: Engine) -> None:
    table = Table(
        "sa_numbers",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("name", String(20), unique=True),
        Column("n", Integer),
    )
    table.drop(shop, checkfirst=True)
    table.create(shop)
    put = mysql.insert(table)
    put = put.on_duplicate_key_update(n=put.inserted.n)
    with shop.begin() as connection:
        first = connection.execute(table.insert().values(name="a", n=1))
        counts = [
            connection.execute(put, {"name": name, "n": n}).rowcount
            for name, n in (("b", 1), ("b", 2), ("b", 2))
        ]
        same = connection.execute(update(table).values(n=2))
    with shop.connect() as connection:
        connection.execute(table.insert().values(name="c", n=3))
        connection.commit()
        last = connection.scalar(text("SELECT LAST_INSERT_ID()"))
        assert last == connection.scalar(select(func.max(table.c.id)))
    table.drop(shop)
    assert first.inserted_primary_key == (1,)
    # Inserted, changed, found as it is; and rows are counted that are found.
    assert counts == [1, 2, 1]
    assert same.rowcount == 2


def test_a_comment_or_a_percent_sign_changes_nothing(shop: Engine) -> None:
    with shop.connect() as connection:
        asked = text(
            "/* where? */ WITH a AS (SELECT '100%' AS n) SELECT n FROM a -- no"
        )
        assert connection.execute(asked).scalar_one() == "100%"
        assert role(connection) is Role.READER
        assert connection.scalar(select(literal("%s"))) == "%s"


def test_two_phases_end_at_the_writer(shop: Engine) -> None:
    with shop.connect() as connection:
        with connection.begin_twophase() as both:
            connection.execute(insert(Cart).values(id=3, label="two"))
            both.prepare()
        assert connection.execute(COUNT).scalar_one() == 3


def test_a_savepoint_takes_back_what_is_behind_it(shop: Engine) -> None:
    with Session(shop) as session:
        session.add(Cart(id=3, label="kept"))
        savepoint = session.begin_nested()
        session.add(Cart(id=1, label="there is one"))
        with pytest.raises(exc.IntegrityError):
            session.flush()
        savepoint.rollback()
        session.commit()
        assert session.scalar(COUNT) == 3
