"""The Django example: what its pages cost, what each shows, and its commands."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from benchmarks.comparison import REGION
from benchmarks.django_shop import FOLDER, SHORT, own_database, set_distances, url
from benchmarks.pages_django import CASES, HEADER, SETTINGS, Case, Counted, Row, count
from globaldb.lab import Lab

SEEN = Path(__file__).with_name("shop_observed.py")
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "django.md"
#: Seconds that the whole shop may take on a busy machine; a tenth of it otherwise.
LIMIT = 600

#: Seconds by which readers lag in the shop's own tests: it is asked for sooner.
LATE = 1.0

#: How often each page is asked for, by engine.
TIMES = {"postgresql": 10, "mariadb": 4}

pytestmark = pytest.mark.timeout(LIMIT)
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


class Found(NamedTuple):
    """What became of one engine's shop."""

    counted: Counted
    seen: dict[str, Any]

    def row(self, case: Case) -> Row:
        return next(row for row in self.counted.rows() if row.case == case)


@pytest.fixture(scope="module")
def labs(shared_labs: Callable[[str], Lab]) -> Iterator[dict[str, Lab]]:
    """The labs of the engines, with a database for the shop."""
    labs = {engine: shared_labs(engine) for engine in TIMES}
    with ExitStack() as stack:
        for lab in labs.values():
            lab.restore()
            set_distances(lab, SHORT)
            stack.callback(lab.restore)
            stack.enter_context(own_database(lab))
        yield labs


@pytest.fixture(scope="module")
def shops(labs: dict[str, Lab]) -> dict[str, Found]:
    """What every engine's shop did, each in processes of its own, at the same time."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(labs, pool.map(look, labs.items()), strict=True))


def look(engine_and_lab: tuple[str, Lab]) -> Found:
    engine, lab = engine_and_lab
    counted = count(lab, TIMES[engine])
    done = subprocess.run(
        [sys.executable, str(SEEN), lab.name],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Found(counted, json.loads(done.stdout))


@pytest.fixture(params=TIMES)
def shop(shops: dict[str, Found], request: pytest.FixtureRequest) -> Found:
    """What each engine's shop did, in turn."""
    return shops[request.param]


@pytest.fixture
def saw(shop: Found) -> Callable[[str], Any]:
    """One observation of the shop."""

    def of(name: str) -> Any:
        seen = shop.seen[name]
        if isinstance(seen, dict) and "failed" in seen:
            pytest.fail(seen["failed"])
        return seen

    return of


Saw = Callable[[str], Any]


@by_case
def test_a_page_costs_no_more_than_it_may_from_its_first_time_on(
    shop: Found, case: Case
) -> None:
    off, on = shop.row(case).globaldb

    assert min(len(off), len(on)) >= 4
    assert max(off + on) <= case.budget, (off, on)


def test_pages_that_only_read_may_cost_nothing_and_those_with_one_form_three() -> None:
    budgets = {case.budget for case in CASES if not case.saves}

    assert budgets == {0}
    assert [case.name for case in CASES if case.budget > 3] == [
        "login_django",
        "change_with_inline",
        "checkout",
        "delete",
    ]


def test_the_table_of_pages_is_what_was_counted(shops: dict[str, Found]) -> None:
    text = PAGE.read_text()
    told = text[text.index(HEADER) :].partition("\n\n")[0].splitlines()[2:]
    counted = list(map(str, shops["postgresql"].counted.rows()))

    assert [without_stock(row) for row in told] == list(map(without_stock, counted))
    # Where Django's own closes a cursor on the server, it may do so in a trip apart.
    for one, other in zip(map(figures, told), map(figures, counted), strict=True):
        assert all(abs(a - b) <= 1 for a, b in zip(one, other, strict=True)), other


def without_stock(row: str) -> tuple[str, str]:
    _, page, _, _, ours, _ = row.split("|")
    return page, ours


