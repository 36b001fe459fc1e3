"""SQLAlchemy's dialects: a program written for one server, on a database in regions."""

from __future__ import annotations

import threading
from contextvars import Context

import pytest
import sqlalchemy_shop
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    QueuePool,
    create_engine,
    exc,
    insert,
    select,
    text,
)
from sqlalchemy.orm import Session, scoped_session, selectinload, sessionmaker
from sqlalchemy_shop import (
    COUNT,
    FAR,
    Cart,
    at_the_reader,
    engine_of,
    once,
    routed,
    url_of,
)

import globaldb
from benchmarks.meter import Meter
from globaldb.lab import Lab
from globaldb.sqlalchemy import run_transaction, writer

# Fixtures.
engines, shop = sqlalchemy_shop.engines, sqlalchemy_shop.shop


def view(engine: Engine) -> list[str]:
    """What a page that only reads does."""
    with Session(engine) as session:
        carts = session.scalars(
            select(Cart).order_by(Cart.id).options(selectinload(Cart.lines))
        ).all()
        return [line.what for cart in carts for line in cart.lines]


def save(engine: Engine) -> None:
    """What a page that saves a form does."""
    with Session(engine) as session:
        cart = session.get_one(Cart, 1)
        cart.label += "!"
        session.commit()


def test_a_request_that_only_reads_stays_in_its_region(
    engine_lab: Lab, shop: Engine
) -> None:
    meter = Meter(engine_lab, FAR)
    view(shop)

    costs = [meter.count(lambda: view(shop)).wide for _ in range(5)]

    assert costs == [0] * 5


def test_a_request_that_saves_makes_at_most_three_trips(
    engine_lab: Lab, shop: Engine
) -> None:
    meter = Meter(engine_lab, FAR)
    save(shop)

    costs = []
    for _ in range(5):
        at_the_reader(shop)
        costs.append(meter.count(lambda: save(shop)).wide)

    assert max(costs) <= 3, costs


def test_who_has_read_at_the_writer_comes_back_to_the_reader(shop: Engine) -> None:
    with Session(writer(shop)) as session:
        session.scalars(select(Cart)).all()

    at_the_reader(shop)


def test_another_engine_begins_without_a_trip(engine_lab: Lab, shop: Engine) -> None:
    meter = Meter(engine_lab, FAR)
    engine = create_engine(shop.url, connect_args={"probe_interval": 60})

    assert meter.count(lambda: view(engine)).wide == 0


def test_the_next_transaction_of_a_thread_sees_the_one_before(
    engine_lab: Lab, shop: Engine
) -> None:
    engine_lab.lag(FAR, 0.5)
    for number in (3, 4, 5):
        with Session(shop) as session:
            session.add(Cart(id=number, label="new"))
            session.commit()
        with Session(shop) as session:
            assert session.get(Cart, number) is not None


@once
def test_a_connection_open_meanwhile_sees_it_too(engine_lab: Lab, shop: Engine) -> None:
    engine_lab.lag(FAR, 0.5)
    with Session(shop) as other:
        assert len(other.scalars(select(Cart)).all()) == 2
        other.rollback()
        with Session(shop) as session:
            session.add(Cart(id=3, label="new"))
            session.commit()
        assert len(other.scalars(select(Cart)).all()) == 3


@once
def test_connections_that_commit_each_statement_know_of_each_other_at_once(
    engine_lab: Lab, shop: Engine
) -> None:
    engine_lab.lag(FAR, 0.5)
    alone = shop.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as kept, alone.connect() as other:
        assert other.scalar(COUNT) == 2
        kept.execute(insert(Cart).values(id=3, label="third"))
        assert other.scalar(COUNT) == 3
        with shop.begin() as transaction:
            assert transaction.scalar(COUNT) == 3
            transaction.execute(insert(Cart).values(id=4, label="fourth"))
        assert kept.scalar(COUNT) == 4


@once
def test_a_session_goes_on_in_another_thread_and_sees_its_own(
    engine_lab: Lab, shop: Engine
) -> None:
    engine_lab.lag(FAR, 0.5)
    with Session(shop) as session:
        cart = Cart(id=3, label="new")
        session.add(cart)
        Context().run(session.commit)
        assert Context().run(lambda: cart.label) == "new"


