"""The Django example in this process: on a lab, with globaldb or Django's own backend.

Django is configured once per process, by `open_shop`, before anything of the shop is
imported.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import django
import psycopg
import pymysql

from benchmarks.comparison import REGION
from benchmarks.meter import Meter
from benchmarks.visitor import Page, Visitor
from globaldb.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from globaldb.lab import Lab, LabNode

FOLDER: Final = Path(__file__).parents[1] / "examples" / "django_shop"
DATABASE: Final = "globaldb_shop"
DJANGOS_SESSIONS: Final = "django.contrib.sessions.backends.db"
#: How many of each product there are, whatever is bought.
PLENTY: Final = 100_000
USER: Final = {"username": "ada", "password": "fond of tea"}

#: Seconds between regions while pages are counted: outside the latency window.
WIDE: Final = 0.030
#: Seconds within a region; and between them where nobody chooses between nodes.
SHORT: Final = 0.002
#: Seconds until a region's readers have what the writer has, on a busy machine.
_CATCH_UP: Final = 20.0
_ERRORS: Final = (psycopg.Error, pymysql.Error)


@contextmanager
def own_database(lab: Lab) -> Iterator[None]:
    """Have an empty database for the shop on every node of *lab*."""
    force = " WITH (FORCE)" if lab.spec.engine == "postgresql" else ""
    _administer(
        lab, f"DROP DATABASE IF EXISTS {DATABASE}{force}", f"CREATE DATABASE {DATABASE}"
    )
    for node in lab.nodes:
        wait_until(
            partial(_has_database, lab, node),
            limit=_CATCH_UP,
            what=f"{node.name} has no database {DATABASE}",
        )
    try:
        yield
    finally:
        _administer(lab, f"DROP DATABASE {DATABASE}{force}")


def _administer(lab: Lab, *statements: str) -> None:
    writer = lab.writer()
    with closing(_connect(lab.options(writer.region, writer.name))) as connection:
        for statement in statements:
            connection.cursor().execute(statement)


def _has_database(lab: Lab, node: LabNode) -> bool:
    try:
        _there(lab, node).close()
    except _ERRORS:
        return False
    return True


def _there(lab: Lab, node: LabNode) -> Any:
    """Connect to the shop's database at *node*, from its own region."""
    where = lab.options(node.region, node.name)
    where["dbname" if "dbname" in where else "database"] = DATABASE
    return _connect(where)


def _connect(where: dict[str, Any]) -> Any:
    driver: Any = psycopg if "dbname" in where else pymysql
    return driver.connect(**where, autocommit=True)


def set_distances(lab: Lab, wide: float = WIDE) -> None:
    """Have *wide* seconds between regions: how many trips there are does not change."""
    regions = list(lab.spec.regions)
    for index, region in enumerate(regions):
        for other in regions[:index]:
            lab.latency(region, other, wide)
    lab.latency(REGION, REGION, SHORT)


def url(lab: Lab) -> str:
    """Return the shop's ``DATABASE_URL``. Probes are trips too: they keep quiet."""
    return f"{lab.url(REGION).replace('/app?', f'/{DATABASE}?')}&probe_interval=3600"


