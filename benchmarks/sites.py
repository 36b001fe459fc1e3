"""Where an application with SQLAlchemy is counted: its schema, its pages, its rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import psycopg
from sqlalchemy import text

from benchmarks.comparison import LOCAL_RTT, REGION, RTT
from benchmarks.meter import Meter, Replication, Trips
from benchmarks.pages import Page
from globaldb.core.topology import Role
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import httpx
    from sqlalchemy import Engine

    from globaldb.lab import Lab

#: Another region with a reader, and without the writer.
ELSEWHERE: Final = "ap-southeast-2"

#: How often each page is asked for.
TIMES: Final = 10


class Case(NamedTuple):
    """A page: what may be spent on it, and how it is asked for."""

    name: str
    #: Round trips to the writer's region.
    budget: int
    ask: Callable[[httpx.Client], httpx.Response]


class Place:
    """A schema of an application's own, and the way there from `REGION`.

    The lab's regions are closer to each other than they are: how many trips there are
    does not depend on it.
    """

    def __init__(self, lab: Lab, schema: str) -> None:
        self.lab = lab
        self.schema = schema
        regions = list(lab.spec.regions)
        for index, region in enumerate(regions):
            for other in regions[:index]:
                lab.latency(region, other, RTT)
        lab.latency(REGION, REGION, LOCAL_RTT)
        self.meter = Meter(lab, REGION)
        self.replication = Replication(lab, REGION)
        self._run(f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}")

    @property
    def url(self) -> str:
        """The URL of the writer and the reader here, whose probes keep quiet.

        They would be trips, too. However slow it is on a machine that is busy, the
        reader is never found too slow to be read.
        """
        there = self.lab.options(REGION, self.lab.writer().name)
        writer = f"@{there['host']}:{there['port']}"
        base, _, query = self.lab.url(REGION).partition("?")
        options = [
            option
            for option in query.split("&")
            if not option.startswith("node=")
            or option.startswith(f"node={REGION}@")
            or option.endswith(writer)
        ]
        options += ["probe_interval=60", "latency_window=60"]
        return f"{base}?{'&'.join(options)}&options=-csearch_path%3D{self.schema}"

    @property
    def routed(self) -> str:
        """The same for SQLAlchemy."""
        return self.url.replace("://", "+globaldb://", 1)

    @property
    def elsewhere(self) -> str:
        """The URL for SQLAlchemy in another region, whose trips are not counted."""
        url = self.lab.url(ELSEWHERE).replace("://", "+globaldb://", 1)
        return f"{url}&options=-csearch_path%3D{self.schema}"

    @property
    def stock(self) -> str:
        """The URL of the writer for SQLAlchemy's own dialect."""
        there = self.lab.options(REGION, self.lab.writer().name)
        return (
            f"postgresql+psycopg://{there['user']}:{there['password']}"
            f"@{there['host']}:{there['port']}/{there['dbname']}"
            f"?options=-csearch_path%3D{self.schema}"
        )

    def count(self, ask: Callable[[], object]) -> list[Trips]:
        """Ask for a page ten times, each with its reader caught up."""
        costs = []
        for _ in range(TIMES):
            self.replication.settle()
            costs.append(self.meter.count(ask))
        return costs

    def costs(self, client: httpx.Client, case: Case) -> list[Trips]:
        """Ask *client* for a page ten times; it has to answer well each time."""

        def ask() -> None:
            answer = case.ask(client)
            # A redirection is an answer to a form.
            assert answer.status_code < 400, answer.text

        return self.count(ask)

    def rest(self, engine: Engine) -> Any:
        """Return the cluster of a routed *engine* once nothing happens by itself there."""
        with engine.connect() as connection:
            cluster = _routed(connection).session.cluster
        wait_until(
            lambda: _complete(cluster) and self._reads_locally(engine),
            limit=20.0,
            what="the cluster does not come to rest",
        )
        return cluster

    def ask(self, query: str) -> Any:
        """Return what the writer answers, from beside it: one value."""
        with self._beside_the_writer() as connection:
            row = connection.execute(query).fetchone()
            return row and row[0]

    def _reads_locally(self, engine: Engine) -> bool:
        self.replication.settle()
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            return bool(_routed(connection).last_route.role is Role.READER)

    def _run(self, *statements: str) -> None:
        with self._beside_the_writer() as connection:
            for statement in statements:
                connection.execute(statement)
        self.replication.settle()

    def _beside_the_writer(self) -> psycopg.Connection:
        dsn = self.lab.dsn(self.lab.writer().region, self.lab.writer().name)
        options = f"-csearch_path={self.schema}"
        return psycopg.connect(dsn, autocommit=True, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._run(f"DROP SCHEMA {self.schema} CASCADE")
        self.replication.close()


def _routed(connection: Any) -> Any:
    return connection.connection.dbapi_connection


def _complete(cluster: Any) -> bool:
    nodes = cluster.topology.nodes.values()
    return cluster.catalog.present and all(node.reachable for node in nodes)


def compared(
    lab: Lab,
    name: str,
    cases: Sequence[Case],
    serve: Callable[[str], AbstractContextManager[tuple[httpx.Client, Engine]]],
) -> Iterator[Page]:
    """Ask for each page on globaldb, and with psycopg at the writer.

    *serve* serves the application on the database of a URL, and yields a client of it
    and its engine.
    """
    schema = f"pages_{name.lower()}"
    with Place(lab, schema) as place, serve(place.stock) as (client, engine):
        stock = [place.costs(client, case) for case in cases]
        engine.dispose()
    with Place(lab, schema) as place, serve(place.routed) as (client, engine):
        cluster = place.rest(engine)
        for case, plain in zip(cases, stock, strict=True):
            yield Page(name, case.name, case.budget, plain, place.costs(client, case))
        cluster.close()