@once
def test_what_one_thread_wrote_keeps_no_other_from_its_reader(
    engine_lab: Lab, shop: Engine
) -> None:
    engine_lab.lag(FAR, 0.5)
    with Session(shop) as session:
        session.add(Cart(id=3, label="new"))
        session.commit()
    meter = Meter(engine_lab, FAR)
    costs = []
    thread = threading.Thread(
        target=lambda: costs.append(meter.count(lambda: view(shop)))
    )
    thread.start()
    thread.join()
    assert [cost.wide for cost in costs] == [0]


def test_a_new_engine_streams_on_its_very_first_connection(shop: Engine) -> None:
    with pytest.warns(exc.SADeprecationWarning, match="server_side_cursors"):
        engine = create_engine(
            shop.url, connect_args={"probe_interval": 60}, server_side_cursors=True
        )
    with engine.connect() as connection:
        result = connection.execute(select(Cart.label).order_by(Cart.id))
        assert result.context._is_server_side
        assert result.scalars().all() == ["first", "second"]


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_engine_knows_the_isolation_level_that_is_its_own(
    shop: Engine, level: str
) -> None:
    engine = create_engine(
        shop.url, connect_args={"probe_interval": 60}, isolation_level=level
    )
    with engine.connect() as connection:
        assert connection.default_isolation_level == level
        assert connection.get_isolation_level() == level
    with engine.connect() as connection:
        connection.execution_options(isolation_level="READ UNCOMMITTED")
        assert connection.get_isolation_level() == "READ UNCOMMITTED"
    with engine.connect() as connection:
        assert connection.get_isolation_level() == level


def test_an_engine_that_names_no_isolation_level_has_the_servers(shop: Engine) -> None:
    usual = {"postgresql": "READ COMMITTED"}.get(shop.name, "REPEATABLE READ")
    for level in (None, "AUTOCOMMIT"):
        named = {} if level is None else {"isolation_level": level}
        engine = create_engine(shop.url, connect_args={"probe_interval": 60}, **named)
        with engine.connect() as connection:
            assert connection.default_isolation_level == usual


@once
def test_an_engine_for_asyncio_says_what_to_use_meanwhile(shop: Engine) -> None:
    with pytest.raises(exc.InvalidRequestError, match="has no engine for asyncio yet"):
        # What create_async_engine() does, which cannot be imported without greenlet.
        create_engine(shop.url, _is_async=True)


def test_rows_are_streamed(engine_lab: Lab, shop: Engine) -> None:
    with Session(shop) as session:
        session.execute(
            insert(Cart), [{"id": n, "label": "many"} for n in range(3, 53)]
        )
        session.commit()
    with shop.connect().execution_options(yield_per=10) as connection:
        result = connection.execute(select(Cart.label))
        assert result.context._is_server_side
        assert [len(part) for part in result.partitions()] == [10, 10, 10, 10, 10, 2]


def test_rows_that_match_are_counted_and_not_only_those_that_change(
    shop: Engine,
) -> None:
    with shop.begin() as connection:
        same = text("UPDATE sa_carts SET label = 'first' WHERE id = 1")
        assert connection.execute(same).rowcount == 1


def test_an_error_is_sqlalchemys_and_ours(shop: Engine) -> None:
    with Session(shop) as session:
        session.add(Cart(id=1, label="there is one"))
        with pytest.raises(exc.IntegrityError) as caught:
            session.flush()
    assert isinstance(caught.value.orig, globaldb.IntegrityError)
    assert not caught.value.connection_invalidated


def test_tables_that_were_just_made_are_found(engine_lab: Lab, shop: Engine) -> None:
    engine_lab.lag(FAR, 0.5)

    def elsewhere() -> None:
        with shop.begin() as connection:
            connection.execute(text("DROP TABLE IF EXISTS sa_made"))
            connection.execute(text("CREATE TABLE sa_made (n int)"))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    found = MetaData()
    found.reflect(shop, only=["sa_made"])
    assert "sa_made" in found.tables
    found.drop_all(shop)


