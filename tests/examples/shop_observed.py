"""Uses the Django shop in a process of its own, and prints as JSON what was to be seen.

``python shop_observed.py LAB``. Django is configured once per process: so tests have this
one look, and then judge.
"""

# ruff: noqa: E402 - Django is configured before what reads its settings is imported
from __future__ import annotations

import asyncio
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

sys.path[:0] = [str(Path(__file__).parents[2])]

from benchmarks.django_shop import open_shop
from benchmarks.visitor import Visitor
from globaldb.lab import Lab

warnings.simplefilter("error")
SHOP = open_shop(Lab.attach(sys.argv[1]))
SHOP.open()

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.db import connections, transaction
from django.test import override_settings

from globaldb.django.intent import WriteIntentRouter
from globaldb.django.sessions import SessionStore
from globaldb.django.test import assert_routes

# What fails on purpose is no news.
logging.getLogger("django.request").setLevel(logging.CRITICAL)

#: Seconds by which readers lag: so much that a busy machine is not late.
LAG = 30.0
OURS = "globaldb.django.middleware.CausalityMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
OTHERS = [each for each in settings.MIDDLEWARE if each not in (OURS, SESSIONS)]
#: Nobody tells a request what the one before has written.
FORGETFUL = SHOP.serve(MIDDLEWARE=[SESSIONS, *OTHERS])

#: A user's, none of them twice.
NAMES = (f"Ada the {n}th" for n in count(4))

Look = Callable[[], Any]
SEEN: list[Look] = []


def observation(look: Look) -> Look:
    """Add *look* to what is looked at, in the order of this file."""
    SEEN.append(look)
    return look


def key(table: str, order: str = "max") -> int:
    return int(SHOP.run(f"SELECT {order}(id) FROM {table}"))


def left_behind(visitor: Visitor) -> Visitor:
    """The same user on *visitor*'s device, without what it was told to read."""
    other = Visitor(SHOP.application)
    other.cookies = {k: v for k, v in visitor.cookies.items() if k != "globaldb_token"}
    return other


def renames(visitor: Visitor, name: str) -> bool:
    """Save a form; whether the page behind its redirect shows what was saved."""
    page = visitor.post("/profile/", first_name=name, email="ada@example.com")
    assert page.status == 302, page.text[:3000]
    return name in visitor.get(page.location).text


@observation
def behind_a_redirect() -> Any:
    """By whether each request is a transaction."""
    found = {}
    for atomic in (False, True):
        SHOP.connection.settings_dict["ATOMIC_REQUESTS"] = atomic
        found["on" if atomic else "off"] = redirected()
    SHOP.connection.settings_dict["ATOMIC_REQUESTS"] = False
    return found


def redirected() -> dict[str, bool]:
    ada, elsewhere = SHOP.visitor(), SHOP.visitor(FORGETFUL)
    name = next(NAMES)
    with SHOP.lagging(LAG):
        found = {"with": renames(ada, name)}
        found["cookie lost"] = name in left_behind(ada).get("/profile/").text
        found["without"] = name in elsewhere.get("/profile/").text
        ada.post("/products/tea/add", quantity=2)
        found["cart"] = "2 x Tea" in ada.get("/cart/").text
        bought = ada.post("/cart/checkout").location
        found["order"] = "2 x Tea" in ada.get(bought).text
    return found


@observation
def behind_a_login() -> Any:
    """Whether who has just logged in may see the cart; and who has logged out."""
    found = {}
    django = {"SESSION_ENGINE": "django.contrib.sessions.backends.db"}
    with SHOP.lagging(LAG):
        for name, application in {
            "with": SHOP.application,
            "with Django's sessions": SHOP.serve(**django),
            "without": FORGETFUL,
        }.items():
            visitor = SHOP.visitor(application)
            cookies = dict(visitor.cookies)
            found[name] = visitor.get("/cart/").status
            visitor.cookies |= cookies
            visitor.post("/accounts/logout/")
            # As somebody who has kept the cookie would try.
            visitor.cookies |= {"sessionid": cookies["sessionid"]}
            found[f"{name}, logged out"] = visitor.get("/cart/").status
    return found


