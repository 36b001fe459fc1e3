"""Runs the shop in a process of its own, and prints as JSON what is to be seen there.

Django is configured once per process: so tests have this one look, and then judge.
"""

# ruff: noqa: E402 - Django is configured before what reads its settings is imported
from __future__ import annotations

import ast
import datetime as dt
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from uuid import UUID
from wsgiref.util import setup_testing_defaults

import django
from django.conf import settings

sys.path[:0] = [str(Path(__file__).parents[n]) for n in (1, 2)]

from lab_client import until

import globaldb
from globaldb.lab import Lab

REGION = "ap-south-1"
SEEN: list[Callable[[], Any]] = []
#: Django 6.1 has it so unasked, and warns who asks.
NOT_SERIALIZED = {"serialize": False} if django.VERSION < (6, 1) else {}


def observation(look: Callable[[], Any]) -> Callable[[], Any]:
    """Add *look* to what is looked at, in the order of this file."""
    SEEN.append(look)
    return look


def database(lab: Lab, *, superuser: bool = False, **ours: Any) -> dict[str, Any]:
    """Settings of one alias."""
    parts = urlsplit(lab.url(REGION))
    user, password = parts.username, unquote(parts.password or "")
    if superuser:
        there = lab.options(REGION, lab.writer().name, superuser=True)
        user, password = there["user"], there["password"]
    node = parse_qs(parts.query)["node"]
    engine = "postgresql" if lab.spec.engine == "postgresql" else "mysql"
    return {
        "ENGINE": f"globaldb.django.{engine}",
        "NAME": parts.path[1:],
        "USER": user,
        "PASSWORD": password,
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # Probes are trips too.
            "globaldb": {"node": node, "region": REGION, "probe_interval": 60, **ours}
        },
    }


def configure(lab: Lab) -> None:
    ours = {"default": database(lab), "owner": database(lab, superuser=True)}
    settings.configure(
        DATABASES=ours,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "globaldb.django",
            "shop",
        ],
        MIDDLEWARE=["globaldb.django.middleware.CausalityMiddleware"],
        ROOT_URLCONF="shop.views",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="not a secret",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


warnings.simplefilter("error")
LAB = Lab.attach(sys.argv[1])
configure(LAB)

from asgiref.sync import async_to_sync, sync_to_async
from django.core import signing
from django.core.checks import run_checks
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import (
    IntegrityError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from shop.models import Item, Order

from benchmarks.meter import Meter
from globaldb.core.gtid import GtidSet
from globaldb.core.position import Position
from globaldb.core.token import Seen, Token
from globaldb.django.middleware import CausalityMiddleware
from globaldb.django.test import AssertRoutes, routes

METER = Meter(LAB, REGION)
APPLICATION = WSGIHandler()


def cost(work: Callable[[], object]) -> list[int]:
    return list(METER.count(work))


def ask(url: str, cookie: str = "", **form: str) -> tuple[str, dict[str, str], str]:
    """Ask for a page as a web server does: status, headers, body."""
    sent = urlencode(form).encode()
    environ: dict[str, Any] = {"PATH_INFO": url, "HTTP_COOKIE": cookie}
    if form:
        environ["REQUEST_METHOD"] = "POST"
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        environ["CONTENT_LENGTH"] = str(len(sent))
    environ["wsgi.input"] = io.BytesIO(sent)
    setup_testing_defaults(environ)
    told: list[Any] = []
    answer = APPLICATION(
        environ, lambda status, headers: told.extend((status, headers))
    )
    body = b"".join(answer).decode()
    answer.close()
    return told[0], dict(told[1]), body


def settle() -> None:
    """Write, and wait until the reader has it and all before it."""
    Item.objects.filter(name="tea").update(facts={})
    until(lambda: bool(Item.objects.count()) and role() == "reader")
    connection.close()


def role() -> str:
    return str(connection.connection.last_route.role.value)


@contextmanager
def atomic_requests() -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        yield
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


@contextmanager
def lagging(seconds: float = 0.6) -> Iterator[None]:
    """Have the readers here be behind, from what they have now on."""
    settle()
    LAB.lag(REGION, seconds)
    try:
        yield
    finally:
        LAB.lag(REGION, 0)
        connections.close_all()


def clean() -> None:
    """Leave the database as other tests expect it."""
    tables = ("shop_order", "shop_item", *(f"django_{each}" for each in _OF_DJANGO))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(tables)} CASCADE")