def figures(row: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", row.partition("|")[2])]


def test_ours_costs_the_same_on_both_engines(shops: dict[str, Found]) -> None:
    costs = [
        [list(map(max, row.globaldb)) for row in shop.counted.rows()]
        for shop in shops.values()
    ]

    assert costs[0] == costs[1]


@pytest.mark.parametrize("atomic", SETTINGS)
def test_the_page_behind_a_redirect_shows_what_was_saved(saw: Saw, atomic: str) -> None:
    seen = saw("behind_a_redirect")[atomic]

    assert not seen["without"], "the reader did not lag: this shows nothing"
    assert not seen["cookie lost"], "the reader did not lag: this shows nothing"
    assert (seen["with"], seen["cart"], seen["order"]) == (True, True, True)


@pytest.mark.parametrize("who", ["with", "with Django's sessions"])
def test_who_has_logged_in_is_known_and_who_has_logged_out_is_not(
    saw: Saw, who: str
) -> None:
    seen = saw("behind_a_login")

    assert seen["without"] == 302, "the reader did not lag: this shows nothing"
    assert (seen[who], seen[f"{who}, logged out"]) == (200, 302)


@pytest.mark.parametrize("kept", ["cache", "file"])
def test_the_token_may_be_kept_in_the_users_session(saw: Saw, kept: str) -> None:
    seen = saw("tokens_in_sessions")[kept]

    assert not seen["without"], "the reader did not lag: this shows nothing"
    assert (seen["sees"], seen["cookie"]) == (True, False)


def test_forms_decide_about_what_the_writer_has(saw: Saw) -> None:
    seen = saw("what_readers_lack")

    assert (seen["get_or_create"], seen["update_or_create"]) == (302, 302)
    assert seen["in the cart"] == 5
    assert seen["bulk_create and bulk_update"]
    assert seen["bought"] == 5


def test_a_deletion_takes_along_what_the_reader_does_not_show(saw: Saw) -> None:
    seen = saw("deleted")

    assert seen["without intents"] == 500, "the reader did not lag"
    assert (seen["asked"], seen["answer"], seen["left"]) == (200, 302, 0)
    # Nothing is there to be deleted any more.
    assert seen["again"] == 302


def test_sessions_are_kept_as_django_keeps_them(saw: Saw) -> None:
    assert saw("sessions") == {
        "Django's own": "tea",
        "a key of somebody else's": True,
        # The old one is gone, the new one not there yet.
        "between keys": [False, False],
        "with another key": "cake",
        "logged out elsewhere": True,
        "asynchronous": "milk",
    }


def test_async_views_read_and_carry_what_was_written(saw: Saw) -> None:
    seen = saw("asynchronous")

    assert seen["read"]["available"] > 0
    assert not seen["told"]
    assert (seen["written"], seen["tells"], seen["shown"]) == (302, True, True)


def test_iterator_shows_every_row(saw: Saw) -> None:
    shown, there = saw("exported")

    assert shown == there > 0


def test_routes_are_asserted_once_the_readers_have_caught_up(saw: Saw) -> None:
    assert saw("routes") == [1, "1 statements ran at the reader, 0 were expected"]


def test_the_checks_find_what_is_wrong(saw: Saw) -> None:
    assert saw("checks") == {
        "as it is": [],
        "no middleware": ["globaldb.W002"],
        "behind": ["globaldb.W002"],
        "tokens in sessions": ["globaldb.W004"],
        "lax": ["globaldb.W003"],
        "odd": ["globaldb.E001"],
    }


class Manage:
    """``manage.py`` as a developer calls it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def __call__(self, *words: str, sent: str = "", **environment: str) -> Any:
        return subprocess.run(
            [sys.executable, "-W", "error", "manage.py", *words],
            capture_output=True,
            text=True,
            input=sent,
            timeout=LIMIT,
            check=False,
            cwd=FOLDER,
            env={**os.environ, "DATABASE_URL": url(self.lab), **environment},
        )

    def well(self, *words: str, sent: str = "", **environment: str) -> str:
        done = self(*words, sent=sent, **environment)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)


@pytest.fixture
def manage(
    labs: dict[str, Lab], shops: dict[str, Found], request: pytest.FixtureRequest
) -> Manage:
    """On PostgreSQL, unless a test wants each engine; the shop has its tables."""
    lab = labs[getattr(request, "param", "postgresql")]
    set_distances(lab, SHORT)
    return Manage(lab)


on_each_engine = pytest.mark.parametrize("manage", TIMES, indirect=True)


@pytest.fixture
def late(manage: Manage) -> Iterator[None]:
    """Every reader gets the test database when the tests have begun, or nearly so."""
    for region in manage.lab.spec.regions:
        manage.lab.lag(region, LATE)
    yield
    for region in manage.lab.spec.regions:
        manage.lab.lag(region, 0.0)


@on_each_engine
@pytest.mark.usefixtures("late")
def test_its_own_tests_pass(manage: Manage) -> None:
    # One of them looks where a page is read: let it be plain which node is near.
    set_distances(manage.lab, 5 * SHORT)

    done = manage("test")

    assert done.returncode == 0, done.stderr
    assert "Ran 4 tests" in done.stderr


def test_a_second_migrate_finds_the_first_one_at_once(manage: Manage) -> None:
    assert "No migrations to apply" in manage.well("migrate")


def test_a_superuser_is_made(manage: Manage) -> None:
    words = ("--noinput", "--username", "grace", "--email", "grace@example.com")
    manage.well("createsuperuser", *words, DJANGO_SUPERUSER_PASSWORD="not a secret")

    ask = "from django.contrib.auth.models import User as U; print(U.objects.count())"
    assert manage.well("shell", "-v", "0", "-c", ask) == "2\n"


def test_inspectdb_shows_the_tables(manage: Manage) -> None:
    assert "class ShopCartitem(models.Model)" in manage.well("inspectdb")


def test_dbshell_opens_at_the_writer(manage: Manage) -> None:
    told = manage.well("dbshell", "--", "-Atc", "SELECT pg_is_in_recovery(), 1 + 1")

    assert told == "f|2\n"


def test_checks_pass_and_say_what_would_be_wrong(manage: Manage) -> None:
    good = url(manage.lab)
    wrong = {"consistency=eventual": "W003", "regoin=x": "E001"}

    manage.well("check", "--fail-level", "WARNING")
    for option, found in wrong.items():
        done = manage(
            "check", "--fail-level", "WARNING", DATABASE_URL=f"{good}&{option}"
        )
        assert done.returncode == 1
        assert f"globaldb.{found}" in done.stderr


@on_each_engine
def test_globaldb_status_tells_of_every_node_and_fails_where_one_is_silent(
    manage: Manage,
) -> None:
    nodes = json.loads(manage.well("globaldb_status", "--json"))["nodes"]
    manage.lab.refuse(REGION, "ap-southeast-2-1")
    silent = manage("globaldb_status")
    manage.lab.heal()

    assert sorted(node["role"] for node in nodes) == ["reader"] * 3 + ["writer"]
    assert silent.returncode == 1
    assert "no answer from ap-southeast-2@" in silent.stderr
    assert "unknown" in silent.stdout


@pytest.fixture
def server(manage: Manage) -> Iterator[httpx.Client]:
    """A client of ``manage.py runserver``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", str(port)],
        cwd=FOLDER,
        env={**os.environ, "DATABASE_URL": url(manage.lab)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    transport = httpx.HTTPTransport(retries=10)
    try:
        with httpx.Client(
            transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=60
        ) as client:
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_runserver_serves_the_shop(server: httpx.Client) -> None:
    page = server.get("/products/tea/")

    assert page.status_code == 200
    assert "<h1>Tea</h1>" in page.text
    assert server.get("/admin/", follow_redirects=True).status_code == 200