@observation
def tokens_in_sessions() -> Any:
    """The token in the user's session, which is kept beside the database."""
    found = {}
    for kept in ("cache", "file"):
        engine = f"django.contrib.sessions.backends.{kept}"
        there = SHOP.serve(
            SESSION_ENGINE=engine,
            GLOBALDB_TOKEN_STORE="session",
            MIDDLEWARE=[SESSIONS, OURS, *OTHERS],
        )
        nowhere = SHOP.serve(SESSION_ENGINE=engine, MIDDLEWARE=[SESSIONS, *OTHERS])
        ada = SHOP.visitor(there)
        with SHOP.lagging(LAG):
            sees = renames(ada, next(NAMES))
            other = Visitor(nowhere)
            other.cookies = dict(ada.cookies)
            found[kept] = {
                "sees": sees,
                "without": renames(other, next(NAMES)),
                "cookie": "globaldb_token" in ada.cookies,
            }
        ada.post("/accounts/logout/")
    return found


def in_the_meantime(table: str, **values: object) -> None:
    """Have another process insert a row, which the reader does not have yet."""
    names, shown = ", ".join(values), ", ".join(map(repr, values.values()))
    SHOP.run(f"INSERT INTO {table} ({names}) VALUES ({shown})")


@observation
def what_readers_lack() -> Any:
    """Forms that decide about rows which somebody else has just written."""
    ada = SHOP.visitor()
    for table in ("shop_cartitem", "shop_favourite"):
        SHOP.run(f"DELETE FROM {table}")
    user, tea = (
        key("auth_user"),
        SHOP.run("SELECT id FROM shop_product WHERE slug='tea'"),
    )
    row = {"user_id": user, "product_id": tea}
    found: dict[str, Any] = {}
    with SHOP.lagging(LAG):
        in_the_meantime("shop_favourite", **row)
        in_the_meantime("shop_cartitem", **row, quantity=4)
        found["get_or_create"] = ada.post("/products/tea/like").status
        found["update_or_create"] = ada.post("/products/tea/add", quantity=1).status
        found["in the cart"] = SHOP.run("SELECT quantity FROM shop_cartitem")
        bought = ada.post("/cart/checkout")
        found["bulk_create and bulk_update"] = bought.location.startswith("/orders/")
        found["bought"] = SHOP.run(
            f"SELECT quantity FROM shop_orderline WHERE order_id = {key('shop_order')}"
        )
    return found


@observation
def deleted() -> Any:
    """The admin deletes a product that somebody has just put into a cart."""
    ada = SHOP.visitor()
    in_the_meantime(
        "shop_product", name="Old", slug="old", description="", price=1, active=True
    )
    old = key("shop_product")
    place = f"/admin/shop/product/{old}/delete/"
    with SHOP.lagging(LAG):
        row = {"user_id": key("auth_user"), "product_id": old}
        in_the_meantime("shop_cartitem", **row, quantity=1)
        found = {"asked": ada.get(place).status}
        with no_intents():
            # Read where it is late: nothing has been written yet for this visitor.
            elsewhere = left_behind(ada)
            found["without intents"] = elsewhere.post(place, post="yes").status
        found["answer"] = ada.post(place, post="yes").status
        found["left"] = SHOP.run(
            f"SELECT count(*) FROM shop_product LEFT JOIN shop_cartitem c "
            f"ON shop_product.id = product_id WHERE {old} IN (shop_product.id, product_id)"
        )
        found["again"] = ada.get(place).status
    return found


@contextmanager
def no_intents() -> Iterator[None]:
    """Have nobody know which reads decide about a write: what is planted."""
    ours = WriteIntentRouter.db_for_write
    WriteIntentRouter.db_for_write = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        WriteIntentRouter.db_for_write = ours  # type: ignore[method-assign]