_OF_DJANGO = ("session", "content_type", "migrations")


@observation
def migrating() -> Any:
    with routes() as (counted, _):
        call_command("migrate", verbosity=0, run_syncdb=True)
    connection.close()
    Item.objects.create(name="tea", price=2)
    Item.objects.create(name="cake", price=3)
    return {**counted, "tables": sorted(connection.introspection.table_names())}


@observation
def pages() -> Any:
    """What each page costs from its first time to its fourth."""
    found: dict[str, Any] = {}
    for mode, context in (("off", nullcontext), ("on", atomic_requests)):
        with context():
            for name, work in PAGES.items():
                costs = []
                for _ in range(4):
                    settle()
                    costs.append(cost(work))
                found[f"{name} {mode}"] = costs
    return found


PRICES = count(50)
PAGES: dict[str, Callable[[], object]] = {
    "read": lambda: ask("/shelf"),
    "form": lambda: ask("/edit/tea", price=str(next(PRICES))),
}


@observation
def page() -> Any:
    status, headers, body = ask("/shelf")
    return {"status": status, "cookie": headers.get("Set-Cookie"), **json.loads(body)}


@observation
def savepoints() -> Any:
    """Two writes, each in a savepoint of its own, and one that is undone."""

    def nested() -> None:
        with transaction.atomic():
            for price in (6, 8):
                with transaction.atomic():
                    Item.objects.filter(name="tea").update(price=price)

    def undone() -> None:
        with transaction.atomic():
            Item.objects.filter(name="tea").update(price=8)
            with suppress(ZeroDivisionError), transaction.atomic():
                Item.objects.filter(name="tea").update(price=9)
                raise ZeroDivisionError

    settle()
    costs = [cost(nested) for _ in range(2)]
    undone()
    with CaptureQueriesContext(connection) as captured:
        nested()
    price = int(Item.objects.get(name="tea").price)
    return {"cost": costs, "price": price, "log": [q["sql"] for q in captured]}


@observation
def locking() -> Any:
    with routes() as (counted, _), transaction.atomic():
        item = Item.objects.select_for_update().get(name="tea")
        Item.objects.filter(pk=item.pk).update(price=F("price") + 1)
    return counted


@observation
def about_to_write() -> Any:
    """Another session has written what the reader does not show yet."""
    found = {}
    with lagging():
        new = Item.objects.using("owner").create(name="new")
        Order.objects.using("owner").create(item=new)
        found["reader_knows"] = Item.objects.filter(name="new").exists()
        with routes() as (counted, _):
            found["created"] = Item.objects.get_or_create(name="new")[1]
        found["get_or_create"] = dict(counted)
        found["reader_knows_then"] = role_of(Item.objects.count)
        connection.close()
        found["updated"] = not Item.objects.update_or_create(
            name="new", defaults={"price": 4}
        )[1]
        connection.close()
        # What refers to it is looked for where it is deleted.
        with routes() as (counted, _):
            found["deleted"] = Item(pk=new.pk, name="new").delete()[0]
        found["delete"] = sorted(counted)
    return found


def role_of(work: Callable[[], object]) -> str:
    work()
    return role()


@observation
def causality() -> Any:
    """A page behind a redirect, while the reader lags."""
    found: dict[str, Any] = {}
    settle()
    before = json.loads(ask("/where")[2])["price"]
    with lagging():
        status, headers, _ = ask("/edit/tea", price="41")
        cookie = headers["Set-Cookie"]
        found["status"], found["cookie"] = status, cookie
        found["caches"] = headers["Cache-Control"]
        known, _, _ = cookie.strip().partition(";")
        found["without"] = json.loads(ask("/where")[2])["price"] == before
        found["with"] = json.loads(ask("/where", known)[2])["price"]
        found["forged"] = json.loads(ask("/where", known[:-3])[2])["price"] == before
    settle()
    found["again"] = ask("/where", known)[1].get("Set-Cookie")
    return found