def test_a_lost_connection_ends_a_transaction_and_not_the_session(
    engine_lab: Lab, shop: Engine
) -> None:
    with shop.connect() as connection:
        connection.execute(text("UPDATE sa_carts SET label = 'lost' WHERE id = 1"))
        engine_lab.cut(FAR, engine_lab.writer().name)
        with pytest.raises(exc.DBAPIError) as caught:
            connection.execute(text("UPDATE sa_carts SET label = 'lost' WHERE id = 2"))
        assert not caught.value.connection_invalidated
        connection.rollback()
        assert connection.execute(text("SELECT label FROM sa_carts WHERE id = 1")).all()


def test_a_function_is_repeated_after_a_difference(
    engine_lab: Lab, shop: Engine
) -> None:
    attempts = []

    def add(session: Session) -> str:
        cart = session.get_one(Cart, 1)
        attempts.append(cart.label)
        if len(attempts) == 1:
            thread = threading.Thread(target=rename)
            thread.start()
            thread.join()
        cart.label += "!"
        session.flush()
        return cart.label

    def rename() -> None:
        with shop.begin() as connection:
            connection.execute(text("UPDATE sa_carts SET label = 'else' WHERE id = 1"))

    maker = sessionmaker(shop, expire_on_commit=False)
    label = run_transaction(maker, add)

    with shop.connect() as connection:
        found = connection.execute(text("SELECT label FROM sa_carts WHERE id = 1"))
        assert found.scalar_one() == label == attempts[-1] + "!"


@once
def test_a_function_of_an_engine_is_committed_once(shop: Engine) -> None:
    def count(connection: Connection) -> int:
        connection.execute(text("UPDATE sa_carts SET label = 'once' WHERE id = 1"))
        return int(connection.execute(COUNT).scalar_one())

    assert run_transaction(shop, count) == 2
    with shop.connect() as connection:
        found = connection.execute(text("SELECT label FROM sa_carts WHERE id = 1"))
        assert found.scalar_one() == "once"


@once
def test_a_scoped_session_lends_what_it_makes_sessions_with(shop: Engine) -> None:
    scoped = scoped_session(sessionmaker(shop))
    mine = scoped()

    def count(session: Session) -> int:
        assert session is not mine
        return int(session.execute(COUNT).scalar_one())

    assert run_transaction(scoped, count) == 2
    assert scoped() is mine
    scoped.remove()


def test_sessions_that_are_bound_to_no_engine_are_refused_in_words() -> None:
    with pytest.raises(exc.ArgumentError, match=r"give sessionmaker\(engine\)"):
        run_transaction(sessionmaker(binds={}), print)


@once
def test_a_function_that_fails_leaves_nothing(shop: Engine) -> None:
    def fail(session: Session) -> None:
        session.get_one(Cart, 1).label = "never"
        session.flush()
        raise KeyError("its own")

    with pytest.raises(KeyError):
        run_transaction(sessionmaker(shop), fail)
    with Session(shop) as session:
        assert session.get_one(Cart, 1).label == "first"


@once
def test_arguments_of_pools_apply_to_the_pools_of_nodes(engine_lab: Lab) -> None:
    limits = {"pool_size": 3, "max_overflow": 4, "pool_timeout": 7, "pool_recycle": 90}
    with engine_of(
        engine_lab, **limits, pool_pre_ping=True, pool_use_lifo=True
    ) as engine:
        with engine.connect() as connection:
            config = routed(connection).session.cluster.config
    given = (config.pool_max_size, config.pool_wait, config.pool_max_lifetime)
    assert given == (7, 7.0, 90.0)


@once
def test_a_pool_above_the_pools_is_warned_about(engine_lab: Lab) -> None:
    with pytest.warns(exc.SAWarning, match="QueuePool keeps routed connections"):
        create_engine(url_of(engine_lab), poolclass=QueuePool)


@once
def test_an_engine_that_is_disposed_of_goes_on_with_new_connections(
    shop: Engine,
) -> None:
    with shop.connect() as connection:
        connection.execute(COUNT)
        nodes = routed(connection).session.cluster.nodes.values()
    shop.dispose()
    assert not any(node.pool.stats.idle for node in nodes)
    with shop.connect() as connection:
        assert connection.execute(COUNT).scalar_one() == 2
