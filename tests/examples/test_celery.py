"""Celery: each task sees what those before it wrote, in whatever process they ran."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
from promises import until
from valkey_server import ValkeyServer

import globaldb
from benchmarks.served import EXAMPLES
from benchmarks.sites import Place
from globaldb.celery import install

pytestmark = pytest.mark.lab

#: The worker's pools, and how many processes or threads each has.
POOLS = {"prefork": 2, "threads": 2, "solo": 1}
#: Seconds that an order may take on a busy machine.
LIMIT = 60


@pytest.fixture(scope="module")
def servers(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment in which the application finds its servers."""
    with ValkeyServer(tmp_path_factory.mktemp("b")) as broker:
        url = broker.url.replace("unix:", "redis+socket:", 1)
        yield {"DATABASE_URL": place.url, "BROKER_URL": url}


@pytest.fixture(scope="module")
def orders(servers: dict[str, str]) -> Iterator[ModuleType]:
    """The application as a web process has it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.items():
            patch.setenv(name, value)
        from celery_orders import orders

        with orders.connect() as conn:
            conn.execute(orders.SCHEMA)
        yield orders


@pytest.fixture(scope="module")
def workers(
    orders: ModuleType, servers: dict[str, str], tmp_path_factory: Any
) -> Iterator[None]:
    """A worker of each kind of pool, up and ready."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        started = [
            stack.enter_context(Worker(servers, pool, size, logs / pool))
            for pool, size in POOLS.items()
        ]
        ping = orders.tasks.app.control.ping
        until(lambda: len(ping(timeout=1, limit=len(POOLS))) == len(POOLS), LIMIT)
        yield
        for each in started:
            each.terminate()
    orders.tasks.app.close()


class Worker:
    """A worker process, from its start to its end."""

    def __init__(
        self, servers: dict[str, str], pool: str, size: int, log: Path
    ) -> None:
        words = ["-A", "celery_orders.app", "worker", "-P", pool]
        words += [f"-c{size}", f"-n{pool}@t", "--without-gossip", "--without-mingle"]
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "celery", *words],
            cwd=EXAMPLES,
            env={**os.environ, **servers},
            stdout=self._log,
            stderr=self._log,
        )

    def terminate(self) -> None:
        self._process.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self._process.wait(LIMIT)
        self._log.close()


@pytest.fixture
def shop(orders: ModuleType, workers: None, lagging: None) -> ModuleType:
    """The application, whose workers read where nothing new arrives for a while."""
    return orders


def test_every_step_of_an_order_sees_those_before_it(shop: ModuleType) -> None:
    items = [f"tea-{number}" for number in range(8)]
    told = [shop.place(item, 3) for item in items]
    for item, result in zip(items, told, strict=True):
        assert result.get(timeout=LIMIT).startswith(f"{item}: 3 paid")
    inspect = shop.tasks.app.control.inspect(timeout=LIMIT, limit=len(POOLS))
    done = {
        name.partition("@")[0]: each["total"] for name, each in inspect.stats().items()
    }
    assert all(done[pool] for pool in POOLS), done


def test_a_task_that_is_retried_sees_what_it_wrote_before(shop: ModuleType) -> None:
    told = [shop.place("piano", 1000) for _ in range(3)]
    for result in told:
        assert result.get(timeout=LIMIT).startswith("piano: 1000 paid")
    with shop.connect() as conn, conn.using(route="writer"):
        asked = "SELECT count(*) FROM asked GROUP BY order_id"
        assert conn.execute(asked).fetchall() == [(1,)] * 3


def test_a_task_sent_outside_of_any_request_sees_less(shop: ModuleType) -> None:
    order = shop.save("tea", 3)
    with pytest.raises(shop.tasks.NoSuchOrderError):
        shop.tasks.charge.delay(order).get(timeout=LIMIT)


def test_a_task_run_in_place_is_a_part_of_what_runs_it(shop: ModuleType) -> None:
    with globaldb.session() as work:
        order = shop.save("tea", 3)
        before = work.token
        shop.tasks.charge.apply((order,)).get()
        assert work.token != before
        assert globaldb.current_token() == work.token
        shop.tasks.pack.apply((order,)).get()
        assert shop.tasks.confirm.apply((order,)).get().startswith("tea: 3 paid")
    assert globaldb.current_token() is None


def test_installing_it_again_does_nothing(shop: ModuleType) -> None:
    from celery import signals

    before = len(signals.task_prerun.receivers)
    install(shop.tasks.app)
    assert len(signals.task_prerun.receivers) == before


def test_without_celery_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['celery'] = None\n"
        "import globaldb.celery\n"
        "try: globaldb.celery.install(object())\n"
        "except globaldb.ConfigurationError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'globaldb[celery]'" in done.stdout