@observation
def sessions() -> Any:
    """How a user's session is kept, by what Django's own finds in the table."""
    ours, djangos = SessionStore(), db.SessionStore
    ours["likes"] = "tea"
    ours.save()
    first = str(ours.session_key)
    found: dict[str, Any] = {"Django's own": djangos(first)["likes"]}
    with transaction.atomic():
        found["a key of somebody else's"] = _refused(
            lambda: SessionStore(first).save(must_create=True), CreateError
        )
        # The transaction goes on.
        ours["likes"] = "cake"
        ours.save()
    ours.cycle_key()
    second = str(ours.session_key)
    found["between keys"] = [djangos().exists(first), djangos().exists(second)]
    ours.save()
    found["with another key"] = djangos(second)["likes"]
    djangos(second).delete()
    ours["likes"] = "coffee"
    found["logged out elsewhere"] = _refused(ours.save, UpdateError)
    found["asynchronous"] = asyncio.run(_keep(djangos))
    return found


def _refused(work: Callable[[], object], error: type[Exception]) -> bool:
    try:
        work()
    except error:
        return True
    return False


async def _keep(djangos: Any) -> Any:
    ours = SessionStore()
    await ours.aset("likes", "milk")
    await ours.asave()
    await ours.acycle_key()
    await ours.asave()
    try:
        return await djangos(ours.session_key).aget("likes")
    finally:
        # Of the thread in which Django's database is used meanwhile.
        await sync_to_async(connections.close_all)()


@observation
def asynchronous() -> Any:
    """An async view, and a form, as an ASGI server asks for them."""
    ada = SHOP.visitor()
    ada.get("/cart/")

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(get_asgi_application())
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", cookies=ada.cookies
        ) as client:
            token = {"X-CSRFToken": ada.cookies["csrftoken"]}
            return [
                await client.get("/products/tea/stock"),
                await client.post(
                    "/products/tea/add", data={"quantity": 1}, headers=token
                ),
                await client.get("/cart/"),
            ]

    with SHOP.lagging(LAG):
        read, written, shown = asyncio.run(ask())
    return {
        "read": read.json(),
        "told": "globaldb_token" in read.cookies,
        "written": written.status_code,
        "tells": "globaldb_token" in written.cookies,
        "shown": "1 x Tea" in shown.text,
    }


@observation
def exported() -> Any:
    """All orders by `iterator()`: what it shows, beside what there is."""
    SHOP.settle()
    lines = SHOP.visitor().get("/orders.csv").text.splitlines()
    return [len(lines), SHOP.run("SELECT count(*) FROM shop_order")]


@observation
def routes() -> Any:
    """Where the statements of a page run, whatever was written just before."""
    from shop.models import Product, Stock

    told = []
    Stock.objects.update(available=7)
    with assert_routes(reader=1, writer=0) as lines:
        Product.objects.count()
    try:
        with assert_routes(reader=0):
            Product.objects.count()
    except AssertionError as error:
        told.append(str(error).partition(":")[0])
    return [len(lines), *told]


@observation
def checks() -> Any:
    """What is found wrong, by what is wrong."""

    def ids(**other: Any) -> list[str]:
        with override_settings(**other):
            found = [each for each in run_checks() if "globaldb" in each.id]
        assert all(each.msg and (each.hint or each.is_serious()) for each in found)
        return [each.id for each in found]

    ours = connections["default"].settings_dict["OPTIONS"]["globaldb"]
    everything = {"as it is": ids(), "no middleware": ids(MIDDLEWARE=[SESSIONS])}
    everything["behind"] = ids(MIDDLEWARE=[SESSIONS, OURS])
    everything["tokens in sessions"] = ids(GLOBALDB_TOKEN_STORE="session")
    for name, option in {
        "lax": {"consistency": "eventual"},
        "odd": {"regoin": "x"},
    }.items():
        ours |= option
        everything[name] = ids()
        for each in option:
            del ours[each]
    return everything


def observe() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for look in SEEN:
        started = monotonic()
        try:
            found[look.__name__] = look()
        except BaseException:  # noqa: BLE001 - it is for the test to judge
            found[look.__name__] = {"failed": traceback.format_exc()}
        connections.close_all()
        print(f"{look.__name__} {monotonic() - started:.2f} s", file=sys.stderr)
    return found


if __name__ == "__main__":
    print(json.dumps(observe(), default=str))
