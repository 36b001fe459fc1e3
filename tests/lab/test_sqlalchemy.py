"""SQLAlchemy's dialects: a program written for one server, on a database in regions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from functools import cache
from itertools import combinations
from typing import Any

import pytest
from promises import until
from sqlalchemy import (
    Connection,
    Engine,
    ForeignKey,
    MetaData,
    QueuePool,
    String,
    create_engine,
    delete,
    exc,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
)

import globaldb
from benchmarks.meter import Meter
from globaldb.core.topology import Role
from globaldb.lab import Lab
from globaldb.sqlalchemy import reader, run_transaction, writer

FAR = "ap-south-1"
#: Seconds between regions: how many trips there are does not depend on it.
RTT = 0.03


class Base(DeclarativeBase):
    pass


class Cart(Base):
    __tablename__ = "sa_carts"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(50))
    lines: Mapped[list[Line]] = relationship()


class Line(Base):
    __tablename__ = "sa_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    cart_id: Mapped[int] = mapped_column(ForeignKey("sa_carts.id"))
    what: Mapped[str] = mapped_column(String(50))


#: What has nothing to do with the kind of server needs only one to show it.
once = pytest.mark.parametrize("engine", ["postgresql"], indirect=True, scope="session")

COUNT = select(func.count()).select_from(Cart)


def url_of(lab: Lab, region: str = FAR) -> str:
    name = "postgresql" if lab.spec.engine == "postgresql" else lab.spec.engine
    _, _, rest = lab.url(region).partition("://")
    return f"{name}+globaldb://{rest}"


@contextmanager
def engine_of(lab: Lab, **arguments: Any) -> Iterator[Engine]:
    """An engine in the far region, whose monitor keeps quiet."""
    engine = create_engine(
        url_of(lab), connect_args={"probe_interval": 60}, **arguments
    )
    with engine.connect() as connection:
        topology = routed(connection).session.cluster
        until(lambda: all(n.reachable for n in topology.topology.nodes.values()))
        until(lambda: topology.catalog.present or lab.spec.engine != "postgresql")
    yield engine
    topology.close()


def routed(connection: Any) -> Any:
    return connection.connection.dbapi_connection


@pytest.fixture(scope="module")
def engines(shared_labs: Callable[[str], Lab]) -> Iterator[Callable[[str], Engine]]:
    """The engine of this module for each kind of server."""
    with ExitStack() as stack:

        @cache
        def of(name: str) -> Engine:
            engine = stack.enter_context(engine_of(shared_labs(name)))
            Base.metadata.create_all(engine)
            return engine

        yield of


@pytest.fixture
def shop(engine_lab: Lab, engines: Callable[[str], Engine]) -> Engine:
    """A shop with two carts that every reader has, its regions closer than they are."""
    for one, other in combinations(engine_lab.spec.regions, 2):
        engine_lab.latency(one, other, RTT)
    engine = engines(engine_lab.spec.engine)
    with Session(engine) as session:
        session.execute(delete(Line))
        session.execute(delete(Cart))
        session.add(Cart(id=1, label="first", lines=[Line(what="tea")]))
        session.add(Cart(id=2, label="second"))
        session.commit()
    at_the_reader(engine)
    return engine


def at_the_reader(engine: Engine) -> None:
    """Wait until the reader shows everything, and its answers need no writer."""

    def local() -> bool:
        with Session(engine) as session:
            session.scalars(select(Cart)).all()
            return bool(routed(session.connection()).last_route.role is Role.READER)

    until(local)


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