class Shop:
    """The application, its tables filled, and one user; see `open_shop`."""

    def __init__(self, lab: Lab, *, stock: bool) -> None:
        from django.db import connection

        self.lab = lab
        self.stock = stock
        self.meter = Meter(lab, REGION)
        self.connection: Any = connection
        self.application = self.serve()
        self._writer = lab.writer()

    def serve(self, **settings: Any) -> Callable[..., Any]:
        """Return the application as it is with other *settings* for its middleware."""
        from django.core.handlers.wsgi import WSGIHandler
        from django.test import override_settings

        with override_settings(**settings):
            return WSGIHandler()

    def open(self) -> None:
        """Make tables, products, and a user who may do everything, if there are none.

        From then on the regions are as far from each other as pages are counted.
        """
        set_distances(self.lab, SHORT)
        if not self.connection.introspection.table_names():
            self._fill()
        self.close()
        if self.stock:
            return
        # What it has learnt of the distances is no longer so.
        self.connection.close_cluster()
        set_distances(self.lab)
        self._warm()

    def _fill(self) -> None:
        from django.contrib.auth.models import User
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("fill_shelves", each=PLENTY, verbosity=0)
        User.objects.create_superuser(**USER, email="ada@example.com")
        self.run("CREATE TABLE settled AS SELECT 0 AS n")

    def run(self, sql: str) -> Any:
        """Run *sql* at the writer, beside the links that are counted.

        Returns the one value that it answers, if it does.
        """
        with closing(_there(self.lab, self._writer)) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None

    def close(self) -> None:
        """End the session, or close the connection: the next request begins anew."""
        self.connection.close()

    def visitor(self, application: Callable[..., Any] | None = None) -> Visitor:
        """Return someone who has logged in."""
        visitor = Visitor(application or self.application)
        self.greet(visitor)
        self.log_in(visitor)
        return visitor

    def greet(self, visitor: Visitor) -> None:
        """Show the form for logging in to someone who was never here."""
        visitor.cookies.clear()
        visitor.get("/accounts/login/")

    def log_in(self, visitor: Visitor) -> Page:
        """Send that form."""
        page = visitor.post("/accounts/login/", **USER)
        assert page.location == "/cart/", page.text[:3000]
        return page

    def _warm(self) -> None:
        """Wait until every node has been heard and the catalog has been read."""
        self.connection.ensure_connection()
        cluster = self.connection.connection.session.cluster
        wait_until(
            lambda: (
                cluster.catalog.present
                and all(node.reachable for node in cluster.topology.nodes.values())
            ),
            limit=_CATCH_UP,
            what="the cluster does not come to rest",
        )
        self.close()

    def settle(self) -> None:
        """Return once the readers here have everything, and globaldb knows."""
        if self.stock:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("UPDATE settled SET n = n + 1")
            wait_until(
                partial(self._reads_locally, cursor),
                limit=_CATCH_UP,
                what="readers lag",
            )
        self.close()

    def _reads_locally(self, cursor: Any) -> bool:
        cursor.execute("SELECT n FROM settled")
        return str(self.connection.connection.last_route.role.value) == "reader"

    @contextmanager
    def lagging(self, seconds: float) -> Iterator[None]:
        """Have the readers here lag, from what they have now on."""
        self.settle()
        self.lab.lag(REGION, seconds)
        try:
            yield
        finally:
            self.lab.lag(REGION, 0)
            self.close()


def open_shop(lab: Lab, *, stock: bool = False) -> Shop:
    """Configure Django for the shop on *lab*, which has its database; once a process."""
    sys.path.insert(0, str(FOLDER))
    os.environ |= {
        "DATABASE_URL": url(lab),
        "DJANGO_SETTINGS_MODULE": "website.settings",
    }
    site: Any = import_module("website.settings")
    # Logging in is no benchmark of hashes.
    site.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if stock:
        site.DATABASES = {"default": _stock(lab)}
        site.SESSION_ENGINE = DJANGOS_SESSIONS
        site.INSTALLED_APPS.remove("globaldb.django")
        site.MIDDLEWARE = [each for each in site.MIDDLEWARE if "globaldb" not in each]
    django.setup()
    return Shop(lab, stock=stock)


def _stock(lab: Lab) -> dict[str, Any]:
    """Return the settings of Django's own backend, connected to the writer."""
    there = lab.options(REGION, lab.writer().name)
    if lab.spec.engine != "postgresql":
        # As globaldb does it where mysqlclient is not installed.
        import_module("globaldb.django.mysql")
    engine = "postgresql" if lab.spec.engine == "postgresql" else "mysql"
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": DATABASE,
        "USER": there["user"],
        "PASSWORD": there["password"],
        "HOST": there["host"],
        "PORT": there["port"],
    }
