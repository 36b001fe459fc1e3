"""Tasks of a user's request: they believe no more of its token than the request may."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from celery.local import Proxy
from promises import cluster, one
from requests_site import COUNT, INSERT, NEARBY, far_away

import globaldb
from globaldb import wsgi
from globaldb.celery import install
from globaldb.core.topology import Role
from globaldb.lab import Lab

pytestmark = pytest.mark.lab

#: What a task saw, and from which role.
Saw = tuple[int, Role]


class Office:
    """Tasks that look at one cluster, and the worker that runs them in this process."""

    def __init__(
        self, found: globaldb.Cluster, named: Callable[[Any], Any] = lambda app: app
    ) -> None:
        self.cluster = found
        self.app = Celery(
            set_as_current=False, broker="memory://", backend="cache+memory://"
        )
        install(named(self.app))
        self.tasks = self.app.task(self._task(), name="look", shared=False)
        self.sent: Any = None
        self.token: str | None = None

    def _task(self) -> Callable[[], tuple[int, str]]:
        def task() -> tuple[int, str]:
            return self.look()

        return task

    def look(self) -> tuple[int, str]:
        with self.cluster.connect() as conn:
            found = one(conn.execute(COUNT))[0]
            return int(found), conn.last_route.role.name

    def request(self, environ: Any, start_response: Any) -> list[bytes]:
        """Send a task, and use no database."""
        self.sent = self.tasks.delay()
        self.token = globaldb.current_token()
        start_response("204 No Content", [])
        return []

    def answer(self, token: str, **options: Any) -> Saw:
        """Return what the task saw that a request with *token* sent."""
        asked = wsgi.CausalityMiddleware(self.request, **options)
        assert list(asked({"HTTP_GLOBALDB_TOKEN": token}, lambda *_: None)) == []
        with start_worker(self.app, pool="solo", perform_ping_check=False):
            found, role = self.sent.get(timeout=60)
        return found, Role[role]

    def by_hand(self) -> Saw:
        """Return what a task sees that the request handed its token by itself."""
        with globaldb.session(self.token), self.cluster.connect() as conn:
            return int(one(conn.execute(COUNT))[0]), conn.last_route.role


@pytest.fixture(autouse=True)
def logging_of_its_own() -> Iterator[None]:
    """Have no worker set up the logging of this process, or of those it starts.

    It leaves the loggers alone where somebody else sets them up, but not its variables.
    """

    def somebody_else(**_: object) -> None:
        pass

    signals.setup_logging.connect(somebody_else)
    with mock.patch.dict(os.environ):
        yield
    signals.setup_logging.disconnect(somebody_else)


@pytest.fixture
def unsigned(empty: Lab) -> Iterator[Office]:
    """Of a cluster without a secret."""
    with cluster(empty, **NEARBY) as found:
        yield Office(found)


@pytest.fixture
def signed(empty: Lab) -> Iterator[Office]:
    with cluster(empty, token_secret="s", **NEARBY) as found:
        yield Office(found)


def written(found: globaldb.Cluster) -> str:
    with globaldb.session() as work, found.connect() as conn:
        conn.execute(INSERT)
    assert work.token is not None
    return work.token


def test_a_token_that_a_user_made_up_sends_no_task_to_the_writer(
    unsigned: Office,
) -> None:
    with unsigned.cluster.connect() as conn:
        conn.execute(COUNT)
    made_up = far_away(unsigned.cluster, secret="of the user")
    assert unsigned.answer(made_up) == (0, Role.READER)
    assert unsigned.by_hand() == (0, Role.READER)
    with unsigned.cluster.connect() as conn:
        with pytest.raises(globaldb.TokenError) as refused:
            conn.observe(str(unsigned.token))
    assert refused.value.reason == "unsigned"


def test_a_token_of_the_cluster_reaches_the_task(signed: Office) -> None:
    token = written(signed.cluster)
    assert signed.answer(token) == (1, Role.WRITER)
    assert signed.by_hand() == (1, Role.WRITER)
    with signed.cluster.connect() as conn:
        conn.observe(str(signed.token))
        assert one(conn.execute(COUNT))[0] == 1


def test_a_token_that_the_middleware_has_signed_reaches_the_task(
    unsigned: Office,
) -> None:
    sealed = {"secret": "of the middleware"}

    def writes(environ: Any, start_response: Any) -> list[bytes]:
        written(unsigned.cluster)
        start_response("204 No Content", [])
        return []

    told: dict[str, str] = {}
    followed = wsgi.CausalityMiddleware(writes, **sealed)
    assert list(followed({}, lambda _, headers: told.update(headers))) == []
    assert unsigned.answer(told["Globaldb-Token"], **sealed) == (1, Role.WRITER)


def test_what_stands_for_an_application_does_as_well(signed: Office) -> None:
    """``celery.current_app`` is none itself."""
    office = Office(signed.cluster, lambda app: Proxy(lambda: app))
    assert office.answer(written(signed.cluster)) == (1, Role.WRITER)


def test_what_was_checked_on_its_way_is_in_doubt_no_more(signed: Office) -> None:
    token = written(signed.cluster)
    signed.answer(token)
    doubtful = str(signed.token)
    assert doubtful != token
    assert globaldb.Token.merge(doubtful, token) == token
    assert globaldb.Token.merge(doubtful) == doubtful
    with globaldb.session(doubtful):
        assert globaldb.current_token() == doubtful
        signed.look()
        assert globaldb.current_token() != doubtful
    with globaldb.session(doubtful) as work:
        work.observe(token)
        assert globaldb.current_token() == token
