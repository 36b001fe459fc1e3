"""A shop that keeps its carts by SQLAlchemy, in the far region of a lab.

Works with either major line of SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import combinations
from typing import Any

import pytest
from promises import until
from sqlalchemy import Engine, ForeignKey, String, create_engine, delete, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from globaldb.core.topology import Role
from globaldb.lab import Lab
from globaldb.sqlalchemy import reader

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

    # Besides the one that sessions count on, the reader has a connection to spare: it
    # is asked when the lag of the test before has ended, for the monitor keeps quiet.
    near = reader(engine).execution_options(globaldb_consistency="eventual")
    with near.connect() as one, near.connect() as other:
        for connection in (one, other):
            connection.execute(COUNT)
    # At the latest the next probe tells.
    until(local, 70)