@observation
def causality_of_async_views() -> Any:
    async def view(request: Any) -> Any:
        await sync_to_async(Item.objects.filter(name="cake").update)(price=9)
        return HttpResponse()

    async def reads(request: Any) -> Any:
        await sync_to_async(Item.objects.filter(name="cake").exists)()
        return HttpResponse()

    def tells(view: Any) -> bool:
        middleware: Any = CausalityMiddleware(view)
        response = async_to_sync(middleware)(AsyncRequestFactory().get("/"))
        close_old_connections()
        return "globaldb_token" in response.cookies

    # A server may begin a request in the context of the one before on its connection.
    with lagging(), globaldb.session():
        Item.objects.filter(name="cake").update(price=9)
        # As behind each request.
        close_old_connections()
        return {"reads": tells(reads), "writes": tells(view)}


@observation
def a_cookie_that_is_too_long() -> Any:
    """Another cluster, whose writers have been many, makes it so; a view has written."""
    request = RequestFactory().get("/")
    names = []
    for writers in (1, 50):
        runs = [(1, 1 << 60), (1 << 61, 1 << 62)]
        sources = {str(UUID(int=n)): runs for n in range(writers)}
        other = Seen("other", 0, Position(GtidSet.of(sources)), 0)
        known = signing.dumps(str(Token.of(other, None)), salt="globaldb_token")
        request.COOKIES["globaldb_token"] = known
        response: Any = CausalityMiddleware(_writes)(request)
        names.append([*response.cookies])
    return names


def _writes(request: Any) -> HttpResponse:
    Item.objects.filter(name="cake").update(price=9)
    return HttpResponse()


@observation
def connections_of_requests() -> Any:
    """CONN_MAX_AGE and health checks are set, and mean nothing."""
    sessions = []
    for _ in range(2):
        Item.objects.count()
        sessions.append(connection.connection.session.id)
        connection.close_if_unusable_or_obsolete()
    Item.objects.count()
    return {"sessions": len(set(sessions)), "usable": connection.is_usable()}


@observation
def values() -> Any:
    at = dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)
    Item.objects.create(
        name="all", opens=dt.time(9, 30), seen_at=at, facts={"a": [1, None]}
    )
    item = Item.objects.get(name="all")
    return [
        item.opens.isoformat(),
        item.seen_at == at,
        item.facts,
        str(item.price),
        [each.name for each in Item.objects.filter(name="all").iterator()],
    ]


@observation
def walking_far() -> Any:
    """More rows than are read at once in a transaction."""
    from globaldb.django.postgresql import chunked

    settle()
    few, chunked.FEW = chunked.FEW, 1
    try:
        with transaction.atomic():
            names = [each.name for each in Item.objects.order_by("name").iterator()]
            at = role()
    finally:
        chunked.FEW = few
    return [names == [each.name for each in Item.objects.order_by("name")], at]


@observation
def walking() -> Any:
    """What ``iterator()`` costs and sees, outside of transactions and inside."""
    found: dict[str, Any] = {}
    names = [each.name for each in Item.objects.order_by("name")]

    def walk() -> list[str]:
        return [each.name for each in Item.objects.order_by("name").iterator()]

    def inside() -> None:
        with transaction.atomic():
            walk()

    for name, work in (("off", walk), ("on", inside)):
        settle()
        found[name] = [cost(work) for _ in range(3)]
    settle()
    with transaction.atomic():
        found["again"] = [walk() == names for _ in range(2)]
        Item.objects.filter(name="tea").update(price=3)
        found["after_a_write"] = walk() == names
    with lagging():
        with transaction.atomic():
            Item.objects.create(name="walked")
            found["own_write"] = "walked" in walk()
        found["own_write_outside"] = "walked" in walk()
    with lagging(5):
        Item.objects.using("owner").filter(name="walked").delete()
        found["lag"] = "walked" in walk()
        try:
            with transaction.atomic():
                walk()
                Item.objects.filter(name="tea").update(price=4)
            found["verified"] = False
        except OperationalError as error:
            found["verified"] = getattr(error.__cause__, "retryable", str(error))
    return found


@observation
def errors() -> Any:
    try:
        with transaction.atomic():
            Item.objects.create(name="all")
    except IntegrityError as error:
        return isinstance(error.__cause__, globaldb.IntegrityError)
    return None


@observation
def routes_asserted() -> Any:
    case = AssertRoutes()
    connection.close()
    with case.assertRoutes(reader=1, writer=1) as lines:
        Item.objects.count()
        Item.objects.filter(name="tea").update(price=1)
    try:
        with case.assertRoutes(reader=0):
            Item.objects.filter(name="x").update(price=1)
            close_old_connections()
            Item.objects.count()
    except AssertionError as error:
        return [lines[0].split(":")[0], str(error)]
    return lines


