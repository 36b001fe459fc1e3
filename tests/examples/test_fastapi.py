"""The FastAPI example: what it does, and what each of its processes sees.

With it what people do otherwise: other ways to commit, and what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from lab_client import until
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.pages_fastapi import application
from benchmarks.served import served, served_elsewhere
from benchmarks.sites import Place
from fastapi_orders.database import RequestSession, sessions
from fastapi_orders.models import Order
from fastapi_orders.schemas import OrderBody
from globaldb.asgi import CausalityMiddleware
from globaldb.sqlalchemy import run_transaction

HEADER = "Globaldb-Token"
ONE = {"quantity": 1}
ORDER = {"customer": "grace", "lines": [{"sku": "tea", "quantity": 3}]}


@pytest.fixture(scope="module")
def served_here(place: Place) -> Iterator[tuple[httpx.Client, Engine]]:
    """The service in this process, with nothing going on beside it; its engine."""
    with application(place.routed) as (client, engine):
        cluster = place.rest(engine)
        yield client, engine
    cluster.close()


@pytest.fixture(scope="module")
def shop(served_here: tuple[httpx.Client, Engine]) -> httpx.Client:
    """The service in this process."""
    return served_here[0]


@pytest.fixture(scope="module")
def elsewhere(place: Place, shop: httpx.Client) -> Iterator[httpx.Client]:
    """The service in another process."""
    command = "-m uvicorn --log-level warning --factory fastapi_orders.app:create_app"
    with served_elsewhere(place.elsewhere, *command.split(), "--fd", "{fd}") as client:
        client.get("/orders").raise_for_status()
        yield client


def token(answer: httpx.Response) -> dict[str, str]:
    """What a client sends that has seen *answer*."""
    return {HEADER: answer.headers[HEADER]}


def cookie(answer: httpx.Response) -> dict[str, str]:
    """What a browser sends; the one here does not, for want of TLS."""
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def test_reservations_at_the_same_time_take_what_they_say(shop: httpx.Client) -> None:
    shop.put("/products/jam", json={"sku": "jam", "stock": 3})

    def reserve(_: int) -> int:
        return shop.post("/products/jam/reservations", json=ONE).status_code

    with ThreadPoolExecutor(5) as threads:
        answers = sorted(threads.map(reserve, range(5)))

    assert answers == [200, 200, 200, 409, 409]


def test_an_order_is_made_and_changed_and_then_shown(shop: httpx.Client) -> None:
    made = shop.post("/orders", json=ORDER)
    order = made.json()
    where = f"/orders/{order['id']}"
    assert order == {"id": order["id"], "status": "open", **ORDER}

    paid = shop.put(where, json={"status": "paid"}, headers=token(made))

    assert paid.json() == {**order, "status": "paid"}
    assert shop.get(where, headers=token(paid)).json() == paid.json()
    assert paid.json() in shop.get("/orders", headers=token(paid)).json()


def test_what_cannot_be_is_refused(shop: httpx.Client) -> None:
    assert shop.get("/orders/0").status_code == 404
    assert shop.put("/orders/1", json={"status": "lost"}).status_code == 422


def test_another_process_shows_what_was_written(
    shop: httpx.Client, elsewhere: httpx.Client, lagging: None
) -> None:
    made = shop.post("/orders", json=ORDER)
    where = f"/orders/{made.json()['id']}"

    # On a machine that is busy the writer may be the quicker one to ask.
    until(lambda: elsewhere.get(where).status_code == 404, what="lag")
    assert elsewhere.get(where, headers=token(made)).json() == made.json()
    assert elsewhere.get(where, headers=cookie(made)).json() == made.json()


def test_an_async_endpoint_shows_it_too(
    shop: httpx.Client, elsewhere: httpx.Client, lagging: None
) -> None:
    def totals(**headers: str) -> dict[str, int]:
        return elsewhere.get("/orders/totals", headers=headers).json()

    made = shop.post("/orders", json=ORDER)

    now = totals(**token(made))
    until(lambda: totals() == {**now, "open": now["open"] - 1}, what="lag")
    assert totals(**token(made)) == now


def test_a_request_that_only_reads_sends_no_token(
    place: Place, shop: httpx.Client
) -> None:
    place.replication.settle()

    answer = shop.get("/orders")

    assert HEADER not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.fixture(scope="module")
def habits(served_here: tuple[httpx.Client, Engine]) -> Iterator[httpx.Client]:
    """Other ways to make an order, on the engine of the service."""
    _, engine = served_here
    app = FastAPI()
    app.add_middleware(CausalityMiddleware, secret="a secret")

    def committing() -> Iterator[Session]:
        with Session(engine) as session:
            yield session
            session.commit()

    afterwards, in_time = Depends(committing), Depends(committing, scope="function")

    @app.post("/behind")
    def behind(session: Session = afterwards) -> None:
        session.add(Order(customer="behind"))

    @app.post("/before")
    def before(session: Session = in_time) -> None:
        session.add(Order(customer="before"))

    @app.post("/refreshed", response_model=OrderBody)
    def refreshed(session: RequestSession) -> Order:
        order = Order(customer="refreshed")
        session.add(order)
        session.commit()
        session.refresh(order)
        return order

    @app.post("/expired", response_model=OrderBody)
    def expired(session: RequestSession) -> Order:
        order = Order(customer="expired")
        session.add(order)
        session.commit()
        return order

    @app.post("/background")
    def background(session: RequestSession, tasks: BackgroundTasks) -> int:
        order = Order(customer="background")
        session.add(order)
        session.commit()
        tasks.add_task(run_transaction, sessionmaker(engine), partial(pay, order.id))
        return order.id

    def pay(order_id: int, session: Session) -> None:
        session.get_one(Order, order_id).status = "paid"

    app.dependency_overrides[sessions] = lambda: sessionmaker(engine)
    with served(app) as client:
        yield client


def test_a_dependency_that_commits_before_the_response_tells_of_it(
    habits: httpx.Client,
) -> None:
    assert HEADER in habits.post("/before").raise_for_status().headers


def test_one_that_commits_behind_the_response_comes_too_late(
    habits: httpx.Client, place: Place
) -> None:
    answer = habits.post("/behind").raise_for_status()

    assert HEADER not in answer.headers
    until(lambda: bool(place.ask("SELECT 1 FROM orders WHERE customer = 'behind'")))


@pytest.mark.parametrize("way", ["refreshed", "expired"])
def test_what_is_read_again_behind_a_commit_is_there(
    habits: httpx.Client, way: str, lagging: None
) -> None:
    assert habits.post(f"/{way}").json()["customer"] == way


def test_a_task_in_the_background_sees_what_its_request_wrote(
    habits: httpx.Client, place: Place, lagging: None
) -> None:
    order = habits.post("/background").json()

    until(lambda: place.ask(f"SELECT status FROM orders WHERE id = {order}") == "paid")
