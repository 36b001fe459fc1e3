"""The writer is lost below SQLAlchemy: its engine goes on with the connections it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from promises import FAR, HOME, until
from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy_shop import routed

import globaldb
from globaldb.lab import Lab, LabSpec

REGIONS: Any = {
    "regions": {HOME: 0, FAR: 1, "ap-southeast-2": 1},
    "rtt": {(HOME, FAR): 0.02, (HOME, "ap-southeast-2"): 0.02},
}
ERRORS = [
    *(globaldb.NodeLostError, globaldb.OutcomeUnknownError),
    *(globaldb.NoNodeAvailableError, globaldb.DeadlineExceededError),
    *(globaldb.CausalityLostError, globaldb.PoolTimeoutError),
]


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def moving(request: pytest.FixtureRequest, module_lab: Any) -> Lab:
    started: Lab = module_lab(LabSpec(engine=request.param, **REGIONS))
    return started


@pytest.fixture
def remote(moving: Lab) -> Iterator[Engine]:
    """An engine far from the writer, of a table with nothing in it."""
    moving.restore()
    scheme = f"{moving.spec.engine}+globaldb"
    made = create_engine(f"{scheme}://{moving.url(FAR).partition('://')[2]}")
    with made.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS sa_moved"))
        connection.execute(text("CREATE TABLE sa_moved (n int)"))
    with made.connect() as connection:
        topology = routed(connection).session.cluster
    yield made
    topology.close()


def put(connection: Connection, number: int) -> None:
    connection.execute(text("INSERT INTO sa_moved VALUES (:n)"), {"n": number})


def test_only_a_session_that_is_over_is_a_disconnect(remote: Engine) -> None:
    connection = remote.raw_connection()
    face = connection.dbapi_connection
    # Or the engine would try to roll back, some time, what is closed here.
    connection.detach()
    with pytest.raises(remote.dialect.loaded_dbapi.Error) as caught:
        face.cursor().execute("SELECT nothing FROM nowhere")
    # As they are raised: errors of both trees.
    errors = [type("Both", (each, type(caught.value)), {})("gone") for each in ERRORS]
    told = [remote.dialect.is_disconnect(each, face, None) for each in errors]
    assert told == [False] * len(ERRORS)
    face.close()
    told = [remote.dialect.is_disconnect(each, face, None) for each in errors]
    assert told == [True] * len(ERRORS)


def test_after_a_failover_everything_goes_on_where_it_was(
    moving: Lab, remote: Engine
) -> None:
    thrown_away: list[Any] = []
    for name in ("invalidate", "soft_invalidate"):
        event.listen(remote, name, lambda *_: thrown_away.append(_))
    pool = remote.pool
    with remote.connect() as writing, remote.connect() as idle:
        put(writing, 1)
        moving.failover(FAR)
        with pytest.raises(exc.DBAPIError) as caught:
            put(writing, 2)
        assert isinstance(caught.value.orig, globaldb.OperationalError)
        assert not caught.value.connection_invalidated
        writing.rollback()

        def written() -> bool:
            try:
                with writing.begin():
                    put(writing, 3)
            except exc.OperationalError as error:
                thrown_away.extend([error] * error.connection_invalidated)
                return False
            return True

        until(written)
        with idle.begin():
            put(idle, 4)
            found = idle.execute(text("SELECT n FROM sa_moved ORDER BY n"))
            assert found.scalars().all() == [3, 4]
    assert thrown_away == []
    assert remote.pool is pool