@observation
def status() -> Any:
    out = io.StringIO()
    call_command("globaldb_status", "--json", stdout=out)
    text = io.StringIO()
    call_command("globaldb_status", stdout=text)
    roles = sorted(row["role"] for row in json.loads(out.getvalue())["nodes"])
    return [roles, text.getvalue().split()[:2]]


@observation
def introspected() -> Any:
    out = io.StringIO()
    call_command("inspectdb", "shop_item", stdout=out)
    return out.getvalue()


@observation
def after_others() -> Any:
    """What a process finds that another one has just migrated."""
    recorder = MigrationRecorder(connection)
    # It asks for its table once, and then for its rows alone.
    recorder.has_table()
    with lagging(), connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE r_after (id int)")
        MigrationRecorder(connections["owner"]).record_applied("shop", "0002_after")
        connection.close()
        known = recorder.applied_migrations()
        # What that saw at the writer another session does not know.
        connection.close()
        tables = connection.introspection.table_names()
        cursor.execute("DROP TABLE r_after")
        return ["r_after" in tables, ("shop", "0002_after") in known]


@observation
def forked() -> Any:
    """What becomes of a transaction whose child closes its connections, as it should."""
    with transaction.atomic(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        Item.objects.create(name="forked")
        child = os.fork()
        if not child:
            with suppress(BaseException):
                connections.close_all()
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
    _, found = Item.objects.filter(name="forked").delete()
    return [os.waitstatus_to_exitcode(status), found]


@observation
def shell() -> Any:
    """The command of dbshell, beside where the lab says that the writer is."""
    client = connection.client
    args, env = client.settings_to_cmd_args_env(connection.settings_dict, ["-x"])
    there = LAB.options(REGION, LAB.writer().name)
    shown = all(
        any(str(there[name]) in word for word in args) for name in ("host", "port")
    )
    return [args[0], shown, there["password"] in env.values()]


@observation
def checks() -> Any:
    def ids() -> list[str]:
        return sorted({each.id for each in run_checks() if "globaldb" in each.id})

    found = {"as it is": ids()}
    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
        found["no middleware"] = ids()
    ours = connection.settings_dict["OPTIONS"]["globaldb"]
    ours["consistensy"] = "session"
    found["misspelt"] = ids()
    del ours["consistensy"]
    return found


@observation
def sessions_of_a_test_run() -> Any:
    """One writes and is closed, the next one reads, while the reader lags."""
    wrapper: Any = connection
    with lagging():
        wrapper.settings_dict["TEST"]["GLOBALDB_ROUTE"] = "auto"
        wrapper.is_tested(now=True)
        try:
            Item.objects.filter(name="tea").update(price=77)
            connection.close()
            return str(Item.objects.get(name="tea").price)
        finally:
            wrapper.is_tested(now=False)


@observation
def settings_of_a_test_run() -> Any:
    """As they are written down for another process."""
    wrapper: Any = connection
    wrapper.is_tested(now=True)
    try:
        return bool(ast.literal_eval(repr(wrapper.settings_dict))["NAME"])
    finally:
        wrapper.is_tested(now=False)


@observation
def test_database() -> Any:
    """Made, migrated, used and dropped, as test runners do."""
    owner: Any = connections["owner"]
    before = owner.settings_dict["NAME"]
    with routes("owner") as (counted, _):
        name = owner.creation.create_test_db(verbosity=0, **NOT_SERIALIZED)
    with routes("owner") as (tested, _):
        Item.objects.using("owner").create(name="of a test")
        owner.close()
        found = Item.objects.using("owner").get().name
    owner.creation.destroy_test_db(before, verbosity=0)
    return [name, dict(counted), dict(tested), found, owner.settings_dict["NAME"]]


def observe() -> dict[str, Any]:
    found: dict[str, Any] = {}
    clean()
    for look in SEEN:
        started = monotonic()
        try:
            found[look.__name__] = look()
        except BaseException:  # noqa: BLE001 - it is for the test to judge
            found[look.__name__] = {"failed": traceback.format_exc()}
        print(f"{look.__name__} {monotonic() - started:.2f} s", file=sys.stderr)
        connections.close_all()
    clean()
    return found


if __name__ == "__main__":
    print(json.dumps(observe(), default=str))
